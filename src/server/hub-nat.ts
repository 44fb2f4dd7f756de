import { hostname } from "node:os";
import type { Clock, Timer } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import { formatIpv4, type Ipv4 } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import type { CompatName } from "../config/compat.ts";
import type { HubOptions } from "../config/hub-options.ts";
import { DEFAULT_POLICY, type Policy } from "../config/policy.ts";
import type { PerAddressLimits, SecureNatConfig } from "../config/secure-nat-config.ts";
import type { MadeIdentity } from "../config/secure-nat-state.ts";
import type { HubConfig } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import type { OwnPlaces } from "../secure-nat/destination-rule.ts";
import type { LeaseBook } from "../secure-nat/dhcp/lease-keeper.ts";
import { SecureNat } from "../secure-nat/secure-nat.ts";
import type { BridgedHub } from "./hub-bridges.ts";
import type { InnerPlug, InnerSession } from "./inner-session.ts";
import { NatLog } from "./nat-log.ts";
import {
  configSnapshot,
  entrySnapshot,
  leaseSnapshot,
  type LeaseSnapshot,
  type NatEntrySnapshot,
  type NatSnapshot,
  type NatTarget,
} from "./nat-snapshot.ts";

/** What could not be opened is tried again after this. */
const RETRY_MS = 5_000;

/** Behind the port is a router, not a user. */
const POLICY: Policy = { ...DEFAULT_POLICY, no_broadcast_limiter: true };
const PLUG: InnerPlug = { kind: "secure-nat", policy: POLICY };

/** What is kept of SecureNAT from one run to the next, by hub. */
export interface NatMemory {
  identity(hub: string): MadeIdentity;
  leases(hub: string): LeaseBook;
  /** The hub was removed: nobody comes back to its addresses. @throws VpnError `state_write` */
  forget(hub: string): void;
}

export interface HubNatDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly natMemory: NatMemory;
  readonly ownPlaces: OwnPlaces;
  /** Improvements that are switched off, as it is now. */
  compat(): readonly CompatName[];
}

/** The hub as its SecureNAT needs it. */
export interface NatHub extends BridgedHub {
  /** What the user behind this MAC always gets. */
  fixedAddressOf(mac: MacAddress): Ipv4 | undefined;
}

interface Running {
  readonly nat: SecureNat;
  readonly session: InnerSession;
  /** Improvements that are switched off in it. */
  readonly compat: string;
}

const isOfNat = (name: CompatName) => name === "nat-errors" || name === "dhcp";

/** What shall run; undefined for nothing. */
function effectiveConfig({ online, secureNat, options }: HubConfig): SecureNatConfig | undefined {
  if (secureNat?.enable !== true || !online) return undefined;
  const { dhcp } = secureNat;
  const perAddress = perAddressOf(options);
  const nat = effectiveNat(secureNat.nat, options);
  return {
    ...secureNat,
    nat,
    ...(nat === secureNat.nat || nat !== "off" ? {} : { isRefusing: true }),
    ...(perAddress === undefined ? {} : { perAddress }),
    dhcp: { ...dhcp, isScattered: options.SecureNAT_RandomizeAssignIp !== 0 },
  };
}

function perAddressOf(options: HubOptions): PerAddressLimits | undefined {
  const limits: PerAddressLimits = {
    tcp: options.SecureNAT_MaxTcpSessionsPerIp,
    udp: options.SecureNAT_MaxUdpSessionsPerIp,
    icmp: options.SecureNAT_MaxIcmpSessionsPerIp,
    halfOpenTcp: options.SecureNAT_MaxTcpSynSentPerIp,
  };
  return Object.values(limits).some((most) => most > 0) ? limits : undefined;
}

/** The kind of NAT that the options of the hub leave (hub.md 3). */
function effectiveNat(wanted: SecureNatConfig["nat"], options: HubOptions): SecureNatConfig["nat"] {
  const isKernel = wanted === "kernel" && options.DisableKernelModeSecureNAT === 0;
  if (wanted === "off" || isKernel) return wanted;
  return options.DisableUserModeSecureNAT === 0 ? "user" : "off";
}

/** The SecureNAT of one hub: there while the hub is online and its table says so (hub.md 2.2, 11). */
export class HubNat {
  readonly #hub: NatHub;
  readonly #deps: HubNatDeps;
  #config: HubConfig | undefined;
  #log: NatLog | undefined;
  #running: Running | undefined;
  /** Once it has operated. */
  #identity: MadeIdentity | undefined;
  #problem: string | undefined;
  #retry: Timer | undefined;

  constructor(hub: NatHub, deps: HubNatDeps) {
    this.#hub = hub;
    this.#deps = deps;
  }

  /** Applies the difference: flows go on unless the host becomes another one. */
  reconfigure(hub: HubConfig): void {
    this.#config = hub;
    const config = effectiveConfig(hub);
    this.#log ??= new NatLog(hub.name, this.#deps);
    this.#log.isOn = config?.log ?? false;
    const running = this.#running;
    if (running !== undefined && config !== undefined) {
      const isSame = running.compat === this.#compatKey && running.nat.reconfigure(config);
      if (isSame) return;
    }
    this.#stop();
    this.#open();
  }

  /** Undefined where the hub was never told of one. */
  get status(): NatSnapshot | undefined {
    const nat = this.#config?.secureNat;
    return nat === undefined ? undefined : this.#statusOf(nat);
  }

  /** @throws VpnError `nat_not_found` */
  get entries(): readonly NatEntrySnapshot[] {
    const now = this.#deps.clock.now();
    return this.#present.nat.entries.map((entry) => entrySnapshot(entry, now));
  }

  /** @throws VpnError `nat_not_found` */
  get leases(): readonly LeaseSnapshot[] {
    return this.#present.nat.leases.map(leaseSnapshot);
  }

  /** @throws VpnError `nat_not_found`, `entry_not_found` */
  remove(target: NatTarget): void {
    const { nat } = this.#present;
    const isRemoved =
      target.kind === "entry" ? nat.removeEntry(target.id) : nat.removeLease(target.address);
    if (isRemoved) return;
    const what =
      target.kind === "entry"
        ? `no NAT entry ${target.id}`
        : `no lease of ${formatIpv4(target.address)}`;
    throw new VpnError("entry_not_found", `SecureNAT of hub ${this.#config?.name} has ${what}`);
  }

  /** The session that these MACs were behind is over. */
  sessionEnded(macs: readonly MacAddress[]): void {
    for (const mac of macs) this.#running?.nat.sessionEnded(mac);
  }

  /** May be called twice. */
  close(): void {
    this.#stop();
    this.#config = undefined;
  }

  get #present(): Running {
    if (this.#running !== undefined) return this.#running;
    throw new VpnError("nat_not_found", `Hub ${this.#config?.name} has no SecureNAT that operates`);
  }

  get #compatKey(): string {
    return this.#deps.compat().filter(isOfNat).join();
  }

  #open(): void {
    const hub = this.#config;
    const config = hub && effectiveConfig(hub);
    if (hub === undefined || config === undefined) return;
    const { natMemory } = this.#deps;
    const natLog = this.#log!;
    try {
      const identity = (this.#identity ??= natMemory.identity(hub.name));
      const nat = this.#make(hub.name, config, identity);
      const session = this.#hub.plugInner(nat.port, PLUG);
      this.#running = { nat, session, compat: this.#compatKey };
      this.#problem = undefined;
      natLog.started(session.name);
      nat.start();
    } catch (thrown) {
      if (!(thrown instanceof VpnError)) throw thrown;
      this.#failed(thrown);
    }
  }

  /** It is tried again; what is wrong is told once. */
  #failed(reason: VpnError): void {
    const problem = messageOf(reason);
    if (problem !== this.#problem) this.#log?.failed(problem);
    this.#problem = problem;
    this.#retry = this.#deps.clock.after(RETRY_MS, () => this.#open());
  }

  #make(hub: string, config: SecureNatConfig, identity: MadeIdentity): SecureNat {
    const { clock, random, natMemory, ownPlaces } = this.#deps;
    const compat = this.#deps.compat();
    const natLog = this.#log!;
    const book = natMemory.leases(hub);
    // Before anything is opened: a state directory that cannot be read leaves nothing half made.
    const leases = book.read();
    return new SecureNat(config, {
      hub,
      clock,
      random,
      log: natLog.log,
      identity,
      leases: { read: () => leases, write: (changed, removed) => book.write(changed, removed) },
      compat: { natErrors: compat.includes("nat-errors"), dhcp: compat.includes("dhcp") },
      own: ownPlaces,
      hostName: hostname,
      userAddressOf: (mac) => this.#hub.fixedAddressOf(mac),
      events: {
        began: (...entry) => natLog.began(...entry),
        finished: (...entry) => natLog.finished(...entry),
        lost: (reason) => {
          this.#stop();
          this.#failed(reason);
        },
      },
    });
  }

  #stop(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#problem = undefined;
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    // Guests are told of the end of their connections: the cable must be in for that.
    running.nat.close();
    this.#hub.unplugInner(running.session);
    this.#log?.stopped(running.session.name);
  }

  #statusOf(config: SecureNatConfig): NatSnapshot {
    const running = this.#running;
    const problem = this.#problem;
    return {
      status: running !== undefined ? "operating" : problem !== undefined ? "error" : "offline",
      ...(problem === undefined ? {} : { problem }),
      ...(running === undefined ? {} : { session: running.session.name }),
      ...configSnapshot(config, this.#identity),
      ...(running === undefined ? {} : { traffic: running.nat.status }),
    };
  }
}
