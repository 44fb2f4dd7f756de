/**
 * Why a hub lost a frame. One list for counters, logs, metrics and API; the words are stable
 * (architecture.md 2, hub.md 17 item 12).
 */
export const DROP_REASONS = [
  /** Shorter than 14 bytes, longer than 1600, or announced past the end of its run. */
  "frame_length",
  /** VLAN tag, 802.3 length, LLC or SNAP that ends before it is complete. */
  "frame_header",
  /** Source is a group address, zero, or the destination. */
  "src_mac",
  /** Link-local flow control (01-80-C2-00-00-01), which no bridge forwards. */
  "pause_frame",
  /** Sent by a monitoring port, which may only listen. */
  "monitor_port",
  /** Source belongs to a port from which it may not be taken. */
  "mac_spoof",
  /** The port has as many MACs as its policy allows. */
  "mac_limit",
  /** Source moves between ports too often: a loop or an attack. */
  "mac_flap",
  /** The forwarding database of the hub is full. */
  "fdb_full",
  /** Destination lies behind the port that the frame came from. */
  "same_port",
  /** The port has as many IP addresses as its policy allows. */
  "ip_limit",
  /** The destination's queue is full. */
  "queue_full",
  /** The port left the hub before the frame was through. */
  "port_closed",
  /** In-process ports hand a frame round in circles. */
  "loop",
  /** Floods of one flow come too fast: the broadcast limiter. */
  "storm",
  /** The port closes a loop, as a probe has shown, and is shut for a minute. */
  "loop_blocked",
  /** Policy NoServer: a TCP connection was to be accepted behind the port; NoServerV6 the same of IPv6. */
  "no_server",
  "no_server_v6",
  /** Policy ArpDhcpOnly: a broadcast or multicast that is neither address resolution nor DHCP. */
  "arp_dhcp_only",
  /** Policies FilterIPv4, FilterIPv6 and FilterNonIP, by the outer type of the frame. */
  "filter_ipv4",
  "filter_ipv6",
  "filter_non_ip",
  /** Policies DHCPFilter and DHCPv6Filter, in both directions. */
  "dhcp_filter",
  "dhcpv6_filter",
  /** Policies DHCPNoServer and DHCPv6NoServer: an answer of a DHCP server behind the port. */
  "dhcp_no_server",
  "dhcpv6_no_server",
  /** Policy RSandRAFilter: router solicitation or advertisement, in both directions. */
  "rs_and_ra_filter",
  /** Policy RAFilter: router advertisement from behind the port. */
  "ra_filter",
  /** Policy PrivacyFilter at both ends. */
  "privacy_filter",
  /** More than policy MaxUpload or MaxDownload allows. */
  "max_upload",
  "max_download",
  /** Not of the VLAN that policy VLanId gives the destination. */
  "vlan_id",
  /** A flood to a port that has been silent for DetectDormantSessionInterval. */
  "dormant",
  /** A flood while more than FloodingSendQueueBufferQuota waits to be sent. */
  "flood_quota",
  /** Options of the hub: FilterPPPoE, FilterOSPF, FilterIPv4, FilterIPv6, FilterNonIP, FilterBPDU. */
  "hub_filter_pppoe",
  "hub_filter_ospf",
  "hub_filter_ipv4",
  "hub_filter_ipv6",
  "hub_filter_non_ip",
  "hub_filter_bpdu",
  /** Source address is fresh at another port: policies CheckIP, CheckIPv6 and DHCPForce. */
  "ip_conflict",
  /** Policy DHCPForce: no DHCP server gave the source address. */
  "ip_not_leased",
  /** A rule of the access list. */
  "access_list",
  /** The loss in per cent that a rule of the access list names. */
  "access_loss",
  /** A rule delays the frame, and there is no room for more that wait. */
  "delay_full",
  /** The session has left as many lines in the packet log as MaxLoggedPacketsPerMinute allows. */
  "packet_log_limit",
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** Reason to its index in drop counters, and the code that a check answers with. */
export const DROP = Object.freeze(
  Object.fromEntries(DROP_REASONS.map((reason, index) => [reason, index])),
) as Readonly<Record<DropReason, number>>;

/** What a check answers when the frame goes on. Drop codes are 0 and above. */
export const PASS = -1;
/** What a check answers that has kept the frame or answered it: it goes nowhere, and is not lost. */
export const TAKEN = -4;

/** The counters that are not zero, by name. */
export function dropRecord(counters: Float64Array): Partial<Record<DropReason, number>> {
  const record: Partial<Record<DropReason, number>> = {};
  DROP_REASONS.forEach((reason, index) => {
    const count = counters[index];
    if (count) record[reason] = count;
  });
  return record;
}
