import { errnoName } from "../base/errors.ts";
import type { MacAddress } from "../base/mac.ts";
import type { CloseReason, FrameRun, FrameSink, Port } from "../hub/port.ts";
import type { FrameDevice } from "../platform/frame-device.ts";
import type { Poller } from "../platform/poller.ts";
import { DeviceEgress } from "./device-egress.ts";
import { DeviceIngress } from "./device-ingress.ts";
import { emptyDeviceStats, type DeviceStats } from "./device-stats.ts";

export interface DevicePortOptions {
  /** The port's own from now on: it closes it. */
  readonly device: FrameDevice;
  readonly poller: Poller;
  /**
   * The port has closed itself: `interface_removed`, since the interface was deleted under it or cannot be read.
   * Not called for `close`.
   */
  readonly onClosed?: (reason: CloseReason) => void;
}

/**
 * A port whose cable leads to an interface of this machine. It reads while the sink that it is plugged into is ready,
 * and takes frames always: what the interface has no room for is dropped and counted.
 */
export class DevicePort implements Port {
  readonly name: string;
  readonly ready = true;
  /** Never called: the port is always ready. */
  onReady: (() => void) | undefined;
  readonly #device: FrameDevice;
  readonly #stats = emptyDeviceStats();
  readonly #ingress: DeviceIngress;
  readonly #egress: DeviceEgress;
  readonly #onClosed: ((reason: CloseReason) => void) | undefined;
  #isClosed = false;

  constructor({ device, poller, onClosed }: DevicePortOptions) {
    this.name = device.name;
    this.#device = device;
    this.#onClosed = onClosed;
    this.#ingress = new DeviceIngress(device, poller, this.#stats, (errno) => this.#lost(errno));
    this.#egress = new DeviceEgress(device, this.#stats);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Its numbers grow as long as the port is open. */
  get stats(): DeviceStats {
    this.#askDropped();
    return this.#stats;
  }

  /** Does not write DHCP messages of this station any more; undefined: of none. */
  refuseDhcp(station: MacAddress | undefined): void {
    this.#egress.refusedStation = station;
  }

  plug(into: FrameSink): void {
    if (!this.#isClosed) this.#ingress.start(into);
  }

  deliver(run: FrameRun): void {
    this.#egress.gather(run);
  }

  flush(): void {
    this.#egress.flush();
  }

  close(_reason: CloseReason): void {
    if (this.#isClosed) return;
    this.#askDropped();
    this.#isClosed = true;
    // The watch first: while it waits it keeps the interface alive.
    this.#ingress.stop();
    this.#egress.close();
    this.#device.close();
  }

  #askDropped(): void {
    if (!this.#isClosed) this.#stats.drops.receive_full += this.#device.takeDropped();
  }

  #lost(errno: number): void {
    const reason: CloseReason = {
      code: "interface_removed",
      detail: `${this.name}: ${errnoName(errno)}`,
    };
    this.close(reason);
    this.#onClosed?.(reason);
  }
}
