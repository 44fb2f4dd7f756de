// What the two SYNs of a connection agree on.
import { TCP_OPTION, TCP_OPTION_BYTES, type TcpOptions } from "../../wire/tcp.ts";

/** 65,535 in units of 128 bytes are more than the largest window (MAX_TCP_BUFFER_BYTES). */
const OUR_SCALE = 7;
/** Of a peer that does not say (RFC 9293 3.7.1). */
const DEFAULT_MSS = { 4: 536, 6: 1220 } as const;
/** A peer that asks for less would make a frame of a few bytes. */
const LEAST_MSS = 64;
const TIMESTAMPS_BYTES = 12;

export interface HandshakeTerms {
  /** Payload of a segment of ours, options taken off. */
  readonly mss: number;
  readonly hasSack: boolean;
  readonly hasTimestamps: boolean;
  readonly peerScale: number;
  readonly ourScale: number;
}

/**
 * The terms that the options of a SYN lead to: what the peer does not offer is not used (RFC 7323 1.3, RFC 2018 2).
 * @param linkMss payload that fits the link
 */
export function termsOf(offer: TcpOptions, family: 4 | 6, linkMss: number): HandshakeTerms {
  const peerMss = offer.mss === 0 ? DEFAULT_MSS[family] : Math.max(offer.mss, LEAST_MSS);
  const hasScale = offer.windowScale >= 0;
  return {
    mss: Math.min(peerMss, linkMss) - (offer.hasTimestamps ? TIMESTAMPS_BYTES : 0),
    hasSack: offer.sackPermitted,
    hasTimestamps: offer.hasTimestamps,
    peerScale: hasScale ? offer.windowScale : 0,
    ourScale: hasScale ? OUR_SCALE : 0,
  };
}

/** Options of our SYN, a multiple of 4 bytes; timestamps are added when it is sent. */
export function synOptions(terms: HandshakeTerms, linkMss: number): Uint8Array {
  const { MSS, SACK_PERMITTED, WINDOW_SCALE, NOP } = TCP_OPTION;
  const bytes: number[] = [MSS, TCP_OPTION_BYTES.MSS, linkMss >>> 8, linkMss & 0xff];
  if (terms.hasSack) bytes.push(NOP, NOP, SACK_PERMITTED, TCP_OPTION_BYTES.SACK_PERMITTED);
  if (terms.ourScale > 0) {
    bytes.push(NOP, WINDOW_SCALE, TCP_OPTION_BYTES.WINDOW_SCALE, terms.ourScale);
  }
  return new Uint8Array(bytes);
}
