// What seals and opens datagrams of UDP acceleration in packet memory, whoever does the arithmetic.

/* Specification constants: protocol.md 17.1. */
export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;

/** Bytes behind a sealed datagram or an opened payload that may be changed. */
export const SLACK_BYTES = 256;

/** Answers of `open` that are no size: why a datagram is nobody's business. */
export const NOT_OPENED = {
  tooShort: -1,
  wrongTag: -2,
  wrongCookie: -3,
  wrongSize: -4,
  tooLong: -5,
} as const;

/** The functions of src/wasm/datagram.as.ts, which says what each does. */
export interface DatagramModule {
  init(at: number, envelopeAt: number, openedAt: number): void;
  setKey(at: number): void;
  seal(
    at: number,
    end: number,
    out: number,
    room: number,
    most: number,
    size: number,
    padding: number,
    whole: number,
    flag: number,
  ): number;
  sealKeepalive(out: number, bytes: number): void;
  open(at: number, bytes: number, out: number, cookie: number): number;
  /** Where the header of the datagram opened last is, until another is. */
  openedAt(): number;
  frames(): number;
  refused(): number;
  stoppedAt(): number;
  segment(): number;
}
