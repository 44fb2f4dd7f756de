import { describe, expect, test } from "bun:test";
import { formatIpv4, type Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import { tryReadReply } from "../../src/client/dhcp-frame.ts";
import { tryReadLease, type DhcpLease } from "../../src/client/dhcp-lease.ts";
import { DHCP_OPTION, encodeAddresses, encodeNumber } from "../../src/wire/dhcp-option.ts";
import { DHCP_TYPE } from "../../src/wire/dhcp.ts";
import recorded from "../vectors/data_stream.json" with { type: "json" };
import { usualOptions } from "../support/dhcp-server.ts";
import { fromHex } from "../support/hex.ts";

const ANY = 0 as Ipv4;
const SERVER = 0xc0a81e01 as Ipv4;

/** The lease of an ACK with the usual options and these in addition; `null` leaves one out. */
function leaseWith(
  changes: readonly (readonly [number, Uint8Array | null])[],
  yiaddr = 0xc0a81e0a as Ipv4,
): DhcpLease | undefined {
  const options = new Map<number, Uint8Array>([
    [DHCP_OPTION.SERVER_ID, encodeAddresses([SERVER])],
    ...usualOptions(SERVER),
  ]);
  for (const [code, value] of changes) {
    if (value === null) options.delete(code);
    else options.set(code, value);
  }
  return tryReadLease({
    op: "reply",
    type: DHCP_TYPE.ACK,
    xid: 0,
    secs: 0,
    wantsBroadcast: false,
    ciaddr: ANY,
    yiaddr,
    siaddr: ANY,
    giaddr: ANY,
    chaddr: 0 as MacAddress,
    options,
  });
}

describe("tryReadLease()", () => {
  test("reads what the recorded server offered", () => {
    const frame = fromHex(String(recorded.s2c_units[1]!.payload[0]));
    const offer = tryReadReply(frame, 0, frame.length, 0x5eaabbccdd01 as MacAddress)!;
    expect(offer.from).toBe(0x5e7af355d332 as MacAddress);
    expect(tryReadLease(offer.message)).toEqual({
      address: 0xc0a81e0a as Ipv4,
      prefix: 24,
      gateway: SERVER,
      dns: [SERVER],
      domain: undefined,
      mtu: undefined,
      routes: [],
      server: SERVER,
      leaseMs: 7_200_000,
      t1Ms: 3_600_000,
      t2Ms: 6_300_000,
    });
  });

  test("takes gateway and routes from option 121 alone where it is given (RFC 3442)", () => {
    const routes = (hex: string) => leaseWith([[DHCP_OPTION.CLASSLESS_ROUTES, fromHex(hex)]])!;
    const both = routes("00 c0a81e02 18 0a0000 c0a81e03 10 ac10 00000000");
    expect(formatIpv4(both.gateway!)).toBe("192.168.30.2");
    expect(
      both.routes.map((r) => `${formatIpv4(r.network)}/${r.prefix} ${formatIpv4(r.via)}`),
    ).toEqual(["10.0.0.0/24 192.168.30.3", "172.16.0.0/16 0.0.0.0"]);
    expect(routes("18 0a0000 c0a81e03").gateway).toBeUndefined();
    expect(routes("").gateway).toBeUndefined();
  });

  test("takes option 249 for 121 where that is missing", () => {
    const old = [DHCP_OPTION.OLD_CLASSLESS_ROUTES, fromHex("08 0a c0000207")] as const;
    const both = [[DHCP_OPTION.CLASSLESS_ROUTES, fromHex("08 0b c0000207")], old] as const;
    expect(leaseWith([old])!.routes.map(({ network }) => formatIpv4(network))).toEqual([
      "10.0.0.0",
    ]);
    const preferred = leaseWith([...both])!.routes;
    expect(preferred.map(({ network }) => formatIpv4(network))).toEqual(["11.0.0.0"]);
  });

  test("falls back to option 3 where option 121 does not hold together", () => {
    const lease = leaseWith([[DHCP_OPTION.CLASSLESS_ROUTES, fromHex("21 0a")]])!;
    expect([lease.gateway, lease.routes]).toEqual([SERVER, []]);
  });

  test("takes the first gateway and leaves addresses that no host has", () => {
    const gateway = (...addresses: number[]) =>
      leaseWith([[DHCP_OPTION.ROUTER, encodeAddresses(addresses as Ipv4[])]])!.gateway;
    expect(gateway(0x0a000001, 0x0a000002)).toBe(0x0a000001 as Ipv4);
    expect(gateway(0)).toBeUndefined();
    expect(gateway(0x7f000001)).toBeUndefined();
    expect(leaseWith([[DHCP_OPTION.ROUTER, null]])!.gateway).toBeUndefined();
    const dns = encodeAddresses([0x08080808, 0, 0xe0000001, 0x01010101] as Ipv4[]);
    expect(leaseWith([[DHCP_OPTION.DNS, dns]])!.dns.map(formatIpv4)).toEqual([
      "8.8.8.8",
      "1.1.1.1",
    ]);
  });

  test("takes the prefix of the mask, or of the class without one", () => {
    const prefix = (mask: Uint8Array | null, yiaddr?: number) =>
      leaseWith([[DHCP_OPTION.SUBNET_MASK, mask]], yiaddr as Ipv4 | undefined)?.prefix;
    expect(prefix(encodeNumber(0xfffffffe, 4))).toBe(31);
    expect(prefix(encodeNumber(0xffffffff, 4))).toBe(32);
    expect(prefix(encodeNumber(0, 4))).toBeUndefined();
    expect(prefix(encodeNumber(0xff00ff00, 4))).toBeUndefined();
    expect(prefix(fromHex("ffffff"))).toBeUndefined();
    expect(prefix(null, 0x0a000001)).toBe(8);
    expect(prefix(null, 0x80000001)).toBe(16);
    expect(prefix(null, 0xbfff0001)).toBe(16);
    expect(prefix(null, 0xc0a81e0a)).toBe(24);
  });

  test("takes T1 and T2 where they are in order, else their shares of the lease", () => {
    const times = (t1: number | null, t2: number | null) => {
      const value = (s: number | null) => (s === null ? null : encodeNumber(s, 4));
      const lease = leaseWith([
        [DHCP_OPTION.RENEWAL_TIME, value(t1)],
        [DHCP_OPTION.REBINDING_TIME, value(t2)],
      ])!;
      return [lease.t1Ms / 1000, lease.t2Ms / 1000];
    };
    expect(times(null, null)).toEqual([1800, 3150]);
    expect(times(600, 1200)).toEqual([600, 1200]);
    expect(times(600, null)).toEqual([600, 3150]);
    for (const [t1, t2] of [
      [0, 1200],
      [1200, 600],
      [600, 600],
      [600, 3600],
      [0xffffffff, 0xffffffff],
    ] as const) {
      expect(times(t1, t2)).toEqual([1800, 3150]);
    }
  });

  test("refuses leases under ten seconds and takes one without end", () => {
    const lease = (s: number) => leaseWith([[DHCP_OPTION.LEASE_TIME, encodeNumber(s, 4)]]);
    expect(lease(9)).toBeUndefined();
    expect(lease(10)?.leaseMs).toBe(10_000);
    expect(lease(0xfffffffe)?.leaseMs).toBe(0xfffffffe * 1000);
    expect(lease(0xffffffff)).toMatchObject({ leaseMs: Infinity, t1Ms: Infinity, t2Ms: Infinity });
  });

  test("takes an MTU that an adapter of ours can have", () => {
    const mtu = (bytes: number) => leaseWith([[DHCP_OPTION.MTU, encodeNumber(bytes, 2)]])!.mtu;
    expect([mtu(575), mtu(576), mtu(1500), mtu(1586), mtu(1587), mtu(65_535)]).toEqual([
      undefined,
      576,
      1500,
      1586,
      undefined,
      undefined,
    ]);
  });

  for (const [text, domain] of [
    ["example.com", "example.com"],
    ["example.com.", "example.com"],
    ["example.com\0", "example.com"],
    ["lan", "lan"],
    ["_tcp.a-b.x1", "_tcp.a-b.x1"],
    ["", undefined],
    ["a b", undefined],
    ["a\nnameserver 192.0.2.1", undefined],
    ["a..b", undefined],
    ["-a.b", undefined],
    ["<script>", undefined],
    ["é.example", undefined],
    [`${"a".repeat(64)}.b`, undefined],
    [`${"a.".repeat(126)}aa`, undefined],
    ["a.".repeat(126) + "a", "a.".repeat(126) + "a"],
  ] as const) {
    test(`reads the domain ${JSON.stringify(text.slice(0, 30))} as ${domain?.slice(0, 30)}`, () => {
      const value = new TextEncoder().encode(text);
      expect(leaseWith([[DHCP_OPTION.DOMAIN, value]])!.domain).toBe(domain);
    });
  }
});
