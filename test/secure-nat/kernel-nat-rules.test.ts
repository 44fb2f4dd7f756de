import { describe, expect, test } from "bun:test";
import { tryParseAddress, tryParseNet } from "../../src/base/ip.ts";
import { type KernelNatBounds, kernelNatRules } from "../../src/secure-nat/kernel-nat-rules.ts";

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
