import type { IpAddress, Ipv4, Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";

/** `hub.NAME.securenat`: a host in software with NAT and DHCP (hub.md 11, config-proposal.md 7.4). */
export interface SecureNatConfig {
  readonly enable: boolean;
  /** Of the virtual host, and the prefix length of its network. */
  readonly address: Ipv4;
  readonly prefix: number;
  /** Undefined: made once and kept. */
  readonly mac: MacAddress | undefined;
  readonly nat: "user" | "kernel" | "off";
  /** With "off": TCP is refused and the rest ignored, as option DisableUserModeSecureNAT has it (hub.md 3). */
  readonly isRefusing?: boolean;
  readonly ipv6: boolean;
  /** A /64; undefined: a unique local one, made once and kept. */
  readonly ipv6Prefix: Net | undefined;
  /** 62 to 1500. */
  readonly mtu: number;
  readonly tcpTimeoutMs: number;
  readonly udpTimeoutMs: number;
  readonly maxEntries: number;
  readonly maxEntriesPerAddress: number;
  /** What options of the hub leave one inside address of each kind; undefined: as many as there is room for. */
  readonly perAddress?: PerAddressLimits;
  /** Guests may reach this machine's loopback, link-local and metadata addresses and administration. */
  readonly allowHost: boolean;
  /** Empty: those of this machine. */
  readonly resolvers: readonly IpAddress[];
  readonly log: boolean;
  readonly dhcp: DhcpConfig;
}

/** 0: no limit (hub.md 3). */
export interface PerAddressLimits {
  /** Beyond these the oldest entry ends for the new one; of TCP, the oldest that is established. */
  readonly tcp: number;
  readonly udp: number;
  readonly icmp: number;
  /** Connections that nobody has accepted yet: beyond these new ones are refused. */
  readonly halfOpenTcp: number;
}

export interface DhcpConfig {
  readonly enable: boolean;
  /** The pool, both included. */
  readonly first: Ipv4;
  readonly last: Ipv4;
  /** New hosts get addresses from all over the pool by their MAC, not the lowest (option SecureNAT_RandomizeAssignIp). */
  readonly isScattered?: boolean;
  /** Infinity: for ever. */
  readonly leaseMs: number;
  readonly gateway: Ipv4 | undefined;
  readonly dns: readonly Ipv4[];
  /** "": none. */
  readonly domain: string;
  readonly ntp: readonly Ipv4[];
  /** Options 121 and 249. */
  readonly routes: readonly DhcpRoute[];
  readonly fixed: readonly FixedLease[];
  /** How long an answer of somebody who has the address is waited for before it is offered; 0: not at all. */
  readonly probeMs: number;
}

export interface DhcpRoute {
  readonly to: Net;
  readonly via: Ipv4;
}

export interface FixedLease {
  readonly mac: MacAddress;
  readonly address: Ipv4;
}
