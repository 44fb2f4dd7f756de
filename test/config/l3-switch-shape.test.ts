import { describe, expect, test } from "bun:test";
import { formatAddress, formatNet } from "../../src/base/ip.ts";
import { diffServerConfig } from "../../src/config/diff.ts";
import { faultsOf, readServer } from "./fixture.ts";

const switchesOf = (text: string) => readServer(text).config.l3Switches;
const faults = (text: string) => faultsOf(() => readServer(text));
const A_AND_B = 'interface = { a = "10.1.0.254/24", b = ["10.2.0.254/24", "fd00:2::fe/64"] }';
const routed = (...routes: string[]) =>
  `[l3switch.core]\n${A_AND_B}\nroute = [${routes.map((one) => `{ ${one} }`).join(", ")}]`;

describe("l3switch.NAME", () => {
  test("has interfaces of either family, routes, and defaults for the rest", () => {
    expect(switchesOf("")).toEqual([]);
    const [found] = switchesOf(
      routed('to = "10.9.0.0/16", via = "10.1.0.1"', 'to = "::/0", via = "fd00:2::1", metric = 7'),
    );
    expect(found).toMatchObject({ name: "core", enable: true, ra: false, mtu: 1500 });
    expect(
      found!.interfaces.map(({ hub, addresses }) => [hub, ...addresses.map(formatNet)]),
    ).toEqual([
      ["a", "10.1.0.254/24"],
      ["b", "10.2.0.254/24", "fd00:2::fe/64"],
    ]);
    expect(
      found!.routes.map(({ to, via, metric }) => [formatNet(to), formatAddress(via.bytes), metric]),
    ).toEqual([
      ["10.9.0.0/16", "10.1.0.1", 1],
      ["::/0", "fd00:2::1", 7],
    ]);
  });

  test("that is not enabled may wait for its interfaces", () => {
    expect(switchesOf("[l3switch.core]\nenable = false\ninterface = {}")).toMatchObject([
      { enable: false, interfaces: [] },
    ]);
    expect(faults("[l3switch.core]\ninterface = {}")[0]).toContain("at least one interface");
  });

  test.each([
    ['"10.1.0.0/24"', "is the address of the network itself"],
    ['"10.1.0.255/24"', "is the broadcast address"],
    ['"10.1.0.1"', "leaves no room for other hosts"],
    ['"127.0.0.1/8"', "loopback"],
    ['"224.0.0.1/24"', "multicast"],
    ['"0.0.0.1/24"', "no address of a host"],
    ['"fe80::1/64"', "link-local"],
    ['"ff02::1/64"', "multicast"],
    ['"fd00::/64"', "is the address of the network itself"],
    ["[]", "0 addresses, 1 to 16"],
    ["7", "a network such as"],
  ])("refuses the address %s", (written, why) => {
    expect(faults(`[l3switch.core]\ninterface = { a = ${written} }`)[0]).toContain(why);
  });

  test("takes both addresses of a network of two (RFC 3021, RFC 6164)", () => {
    const [found] = switchesOf(
      '[l3switch.core]\ninterface = { a = ["10.0.0.0/31", "fd00::/127"] }',
    );
    expect(found!.interfaces[0]!.addresses.length).toBe(2);
  });

  test("refuses an address twice, and one network in two hubs", () => {
    const both = (a: string, b: string) =>
      faults(`[l3switch.core]\ninterface = { a = "${a}", b = "${b}" }`)[0];
    expect(both("10.1.0.1/24", "10.1.0.1/25")).toContain("10.1.0.1 is the address in a as well");
    expect(both("10.1.0.1/24", "10.1.0.2/24")).toContain("the network 10.1.0.0/24 is that of a");
    expect(
      switchesOf('[l3switch.core]\ninterface = { a = "10.1.0.1/16", b = "10.1.7.1/24" }').length,
    ).toBe(1);
  });

  test.each([
    ['to = "10.9.0.0/16", via = "10.1.0.254"', "leads back to the switch itself"],
    ['to = "10.9.0.0/16", via = "10.7.0.1"', "leads to no network of an interface"],
    ['to = "10.9.0.0/16", via = "10.1.0.255"', "is the broadcast address"],
    ['to = "10.9.0.1/16", via = "10.1.0.1"', "is no network (10.9.0.0/16 is)"],
    ['to = "10.9.0.0/16", via = "fd00:2::1"', "an IPv4 network needs an IPv4 router"],
    ['to = "10.1.0.1/32", via = "10.1.0.1"', "would be reached through itself"],
    ['to = "10.9.0.0/16", via = "0.0.0.0"', "the address of a router"],
    ['to = "10.9.0.0/16", via = "10.1.0.1", metric = 0', "from 1 to"],
    ['to = "10.9.0.0/16"', 'the key "via" is missing'],
  ])("IP-19: refuses the route { %s }", (written, why) => {
    expect(faults(routed(written))[0]).toContain(why);
  });

  test("IP-19: refuses two routes that are alike, whatever their metrics", () => {
    const one = 'to = "10.9.0.0/16", via = "10.1.0.1"';
    expect(faults(routed(one, `${one}, metric = 3`))[0]).toContain("is there twice");
    const other = 'to = "10.9.0.0/16", via = "10.1.0.2", metric = 3';
    expect(switchesOf(routed(one, other))[0]!.routes.length).toBe(2);
  });

  test("refuses names and sizes as for hubs, and an MTU that IPv6 cannot have", () => {
    expect(faults(`[l3switch."a/b"]\n${A_AND_B}`)[0]).toContain("a name consists of letters");
    expect(faults(`[l3switch.core]\n${A_AND_B}\nmtu = 1000`)[0]).toContain("IPv6 needs 1280");
    expect(faults(`[l3switch.core]\ninterface = { "a/b" = "10.0.0.1/8" }`)[0]).toContain("a name");
    const many = Array.from(
      { length: 4097 },
      (_, at) => `{ to = "10.9.${at >> 8}.${at & 255}/32", via = "10.1.0.1" }`,
    );
    expect(faults(`[l3switch.core]\n${A_AND_B}\nroute = [${many.join(", ")}]`)[0]).toContain(
      "4097 routes, at most 4096",
    );
  });

  test("diffServerConfig() names switches that come, change and go", () => {
    const at = (text: string) => readServer(text).config;
    const one = at(`[l3switch.core]\n${A_AND_B}`);
    const two = at(routed('to = "10.9.0.0/16", via = "10.1.0.1"'));
    expect(diffServerConfig(at(""), one)).toEqual([{ kind: "l3_switch_added", name: "core" }]);
    expect(diffServerConfig(one, two)).toEqual([{ kind: "l3_switch_changed", name: "core" }]);
    expect(diffServerConfig(two, at(""))).toEqual([{ kind: "l3_switch_removed", name: "core" }]);
    expect(diffServerConfig(two, two)).toEqual([]);
  });
});
