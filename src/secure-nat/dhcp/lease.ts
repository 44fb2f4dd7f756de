import type { Ipv4 } from "../../base/ip.ts";
import type { MacAddress } from "../../base/mac.ts";

/** Whose an address is: anybody's of the pool, that MAC's by the table `static`, or the user's behind that MAC. */
export type LeaseOrigin = "pool" | "static" | "user";

/** A lease as lists show it. Times are milliseconds since 1970. */
export interface Lease {
  /** Its own for as long as it is there; another one after a restart. */
  readonly id: number;
  readonly mac: MacAddress;
  readonly address: Ipv4;
  /** Cleaned, but anybody's text: "" if the client told none. */
  readonly hostname: string;
  readonly origin: LeaseOrigin;
  readonly leasedAt: number;
  /** Undefined: never. */
  readonly expires: number | undefined;
}

/** What an address is held for: while somebody is asked for it, until its offer is taken, as a lease, or for nobody. */
export type Hold = "probing" | "offered" | "leased" | "resting";

/** An address that is not free. Times are milliseconds of the monotonic clock. */
export interface Binding {
  readonly address: Ipv4;
  /** Of a resting address: of him who said that it is in use. */
  readonly mac: MacAddress;
  readonly origin: LeaseOrigin;
  hold: Hold;
  id: number;
  hostname: string;
  leasedAt: number;
  /** Of its last renewal. */
  renewedAt: number;
  until: number;
}
