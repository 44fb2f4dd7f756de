import type { Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { CloseReason, Port } from "../hub/port.ts";

/** The virtual adapter as the client uses it: an interface of this machine, and the port behind it. */
export interface VirtualNic {
  /** Name of the interface. */
  readonly device: string;
  readonly port: Port;
  setUp(): void;
  /** `metric` is that of the route to the network around it, the kernel's own choice if not given. */
  addAddress(net: Net, metric?: number): void;
  /** An address that is not there is no error. */
  removeAddress(net: Net): void;
  /** Closes the port; the interface goes with it. May be called twice. */
  close(): void;
}

export interface NicSettings {
  readonly device: string;
  readonly mtu: number;
  readonly mac: MacAddress;
  /** Somebody deleted the interface; the port has closed itself. */
  readonly onLost: (reason: CloseReason) => void;
}

/** Makes the interface; it does not outlive the process. @throws SystemError that says what to do */
export type OpenNic = (settings: NicSettings) => VirtualNic;
