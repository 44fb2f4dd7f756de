/** Memory that a piece costs besides its bytes. */
export const PIECE_OVERHEAD_BYTES = 160;

interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** What came of a piece: kept, there already, or against one that came before. */
export type PieceFate = "kept" | "duplicate" | "overlap";

/** The payload of one packet as far as its fragments have come, in their order. */
export class FragmentPieces {
  readonly #pieces: Piece[] = [];
  /** Payload bytes that are there. */
  bytes = 0;
  /** Payload bytes of the whole; undefined before the last fragment has come. */
  totalBytes: number | undefined;

  get count(): number {
    return this.#pieces.length;
  }

  get isComplete(): boolean {
    return this.bytes === this.totalBytes;
  }

  /** What they occupy. */
  get heldBytes(): number {
    return this.bytes + this.#pieces.length * PIECE_OVERHEAD_BYTES;
  }

  /** Adds the bytes at `at` of the payload, which are copied. */
  add(at: number, bytes: Uint8Array, isLast: boolean): PieceFate {
    const end = at + bytes.length;
    const highest = this.#pieces.at(-1);
    if (isLast) {
      if (this.totalBytes !== undefined && this.totalBytes !== end) return "overlap";
      if (highest !== undefined && highest.at + highest.bytes.length > end) return "overlap";
    } else if (this.totalBytes !== undefined && end > this.totalBytes) return "overlap";
    let index = this.#pieces.length;
    while (index > 0 && this.#pieces[index - 1]!.at >= at) index -= 1;
    const next = this.#pieces[index];
    // The network may double a packet; that is no attack (RFC 8200 4.5).
    if (next !== undefined && isSame(next, at, bytes)) return "duplicate";
    const before = this.#pieces[index - 1];
    if (before !== undefined && before.at + before.bytes.length > at) return "overlap";
    if (next !== undefined && next.at < end) return "overlap";
    if (isLast) this.totalBytes = end;
    this.#pieces.splice(index, 0, { at, bytes: bytes.slice() });
    this.bytes += bytes.length;
    return "kept";
  }

  /** Copies what is there to its place in `to`, where the payload begins at `start`. */
  copyTo(to: Uint8Array, start: number): void {
    for (const { at, bytes } of this.#pieces) to.set(bytes, start + at);
  }

  /** The first bytes of the payload, as many as lie in the first piece; none if that has not come. */
  get head(): Uint8Array | undefined {
    const first = this.#pieces[0];
    return first?.at === 0 ? first.bytes : undefined;
  }
}

function isSame(piece: Piece, at: number, bytes: Uint8Array): boolean {
  return (
    piece.at === at &&
    piece.bytes.length === bytes.length &&
    piece.bytes.every((octet, index) => octet === bytes[index])
  );
}
