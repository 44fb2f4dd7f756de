// How far the inside host lets the sender go, and the questions that are asked while it lets it go nowhere.

/** A window may be closed this long: what waits behind it is not wanted any more (robustness.md IP-14). */
export const MAX_CLOSED_MS = 1_800_000;
const MAX_PERSIST_MS = 60_000;

export class SendWindow {
  /** Right edge, as a position; the largest window ever offered, in bytes. */
  edge = 0;
  largest = 0;
  /** Of the last segment that moved it (RFC 9293 `SND.WL1`, `SND.WL2`), as positions. */
  #sequence = 0;
  #acknowledgment = 0;
  /** When the peer is asked about a closed window, by the clock; Infinity while it is open or nothing waits. */
  askAt = Infinity;
  #asked = 0;
  #closedSince = 0;

  /**
   * Takes the window of a segment, unless that is older than the last (RFC 9293 3.10.7.4).
   * @param unacknowledged up to where all was acknowledged before: a segment that acknowledges more is newer, also from
   * a peer that has gone back in its own numbers
   * @returns true if it is what it was
   */
  offer(sequence: number, acknowledgment: number, window: number, unacknowledged: number): boolean {
    const isNewer =
      acknowledgment > unacknowledged ||
      sequence > this.#sequence ||
      (sequence === this.#sequence && acknowledgment >= this.#acknowledgment);
    if (!isNewer) return true;
    this.#sequence = sequence;
    this.#acknowledgment = acknowledgment;
    const edge = acknowledgment + window;
    const isSame = edge === this.edge;
    this.edge = edge;
    this.largest = Math.max(this.largest, window);
    return isSame;
  }

  /** Bytes wait, none are on the way, and there is no window for them. */
  isStuck(now: number, rtoMs: number): void {
    if (this.askAt !== Infinity) return;
    this.#closedSince = now;
    this.askAt = now + rtoMs;
  }

  isMoving(): void {
    this.askAt = Infinity;
    this.#asked = 0;
  }

  /** The peer is asked once more. False if it is in vain. */
  asked(now: number, rtoMs: number): boolean {
    if (now - this.#closedSince >= MAX_CLOSED_MS) return false;
    this.#asked += 1;
    this.askAt = now + Math.min(rtoMs * 2 ** this.#asked, MAX_PERSIST_MS);
    return true;
  }
}
