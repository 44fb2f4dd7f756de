import { releaseRun, shareRun, type FrameRun } from "./port.ts";

/* Specification constants: protocol.md 15.1. */
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const PROTOCOL_ICMP = 1;
const PROTOCOL_ICMPV6 = 58;
const MAX_ICMP_FRAME_BYTES = 128;
/** As much longer as an IPv6 header is. */
const MAX_ICMPV6_FRAME_BYTES = 148;

/** A voice packet fits; a flow of large frames is bulk, whatever it is marked as. */
export const MAX_URGENT_BYTES = 256;
/** Bits of the ECN field, which say nothing of urgency. */
const DSCP_MASK = 0xfc;
/** "Throughput" of the old type of service: marked as what can wait. */
const CAN_WAIT = 0x08;

/**
 * True for a frame that must not wait behind bulk: small, and either marked as such or address resolution or
 * ICMP. The peer's rule of protocol.md 15.1, which it applies at its end alone, with IPv6 beside IPv4.
 * @param start of the frame, `size` bytes long
 */
export function isUrgent(view: DataView, start: number, size: number): boolean {
  return size <= MAX_URGENT_BYTES && isPriority(view, start, size);
}

/**
 * True for a frame that goes by the connection that a session keeps for such (QoS), whatever its size: then a
 * marked flow keeps its order.
 */
export function isPriority(view: DataView, start: number, size: number): boolean {
  if (size < 34) return false;
  switch (view.getUint16(start + 12)) {
    case ETHERTYPE_IPV4: {
      const dscp = view.getUint8(start + 15) & DSCP_MASK;
      if (dscp !== 0 && dscp !== CAN_WAIT) return true;
      return size <= MAX_ICMP_FRAME_BYTES && view.getUint8(start + 23) === PROTOCOL_ICMP;
    }
    case ETHERTYPE_IPV6: {
      const dscp = (view.getUint16(start + 14) >>> 4) & DSCP_MASK;
      if (dscp !== 0 && dscp !== CAN_WAIT) return true;
      return size <= MAX_ICMPV6_FRAME_BYTES && view.getUint8(start + 20) === PROTOCOL_ICMPV6;
    }
    case ETHERTYPE_ARP:
      return true;
    default:
      return false;
  }
}

/**
 * Cuts a run where urgency changes: urgent frames one by one, what lies between them as it is. In their order.
 * @param part is made to show each in turn
 */
export function eachUrgency(
  run: FrameRun,
  part: FrameRun,
  each: (part: FrameRun, isUrgent: boolean) => void,
): void {
  const { view, end } = run;
  shareRun(part, run);
  let bulkFrom = run.start;
  let bulkCount = 0;
  for (let at = run.start; at < end;) {
    const size = view.getUint32(at);
    const next = at + 4 + size;
    if (isUrgent(view, at + 4, size)) {
      if (bulkCount > 0) emit(part, bulkFrom, at, bulkCount, false, each);
      emit(part, at, next, 1, true, each);
      bulkFrom = next;
      bulkCount = 0;
    } else {
      bulkCount++;
    }
    at = next;
  }
  if (bulkCount > 0) emit(part, bulkFrom, end, bulkCount, false, each);
  releaseRun(part);
}

function emit(
  part: FrameRun,
  from: number,
  to: number,
  count: number,
  urgent: boolean,
  each: (part: FrameRun, isUrgent: boolean) => void,
): void {
  part.start = from;
  part.end = to;
  part.count = count;
  each(part, urgent);
}
