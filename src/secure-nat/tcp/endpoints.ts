import type { IpAddress } from "../../base/ip.ts";

/** The two ends of a connection as the inside host sees them; both addresses of one family. */
export interface TcpEndpoints {
  /** The inside host. */
  readonly inner: IpAddress;
  readonly innerPort: number;
  /** Who it believes to talk to, and whom the machine plays. */
  readonly outer: IpAddress;
  readonly outerPort: number;
}
