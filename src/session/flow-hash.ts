/* Specification constants: RFC 791, RFC 8200, RFC 826. */
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
/** More fragments, or an offset: the ports are in the first one only. */
const FRAGMENT_MASK = 0x3fff;
/** Knuth's multiplicative hash: neighbouring ports must not meet. */
const GOLDEN = 0x9e37_79b1;

/**
 * A number that is the same for all frames of one direction of a flow, so that they can go one way and keep their
 * order: of addresses and ports where there are any, else of the two MACs.
 * @param start of the frame, `size` bytes long
 * @returns 0 to 65,535
 */
export function flowHash(view: DataView, start: number, size: number): number {
  if (size >= 42) {
    const etherType = view.getUint16(start + 12);
    if (etherType === ETHERTYPE_IPV4) return hashIpv4(view, start + 14, start + size);
    if (etherType === ETHERTYPE_IPV6 && size >= 62) return hashIpv6(view, start + 14);
  }
  if (size < 14) return 0;
  return mix(view.getUint32(start) ^ view.getUint32(start + 4) ^ view.getUint32(start + 8));
}

function hashIpv4(view: DataView, ip: number, end: number): number {
  const hash = view.getUint32(ip + 12) ^ rotate(view.getUint32(ip + 16));
  const isPart = (view.getUint16(ip + 6) & FRAGMENT_MASK) !== 0;
  const ports = ip + 4 * (view.getUint8(ip) & 0x0f);
  if (isPart || !hasPorts(view.getUint8(ip + 9)) || ports + 4 > end) return mix(hash);
  return mix(hash ^ view.getUint32(ports));
}

/** Behind extension headers ports are not looked for: such flows share a way, that is all. */
function hashIpv6(view: DataView, ip: number): number {
  let hash = 0;
  for (let at = ip + 8; at < ip + 40; at += 4) hash = rotate(hash) ^ view.getUint32(at);
  return mix(hasPorts(view.getUint8(ip + 6)) ? hash ^ view.getUint32(ip + 40) : hash);
}

function hasPorts(protocol: number): boolean {
  return protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
}

function rotate(word: number): number {
  return (word << 7) | (word >>> 25);
}

function mix(word: number): number {
  const once = Math.imul(word ^ (word >>> 16), GOLDEN);
  return once >>> 16;
}
