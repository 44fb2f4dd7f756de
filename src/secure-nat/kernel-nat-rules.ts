// What the kernel is told to do with packets of guests (hub.md 11.4), as a table of its packet filter (nft(8)). The
// table decides about its own TUN alone: whatever else passes this machine does not meet a verdict in it.
import { formatAddress, formatNet, type Net } from "../base/ip.ts";
import type { DestinationRefusal, Endpoint } from "./destination-rule.ts";
import { METADATA } from "./destination-rule.ts";

export interface KernelNatPlace {
  /** The TUN. */
  readonly device: string;
  /** Of the guests: host bits are 0. */
  readonly v4: Net;
  readonly v6: Net | undefined;
}

export interface KernelNatBounds {
  readonly maxEntries: number;
  readonly maxEntriesPerAddress: number;
  readonly allowHost: boolean;
  readonly listeningPorts: ReadonlySet<number>;
  readonly tunnelServers: readonly Endpoint[];
}

/** Places that serve a machine alone; the kernel itself drops what no host can have. */
const FORBIDDEN_V4: Readonly<
  Record<Exclude<DestinationRefusal, `own_${string}`>, readonly string[]>
> = {
  nowhere: ["0.0.0.0/8", "224.0.0.0/3"],
  loopback: ["127.0.0.0/8"],
  link_local: ["169.254.0.0/16"],
  metadata: METADATA.v4,
};
/** With those that carry a forbidden address of IPv4. */
const FORBIDDEN_V6: typeof FORBIDDEN_V4 = {
  nowhere: ["ff00::/8", "::/96", "::ffff:0:0/96", ...carried(FORBIDDEN_V4.nowhere)],
  loopback: carried(FORBIDDEN_V4.loopback),
  link_local: ["fe80::/10", ...carried(FORBIDDEN_V4.link_local)],
  metadata: [...METADATA.v6, ...carried(FORBIDDEN_V4.metadata)],
};

/** Networks of IPv4 in the prefixes of NAT64 (RFC 6052 2.1, RFC 8215) and 6to4 (RFC 3056 2). */
function carried(nets: readonly string[]): string[] {
  return nets.flatMap((text) => {
    const [address = "", prefix = "32"] = text.split("/");
    const octets = address.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
    const words = `${octets.slice(0, 2).join("")}:${octets.slice(2).join("")}`;
    const length = Number(prefix);
    return [
      `64:ff9b::${words}/${96 + length}`,
      `64:ff9b:1::${words}/${96 + length}`,
      `2002:${words}::/${16 + length}`,
    ];
  });
}

/** The lines of the table. */
export function kernelNatRules(place: KernelNatPlace, bounds: KernelNatBounds): string {
  const { device, v4, v6 } = place;
  const tun = `"${device}"`;
  const families = [{ ip: "ip", type: "ipv4_addr", net: v4, forbidden: FORBIDDEN_V4 }];
  if (v6 !== undefined) {
    families.push({ ip: "ip6", type: "ipv6_addr", net: v6, forbidden: FORBIDDEN_V6 });
  }
  const per = bounds.maxEntriesPerAddress;
  return [
    ...families.flatMap(({ ip, type, forbidden }) => [
      `set ${ip}_guests { type ${type}; size ${bounds.maxEntries}; flags dynamic; }`,
      `set ${ip}_forbidden { type ${type}; flags interval; elements = { ${forbiddenOf(forbidden, bounds)} }; }`,
      set(`${ip}_tunnels`, `${type} . inet_service`, tunnelsOf(ip, bounds)),
    ]),
    set(
      "own_ports",
      "inet_service",
      bounds.allowHost ? [] : [...bounds.listeningPorts].map(String),
    ),

    // Only guests speak here, under addresses of their network, to where they may go.
    chain("from_guest", undefined, [
      `meta nfproto ipv4 ip saddr != ${formatNet(v4)} drop`,
      v6 === undefined
        ? "meta nfproto ipv6 drop"
        : `meta nfproto ipv6 ip6 saddr != ${formatNet(v6)} drop`,
      ...families.flatMap(({ ip }) => [
        `${ip} daddr @${ip}_forbidden meta l4proto tcp reject with tcp reset`,
        `${ip} daddr @${ip}_forbidden reject with icmpx admin-prohibited`,
        ...["tcp", "udp"].map(
          (l4) => `${ip} daddr . ${l4} dport @${ip}_tunnels reject with icmpx admin-prohibited`,
        ),
      ]),
      "ct state established,related return",
      "ct state invalid drop",
      ...families.map(
        ({ ip }) =>
          `add @${ip}_guests { ${ip} saddr ct count over ${per} } reject with icmpx admin-prohibited`,
      ),
      `ct count over ${bounds.maxEntries} reject with icmpx admin-prohibited`,
    ]),
    chain("forward", "type filter hook forward priority filter", [
      `iifname ${tun} jump from_guest`,
      // To guests go answers, and what somebody forwards to them on purpose: behind a NAT nobody else is reached.
      `oifname ${tun} ct state established,related accept`,
      `oifname ${tun} ct status dnat accept`,
      `oifname ${tun} reject with icmpx admin-prohibited`,
    ]),
    chain("input", "type filter hook input priority filter", [
      `iifname ${tun} jump from_guest`,
      `iifname ${tun} tcp dport @own_ports reject with tcp reset`,
      `iifname ${tun} udp dport @own_ports reject with icmpx admin-prohibited`,
    ]),
    // The virtual host would not know an answer to this machine's own programs.
    chain("output", "type filter hook output priority filter", [
      `oifname ${tun} ct state established,related accept`,
      `oifname ${tun} reject with icmpx admin-prohibited`,
    ]),
    chain(
      "postrouting",
      "type nat hook postrouting priority srcnat",
      families.map(({ ip, net }) => `${ip} saddr ${formatNet(net)} oifname != ${tun} masquerade`),
    ),
  ].join("\n");
}

function forbiddenOf(all: typeof FORBIDDEN_V4, { allowHost }: KernelNatBounds): string {
  return (allowHost ? all.nowhere : Object.values(all).flat()).join(", ");
}

function tunnelsOf(ip: string, { allowHost, tunnelServers }: KernelNatBounds): string[] {
  const family = ip === "ip" ? 4 : 6;
  return tunnelServers
    .filter(({ address }) => !allowHost && address.family === family)
    .map(({ address, port }) => `${formatAddress(address.bytes)} . ${port}`);
}

function set(name: string, type: string, elements: readonly string[]): string {
  const unique = [...new Set(elements)];
  const list = unique.length === 0 ? "" : ` elements = { ${unique.join(", ")} };`;
  return `set ${name} { type ${type};${list} }`;
}

function chain(name: string, hook: string | undefined, rules: readonly string[]): string {
  const head = hook === undefined ? [] : [`${hook}; policy accept;`];
  return [`chain ${name} {`, ...head, ...rules, "}"].join("\n");
}
