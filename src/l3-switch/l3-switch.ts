import type { Clock, Timer } from "../base/clock.ts";
import { L3_ANNOUNCE_AGAIN_MS, L3_ANNOUNCE_MS, MAX_WAITING_PACKETS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { L3InterfaceConfig, L3SwitchConfig } from "../config/l3-switch-config.ts";
import type { GroupListener } from "../ip-host/group-listener.ts";
import { type HostDrops, noHostDrops } from "../ip-host/host-drops.ts";
import { IcmpErrors, type IcmpErrorStats } from "../ip-host/icmp-error.ts";
import type { WaitingRoom } from "../ip-host/neighbors.ts";
import { outbox } from "../ip-host/outbox.ts";
import type { RouterAdvertiser } from "../ip-host/router-advertiser.ts";
import { Reassembly } from "../ip-host/reassembly.ts";
import { ForwardQueue } from "./forward-queue.ts";
import { Forwarder } from "./forwarder.ts";
import { ForwardingPlan } from "./forwarding-plan.ts";
import { L3Interface } from "./l3-interface.ts";
import type { Route } from "./route-table.ts";
import { makeAdvertiser, makeListener } from "./advertised-switch.ts";
import { SlowPath } from "./slow-path.ts";

export interface L3SwitchDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** The improvement `l3-errors` is switched off (hub.md 17). */
  isAsReference(): boolean;
  /** A hub has let go of one of the interfaces. */
  lost(from: L3Interface): void;
}

/** The interfaces that a change has made, to be plugged in, and those that it has closed. */
export interface InterfaceChange {
  readonly added: readonly L3Interface[];
  readonly removed: readonly L3Interface[];
}

/** A router between hubs (hub.md 12). Whoever made it plugs its interfaces into the hubs, and calls `begin` then. */
export class L3Switch {
  readonly #deps: L3SwitchDeps;
  readonly #queue = new ForwardQueue();
  readonly #errors: IcmpErrors;
  readonly #drops = noHostDrops();
  readonly #reassembly: Reassembly;
  readonly #room: WaitingRoom = { free: MAX_WAITING_PACKETS };
  readonly #slow: SlowPath;
  readonly #forwarder: Forwarder;
  /** In the order of the configuration. */
  #interfaces: readonly L3Interface[];
  readonly #advertisers = new Map<L3Interface, RouterAdvertiser>();
  /** Of interfaces with IPv6 that are plugged in. */
  readonly #listeners = new Map<L3Interface, GroupListener>();
  #config: L3SwitchConfig;
  #plan: ForwardingPlan;
  #announcing: Timer | undefined;
  #isClosed = false;

  constructor(config: L3SwitchConfig, deps: L3SwitchDeps) {
    this.#deps = deps;
    this.#config = config;
    const { clock } = deps;
    this.#errors = new IcmpErrors(clock);
    this.#reassembly = new Reassembly({ clock, drops: this.#drops });
    this.#interfaces = config.interfaces.map((one) => this.#make(one));
    this.#plan = this.#makePlan();
    this.#slow = new SlowPath(this.#plan, {
      queue: this.#queue,
      errors: this.#errors,
      reassembly: this.#reassembly,
      tellsOfSilence: () => !deps.isAsReference(),
      solicited: (from, ...who) => this.#advertisers.get(from)?.solicited(...who),
      queried: (from, packet) => this.#listeners.get(from)?.queried(packet) ?? false,
    });
    this.#forwarder = new Forwarder(this.#plan, this.#slow, this.#queue, clock);
  }

  get interfaces(): readonly L3Interface[] {
    return this.#interfaces;
  }

  get routes(): readonly Route<L3Interface>[] {
    return this.#plan.routes;
  }

  get icmpErrors(): IcmpErrorStats {
    return this.#errors.stats;
  }

  /** Of packets in parts that were for the switch itself. */
  get drops(): HostDrops {
    return this.#drops;
  }

  /** Packets that wait for somebody's MAC. */
  get waiting(): number {
    return MAX_WAITING_PACKETS - this.#room.free;
  }

  /** All interfaces are plugged in: hosts and hubs are told where they are. */
  begin(): void {
    this.#announcing?.cancel();
    // RFC 5227 2.3 asks for two; later ones keep the tables of switches and of silent hosts fresh.
    this.#announcing = this.#deps.clock.after(L3_ANNOUNCE_AGAIN_MS, () => {
      this.#announcing = this.#deps.clock.every(L3_ANNOUNCE_MS, () => this.#announce());
      this.#announce();
    });
    this.#listen();
    this.#advertise();
    this.#announce();
  }

  /**
   * Applies the difference: interfaces that are as they were keep all that they know, and flows go on. Where some are
   * added, `begin` follows when they are plugged in.
   */
  reconfigure(next: L3SwitchConfig): InterfaceChange {
    const renamed = next.name !== this.#config.name;
    this.#config = next;
    const before = new Map(this.#interfaces.map((one) => [one.hub.toLowerCase(), one]));
    const kept = new Set<L3Interface>();
    const added: L3Interface[] = [];
    this.#interfaces = next.interfaces.map((config) => {
      const old = before.get(config.hub.toLowerCase());
      if (old !== undefined && !renamed && isSame(old, config)) {
        old.mtu = next.mtu;
        kept.add(old);
        return old;
      }
      const made = this.#make(config);
      added.push(made);
      return made;
    });
    const removed = [...before.values()].filter((one) => !kept.has(one));
    for (const one of removed) this.#end(one);
    this.#replan();
    if (added.length === 0) this.#tellOfChange();
    return { added, removed };
  }

  /** The way routes are chosen may be another. */
  refresh(): void {
    this.#replan();
    this.#tellOfChange();
  }

  #replan(): void {
    this.#plan = this.#makePlan();
    this.#forwarder.follow(this.#plan);
  }

  #tellOfChange(): void {
    if (this.#announcing === undefined) return;
    this.#advertise();
    outbox.drain();
  }

  /** Ends all interfaces. May be called twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#announcing?.cancel();
    this.#announcing = undefined;
    for (const one of this.#interfaces) this.#end(one);
    this.#queue.clear();
    this.#reassembly.close();
  }

  #end(one: L3Interface): void {
    const advertiser = this.#advertisers.get(one);
    this.#advertisers.delete(one);
    advertiser?.close();
    this.#listeners.get(one)?.close();
    this.#listeners.delete(one);
    outbox.drain();
    one.close({ code: "l3_switch_stopped" });
  }

  #make({ hub, addresses }: L3InterfaceConfig): L3Interface {
    const { name, mtu } = this.#config;
    return new L3Interface(
      { name, hub, addresses, mtu },
      {
        clock: this.#deps.clock,
        room: this.#room,
        owner: {
          receive: (run, from) => this.#forwarder.receive(run, from),
          flush: () => this.#queue.drain(),
          closed: (from) => this.#closed(from),
        },
        events: {
          resolved: (...what) => this.#slow.resolved(...what),
          failed: (_, waiting) => this.#slow.failed(waiting),
          timed: () => {
            this.#queue.drain();
            outbox.drain();
          },
        },
      },
    );
  }

  #closed(from: L3Interface): void {
    if (!this.#isClosed && this.#interfaces.includes(from)) this.#deps.lost(from);
  }

  #makePlan(): ForwardingPlan {
    return new ForwardingPlan(this.#interfaces, this.#config.routes, this.#deps.isAsReference());
  }

  /** Newcomers say which groups they want; those who have said so are not made to again. */
  #listen(): void {
    for (const one of this.#interfaces) {
      if (!one.discovery.isOn || this.#listeners.has(one)) continue;
      const listener = makeListener(one, this.#deps);
      this.#listeners.set(one, listener);
      listener.start();
    }
  }

  #announce(): void {
    for (const one of this.#interfaces) one.announce();
    outbox.drain();
  }

  /** Advertisers of the interfaces that shall have one; those that run tell of what has changed. */
  #advertise(): void {
    const { clock, random } = this.#deps;
    for (const one of this.#interfaces) {
      const isWanted = this.#config.ra && one.discovery.isOn;
      const running = this.#advertisers.get(one);
      if (isWanted && running !== undefined) running.changed();
      else if (isWanted) {
        const made = makeAdvertiser(one, { clock, random, routes: () => this.#plan.routes });
        this.#advertisers.set(one, made);
        made.start();
      } else {
        running?.close();
        this.#advertisers.delete(one);
      }
    }
  }
}

function isSame(one: L3Interface, { hub, addresses }: L3InterfaceConfig): boolean {
  return one.hub === hub && Bun.deepEquals(one.addresses, addresses, true);
}
