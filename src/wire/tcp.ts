// TCP headers (RFC 9293 3.1) and options (RFC 9293 3.2, 7323, 2018), read by offset.

export const TCP_HEADER_BYTES = 20;
export const MAX_TCP_OPTION_BYTES = 40;

/** Offsets of the fields. */
export const TCP_FIELD = {
  SOURCE: 0,
  DESTINATION: 2,
  SEQUENCE: 4,
  ACKNOWLEDGMENT: 8,
  DATA_OFFSET: 12,
  FLAGS: 13,
  WINDOW: 14,
  CHECKSUM: 16,
  URGENT: 18,
  OPTIONS: 20,
} as const;

export const TCP_FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32 } as const;

/** Kinds of options, and the lengths they must have. */
export const TCP_OPTION = {
  END: 0,
  NOP: 1,
  MSS: 2,
  WINDOW_SCALE: 3,
  SACK_PERMITTED: 4,
  SACK: 5,
  TIMESTAMPS: 8,
} as const;
export const TCP_OPTION_BYTES = {
  MSS: 4,
  WINDOW_SCALE: 3,
  SACK_PERMITTED: 2,
  TIMESTAMPS: 10,
} as const;
const SACK_BLOCK_BYTES = 8;
/** RFC 7323 2.3: a larger one counts as this. */
export const MAX_WINDOW_SCALE = 14;
/** What fits 40 bytes of options. */
export const MAX_SACK_BLOCKS = 4;
/** NOP, NOP, and the timestamps option: how everybody sends it (RFC 7323 appendix A). */
const TIMESTAMPS_ALONE = 0x0101_080a;

/** What the options of one segment say. One object is filled again and again: nothing is made per segment. */
export class TcpOptions {
  /** 0 if there was none. */
  mss = 0;
  /** -1 if there was none. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamps = false;
  timestampValue = 0;
  timestampEcho = 0;
  sackBlocks = 0;
  /** Left and right edge of each block, as sequence numbers. */
  readonly sackEdges = new Uint32Array(2 * MAX_SACK_BLOCKS);

  /**
   * Reads the options from `at` to `end`. False for one that is shorter than 2 bytes or goes past the end (RFC 9293
   * 3.1); unknown ones, and known ones of a wrong length, are skipped.
   */
  read(view: DataView, at: number, end: number): boolean {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamps = false;
    this.sackBlocks = 0;
    if (end - at === 12 && view.getUint32(at) === TIMESTAMPS_ALONE) {
      this.#readTimestamps(view, at + 4);
      return true;
    }
    for (let next = at; next < end;) {
      const kind = view.getUint8(next);
      if (kind === TCP_OPTION.END) return true;
      if (kind === TCP_OPTION.NOP) {
        next += 1;
        continue;
      }
      if (next + 2 > end) return false;
      const length = view.getUint8(next + 1);
      if (length < 2 || next + length > end) return false;
      this.#readOne(view, kind, next + 2, length);
      next += length;
    }
    return true;
  }

  #readOne(view: DataView, kind: number, at: number, length: number): void {
    if (kind === TCP_OPTION.TIMESTAMPS) {
      if (length === TCP_OPTION_BYTES.TIMESTAMPS) this.#readTimestamps(view, at);
    } else if (kind === TCP_OPTION.SACK) {
      this.#readBlocks(view, at, length - 2);
    } else if (kind === TCP_OPTION.MSS) {
      if (length === TCP_OPTION_BYTES.MSS) this.mss = view.getUint16(at);
    } else if (kind === TCP_OPTION.WINDOW_SCALE) {
      if (length === TCP_OPTION_BYTES.WINDOW_SCALE) {
        this.windowScale = Math.min(view.getUint8(at), MAX_WINDOW_SCALE);
      }
    } else if (kind === TCP_OPTION.SACK_PERMITTED) {
      this.sackPermitted ||= length === TCP_OPTION_BYTES.SACK_PERMITTED;
    }
  }

  #readTimestamps(view: DataView, at: number): void {
    this.hasTimestamps = true;
    this.timestampValue = view.getUint32(at);
    this.timestampEcho = view.getUint32(at + 4);
  }

  #readBlocks(view: DataView, at: number, bytes: number): void {
    if (bytes === 0 || bytes % SACK_BLOCK_BYTES !== 0) return;
    const blocks = Math.min(bytes / SACK_BLOCK_BYTES, MAX_SACK_BLOCKS);
    for (let n = 0; n < 2 * blocks; n += 1) this.sackEdges[n] = view.getUint32(at + 4 * n);
    this.sackBlocks = blocks;
  }
}

/** Bytes of the header at `at`; 0 if its data offset is under 5, or goes past `end`. */
export function tcpHeaderBytes(view: DataView, at: number, end: number): number {
  if (end - at < TCP_HEADER_BYTES) return 0;
  const bytes = (view.getUint8(at + TCP_FIELD.DATA_OFFSET) >>> 4) * 4;
  return bytes < TCP_HEADER_BYTES || at + bytes > end ? 0 : bytes;
}

/** False for flags that no TCP sends: none at all, or SYN with FIN or RST, or FIN with RST. */
export function areTcpFlags(flags: number): boolean {
  const control = flags & (TCP_FLAG.SYN | TCP_FLAG.FIN | TCP_FLAG.RST);
  // At most one of the three bits.
  if ((control & (control - 1)) !== 0) return false;
  return control !== 0 || (flags & TCP_FLAG.ACK) !== 0;
}
