import { describe, expect, test } from "bun:test";
import { formatIpv4, formatNet, tryParseIpv4 } from "../../src/base/ip.ts";
import { diffServerConfig } from "../../src/config/diff.ts";
import { secureNatConfig } from "../secure-nat/config.ts";
import { faultsOf, readServer } from "./fixture.ts";

const natOf = (text: string) => readServer(text).config.hubs[0]!.secureNat!;
const faults = (text: string) => faultsOf(() => readServer(text));
const ip = (text: string) => tryParseIpv4(text)!;

/** Faults of the keys of `[hub.a.securenat]`, which is line 1, without what is the same in all of them. */
const natFaults = (keys: string) =>
  faults(`[hub.a.securenat]\n${keys}`).map((line) => line.replace("hub.a.securenat", ""));

describe("hub.NAME.securenat", () => {
  test("is true, false or a table, with the defaults of hub.md 11.1", () => {
    const initial = natOf("[hub.a]\nsecurenat = true");
    expect(initial).toEqual(secureNatConfig());
    expect(natOf("[hub.a.securenat]")).toEqual(initial);
    expect(natOf("[hub.a]\nsecurenat = false")).toEqual({ ...initial, enable: false });
    expect(natOf("[hub.a]")).toBeUndefined();
  });

  test("takes what every key says", () => {
    const nat = natOf(`
      [hub.a.securenat]
      enable = false
      address = "10.1.255.254/16"
      mac = "5E-00-53-00-00-30"
      nat = "kernel"
      ipv6_prefix = "2001:db8:0:7::/64"
      mtu = 1400
      tcp_timeout = "60s"
      udp_timeout = "10s"
      max_entries = 100
      max_entries_per_address = 10
      allow_host = true
      resolvers = ["192.0.2.53", "2001:db8::53"]
      log = false
      [hub.a.securenat.dhcp]
      enable = false
      range = "10.1.0.1 - 10.1.0.1"
      lease = "0"
      gateway = ""
      dns = []
      domain = "Guest.example.com"
      ntp = ["192.0.2.123"]
      routes = [{ to = "10.99.3.4/8", via = "10.1.7.7" }]
      static = { "5e:00:53:00:00:31" = "10.1.0.50", "5e0053000032" = "10.1.0.51" }
      probe = "0"`);
    expect(nat).toMatchObject({
      enable: false,
      address: ip("10.1.255.254"),
      prefix: 16,
      mac: 0x5e0053000030,
      nat: "kernel",
      ipv6: true,
      mtu: 1400,
      tcpTimeoutMs: 60_000,
      udpTimeoutMs: 10_000,
      maxEntries: 100,
      maxEntriesPerAddress: 10,
      allowHost: true,
      log: false,
      dhcp: {
        enable: false,
        first: ip("10.1.0.1"),
        last: ip("10.1.0.1"),
        leaseMs: Infinity,
        gateway: undefined,
        dns: [],
        domain: "Guest.example.com",
        ntp: [ip("192.0.2.123")],
        fixed: [
          { mac: 0x5e0053000031, address: ip("10.1.0.50") },
          { mac: 0x5e0053000032, address: ip("10.1.0.51") },
        ],
        probeMs: 0,
      },
    });
    expect(nat.resolvers.map(({ family }) => family)).toEqual([4, 6]);
    expect(formatNet(nat.ipv6Prefix!)).toBe("2001:db8:0:7::/64");
    const [route] = nat.dhcp.routes;
    expect([formatNet(route!.to), formatIpv4(route!.via)]).toEqual(["10.0.0.0/8", "10.1.7.7"]);
  });

  test.each([
    ["10.9.0.1/16", "10.9.0.10", "10.9.0.200"],
    ["10.9.0.130/25", "10.9.0.129", "10.9.0.254"],
    ["10.9.0.1/30", "10.9.0.1", "10.9.0.2"],
  ])("the pool of %s is %s to %s", (address, first, last) => {
    const { dhcp } = natOf(`[hub.a.securenat]\naddress = "${address}"`);
    expect([formatIpv4(dhcp.first), formatIpv4(dhcp.last)]).toEqual([first, last]);
  });

  test("IPv6 is off where the MTU is too small for it, unless it is asked for", () => {
    expect(natOf("[hub.a.securenat]\nmtu = 1280").ipv6).toBe(true);
    expect(natOf("[hub.a.securenat]\nmtu = 1279").ipv6).toBe(false);
    expect(natFaults("ipv6 = true\nmtu = 1279")).toEqual([
      'config.toml:2:8: .ipv6: IPv6 needs an "mtu" of 1280 or more, not 1279',
    ]);
  });

  test.each([
    ["address = '192.168.30.0/24'", "this is the network itself or its broadcast"],
    ["address = '192.168.30.255/24'", "this is the network itself or its broadcast"],
    ["address = '192.168.30.1'", "expected an IPv4 address with its network"],
    ["address = 'fd00::1/64'", "expected an IPv4 address with its network"],
    ["address = '192.168.30.1/31'", "a network of /8 to /30 has hosts like this"],
    ["address = '127.0.0.2/8'", "no host has an address of this kind"],
    ["address = '224.0.0.2/24'", "no host has an address of this kind"],
    ["mac = '01:00:5e:00:00:01'", "expected the MAC of a station"],
    ["nat = 'raw'", 'expected "user" or "kernel" or "off"'],
    ["mtu = 61", "expected a whole number from 62 to 1500"],
    ["mtu = 1501", "expected a whole number from 62 to 1500"],
    ["tcp_timeout = '59s'", 'expected a duration from "60s"'],
    ["udp_timeout = '9s'", 'expected a duration from "10s"'],
    ["max_entries = 65537", "expected a whole number from 1 to 65536"],
    ["ipv6_prefix = 'fd00::/48'", "expected an IPv6 network of /64"],
    ["ipv6_prefix = 'fd00::1/64'", "the last 64 bits of a network are zero"],
    ["ipv6_prefix = 'fe80::/64'", 'expected a prefix of "fc00::/7" or "2000::/3"'],
    ["ipv6_prefix = '::/64'", 'expected a prefix of "fc00::/7" or "2000::/3"'],
    ["resolvers = ['dns.example.com']", "expected the IP address of a name server"],
    ["dhcp.lease = '14s'", 'expected a duration from "15s"'],
    ["dhcp.domain = 'a..b'", "expected a domain"],
    ["dhcp.domain = '-a'", "expected a domain"],
    [
      "dhcp.gateway = '192.168.31.1'",
      "192.168.31.1 is not the address of a host in 192.168.30.0/24",
    ],
    ["dhcp.dns = ['::1']", "expected an IPv4 address"],
    ["dhcp.routes = [{ to = '10.0.0.0/8', via = '10.0.0.1' }]", "the way to 10.0.0.0/8: 10.0.0.1"],
    ["dhcp.static = { 'ff:ff:ff:ff:ff:ff' = '192.168.30.9' }", "the key is not the MAC"],
    ["dhcp.static = { '5e:00:53:00:00:01' = '192.168.31.9' }", "5e:00:53:00:00:01: 192.168.31.9"],
    [
      "dhcp.static = { '5e:00:53:00:00:01' = '192.168.30.1' }",
      "192.168.30.1 is the virtual host's",
    ],
    [
      "dhcp.static = { '5e:00:53:00:00:01' = '192.168.30.9', '5E-00-53-00-00-01' = '192.168.30.8' }",
      "5e:00:53:00:00:01 has an address already",
    ],
    [
      "dhcp.static = { '5e:00:53:00:00:01' = '192.168.30.9', '5e:00:53:00:00:02' = '192.168.30.9' }",
      "192.168.30.9 is that of 5e:00:53:00:00:01, too",
    ],
    ["dhcp.range = '192.168.30.1-192.168.30.1'", "the only address in it is that of the virtual"],
    ["ipv4 = true", "unknown key"],
  ])("IP-18 CF-06 %s is refused", (keys, fault) => {
    const [line, ...more] = natFaults(keys);
    expect(line).toContain(fault);
    expect(line).toStartWith("config.toml:2:");
    expect(more).toEqual([]);
  });

  test.each([
    ["192.168.30.9", "expected a range of addresses"],
    ["192.168.30.9-30.10", "expected a range of addresses"],
    ["192.168.30.20-192.168.30.10", "the range ends at 192.168.30.10, before it begins at 192."],
    ["192.168.30.20-192.168.31.10", "192.168.31.10 is not the address of a host in 192.168.30.0"],
    ["192.168.29.20-192.168.30.10", "192.168.29.20 is not the address of a host in 192.168.30.0"],
    ["192.168.30.10-192.168.30.255", "192.168.30.255 is not the address of a host"],
  ])("DH-14 the range %s is refused", (range, fault) => {
    const [line] = natFaults(`dhcp.range = "${range}"`);
    expect(line).toStartWith(`config.toml:2:14: .dhcp.range: ${fault}`);
  });

  test("DH-15 routes that fit no answer are refused, and none are cut", () => {
    const routes = (count: number, prefix: number) =>
      Array.from(
        { length: count },
        (_, at) => `{ to = "10.${at}.0.0/${prefix}", via = "192.168.30.2" }`,
      ).join(", ");
    // Classless routes of 300 bytes and more go out in parts (RFC 3396).
    expect(natOf(`[hub.a.securenat]\ndhcp.routes = [${routes(64, 24)}]`).dhcp.routes.length).toBe(
      64,
    );
    expect(natFaults(`dhcp.routes = [${routes(65, 24)}]`)).toEqual([
      "config.toml:2:15: .dhcp.routes: 65 routes, at most 64 are allowed",
    ]);
    const [tooLong] = natFaults(`mtu = 576\ndhcp.routes = [${routes(40, 24)}]`);
    expect(tooLong).toContain("and a packet of 576 has room for 548: name fewer routes");
  });
});

describe("hub.NAME.user.NAME.address", () => {
  const withUser = (user: string, nat = "securenat = true") =>
    `[hub.a]\n${nat}\n[hub.a.user.b]\naddress = "192.168.30.251"\n${user}`;

  test("is what SecureNAT gives the machine of a user", () => {
    expect(readServer(withUser("")).config.hubs[0]!.users[0]!.address).toBe(ip("192.168.30.251"));
  });

  test.each([
    ["", "online = true", 'this hub has no "securenat", which would give it'],
    ["", "securenat = { address = '10.1.1.1/24' }", "not in the network of the hub's SecureNAT"],
    [
      "",
      "securenat = { address = '192.168.30.251/24' }",
      "the address of the hub's SecureNAT itself",
    ],
    [
      "",
      "securenat = { dhcp.static = { '5e:00:53:00:00:01' = '192.168.30.251' } }",
      "this is the address of 5e:00:53:00:00:01, too",
    ],
    ["", "securenat = { dhcp.range = '192.168.30.2-192.168.30.254' }", "in the pool of DHCP"],
    ["[hub.a.user.c]\naddress = '192.168.30.251'", undefined, "this is the address of b, too"],
    ["[hub.a.user.'*']\nradius = true\naddress = '192.168.30.52'", undefined, "stands for many"],
  ])("%s with %s is refused", (user, nat, fault) => {
    expect(faults(withUser(user, nat)).join("\n")).toContain(fault);
  });
});

test("diffServerConfig() tells what became of a hub's SecureNAT", () => {
  const read = (keys: string) => readServer(`[hub.a]\n${keys}`).config;
  const steps = (before: string, after: string) => diffServerConfig(read(before), read(after));
  expect(steps("", "securenat = true")).toEqual([{ kind: "securenat_added", hub: "a" }]);
  expect(steps("securenat = true", "securenat = { mtu = 1400 }")).toEqual([
    { kind: "securenat_changed", hub: "a" },
  ]);
  expect(steps("securenat = true", "")).toEqual([{ kind: "securenat_removed", hub: "a" }]);
  expect(steps("securenat = true", "securenat = {}")).toEqual([]);
});
