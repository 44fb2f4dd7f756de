import { LocalBridge } from "../bridge/local-bridge.ts";
import { emptyDeviceStats, type DeviceStats } from "../bridge/device-stats.ts";
import type { Machine } from "../bridge/open-device.ts";
import type { Clock } from "../base/clock.ts";
import { SystemError } from "../base/errors.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import type { BridgeConfig } from "../config/bridge-shape.ts";
import { DEFAULT_POLICY, type Policy } from "../config/policy.ts";
import type { HubConfig } from "../config/server-config.ts";
import type { Port } from "../hub/port.ts";
import type { Log } from "../observe/log.ts";
import { tryGetLink, type Link } from "../platform/link.ts";
import { watchNetwork, type NetlinkWatch } from "../platform/netlink-watch.ts";
import type { Poller } from "../platform/poller.ts";
import { sharedPoller } from "../platform/shared-poller.ts";
import { isWireless } from "../platform/wireless.ts";
import type { InnerPlug, InnerSession } from "./inner-session.ts";

interface DirectionStatus {
  readonly frames: number;
  /** Of frames, as they are on the wire. */
  readonly bytes: number;
  readonly calls: number;
}

/** How a local bridge stands, as lists show it (hub.md 14.1). */
export interface BridgeStatus {
  readonly device: string;
  readonly kind: BridgeConfig["kind"];
  readonly status: "operating" | "error" | "offline";
  /** What is wrong, with what to do about it. */
  readonly problem?: string;
  /** Of the hub, while the interface is open. */
  readonly session?: string;
  readonly monitor: boolean;
  readonly promiscuous: boolean;
  readonly limitBroadcast: boolean;
  /** Of the interface, while it is there. */
  readonly mac?: string;
  readonly mtu?: number;
  /** The cable is in. */
  readonly carrier?: boolean;
  /** Wi-Fi, which seldom carries frames of other stations. */
  readonly wireless: boolean;
  /** Ingress is from the interface into the hub; calls are those to the system, which move several frames each. */
  readonly traffic: Readonly<Record<"ingress" | "egress", DirectionStatus>>;
  readonly drops: DeviceStats["drops"];
}

/** The hub as its bridges need it. */
export interface BridgedHub {
  plugInner(cable: Port, plug: InnerPlug): InnerSession;
  unplugInner(session: InnerSession): void;
}

export interface BridgeDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** The MAC of a TAP for which the configuration names none. */
  readonly tapMac: (device: string) => MacAddress;
  readonly poller?: Poller;
  readonly machine?: Machine;
}

/** The local bridges of one hub: open while the hub is online. */
export class HubBridges {
  readonly #hub: BridgedHub;
  readonly #deps: BridgeDeps;
  /** By name of the interface. */
  readonly #open = new Map<string, LocalBridge>();
  #config: Pick<HubConfig, "name" | "bridges"> = { name: "", bridges: [] };
  #watch: NetlinkWatch | undefined;

  constructor(hub: BridgedHub, deps: BridgeDeps) {
    this.#hub = hub;
    this.#deps = deps;
  }

  /** Applies the difference: a bridge that is as it was goes on. */
  reconfigure({ name, online, bridges, options }: HubConfig): void {
    this.#config = { name, bridges };
    const wanted = new Map(
      bridges.filter(({ enable }) => online && enable).map((bridge) => [bridge.device, bridge]),
    );
    for (const [device, bridge] of this.#open) {
      if (Bun.deepEquals(wanted.get(device), bridge.config, true)) continue;
      this.#open.delete(device);
      bridge.close();
      this.#tell("bridge_closed", `is not bridged to ${device} any more`, device);
    }
    const refusesOwnDhcp = options.DisableUdpFilterForLocalBridgeNic === 0;
    for (const [device, config] of wanted) {
      const running = this.#open.get(device);
      if (running === undefined) this.#open.set(device, this.#start(config, refusesOwnDhcp));
      else running.refuseOwnDhcp(refusesOwnDhcp);
    }
    this.#watchInterfaces();
  }

  /** All that the configuration has, in its order. */
  get list(): readonly BridgeStatus[] {
    return this.#config.bridges.map((config) => statusOf(config, this.#open.get(config.device)));
  }

  /** May be called twice. */
  close(): void {
    for (const bridge of this.#open.values()) bridge.close();
    this.#open.clear();
    this.#watchInterfaces();
  }

  #start(config: BridgeConfig, refusesOwnDhcp: boolean): LocalBridge {
    const { clock, log, poller = sharedPoller, machine, tapMac } = this.#deps;
    const { device } = config;
    if (config.kind === "nic" && isWireless(device)) {
      const text = `${device} is a Wi-Fi interface, which seldom carries frames of other stations`;
      log.warn("bridge_wireless", text, { hub: this.#config.name, device });
    }
    return new LocalBridge(config, refusesOwnDhcp, {
      clock,
      poller,
      mac: () => tapMac(device),
      plug: (port) => {
        const session = this.#hub.plugInner(port, plugOf(config));
        return { session: session.name, unplug: () => this.#hub.unplugInner(session) };
      },
      events: {
        operating: ({ session }) =>
          this.#tell("bridge_operating", `is bridged to ${device}`, device, session),
        failed: (_, problem) => {
          const text = `Hub ${this.#config.name} is not bridged to ${device}: ${problem}`;
          log.warn("bridge_error", text, { hub: this.#config.name, device });
        },
      },
      ...(machine === undefined ? {} : { machine }),
    });
  }

  #tell(event: string, text: string, device: string, session?: string): void {
    const hub = this.#config.name;
    this.#deps.log.info(event, `Hub ${hub} ${text}`, { hub, device, session });
  }

  /** News of interfaces make bridges look sooner than they would by themselves. */
  #watchInterfaces(): void {
    if (this.#open.size === 0) {
      this.#watch?.close();
      this.#watch = undefined;
      return;
    }
    if (this.#watch !== undefined || this.#deps.machine !== undefined) return;
    try {
      this.#watch = watchNetwork(this.#deps.poller ?? sharedPoller, () => {
        for (const bridge of this.#open.values()) bridge.look();
      });
    } catch (thrown) {
      if (!(thrown instanceof SystemError)) throw thrown;
      this.#deps.log.warn("bridge_unwatched", thrown.message, { hub: this.#config.name });
    }
  }
}

/** No limits but what the configuration asks for: behind the port is a network, not a user. */
function plugOf({ limitBroadcast, monitor }: BridgeConfig): InnerPlug {
  const policy: Policy = { ...DEFAULT_POLICY, no_broadcast_limiter: !limitBroadcast };
  return { kind: "local-bridge", policy, isMonitor: monitor };
}

function statusOf(config: BridgeConfig, bridge: LocalBridge | undefined): BridgeStatus {
  const { device, kind, monitor, limitBroadcast } = config;
  const link = linkOf(device);
  const problem = bridge?.problem;
  const session = bridge?.session;
  const stats = bridge?.stats ?? emptyDeviceStats();
  return {
    device,
    kind,
    status: bridge === undefined ? "offline" : problem === undefined ? "operating" : "error",
    ...(problem === undefined ? {} : { problem }),
    ...(session === undefined ? {} : { session }),
    monitor,
    promiscuous: config.kind === "nic" && config.promiscuous && !monitor,
    limitBroadcast,
    ...(link === undefined
      ? {}
      : { mac: formatMac(link.mac), mtu: link.mtu, carrier: link.hasCarrier }),
    wireless: kind === "nic" && isWireless(device),
    traffic: {
      ingress: {
        frames: stats.ingressFrames,
        bytes: stats.ingressBytes,
        calls: stats.reads,
      },
      egress: { frames: stats.egressFrames, bytes: stats.egressBytes, calls: stats.writes },
    },
    drops: stats.drops,
  };
}

/** For a list only: what the system does not tell is left out. */
function linkOf(device: string): Link | undefined {
  try {
    return tryGetLink(device);
  } catch (thrown) {
    if (thrown instanceof SystemError) return undefined;
    throw thrown;
  }
}
