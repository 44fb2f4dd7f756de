// Looks for loops between the ports of a hub and shuts one port of each (hub.md 2.11).
import type { Clock, Timer } from "../base/clock.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { DROP } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import type { HubLog } from "./hub-log.ts";
import {
  encodeLoopProbe,
  HUB_ID_BYTES,
  TOKEN_BYTES,
  tryParseChanges,
  tryParseLoopProbe,
} from "./loop-probe.ts";
import type { PortIdentity, PortKind } from "./port-identity.ts";
import type { PortProgram } from "./port-program.ts";
import type { StationOutlet } from "./station.ts";

/* Specification constants: hub.md 2.11. */
const PROBE_MS = 2_000;
const BLOCK_MS = 60_000;
/**
 * Rounds begin at a random time and differ by up to a tenth. Of two hubs joined twice, one finds the loop first and
 * then stops the other's probes, so one end is shut; were it both, neither would know when the loop is gone.
 */
const JITTER = 0.1;
/** Behind these may be a network, and another way back into the hub. */
const LOOP_KINDS: ReadonlySet<PortKind> = new Set(["local-bridge", "cascade", "l3", "bridge"]);

/** Probes of a round that leave at once; more ports are spread over the round in up to so many steps. */
const BATCH_PORTS = 32;
const MAX_STEPS = 20;
/** A probe that is older than the last ones of its port is nobody's but a replayer's. */
const LIVE_PROBES = 3;
/** Hubs behind one port whose changes are followed, and how often these count at the most. */
const MAX_HUBS_PER_PORT = 16;
const CHANGE_MS = 1_000;
/** When the port that a block was for has left, a loop with others shows within this time. */
const RECHECK_MS = 2.5 * PROBE_MS;

/** Why a port is shut, and until when unless the loop is found again. */
export interface LoopBlock {
  /** Name of the port at the other end of the loop; the port's own if it comes back to itself. */
  readonly other: string;
  /** Milliseconds of the monotonic clock. */
  readonly until: number;
}

interface LoopGuardDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: HubLog;
  readonly outlet: StationOutlet;
  /** A port was shut or opened: its program is another. */
  changed(port: PortIdentity): void;
  /** What was learnt of the port may have come round the loop. */
  forget(port: PortIdentity): void;
}

/** What other hubs behind a port have told of their own ports. */
interface Neighbours {
  /** Changes by the id of the hub. */
  readonly changes: Map<string, number>;
  forgottenAt: number;
}

interface Link {
  readonly port: PortIdentity;
  /** Counts ports as they come: the younger has the higher. */
  readonly age: number;
  readonly token: Uint8Array;
  sequence: number;
}

/** The check of a port that is shut. */
class Shut implements FrameCheck {
  check(): number {
    return DROP.loop_blocked;
  }
}

const SHUT: readonly FrameCheck[] = [new Shut()];

/** What a port does that is shut: nothing either way. */
export const SHUT_PROGRAM: PortProgram = {
  ingress: [],
  arrival: SHUT,
  admission: [],
  flooding: [],
  departure: SHUT,
  egress: [],
};

export class LoopGuard {
  readonly #mac: MacAddress;
  readonly #hubId: Uint8Array;
  readonly #deps: LoopGuardDeps;
  /** Ports in the order of their coming, those that are probed by what they alone know. */
  readonly #ages = new Map<PortIdentity, number>();
  readonly #links = new Map<string, Link>();
  readonly #blocks = new Map<PortIdentity, LoopBlock>();
  /** At the other end of loops that were found in this round: what is still on its way is learnt there once more. */
  #settling: PortIdentity[] = [];
  readonly #neighbours = new Map<PortIdentity, Neighbours>();
  /** How often a port of this hub was shut: other hubs then have learnt stations the wrong way round as well. */
  #changes = 0;
  #announcement: Timer | undefined;
  #isOn = false;
  #timer: Timer | undefined;
  #count = 0;
  /** Where the round goes on. */
  #next = 0;

  constructor(mac: MacAddress, deps: LoopGuardDeps) {
    this.#mac = mac;
    this.#deps = deps;
    this.#hubId = deps.random.bytes(HUB_ID_BYTES);
  }

  switch(isOn: boolean): void {
    this.#isOn = isOn;
    this.#run();
  }

  attach(port: PortIdentity): void {
    const age = ++this.#count;
    this.#ages.set(port, age);
    if (!LOOP_KINDS.has(port.kind)) return;
    const token = this.#deps.random.bytes(TOKEN_BYTES);
    this.#links.set(token.toHex(), { port, age, token, sequence: 0 });
    this.#run();
  }

  detach(port: PortIdentity): void {
    this.#ages.delete(port);
    this.#blocks.delete(port);
    this.#neighbours.delete(port);
    this.#settling = this.#settling.filter((settling) => settling !== port);
    for (const [token, link] of this.#links) if (link.port === port) this.#links.delete(token);
    // What stands in for it may open as soon as it is sure that it closes no other loop.
    const recheck = this.#deps.clock.now() + RECHECK_MS;
    for (const [blocked, block] of this.#blocks) {
      if (block.other === port.name)
        this.#blocks.set(blocked, { ...block, until: Math.min(block.until, recheck) });
    }
    this.#run();
  }

  blockOf(port: PortIdentity): LoopBlock | undefined {
    return this.#blocks.get(port);
  }

  close(): void {
    this.#announcement?.cancel();
    this.#links.clear();
    this.#blocks.clear();
    this.#settling.length = 0;
    this.switch(false);
  }

  /** A frame with the hub's own MAC came in. True if it was one of the hub's own probes. */
  returned(frame: Uint8Array, at: PortIdentity): boolean {
    const probe = tryParseLoopProbe(frame, this.#hubId);
    const link = probe === undefined ? undefined : this.#links.get(probe.token);
    if (probe === undefined || link === undefined) return false;
    const age = link.sequence - probe.sequence;
    if (!this.#isOn || age < 0 || age >= LIVE_PROBES) return false;
    this.#found(link.port, at);
    return true;
  }

  /** A probe of another hub came in: if that has shut a port, what is behind this one may be elsewhere now. */
  heard(frame: Uint8Array, at: PortIdentity): void {
    const told = tryParseChanges(frame);
    if (told === undefined || !this.#isOn) return;
    let known = this.#neighbours.get(at);
    if (known === undefined) {
      known = { changes: new Map(), forgottenAt: -Infinity };
      this.#neighbours.set(at, known);
    }
    const before = known.changes.get(told.hub);
    if (before === undefined && known.changes.size >= MAX_HUBS_PER_PORT) return;
    known.changes.set(told.hub, told.changes);
    const now = this.#deps.clock.now();
    if (before === undefined || before === told.changes || now - known.forgottenAt < CHANGE_MS)
      return;
    known.forgottenAt = now;
    this.#deps.forget(at);
  }

  #found(sentTo: PortIdentity, cameFrom: PortIdentity): void {
    const { clock, log, changed, forget } = this.#deps;
    const shut = this.#isSpareable(sentTo, cameFrom) ? sentTo : cameFrom;
    const other = shut === sentTo ? cameFrom : sentTo;
    const now = clock.now();
    const known = this.#blocks.get(shut);
    this.#blocks.set(shut, { other: other.name, until: now + BLOCK_MS });
    if (known !== undefined) return;
    log.loopFound(shut.name, other.name, BLOCK_MS / 1000, now);
    changed(shut);
    forget(shut);
    forget(other);
    this.#settling.push(other);
    this.#changes += 1;
    // Not at once: this is in the middle of a frame's way through the hub.
    this.#announcement ??= clock.after(0, () => {
      this.#announcement = undefined;
      this.#probe(this.#links.values());
    });
  }

  /** The younger of two goes, but a client before a network: nothing is to be reached through it. */
  #isSpareable(one: PortIdentity, two: PortIdentity): boolean {
    const isNetwork = LOOP_KINDS.has(one.kind);
    if (isNetwork !== LOOP_KINDS.has(two.kind)) return !isNetwork;
    return (this.#ages.get(one) ?? 0) > (this.#ages.get(two) ?? 0);
  }

  /** Probing goes on as long as a loop is possible, or one is blocked. */
  #run(): void {
    const isNeeded = this.#isOn && (this.#links.size >= 2 || this.#blocks.size > 0);
    if (isNeeded) {
      this.#wait(PROBE_MS * this.#deps.random.fraction());
      return;
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#open(Infinity);
  }

  #step(): void {
    const { clock, random } = this.#deps;
    this.#timer = undefined;
    if (this.#settling.length > 0) this.#changes += 1;
    for (const port of this.#settling.splice(0)) this.#deps.forget(port);
    this.#open(clock.now());
    const links = [...this.#links.values()];
    const steps = Math.min(Math.max(Math.ceil(links.length / BATCH_PORTS), 1), MAX_STEPS);
    const batch = Math.ceil(links.length / steps);
    if (this.#next >= links.length) this.#next = 0;
    this.#probe(links.slice(this.#next, this.#next + batch));
    this.#next += batch;
    if (!this.#isOn) return;
    this.#wait((PROBE_MS / steps) * (1 + JITTER * (random.fraction() - 0.5)));
    this.#run();
  }

  #probe(links: Iterable<Link>): void {
    const { outlet } = this.#deps;
    const own = { mac: this.#mac, hubId: this.#hubId, changes: this.#changes };
    for (const link of links) {
      link.sequence = (link.sequence + 1) >>> 0;
      outlet.send(encodeLoopProbe({ ...own, ...link }), link.port.index);
    }
    outlet.flush();
  }

  #wait(ms: number): void {
    this.#timer ??= this.#deps.clock.after(ms, () => this.#step());
  }

  /** Opens the ports whose time is over by `now`. */
  #open(now: number): void {
    const { log, changed, clock } = this.#deps;
    for (const [port, { until, other }] of this.#blocks) {
      if (until > now) continue;
      this.#blocks.delete(port);
      log.loopOver(port.name, other, clock.now());
      changed(port);
    }
  }
}
