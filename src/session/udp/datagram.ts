// What a datagram of UDP acceleration says, whichever way it is sealed (protocol.md 17.4).
//
// cookie of the receiver u32, sender's tick u64, highest tick received u64, payload size u16, flag u8, payload, zeros
//
// Ticks are milliseconds of their sender's own clock, 1 or more; a number above 2^53 is nobody's clock.

/* Specification constants. */
export const HEADER_BYTES = 23;
export const HEADER = { cookie: 0, tick: 4, echo: 12, size: 20, flag: 22 } as const;
export const MAX_PADDING_BYTES = 31;
/** The payload is a block as a session with compression sends it. */
export const FLAG_CODED = 1;
/** A datagram over IP of either version is not padded beyond these (17.4). */
export const WHOLE_DATAGRAM_BYTES = { 4: 1426, 6: 1406 } as const;
/** A block larger than this is no block, and so no datagram that holds one is longer (protocol.md 13). */
export const MAX_PAYLOAD_BYTES = 3200;
export const MAX_DATAGRAM_BYTES = 4096;

/** The header of what is sent next. */
export interface Envelope {
  readonly cookie: number;
  readonly tick: number;
  readonly echo: number;
}

/** The header of the datagram opened last. */
export interface Opened {
  tick: number;
  echo: number;
  flag: number;
  /** Eight bytes of its IV, which are as good as random; both 0 where there is none. */
  ivHigh: number;
  ivLow: number;
}

/** What one call of `seal` made of a run. */
export interface Sealed {
  /** Of all datagrams together. */
  bytes: number;
  datagrams: number;
  /** Size of each of them. */
  segment: number;
  /** Blocks left out: no block is that long. */
  refused: number;
  /** Where in the run to go on. */
  stoppedAt: number;
}

/** How `seal` may fill the memory that it is given. */
export interface SealBounds {
  /** Offset in packet memory, with SLACK_BYTES behind `room`. */
  readonly out: number;
  readonly room: number;
  readonly most: number;
  /** Size of the datagrams before, 0 if there are none. */
  readonly segment: number;
  readonly padding: number;
  /** Bytes that padding should not make a datagram exceed. */
  readonly whole: number;
  readonly flag: number;
}

/** One way to seal and open datagrams, under the keys of one session. */
export interface DatagramCodec {
  readonly version: 1 | 2;
  readonly isEncrypted: boolean;
  /** Of a datagram without payload and padding. */
  readonly emptyBytes: number;
  readonly opened: Opened;
  /** Takes the header and the keys for the calls of `seal` that follow; `end` comes after them. */
  begin(envelope: Envelope): void;
  /** Seals blocks of a run in packet memory, from..to, into datagrams that may go out as one message. */
  seal(from: number, to: number, bounds: SealBounds): Sealed;
  /** Seals a keep-alive at `out` into `bytes`, or into as many as it needs; gives how many. */
  sealKeepalive(out: number, bytes: number): number;
  end(): void;
  /**
   * Opens the datagram at `at` for the receiver `cookie`: the payload to `out` + 4, its size to `out`, the header to
   * `opened`. Gives the size, 0 for a keep-alive, or a number of NOT_OPENED.
   */
  open(at: number, bytes: number, out: number, cookie: number): number;
}

/** Writes a number below 2^53 as a u64. */
export function writeTick(view: DataView, at: number, tick: number): void {
  view.setUint32(at, Math.floor(tick / 0x1_0000_0000));
  view.setUint32(at + 4, tick >>> 0);
}

/** Reads a u64; beyond 2^53 it is no longer exact, and no tick. */
export function readTick(view: DataView, at: number): number {
  return view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
}
