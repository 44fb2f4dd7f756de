import { describe, expect, test } from "bun:test";
import { netContains, tryParseAddress, tryParseNet } from "../../src/base/ip.ts";
import { DestinationRule } from "../../src/secure-nat/destination-rule.ts";
import { type KernelNatBounds, kernelNatRules } from "../../src/secure-nat/kernel-nat-rules.ts";
import { ManualClock } from "../support/manual-clock.ts";

const PLACE = {
  device: "nat_office",
  v4: tryParseNet("192.168.30.0/24")!,
  v6: tryParseNet("fd93:30::/64")!,
};
const BOUNDS: KernelNatBounds = {
  maxEntries: 1000,
  maxEntriesPerAddress: 50,
  allowHost: false,
  listeningPorts: new Set([443, 5555]),
  tunnelServers: [
    { address: tryParseAddress("203.0.113.9")!, port: 992 },
    { address: tryParseAddress("2001:db8::9")!, port: 443 },
  ],
};

/** The last of them are none that anybody forbids. */
const PLACES: string[][] = [
  ["127.0.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200", "0.1.2.3", "239.1.1.1"],
  ["::1", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1"],
  ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::6464:64c8", "64:ff9b::e000:1"],
  ["64:ff9b:1::7f00:1", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1::a83f:8110"],
  ["2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:a83f:8110::1", "2002:ff::1"],
  ["192.0.2.1", "2001:db8::1", "64:ff9b::c000:201", "64:ff9b:1::a00:1", "2002:c000:201::1"],
];

describe("kernelNatRules()", () => {
  test("names what is ours and what is forbidden", () => {
    const rules = kernelNatRules(PLACE, BOUNDS);
    expect(rules).toContain("set own_ports { type inet_service; elements = { 443, 5555 }; }");
    expect(rules).toContain("elements = { 203.0.113.9 . 992 }");
    expect(rules).toContain("elements = { 2001:db8::9 . 443 }");
    expect(rules).toContain("169.254.0.0/16");
    expect(rules).toContain("ct count over 1000 reject");
    expect(rules).toContain("ip6 saddr ct count over 50 ");
  });

  test("leaves to guests what they may reach by allow_host, but not what no host has", () => {
    const rules = kernelNatRules(PLACE, { ...BOUNDS, allowHost: true });
    expect(rules).not.toContain("169.254");
    expect(rules).not.toContain("5555");
    expect(rules).not.toContain("203.0.113.9");
    expect(rules).toContain("0.0.0.0/8");
  });

  test.each(PLACES)("forbids %s and its like where the NAT in user mode does", (...addresses) => {
    const rules = kernelNatRules(PLACE, BOUNDS);
    const nets = [...rules.matchAll(/_forbidden .* elements = \{ (.*) \}; \}/g)]
      .flatMap(([, list]) => list!.split(", "))
      .map((text) => tryParseNet(text) ?? tryParseNet(`${text}/${text.includes(":") ? 128 : 32}`)!);
    const rule = new DestinationRule(new ManualClock(), { allowHost: false }, () => []);
    for (const text of addresses) {
      const { bytes, family } = tryParseAddress(text)!;
      const isRefused = rule.refuses(bytes, 0, family === 4 ? 4 : 16, 0) !== undefined;
      const to = { family, bytes, prefix: bytes.length * 8 };
      expect([text, nets.some((net) => netContains(net, to))]).toEqual([text, isRefused]);
    }
  });

  test("decides about its own TUN only", () => {
    for (const hook of kernelNatRules(PLACE, BOUNDS).split("chain ").slice(2, 5)) {
      const rules = hook
        .split("\n")
        .slice(2, -1)
        .filter((line) => line !== "}");
      expect(rules.length).toBeGreaterThan(1);
      for (const rule of rules) expect(rule).toMatch(/^[io]ifname "nat_office" /);
    }
  });

  test("has nothing for IPv6 where that is off, and lets none through", () => {
    const rules = kernelNatRules({ ...PLACE, v6: undefined }, BOUNDS);
    expect(rules).not.toContain("ip6");
    expect(rules).toContain("meta nfproto ipv6 drop");
  });
});
