import type { MacAddress } from "../base/mac.ts";
import type { FrameSink } from "../hub/port.ts";

/** A software host's own end of its cable: who it is there, and where its frames go. */
export interface HostLink {
  readonly mac: MacAddress;
  readonly sink: FrameSink;
  /** Of IP packets, 62 to 1500 bytes. */
  readonly mtu: number;
}
