import { VpnError } from "../base/errors.ts";
import type { CascadeConfig } from "../config/cascade-shape.ts";
import { Cascade, type CascadeDeps } from "./cascade.ts";
import { type CascadeStatus, cascadeStatus } from "./cascade-status.ts";

/** What commands have said about cascades, kept from one run to the next. */
export interface OnlineWishes {
  /** Undefined where the file alone decides: nobody has said anything since it was last changed. */
  wish(hub: string, config: CascadeConfig): boolean | undefined;
  setWish(hub: string, config: CascadeConfig, online: boolean): void;
}

interface Entry {
  config: CascadeConfig;
  /** While it is meant to be up, and its hub is. */
  running: Cascade | undefined;
}

/** The cascades of one hub. */
export class Cascades {
  readonly #deps: CascadeDeps;
  readonly #wishes: OnlineWishes;
  /** By lower-case name. */
  readonly #entries = new Map<string, Entry>();
  readonly #ending = new Set<Promise<void>>();
  #isHubOnline = false;

  constructor(deps: CascadeDeps, wishes: OnlineWishes) {
    this.#deps = deps;
    this.#wishes = wishes;
  }

  /** Those that are meant to be up and whose hub is. */
  get active(): number {
    let count = 0;
    for (const { running } of this.#entries.values()) if (running !== undefined) count++;
    return count;
  }

  list(): CascadeStatus[] {
    return [...this.#entries.values()].map(
      ({ config, running }) => running?.status() ?? cascadeStatus(config, undefined),
    );
  }

  /** Applies the difference: cascades that are as they were go on, and of a policy alone nobody hears. */
  reconfigure(configs: readonly CascadeConfig[], isHubOnline: boolean): void {
    this.#isHubOnline = isHubOnline;
    const wanted = new Map(configs.map((config) => [config.name.toLowerCase(), config]));
    for (const [key, entry] of this.#entries) {
      if (wanted.has(key)) continue;
      this.#end(entry);
      this.#entries.delete(key);
    }
    for (const [key, config] of wanted) {
      const entry = this.#entries.get(key) ?? { config, running: undefined };
      this.#entries.set(key, entry);
      if (!isSameLink(entry.config, config)) this.#end(entry);
      entry.config = config;
      this.#apply(entry);
      entry.running?.setPolicy(config.policy);
    }
  }

  /** Puts one online or offline until its settings become others. @throws VpnError `cascade_unknown`, `state_write` */
  setOnline(name: string, online: boolean): void {
    const entry = this.#entries.get(name.toLowerCase());
    if (entry === undefined) throw unknown(name, this.#entries);
    this.#wishes.setWish(this.#deps.hub, entry.config, online);
    this.#apply(entry);
  }

  /** Resolves when every session has ended and nothing is under way. */
  async close(): Promise<void> {
    for (const entry of this.#entries.values()) this.#end(entry);
    this.#entries.clear();
    await Promise.all(this.#ending);
  }

  #apply(entry: Entry): void {
    const { config } = entry;
    const isWanted = this.#wishes.wish(this.#deps.hub, config) ?? config.enable;
    if (!isWanted || !this.#isHubOnline) return this.#end(entry);
    if (entry.running !== undefined) return;
    entry.running = new Cascade(config, this.#deps);
    entry.running.start();
  }

  #end(entry: Entry): void {
    const { running } = entry;
    entry.running = undefined;
    if (running === undefined) return;
    const ended = running.stop().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }
}

/** In all but the policy, and in whether it is up, which commands may decide. */
function isSameLink(a: CascadeConfig, b: CascadeConfig): boolean {
  const linkOf = ({ policy: _policy, enable: _enable, ...rest }: CascadeConfig) => rest;
  return Bun.deepEquals(linkOf(a), linkOf(b), true);
}

function unknown(name: string, entries: ReadonlyMap<string, Entry>): VpnError {
  const known = [...entries.values()].map(({ config }) => config.name).join(", ");
  const has = known === "" ? "it has none" : `it has ${known}`;
  return new VpnError("cascade_unknown", `The hub has no cascade "${name}" (${has})`);
}
