import { describe, expect, test } from "bun:test";
import {
  formatAddress,
  formatNet,
  tryParseAddress,
  tryParseIpv4,
  tryParseNet,
} from "../../src/base/ip.ts";
import { MAX_TUNNEL_ROUTES } from "../../src/base/limits.ts";
import {
  networkOf,
  planRoutes,
  without,
  type PlannedRoute,
  type TunnelNetwork,
} from "../../src/client/route-plan.ts";

const net = (text: string) => tryParseNet(text)!;
const address = (text: string) => tryParseAddress(text)!;
const ipv4 = (text: string) => tryParseIpv4(text)!;
const shown = (routes: readonly PlannedRoute[]) =>
  routes.map(
    ({ to, via }) => `${formatNet(to)} ${via === undefined ? "-" : formatAddress(via.bytes)}`,
  );
const pushed = (text: string, via: string) => {
  const [network, prefix] = text.split("/");
  return { network: ipv4(network!), prefix: Number(prefix), via: ipv4(via) };
};

const NOTHING = { defaultRoute: false, routes: [] };
const ALL = { defaultRoute: true, routes: [] };
const NETWORK: TunnelNetwork = {
  nets: [net("192.168.30.10/24")],
  gateway: ipv4("192.168.30.1"),
  routes: [pushed("10.0.0.0/8", "192.168.30.2"), pushed("172.16.5.0/24", "0.0.0.0")],
};
const ROUTER = address("fe80::1");

describe("planRoutes()", () => {
  test("follows the routes of DHCP, and takes no default route unasked", () => {
    const plan = planRoutes(NOTHING, { ...NETWORK, router: ROUTER }, []);
    expect(shown(plan.defaults)).toEqual([]);
    expect(shown(plan.specific)).toEqual(["10.0.0.0/8 192.168.30.2", "172.16.5.0/24 -"]);
  });

  test("takes the default routes of both families where they are offered", () => {
    expect(shown(planRoutes(ALL, NETWORK, []).defaults)).toEqual(["0.0.0.0/0 192.168.30.1"]);
    const both = planRoutes(ALL, { ...NETWORK, router: ROUTER }, []);
    expect(shown(both.defaults)).toEqual(["0.0.0.0/0 192.168.30.1", "::/0 fe80::1"]);
    expect(shown(planRoutes(ALL, { nets: [] }, []).defaults)).toEqual([]);
  });

  test("takes a default route in disguise only where one is asked for", () => {
    const halves = [pushed("0.0.0.0/1", "192.168.30.1"), pushed("128.0.0.0/1", "192.168.30.1")];
    const network = { ...NETWORK, routes: halves };
    expect(shown(planRoutes(NOTHING, network, []).specific)).toEqual([]);
    expect(planRoutes(ALL, network, []).specific).toHaveLength(2);
  });

  test("takes the account's networks and no others, over the routers that are known", () => {
    const routes = [
      net("10.1.2.3/16"),
      net("10.1.0.0/16"),
      net("2001:db8:5::/48"),
      net("0.0.0.0/0"),
    ];
    const plan = planRoutes({ defaultRoute: false, routes }, NETWORK, []);
    expect(shown(plan.specific)).toEqual(["10.1.0.0/16 192.168.30.1", "2001:db8:5::/48 -"]);
    expect(shown(plan.defaults)).toEqual(["0.0.0.0/0 192.168.30.1"]);
    const later = planRoutes({ defaultRoute: false, routes }, { ...NETWORK, router: ROUTER }, []);
    expect(shown(later.specific)).toContain("2001:db8:5::/48 fe80::1");
  });

  test("cuts servers out of every network but the default route", () => {
    const routes = [net("203.0.113.0/30")];
    const plan = planRoutes({ defaultRoute: false, routes }, NETWORK, [address("203.0.113.2")]);
    expect(shown(plan.specific)).toEqual([
      "203.0.113.0/31 192.168.30.1",
      "203.0.113.3/32 192.168.30.1",
    ]);
    const whole = planRoutes(ALL, NETWORK, [address("203.0.113.2")]);
    expect(shown(whole.defaults)).toEqual(["0.0.0.0/0 192.168.30.1"]);
  });

  test("holds the bound on routes and tells how many are left out", () => {
    const routes = Array.from({ length: MAX_TUNNEL_ROUTES + 3 }, (_, n) =>
      net(`10.${n >> 8}.${n & 255}.0/24`),
    );
    const plan = planRoutes({ defaultRoute: false, routes }, NETWORK, []);
    expect([plan.specific.length, plan.dropped]).toEqual([MAX_TUNNEL_ROUTES, 3]);
  });
});

describe("without()", () => {
  test("leaves exactly the other addresses", () => {
    const taken = [address("10.0.0.5"), address("10.0.0.6"), address("192.0.2.1")];
    const parts = without(net("10.0.0.0/28"), taken);
    for (let host = 0; host < 16; host++) {
      const inside = parts.filter(
        (part) =>
          formatNet(networkOf({ ...net(`10.0.0.${host}/32`), prefix: part.prefix })) ===
          formatNet(part),
      );
      expect([host, inside.length]).toEqual([host, host === 5 || host === 6 ? 0 : 1]);
    }
  });

  test("cuts an IPv6 host out of a network by one part for each bit", () => {
    const parts = without(net("2001:db8::/32"), [address("2001:db8::1")]);
    expect(parts).toHaveLength(96);
    expect(formatNet(parts.at(-1)!)).toBe("2001:db8::/128");
    expect(without(net("2001:db8::1/128"), [address("2001:db8::1")])).toEqual([]);
  });
});

test("networkOf() clears the bits behind the prefix", () => {
  const cases = ["10.1.2.3/0", "10.1.2.3/7", "10.1.2.3/8", "10.1.2.3/31", "10.1.2.3/32"];
  expect(cases.map((text) => formatNet(networkOf(net(text))))).toEqual([
    "0.0.0.0/0",
    "10.0.0.0/7",
    "10.0.0.0/8",
    "10.1.2.2/31",
    "10.1.2.3/32",
  ]);
  expect(formatNet(networkOf(net("2001:db8:ffff::1/33")))).toBe("2001:db8:8000::/33");
});
