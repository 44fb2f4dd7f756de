/** Why a software host did not handle a frame that was meant for it (robustness.md 3.6). */
export const HOST_DROP_REASONS = [
  /** Shorter than 14 bytes or longer than 1600. */
  "frame_length",
  /** Behind a VLAN tag, which software hosts do not look behind (hub.md 11.2, 12.1). */
  "tagged",
  /** A header that is cut or contradicts itself. */
  "header",
  "checksum",
  /** Neither IP nor ARP. */
  "protocol",
  /** A source route (RFC 7126 4.3, 4.4; RFC 5095). */
  "source_route",
  /** A source that nobody can have: group, loopback, the host's own, equal to the destination. */
  "martian",
  "ttl_zero",
  /** More extension headers than anybody needs. */
  "header_chain",
  /** Fragments that overlap, are too many or never complete. */
  "fragment",
  /** A reply nobody asked for that names somebody else's address. */
  "arp_spoof",
  /** A router advertisement or redirect of a guest. */
  "router_spoof",
  /** Nobody here for this address or port. */
  "not_served",
  /** A table or queue that has a bound is full. */
  "limit",
  /** More to send at once than there is memory for. */
  "outbox_full",
  /** On its way out, where the system had no room for it. */
  "socket_full",
  /** A datagram from outside, of somebody that no guest has sent to (RFC 4787 5). */
  "unsolicited",
  "port_closed",
] as const;

export type HostDropReason = (typeof HOST_DROP_REASONS)[number];
export type HostDrops = Record<HostDropReason, number>;

export function noHostDrops(): HostDrops {
  return Object.fromEntries(HOST_DROP_REASONS.map((reason) => [reason, 0])) as HostDrops;
}
