import type { Clock } from "../base/clock.ts";
import { VpnError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import type { L3SwitchConfig } from "../config/l3-switch-config.ts";
import { DEFAULT_POLICY, type Policy } from "../config/policy.ts";
import type { L3Interface } from "../l3-switch/l3-interface.ts";
import {
  type L3SwitchDetail,
  type L3SwitchStatus,
  l3SwitchStatus,
  neighborsOf,
} from "../l3-switch/l3-status.ts";
import { L3Switch } from "../l3-switch/l3-switch.ts";
import type { StartMemory } from "../l3-switch/start-memory.ts";
import type { Log } from "../observe/log.ts";
import type { BridgedHub } from "./hub-bridges.ts";
import type { InnerSession } from "./inner-session.ts";

/** A hub as switches need it. */
export interface SwitchedHub extends BridgedHub {
  readonly config: { readonly name: string; readonly online: boolean };
}

export interface L3SwitchesDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly memory: StartMemory;
  /** The improvement `l3-errors` is switched off, as it is now. */
  readonly isAsReference: () => boolean;
}

/** An interface in its hub. */
interface Leg {
  readonly hub: SwitchedHub;
  readonly session: InnerSession;
}

/** While it is online. */
interface Running {
  readonly at: L3Switch;
  readonly legs: Map<L3Interface, Leg>;
}

interface Entry {
  config: L3SwitchConfig;
  running: Running | undefined;
  /** What it waits for. */
  problem: string | null;
}

/** No limits: behind the port is a network (hub.md 12.1). */
const POLICY: Policy = { ...DEFAULT_POLICY, no_broadcast_limiter: true };

/** The layer 3 switches of a server: each is online while all of its hubs are (hub.md 12.1). */
export class L3Switches {
  readonly #deps: L3SwitchesDeps;
  /** By lower-case name. */
  readonly #entries = new Map<string, Entry>();
  #hubs: ReadonlyMap<string, SwitchedHub> = new Map();
  #wasAsReference = false;

  constructor(deps: L3SwitchesDeps) {
    this.#deps = deps;
  }

  /** Applies the difference; hubs are by lower-case name, and those that have gone or come count as changes, too. */
  reconfigure(configs: readonly L3SwitchConfig[], hubs: ReadonlyMap<string, SwitchedHub>): void {
    this.#hubs = hubs;
    const isAsReference = this.#deps.isAsReference();
    const isRefreshed = isAsReference !== this.#wasAsReference;
    this.#wasAsReference = isAsReference;
    const wanted = new Map(configs.map((config) => [config.name.toLowerCase(), config]));
    for (const [key, entry] of this.#entries) {
      if (wanted.has(key)) continue;
      this.#stop(entry, "the configuration has it no more");
      this.#entries.delete(key);
    }
    for (const [key, config] of wanted) {
      const entry = this.#entries.get(key) ?? { config, running: undefined, problem: null };
      this.#entries.set(key, entry);
      const isChanged = !Bun.deepEquals(entry.config, config, true);
      entry.config = config;
      this.#apply(entry, isChanged);
      if (isRefreshed) entry.running?.at.refresh();
    }
  }

  list(): readonly L3SwitchStatus[] {
    return [...this.#entries.values()].map((entry) => this.#statusOf(entry));
  }

  /** One of them with its neighbours. @throws VpnError `l3_switch_unknown` */
  show(name: string): L3SwitchDetail {
    const entry = this.#entry(name);
    const { running } = entry;
    const neighbors = running === undefined ? [] : neighborsOf(running.at);
    return { ...this.#statusOf(entry), neighbors };
  }

  /** Starts or stops one until its table in the file becomes another. @throws VpnError `l3_switch_unknown` */
  setRunning(name: string, running: boolean): L3SwitchStatus {
    const entry = this.#entry(name);
    if (running && entry.config.interfaces.length === 0) {
      throw new VpnError("l3_switch_bare", `The switch ${entry.config.name} has no interfaces`);
    }
    this.#deps.memory.setWish(entry.config, running);
    this.#apply(entry, false);
    return this.#statusOf(entry);
  }

  /** Takes all of them out of their hubs. */
  close(): void {
    for (const entry of this.#entries.values()) this.#stop(entry, undefined);
    this.#entries.clear();
  }

  #isWanted({ config }: Entry): boolean {
    return this.#deps.memory.wish(config) ?? config.enable;
  }

  #apply(entry: Entry, isChanged: boolean): void {
    if (!this.#isWanted(entry)) {
      entry.problem = null;
      return this.#stop(entry, "it is not to run");
    }
    const problem = this.#missing(entry.config) ?? null;
    const isNews = problem !== entry.problem && entry.running === undefined;
    entry.problem = problem;
    if (problem !== null) {
      if (isNews) this.#tell(entry, "l3_switch_waiting", `waits: ${problem}`);
      return this.#stop(entry, problem);
    }
    const { running } = entry;
    if (running === undefined) return this.#start(entry);
    // A hub of the same name may be another one by now.
    for (const [one, { hub }] of running.legs) {
      if (this.#hubs.get(one.hub.toLowerCase()) === hub) continue;
      if (entry.config.interfaces.every((config) => config.hub !== one.hub)) continue;
      this.#stop(entry, `hub ${one.hub} is another one`);
      return this.#start(entry);
    }
    if (isChanged) this.#change(running, entry.config);
  }

  /** Why it cannot run now. */
  #missing({ interfaces }: L3SwitchConfig): string | undefined {
    for (const { hub } of interfaces) {
      const found = this.#hubs.get(hub.toLowerCase());
      if (found === undefined) return `there is no hub ${hub}`;
      if (!found.config.online) return `hub ${hub} is offline`;
    }
    return undefined;
  }

  #start(entry: Entry): void {
    const { clock, random, isAsReference } = this.#deps;
    const at = new L3Switch(entry.config, {
      clock,
      random,
      isAsReference,
      lost: ({ hub }) => this.#lost(entry, hub),
    });
    const running: Running = { at, legs: new Map() };
    entry.running = running;
    for (const one of at.interfaces) this.#plug(running, one, entry.config);
    at.begin();
    this.#tell(entry, "l3_switch_online", "is online");
  }

  #change(running: Running, config: L3SwitchConfig): void {
    const { added, removed } = running.at.reconfigure(config);
    for (const one of removed) this.#unplug(running, one);
    for (const one of added) this.#plug(running, one, config);
    // Newcomers, and the networks that are reached otherwise now, are made known.
    if (added.length > 0) running.at.begin();
  }

  #plug({ legs }: Running, one: L3Interface, { name }: L3SwitchConfig): void {
    const hub = this.#hubs.get(one.hub.toLowerCase())!;
    legs.set(one, { hub, session: hub.plugInner(one, { kind: "l3", policy: POLICY, of: name }) });
  }

  #unplug({ legs }: Running, one: L3Interface): void {
    const leg = legs.get(one);
    legs.delete(one);
    leg?.hub.unplugInner(leg.session);
  }

  /** A hub has ended an interface: the others go as well, and all is looked at when hubs change again. */
  #lost(entry: Entry, hub: string): void {
    entry.problem = `hub ${hub} has closed`;
    this.#stop(entry, entry.problem);
  }

  #stop(entry: Entry, why: string | undefined): void {
    const { running } = entry;
    if (running === undefined) return;
    entry.running = undefined;
    running.at.close();
    for (const one of running.legs.keys()) this.#unplug(running, one);
    if (why !== undefined) this.#tell(entry, "l3_switch_offline", `is offline: ${why}`);
  }

  #tell({ config }: Entry, event: string, text: string): void {
    this.#deps.log.info(event, `Layer 3 switch ${config.name} ${text}`, { l3switch: config.name });
  }

  #statusOf(entry: Entry): L3SwitchStatus {
    const { config, running, problem } = entry;
    if (running === undefined) {
      const state = this.#isWanted(entry) ? "waiting" : "stopped";
      return l3SwitchStatus(config, undefined, { state, problem });
    }
    const sessionOf = (one: L3Interface) => running.legs.get(one)?.session.name ?? null;
    return l3SwitchStatus(
      config,
      { at: running.at, sessionOf },
      { state: "online", problem: null },
    );
  }

  #entry(name: string): Entry {
    const found = this.#entries.get(name.toLowerCase());
    if (found !== undefined) return found;
    const known = [...this.#entries.values()].map(({ config }) => config.name).join(", ");
    const has = known === "" ? "it has none" : `it has ${known}`;
    throw new VpnError("l3_switch_unknown", `The server has no layer 3 switch "${name}" (${has})`);
  }
}
