// The seam between the TCP machine, which knows no socket, and the socket side, which knows no segment.
//
// A connection's life as its socket side sees it:
//
//   1. a SYN makes a connection in state "connecting"; the socket side dials the target meanwhile
//   2. `open()` when the target has accepted: SYN+ACK goes to the inside host, `established()` comes back;
//      `refuse()` when it has not: RST+ACK
//   3. bytes of the inside come by `deliver()`, bytes of the outside go by `write()`, both with back-pressure
//   4. `finished()` and `finish()` are the two halves of an orderly close, in either order
//   5. `closed()` comes exactly once, last, whoever ended it; it also comes after `refuse()` and `abort()`
//
// Nothing is called back from inside `open`, `refuse`, `write`, `finish` or `resume` but `deliver` and `finished` from
// `resume`, and `closed` from `refuse` and `abort`.

/** What the connection asks of the socket of its flow. */
export interface TcpIo {
  /**
   * Payload in order, as an array of `vectors` struct iovec at offset `vectorAt` of packet memory, which writev(2) takes
   * as it lies. Addresses may point outside packet memory. Gives the bytes taken, from the front. What was not taken
   * is kept by the connection, counts against the window that it advertises, and is offered again by `resume()`.
   * Everything is borrowed for the call.
   */
  deliver(vectorAt: number, vectors: number, bytes: number): number;
  /** The inside host has sent its FIN, and all that came before was taken: shutdown(SHUT_WR). */
  finished(): void;
  /** `sendRoom` has grown from 0, or by 64 KiB at least: read from the socket again. */
  room(): void;
  /** The inside host has acknowledged the SYN+ACK. */
  established(): void;
  /** It is over; no other call comes afterwards, and none may be made. */
  closed(reason: TcpCloseReason): void;
}

/**
 * - `closed` both halves were closed in order
 * - `reset` the inside host sent RST
 * - `timeout` the inside host does not answer any more, or lets a zero window stand for ever
 * - `aborted` `abort()` or `refuse()`
 */
export type TcpCloseReason = "closed" | "reset" | "timeout" | "aborted";

/** The states of RFC 9293 3.3.2, before them that of waiting for the target, which the inside host sees as silence. */
export type TcpState =
  | "connecting"
  | "syn-received"
  | "established"
  | "fin-wait-1"
  | "fin-wait-2"
  | "close-wait"
  | "closing"
  | "last-ack"
  | "time-wait"
  | "closed";

/** What the socket side does with its connection. */
export interface TcpControl {
  readonly state: TcpState;
  /** Bytes that `write` takes now; 0 before `established()` and after `finish()`. Chunks may be larger: cut `end`. */
  readonly sendRoom: number;
  /** The target has accepted. */
  open(): void;
  /** The target has refused, or cannot be reached: RST+ACK (hub.md 17 `nat-errors`). */
  refuse(): void;
  /**
   * Bytes `start` to `end` of a chunk, `sendRoom` at most, and one at least; the chunk is the connection's from now on,
   * and it gives it back to its pool.
   */
  write(chunk: SendChunk): void;
  /** No bytes will follow: FIN behind those that wait. */
  finish(): void;
  /** RST, and everything that waits is dropped. */
  abort(): void;
  /** The socket takes bytes again: offers what is kept, and opens the window. */
  resume(): void;
}

/** A buffer of `CHUNK_BYTES` outside packet memory, at an address that does not move while the chunk is held. */
export interface SendChunk {
  /** Of byte 0, for read(2). */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Its holder sets them: the bytes of meaning. */
  start: number;
  end: number;
}

export const CHUNK_BYTES = 65_536;

/** The chunks of one SecureNAT. */
export interface ChunkSource {
  /** A chunk with `start` and `end` 0, the caller's until it gives or writes it; undefined if all are in use. */
  take(): SendChunk | undefined;
  give(chunk: SendChunk): void;
  /** Calls `run` once, when a chunk is given back: for one to whom `take` had none to give. At most one per `run`. */
  whenFree(run: () => void): void;
  /** Takes `run` out again, as when its flow ends. */
  forget(run: () => void): void;
}
