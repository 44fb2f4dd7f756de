// When acknowledgments go out: at once, with the event, or within 40 ms; and how often a segment that fits nothing gets one.
import { ChallengeBudget } from "./challenge-budget.ts";
import { type AckNeed, DELAYED_ACK_MS, type TcpReceiver } from "./receiver.ts";
import type { SegmentOutput } from "./segment-output.ts";
import type { TcpSender } from "./sender.ts";
import type { TcpStats } from "./tcp-stats.ts";

/** Acknowledgments of one merged packet, for peers that count them. */
const MAX_DUPLICATES = 3;

export interface AnswerParts {
  readonly receiver: TcpReceiver;
  readonly sender: TcpSender;
  readonly output: SegmentOutput;
  readonly hasSack: boolean;
  readonly stats: TcpStats;
  /** Asks for `flush` at the end of the event. */
  readonly soil: () => void;
}

export class Answers {
  readonly #parts: AnswerParts;
  readonly #challenges = new ChallengeBudget();
  #need: AckNeed = "none";
  /** When a delayed one goes, by the clock; Infinity without one. */
  deadline = Infinity;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
  }

  /** @param segments that came together, for which a peer without SACK expects as many answers (RFC 5681 3.2) */
  ask(need: AckNeed, segments: number, now: number): void {
    if (need === "now") {
      const copies = this.#parts.hasSack ? 1 : Math.min(Math.max(segments, 1), MAX_DUPLICATES);
      for (let n = 0; n < copies; n += 1) this.now();
    } else if (need === "event") {
      this.#need = "event";
      this.#parts.soil();
    } else if (need === "delayed" && this.#need === "none") {
      this.#need = "delayed";
      this.deadline = now + DELAYED_ACK_MS;
    }
  }

  now(): void {
    const { output, sender } = this.#parts;
    if (output.acknowledgment(sender.board.next)) this.given();
    else this.ask("event", 1, 0);
  }

  /**
   * Answers a segment that does not fit (RFC 5961), as often as the budget allows.
   * @param position of a payload of `bytes` that comes too late, if there is one
   */
  challenge(now: number, position = Infinity, bytes = 0): void {
    const { receiver, output, sender, stats } = this.#parts;
    const end = Math.min(position + bytes, receiver.next);
    if (position < end) receiver.noteRepeat(position, end);
    if (!this.mayAnswer(now)) return this.drop();
    stats.challenges += 1;
    output.acknowledgment(sender.board.next);
  }

  mayAnswer(now: number): boolean {
    return this.#challenges.take(now);
  }

  drop(): void {
    this.#parts.stats.dropped += 1;
  }

  /** Data has gone out, which acknowledges as well. */
  gaveWithData(): void {
    if (this.#need === "delayed") this.#parts.receiver.noteDialogue();
    this.given();
  }

  given(): void {
    this.#need = "none";
    this.deadline = Infinity;
  }

  /** Time has passed. */
  tick(now: number): void {
    if (now < this.deadline) return;
    this.deadline = Infinity;
    this.#need = "event";
  }

  /** Gives what is due at the end of the event. False if there was no room. */
  flush(): boolean {
    if (this.#need !== "event") return true;
    const { output, sender } = this.#parts;
    if (!output.acknowledgment(sender.board.next)) return false;
    this.given();
    return true;
  }
}
