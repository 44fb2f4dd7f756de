// Flows that go by UDP keep to segments that fill a datagram which needs no cutting, in both directions.

/* Specification constants: protocol.md 17.4. */
const PATH_BYTES = 1454;
const OUTER_IP_BYTES = { 4: 20, 6: 40 } as const;
const OUTER_BYTES = 8 + 4 + 8 + 8 + 2 + 1;
const CIPHER_BYTES = 40;
const ETHERNET_BYTES = 14;
const INNER_IPV4_BYTES = 20;
const TCP_BYTES = 20;

/** Most payload of a segment of IPv4 without a tag, in a datagram over IP of this version. */
export function carriedMss(outer: 4 | 6, isEncrypted: boolean): number {
  const inner = ETHERNET_BYTES + INNER_IPV4_BYTES + TCP_BYTES;
  const cipher = isEncrypted ? CIPHER_BYTES : 0;
  return PATH_BYTES - OUTER_IP_BYTES[outer] - OUTER_BYTES - cipher - inner;
}
