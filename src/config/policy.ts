// The 38 items of a security policy (hub.md 6), in the order and with the names that travel in a welcome.

interface BoolItem<K extends string> {
  readonly key: K;
  readonly wire: string;
  readonly kind: "bool";
  readonly initial: boolean;
}
interface IntItem<K extends string> {
  readonly key: K;
  readonly wire: string;
  readonly kind: "count" | "seconds" | "bits_per_second";
  readonly initial: number;
  /** 0 stands for "not set" as well where `optional`. */
  readonly min: number;
  readonly max: number;
  readonly optional: boolean;
}

const bool = <K extends string>(key: K, wire: string, initial = false): BoolItem<K> => ({
  key,
  wire,
  kind: "bool",
  initial,
});
const int = <K extends string>(
  key: K,
  wire: string,
  kind: IntItem<K>["kind"],
  range: { min: number; max: number; initial?: number },
): IntItem<K> => ({
  key,
  wire,
  kind,
  initial: range.initial ?? 0,
  min: range.min,
  max: range.max,
  optional: range.initial === undefined,
});

export const POLICY_ITEMS = [
  bool("access", "Access", true),
  bool("dhcp_filter", "DHCPFilter"),
  bool("dhcp_no_server", "DHCPNoServer"),
  bool("dhcp_force", "DHCPForce"),
  bool("no_bridge", "NoBridge"),
  bool("no_routing", "NoRouting"),
  bool("check_mac", "CheckMac"),
  bool("check_ip", "CheckIP"),
  bool("arp_dhcp_only", "ArpDhcpOnly"),
  bool("privacy_filter", "PrivacyFilter"),
  bool("no_server", "NoServer"),
  bool("no_broadcast_limiter", "NoBroadcastLimiter"),
  bool("monitor_port", "MonitorPort"),
  int("max_connection", "MaxConnection", "count", { min: 1, max: 32, initial: 32 }),
  int("timeout", "TimeOut", "seconds", { min: 5, max: 60, initial: 20 }),
  int("max_mac", "MaxMac", "count", { min: 1, max: 65_535 }),
  int("max_ip", "MaxIP", "count", { min: 1, max: 65_535 }),
  int("max_upload", "MaxUpload", "bits_per_second", { min: 1, max: 4_294_967_295 }),
  int("max_download", "MaxDownload", "bits_per_second", { min: 1, max: 4_294_967_295 }),
  bool("fix_password", "FixPassword"),
  int("multi_logins", "MultiLogins", "count", { min: 1, max: 65_535 }),
  bool("no_qos", "NoQoS"),
  bool("rs_and_ra_filter", "RSandRAFilter"),
  bool("ra_filter", "RAFilter"),
  bool("dhcpv6_filter", "DHCPv6Filter"),
  bool("dhcpv6_no_server", "DHCPv6NoServer"),
  bool("no_routing_v6", "NoRoutingV6"),
  bool("check_ipv6", "CheckIPv6"),
  bool("no_server_v6", "NoServerV6"),
  int("max_ipv6", "MaxIPv6", "count", { min: 1, max: 65_535 }),
  bool("no_save_password", "NoSavePassword"),
  int("auto_disconnect", "AutoDisconnect", "seconds", { min: 1, max: 4_294_967_295 }),
  bool("filter_ipv4", "FilterIPv4"),
  bool("filter_ipv6", "FilterIPv6"),
  bool("filter_non_ip", "FilterNonIP"),
  bool("no_ipv6_default_router_in_ra", "NoIPv6DefaultRouterInRA"),
  bool("no_ipv6_default_router_in_ra_when_ipv6", "NoIPv6DefaultRouterInRAWhenIPv6"),
  int("vlan_id", "VLanId", "count", { min: 1, max: 4095 }),
] as const;

type Item = (typeof POLICY_ITEMS)[number];
export type PolicyKey = Item["key"];

/** A complete policy record: durations in seconds, rates in bit/s, 0 for "not set". */
export type Policy = {
  readonly [I in Item as I["key"]]: I extends { kind: "bool" } ? boolean : number;
};

export const DEFAULT_POLICY: Policy = Object.freeze(
  Object.fromEntries(POLICY_ITEMS.map((item) => [item.key, item.initial])),
) as Policy;
