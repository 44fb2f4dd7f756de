// Looks for loops between the ports of a hub and shuts one port of each (hub.md 2.11).
import type { Clock, Timer } from "../base/clock.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { DROP } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import type { HubLog } from "./hub-log.ts";
import { encodeLoopProbe, HUB_ID_BYTES, TOKEN_BYTES, tryParseLoopProbe } from "./loop-probe.ts";
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
    const { clock, random, outlet } = this.#deps;
    this.#timer = undefined;
    for (const port of this.#settling.splice(0)) this.#deps.forget(port);
    this.#open(clock.now());
    const links = [...this.#links.values()];
    const steps = Math.min(Math.max(Math.ceil(links.length / BATCH_PORTS), 1), MAX_STEPS);
    const batch = Math.ceil(links.length / steps);
    if (this.#next >= links.length) this.#next = 0;
    for (const link of links.slice(this.#next, this.#next + batch)) {
      link.sequence = (link.sequence + 1) >>> 0;
      outlet.send(
        encodeLoopProbe({ mac: this.#mac, hubId: this.#hubId, ...link }),
        link.port.index,
      );
    }
    this.#next += batch;
    outlet.flush();
    if (!this.#isOn) return;
    this.#wait((PROBE_MS / steps) * (1 + JITTER * (random.fraction() - 0.5)));
    this.#run();
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
