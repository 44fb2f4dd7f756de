// Capture files as Wireshark and tcpdump read them: draft-ietf-opsawg-pcapng. One section, one Ethernet interface,
// little-endian, times in microseconds since 1970.

/* Specification constants: draft-ietf-opsawg-pcapng 3.5, 4.1 to 4.4. */
const BLOCK = {
  SECTION_HEADER: 0x0a0d0d0a,
  INTERFACE_DESCRIPTION: 1,
  INTERFACE_STATISTICS: 5,
  ENHANCED_PACKET: 6,
} as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
/** Type and length before the body, the length again behind it. */
const FRAMING_BYTES = 12;
const OPTION_HEADER_BYTES = 4;
const PACKET_FIXED_BYTES = 20;
/** The section is as long as it turns out to be. */
const UNKNOWN_LENGTH = 0xffff_ffff;

const OPTION = {
  END: 0,
  HARDWARE: 2,
  OS: 3,
  APPLICATION: 4,
  IF_NAME: 2,
  IF_DESCRIPTION: 3,
  IF_TSRESOL: 9,
  IF_FILTER: 11,
  IF_OS: 12,
  IF_HARDWARE: 15,
  PACKET_DROP_COUNT: 4,
  STATISTICS_START: 2,
  STATISTICS_END: 3,
  STATISTICS_RECEIVED: 4,
  STATISTICS_DROPPED: 5,
  STATISTICS_ACCEPTED: 6,
  STATISTICS_DELIVERED: 8,
} as const;
/** 10 to the power of minus this is the unit of time. */
const MICROSECONDS = 6;
/** First octet of a filter option: the text of a capture filter follows. */
const FILTER_IS_TEXT = 0;
/** Bytes of PACKET_DROP_COUNT with the end of the options. */
const DROP_OPTIONS_BYTES = OPTION_HEADER_BYTES + 8 + OPTION_HEADER_BYTES;
/** Options give their length in 16 bits; texts come from people and peers. */
const MAX_TEXT_BYTES = 1024;

/** Where and with what a capture was made. */
export interface CaptureOrigin {
  readonly application: string;
  readonly hardware: string;
  readonly os: string;
  /** Name of the interface, as lists show it. */
  readonly name: string;
  readonly description: string;
  /** Text of the filter that frames had to pass. */
  readonly filter: string | undefined;
  /** Bytes kept of a frame; 0 for all. */
  readonly snapLength: number;
}

/** Counts and times of a capture or of one of its files; microseconds since 1970. */
export interface CaptureFigures {
  readonly startedUs: number;
  readonly endedUs: number;
  /** Frames that came, filter or not. */
  readonly received: number;
  /** Frames that the filter let pass. */
  readonly accepted: number;
  /** Frames that were lost for want of room. */
  readonly dropped: number;
  /** Frames that are in the file. */
  readonly written: number;
}

/** The section header and the interface description, with which a file begins. */
export function encodeCaptureStart(origin: CaptureOrigin): Uint8Array {
  return joined([
    block(
      BLOCK.SECTION_HEADER,
      joined([
        u32(BYTE_ORDER_MAGIC),
        // Version 1.0: two numbers of 16 bits.
        u32(1),
        u32(UNKNOWN_LENGTH),
        u32(UNKNOWN_LENGTH),
        textOption(OPTION.HARDWARE, origin.hardware),
        textOption(OPTION.OS, origin.os),
        textOption(OPTION.APPLICATION, origin.application),
        option(OPTION.END, new Uint8Array(0)),
      ]),
    ),
    block(
      BLOCK.INTERFACE_DESCRIPTION,
      joined([
        u32(LINKTYPE_ETHERNET),
        u32(origin.snapLength),
        textOption(OPTION.IF_NAME, origin.name),
        textOption(OPTION.IF_DESCRIPTION, origin.description),
        option(OPTION.IF_TSRESOL, Uint8Array.of(MICROSECONDS)),
        ...(origin.filter === undefined
          ? []
          : [option(OPTION.IF_FILTER, filterBytes(origin.filter))]),
        textOption(OPTION.IF_OS, origin.os),
        textOption(OPTION.IF_HARDWARE, origin.hardware),
        option(OPTION.END, new Uint8Array(0)),
      ]),
    ),
  ]);
}

/** The interface statistics, with which a file ends. */
export function encodeCaptureEnd(figures: CaptureFigures): Uint8Array {
  const ended = new Uint8Array(12);
  writeTime(new DataView(ended.buffer), 4, figures.endedUs);
  const started = new Uint8Array(8);
  writeTime(new DataView(started.buffer), 0, figures.startedUs);
  return block(
    BLOCK.INTERFACE_STATISTICS,
    joined([
      ended,
      option(OPTION.STATISTICS_START, started),
      option(OPTION.STATISTICS_END, ended.subarray(4)),
      option(OPTION.STATISTICS_RECEIVED, u64(figures.received)),
      option(OPTION.STATISTICS_DROPPED, u64(figures.dropped)),
      option(OPTION.STATISTICS_ACCEPTED, u64(figures.accepted)),
      option(OPTION.STATISTICS_DELIVERED, u64(figures.written)),
      option(OPTION.END, new Uint8Array(0)),
    ]),
  );
}

/** Bytes of the block for a frame of which `kept` bytes are kept. */
export function packetBlockBytes(kept: number, lostBefore: number): number {
  return (
    FRAMING_BYTES + PACKET_FIXED_BYTES + padded(kept) + (lostBefore === 0 ? 0 : DROP_OPTIONS_BYTES)
  );
}

/** A frame as it lies in a run. */
export interface CapturedFrame {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly size: number;
}

/**
 * Writes an enhanced packet block at `at`, where there must be room for `packetBlockBytes`, and gives where it ends.
 * `lostBefore` are the frames lost since the last one that was kept.
 */
export function writePacketBlock(
  into: { readonly bytes: Uint8Array; readonly view: DataView },
  at: number,
  frame: CapturedFrame,
  kept: number,
  atUs: number,
  lostBefore: number,
): number {
  const { bytes, view } = into;
  const length = packetBlockBytes(kept, lostBefore);
  view.setUint32(at, BLOCK.ENHANCED_PACKET, true);
  view.setUint32(at + 4, length, true);
  view.setUint32(at + 8, 0, true);
  writeTime(view, at + 12, atUs);
  view.setUint32(at + 20, kept, true);
  view.setUint32(at + 24, frame.size, true);
  let next = at + 8 + PACKET_FIXED_BYTES;
  bytes.set(frame.bytes.subarray(frame.start, frame.start + kept), next);
  bytes.fill(0, next + kept, next + padded(kept));
  next += padded(kept);
  if (lostBefore > 0) {
    view.setUint16(next, OPTION.PACKET_DROP_COUNT, true);
    view.setUint16(next + 2, 8, true);
    view.setUint32(next + 4, lostBefore % 2 ** 32, true);
    view.setUint32(next + 8, Math.floor(lostBefore / 2 ** 32), true);
    view.setUint32(next + 12, OPTION.END, true);
    next += DROP_OPTIONS_BYTES;
  }
  view.setUint32(next, length, true);
  return next + 4;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** The upper half first, each in the order of the file (4.3). */
function writeTime(view: DataView, at: number, us: number): void {
  view.setUint32(at, Math.floor(us / 2 ** 32), true);
  view.setUint32(at + 4, us % 2 ** 32, true);
}

function block(type: number, body: Uint8Array): Uint8Array {
  const length = FRAMING_BYTES + body.length;
  return joined([u32(type), u32(length), body, u32(length)]);
}

function option(code: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(OPTION_HEADER_BYTES + padded(value.length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, value.length, true);
  bytes.set(value, OPTION_HEADER_BYTES);
  return bytes;
}

function textOption(code: number, text: string): Uint8Array {
  return option(code, utf8(text, MAX_TEXT_BYTES));
}

function filterBytes(text: string): Uint8Array {
  return joined([Uint8Array.of(FILTER_IS_TEXT), utf8(text, MAX_TEXT_BYTES - 1)]);
}

/** Cut where it is too long, and never within a character. */
function utf8(text: string, maxBytes: number): Uint8Array {
  const bytes = new Uint8Array(maxBytes);
  return bytes.subarray(0, new TextEncoder().encodeInto(text, bytes).written);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
