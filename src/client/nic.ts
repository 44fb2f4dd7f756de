import type { Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Port } from "../hub/port.ts";

/** The virtual adapter as the client uses it: a port whose other side is an interface of this machine. */
export interface VirtualNic extends Port {
  /** Name of the interface. */
  readonly device: string;
  setUp(): void;
  addAddress(net: Net): void;
  /** An address that is not there is no error. */
  removeAddress(net: Net): void;
}

export interface NicSettings {
  readonly device: string;
  readonly mtu: number;
  readonly mac: MacAddress;
}

/** Makes the interface; it lives until the port is closed, and not longer than the process. */
export type OpenNic = (settings: NicSettings) => VirtualNic;
