import { type Ipv4, tryParseIpv4 } from "../../src/base/ip.ts";
import type { SecureNatConfig } from "../../src/config/secure-nat-config.ts";

function ip(text: string): Ipv4 {
  return tryParseIpv4(text)!;
}

/** What `securenat = true` means. */
export function secureNatConfig(): SecureNatConfig {
  return {
    enable: true,
    address: ip("192.168.30.1"),
    prefix: 24,
    mac: undefined,
    nat: "user",
    ipv6: true,
    ipv6Prefix: undefined,
    mtu: 1500,
    tcpTimeoutMs: 1_800_000,
    udpTimeoutMs: 60_000,
    maxEntries: 65_536,
    maxEntriesPerAddress: 16_384,
    allowHost: false,
    resolvers: [],
    log: true,
    dhcp: {
      enable: true,
      first: ip("192.168.30.10"),
      last: ip("192.168.30.200"),
      leaseMs: 7_200_000,
      gateway: ip("192.168.30.1"),
      dns: [ip("192.168.30.1")],
      domain: "",
      ntp: [],
      routes: [],
      fixed: [],
      probeMs: 200,
    },
  };
}
