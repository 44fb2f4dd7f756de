import { SystemError } from "../../src/base/errors.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import type { BridgeDevice, Machine } from "../../src/bridge/open-device.ts";
import type { BridgeConfig } from "../../src/config/bridge-shape.ts";
import type { Link } from "../../src/platform/link.ts";
import { FakeDevice } from "./fake-device.ts";

const ENODEV = 19;
export const STATION = 0x02005e005301 as MacAddress;

/** Interfaces that a test plugs in and pulls out. */
export class FakeMachine implements Machine {
  /** By name. */
  readonly links = new Map<string, Link>();
  readonly opened: {
    config: BridgeConfig;
    device: FakeDevice;
    refused: MacAddress | undefined;
  }[] = [];
  /** What the next openings fail with. */
  readonly failures: Error[] = [];
  /** What asking for a link fails with. */
  linkFailure: Error | undefined;
  attempts = 0;
  #index = 0;

  plugIn(name: string): void {
    this.links.set(name, {
      index: ++this.#index,
      name,
      isUp: true,
      hasCarrier: true,
      isLoopback: false,
      isEthernet: true,
      mtu: 1500,
      mac: STATION,
      txQueueLength: 1000,
    });
  }

  setUp(name: string, isUp: boolean): void {
    this.links.set(name, { ...this.links.get(name)!, isUp });
  }

  pullOut(name: string): void {
    this.links.delete(name);
  }

  setMac(name: string, mac: MacAddress): void {
    this.links.set(name, { ...this.links.get(name)!, mac });
  }

  link(device: string): Link | undefined {
    if (this.linkFailure !== undefined) throw this.linkFailure;
    return this.links.get(device);
  }

  open(config: BridgeConfig, mac: () => MacAddress): BridgeDevice {
    this.attempts += 1;
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    if (config.kind === "tap") {
      mac();
      this.plugIn(config.device);
    }
    const link = this.links.get(config.device);
    if (link === undefined) throw new SystemError("netlink", ENODEV, `open ${config.device}`);
    const one = {
      config,
      device: new FakeDevice(),
      refused: undefined as MacAddress | undefined,
    };
    this.opened.push(one);
    return {
      device: one.device,
      index: link.index,
      station: link.mac,
      isShared: config.kind === "nic",
      refuseDhcp(station) {
        one.refused = station;
      },
    };
  }
}
