import type { Net } from "../../base/ip.ts";
import type { AccessRule, MacMatch } from "../../config/access-rule.ts";
import type { PortRange } from "../../config/server-config.ts";
import { DIM, ESTABLISHED, OPENING } from "./flow-key.ts";

/** A condition of a rule: the value of one dimension (DIM) lies in low..high, both included. */
export interface Range {
  readonly dim: number;
  readonly low: number;
  readonly high: number;
}

const WORD_BITS = 32;

/**
 * All that a rule asks about the frame itself, as ranges. What tells most frames apart stands first, so that most
 * rules are done with after one comparison.
 */
export function rangesOf(rule: AccessRule): readonly Range[] {
  const { family, proto, tcpState } = rule;
  const state = tcpState === "established" ? ESTABLISHED : OPENING;
  return [
    ...addressRanges(DIM.DESTINATION, rule.to),
    ...addressRanges(DIM.SOURCE, rule.from),
    ...portRanges(DIM.DESTINATION_PORT, rule.toPort),
    ...portRanges(DIM.SOURCE_PORT, rule.fromPort),
    ...(proto === undefined ? [] : [{ dim: DIM.PROTOCOL, low: proto, high: proto }]),
    ...(tcpState === undefined ? [] : [{ dim: DIM.TCP_STATE, low: state, high: state }]),
    ...macRanges(DIM.DESTINATION_MAC, rule.toMac),
    ...macRanges(DIM.SOURCE_MAC, rule.fromMac),
    ...(family === undefined ? [] : [{ dim: DIM.FAMILY, low: family, high: family }]),
  ];
}

/** The last words first: within a network they are the ones that differ. */
function addressRanges(dim: number, net: Net | undefined): Range[] {
  if (net === undefined) return [];
  const view = new DataView(net.bytes.buffer, net.bytes.byteOffset, net.bytes.length);
  const ranges: Range[] = [];
  for (let at = net.bytes.length / 4 - 1; at >= 0; at -= 1) {
    const bits = Math.min(Math.max(net.prefix - at * WORD_BITS, 0), WORD_BITS);
    if (bits > 0) ranges.push(prefixRange(dim + at, view.getUint32(at * 4), WORD_BITS - bits));
  }
  return ranges;
}

function macRanges(dim: number, match: MacMatch | undefined): Range[] {
  return match === undefined || match.prefix === 0
    ? []
    : [prefixRange(dim, match.mac, 48 - match.prefix)];
}

function portRanges(dim: number, ports: PortRange | undefined): Range[] {
  return ports === undefined ? [] : [{ dim, low: ports.first, high: ports.last }];
}

/** The numbers that differ from `value` in the last `freeBits` bits at most. */
function prefixRange(dim: number, value: number, freeBits: number): Range {
  const size = 2 ** freeBits;
  const low = Math.floor(value / size) * size;
  return { dim, low, high: low + size - 1 };
}
