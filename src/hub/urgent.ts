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
const MAX_URGENT_BYTES = 256;
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
  if (size > MAX_URGENT_BYTES || size < 34) return false;
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
