import type { SecureNatConfig } from "../config/secure-nat-config.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import type { IcmpErrorStats } from "../ip-host/icmp-error.ts";
import type { DhcpCounters } from "./dhcp/dhcp-server.ts";
import type { DnsStats } from "./dns/dns-relay.ts";
import type { Ipv6Stats } from "./ipv6/ipv6-services.ts";
import type { NatCounts } from "./nat.ts";
import type { TcpStats } from "./tcp/tcp-stats.ts";

/** How a SecureNAT stands; numbers of the time since it was opened. */
export interface SecureNatStatus {
  readonly mode: SecureNatConfig["nat"];
  readonly entries: NatCounts;
  readonly leases: number;
  readonly drops: Readonly<HostDrops>;
  readonly icmp: Readonly<IcmpErrorStats>;
  readonly dns: Readonly<DnsStats>;
  readonly dhcp: Readonly<DhcpCounters>;
  /** Undefined where IPv6 is off. */
  readonly ipv6: Ipv6Stats | undefined;
  /** Of the TCP towards guests. */
  readonly tcp: Readonly<TcpStats>;
  /** Segments that belonged to no flow and were answered by RST. */
  readonly tcpRejected: number;
}
