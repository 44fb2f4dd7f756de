// What acknowledgments tell of losses, and how the window comes down after one: RACK-TLP (RFC 8985) on the scoreboard,
// Proportional Rate Reduction (RFC 6937), NewReno for peers without SACK (RFC 6582), and taking it all back when the
// timestamps prove that nothing was lost (RFC 4015).
import type { TcpOptions } from "../../wire/tcp.ts";
import type { Congestion, WindowSnapshot } from "./congestion.ts";
import type { RttEstimator } from "./rtt.ts";
import type { Scoreboard } from "./scoreboard.ts";
import type { TcpStats } from "./tcp-stats.ts";

/** Three duplicates, or as much acknowledged out of order, mean a loss where no reordering was seen (RFC 5681). */
const DUPLICATE_THRESHOLD = 3;
const MAX_REORDER_STEPS = 8;

export type RecoveryState = "open" | "recovery" | "loss";

export class LossRecovery {
  readonly #board: Scoreboard;
  readonly #rtt: RttEstimator;
  readonly #congestion: Congestion;
  readonly #stats: TcpStats;
  readonly #mss: number;
  readonly #hasSack: boolean;
  state: RecoveryState = "open";
  /** Recovery is over when everything up to here is acknowledged. */
  #until = 0;
  #duplicates = 0;
  /** Quarters of the least round trip by which segments may overtake each other. */
  #reorderSteps = 1;
  /** When the next ranges count as lost, Infinity if none wait for it. */
  reorderAt = Infinity;

  /* PRR */
  #flightBefore = 0;
  #delivered = 0;
  #sent = 0;

  /* Undoing */
  #before: WindowSnapshot | undefined;
  /** Timestamp of the first segment that was sent again; negative before. */
  #firstRepeat = -1;

  constructor(
    board: Scoreboard,
    rtt: RttEstimator,
    congestion: Congestion,
    stats: TcpStats,
    path: { readonly mss: number; readonly hasSack: boolean },
  ) {
    this.#board = board;
    this.#rtt = rtt;
    this.#congestion = congestion;
    this.#stats = stats;
    this.#mss = path.mss;
    this.#hasSack = path.hasSack;
  }

  /** The peer has got something twice: what was sent again had not been lost. */
  noteDuplicate(): void {
    this.#reorderSteps = Math.min(this.#reorderSteps + 1, MAX_REORDER_STEPS);
  }

  /** Bytes were sent; timestamps tell those that are sent again from the first copies. */
  sent(bytes: number, isRepeat: boolean, timestamp: number): void {
    if (this.state === "recovery") this.#sent += bytes;
    if (isRepeat && this.#firstRepeat < 0) this.#firstRepeat = timestamp;
  }

  /**
   * The scoreboard has taken in an acknowledgment.
   * @param advanced bytes that it acknowledges in order
   * @param isDuplicate it says nothing new (RFC 5681 2)
   */
  acknowledged(
    advanced: number,
    isDuplicate: boolean,
    flightBefore: number,
    isLimiting: boolean,
    options: TcpOptions,
    now: number,
  ): void {
    if (advanced > 0 && this.state !== "open" && this.#isSpurious(options)) this.#undo();
    if (this.state !== "open" && this.#board.acknowledged >= this.#until) this.#finish();
    if (this.#hasSack) this.detect(now, flightBefore);
    else this.#countDuplicates(advanced, isDuplicate, flightBefore);
    if (this.state === "recovery") {
      if (this.#hasSack) this.#reduceStep(advanced > 0);
      return;
    }
    const { delivered, acknowledged, next } = this.#board;
    if (delivered > 0) {
      const limits = isLimiting || this.state === "loss";
      this.#congestion.acknowledged(delivered, acknowledged, next, limits, now);
    }
  }

  /** Looks for what counts as lost by now. */
  detect(now: number, flightBefore = this.#board.flight): void {
    const wait = this.#board.detect(now, this.#reorderMs);
    this.reorderAt = wait > 0 ? now + wait : Infinity;
    if (this.#board.lostBytes > 0 && this.state === "open") this.#begin(flightBefore);
  }

  /** Nothing came back in time (RFC 6298 5). */
  timedOut(): void {
    this.#stats.timeouts += 1;
    if (this.state === "open") {
      this.#before = this.#congestion.snapshot;
      this.#firstRepeat = -1;
      this.#congestion.reduce();
    }
    this.#congestion.collapse();
    this.state = "loss";
    this.#until = this.#board.next;
    this.#duplicates = 0;
    this.reorderAt = Infinity;
    this.#board.loseAll();
  }

  /** A probe of the tail had to be sent again for the peer to get it: a loss that nothing else tells of. */
  tailWasLost(): void {
    if (this.state !== "open") return;
    this.#congestion.reduce();
    this.#congestion.window = this.#congestion.slowStartUntil;
  }

  get #reorderMs(): number {
    const { hasReordering, selectedBytes } = this.#board;
    if (!hasReordering && this.#reorderSteps === 1) {
      const isSure = selectedBytes >= DUPLICATE_THRESHOLD * this.#mss;
      if (this.state !== "open" || isSure) return 0;
    }
    const { least, smoothed } = this.#rtt;
    return least === Infinity ? 0 : Math.min((this.#reorderSteps * least) / 4, smoothed);
  }

  #begin(flightBefore: number): void {
    this.#stats.recoveries += 1;
    this.#before = this.#congestion.snapshot;
    this.#firstRepeat = -1;
    this.#congestion.reduce();
    this.state = "recovery";
    this.#until = this.#board.next;
    this.#flightBefore = Math.max(flightBefore, this.#mss);
    // A first segment goes at once, also where a timer has found the loss.
    this.#congestion.window = this.#board.flight + this.#mss;
    this.#delivered = 0;
    this.#sent = 0;
  }

  #finish(): void {
    if (this.state === "recovery") this.#congestion.window = this.#congestion.slowStartUntil;
    this.state = "open";
    this.#duplicates = 0;
    this.#before = undefined;
  }

  /** RFC 6937: the window comes down as what is delivered lets it, and never stalls. */
  #reduceStep(hasAdvanced: boolean): void {
    const { delivered, flight, lostBytes } = this.#board;
    const goal = this.#congestion.slowStartUntil;
    this.#delivered += delivered;
    let allowed: number;
    if (flight > goal) {
      allowed = Math.ceil((this.#delivered * goal) / this.#flightBefore) - this.#sent;
    } else {
      const conservative = Math.max(this.#delivered - this.#sent, delivered);
      const bound = hasAdvanced && lostBytes === 0 ? conservative + this.#mss : conservative;
      allowed = Math.min(goal - flight, bound);
    }
    // What is found lost must be sent, or nothing else comes back.
    if (this.#sent === 0) allowed = Math.max(allowed, this.#mss);
    this.#congestion.window = flight + Math.max(allowed, 0);
  }

  #countDuplicates(advanced: number, isDuplicate: boolean, flightBefore: number): void {
    const mss = this.#mss;
    if (advanced > 0) {
      this.#duplicates = 0;
      if (this.state !== "recovery") return;
      // A partial acknowledgment: the next segment is missing as well.
      this.#board.loseFirst(mss);
      this.#congestion.window = Math.max(this.#congestion.window - advanced + mss, mss);
      return;
    }
    if (!isDuplicate) return;
    this.#duplicates += 1;
    if (this.state === "recovery") this.#congestion.window += mss;
    else if (this.state === "open" && this.#duplicates === DUPLICATE_THRESHOLD) {
      this.#board.loseFirst(mss);
      this.#begin(flightBefore);
      this.#congestion.window = this.#congestion.slowStartUntil + DUPLICATE_THRESHOLD * mss;
    }
  }

  /** The peer answers the first copy: its echo is older than the second (RFC 3522). */
  #isSpurious(options: TcpOptions): boolean {
    if (this.#firstRepeat < 0 || !options.hasTimestamps || this.#before === undefined) return false;
    return ((options.timestampEcho - this.#firstRepeat) | 0) < 0;
  }

  #undo(): void {
    this.#stats.spurious += 1;
    this.noteDuplicate();
    this.#board.findAll();
    if (this.#before !== undefined) this.#congestion.restore(this.#before);
    this.#before = undefined;
    this.state = "open";
  }
}
