/** Why a datagram that came was not taken, or one that was to go was not sent. */
export type UdpDropReason =
  | "short"
  | "long"
  | "tag"
  | "cookie"
  | "size"
  | "tick"
  | "replay"
  | "block_length"
  | "no_address"
  | "refused";

/** Numbers of one path that only grow. */
export interface UdpPathStats {
  sentDatagrams: number;
  receivedDatagrams: number;
  outFrames: number;
  inFrames: number;
  readonly drops: Record<UdpDropReason, number>;
}

export function emptyUdpPathStats(): UdpPathStats {
  return {
    sentDatagrams: 0,
    receivedDatagrams: 0,
    outFrames: 0,
    inFrames: 0,
    drops: {
      short: 0,
      long: 0,
      tag: 0,
      cookie: 0,
      size: 0,
      tick: 0,
      replay: 0,
      block_length: 0,
      no_address: 0,
      refused: 0,
    },
  };
}
