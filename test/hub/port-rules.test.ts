import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import type { PortKind } from "../../src/hub/port-identity.ts";
import { ipLimitsOf, macLimitOf } from "../../src/hub/port-rules.ts";

const policy = (parts: Partial<Policy>): Policy => ({ ...DEFAULT_POLICY, ...parts });

describe("macLimitOf()", () => {
  const cases: [PortKind, Partial<Policy>, number, boolean][] = [
    ["client", { no_bridge: true }, 3, true],
    ["client", { no_bridge: true, max_mac: 2 }, 3, true],
    ["client", { no_bridge: true, max_mac: 100 }, 3, true],
    ["bridge", { max_mac: 1 }, 3, true],
    ["bridge", { max_mac: 100 }, 100, true],
    ["bridge", {}, 4096, false],
    ["cascade", {}, Infinity, false],
    ["cascade", { max_mac: 10 }, 10, true],
    ["local-bridge", {}, Infinity, false],
    ["secure-nat", {}, Infinity, false],
  ];
  test.each(cases)(
    "gives a %s port with %o %d MACs, excess dropped: %p",
    (kind, parts, n, drops) => {
      const limit = macLimitOf({ kind, user: "", policy: policy(parts) });
      expect(limit).toEqual({ macLimit: n, macLimitDrops: drops });
    },
  );
});

describe("ipLimitsOf()", () => {
  const cases: [Partial<Policy>, number, number][] = [
    [{}, Infinity, Infinity],
    [{ no_routing: true }, 4, Infinity],
    [{ no_routing_v6: true }, Infinity, 15],
    [{ no_routing: true, max_ip: 100 }, 4, Infinity],
    [{ max_ip: 100, max_ipv6: 100 }, 100, 100],
    [{ max_ip: 1, max_ipv6: 1 }, 4, 5],
    [{ no_routing_v6: true, max_ipv6: 7 }, Infinity, 7],
  ];
  test.each(cases)("gives %o %d IPv4 and %d IPv6 addresses", (parts, four, six) => {
    expect(ipLimitsOf(policy(parts))).toEqual({ ipv4: four, ipv6: six });
  });
});
