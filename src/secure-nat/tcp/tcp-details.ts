import type { TcpReceiver } from "./receiver.ts";
import type { TcpSender } from "./sender.ts";
import type { TcpState } from "./tcp-io.ts";

/** How a connection is doing, for status and metrics. Bytes and milliseconds. */
export interface TcpDetails {
  readonly state: TcpState;
  /** Round trips: smoothed, its variation, and the least of late; 0 before the first. */
  readonly rttMs: number;
  readonly rttVariationMs: number;
  readonly leastRttMs: number;
  readonly retransmitMs: number;
  /** Payload of a segment to the inside host. */
  readonly mss: number;
  readonly congestionWindow: number;
  readonly slowStartUntil: number;
  readonly inFlight: number;
  /** What waits for the inside host, and for the socket. */
  readonly unsent: number;
  readonly kept: number;
  /** How much the inside host may be ahead of the socket. */
  readonly receiveWindow: number;
}

export function describeConnection(
  state: TcpState,
  sender: TcpSender,
  receiver: TcpReceiver,
): TcpDetails {
  const { rtt, congestion, board } = sender;
  return {
    state,
    rttMs: rtt.smoothed,
    rttVariationMs: rtt.variation,
    leastRttMs: rtt.least === Infinity ? 0 : rtt.least,
    retransmitMs: rtt.rto,
    mss: sender.mss,
    congestionWindow: congestion.window,
    slowStartUntil: congestion.slowStartUntil,
    inFlight: board.flight,
    unsent: sender.unsent,
    kept: receiver.keptBytes,
    receiveWindow: receiver.limit,
  };
}
