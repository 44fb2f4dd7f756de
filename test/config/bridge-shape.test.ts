import { describe, expect, test } from "bun:test";
import { diffServerConfig } from "../../src/config/diff.ts";
import { faultsOf, readServer } from "./fixture.ts";

const bridgesOf = (text: string) => readServer(text).config.hubs[0]!.bridges;
const faults = (text: string) => faultsOf(() => readServer(text));

describe("hub.NAME.bridge", () => {
  test("is a table, or an array of tables, and empty by default", () => {
    expect(bridgesOf("[hub.a]")).toEqual([]);
    expect(bridgesOf('[hub.a.bridge]\ndevice = "eth1"')).toEqual([
      {
        kind: "nic",
        device: "eth1",
        enable: true,
        monitor: false,
        limitBroadcast: false,
        promiscuous: true,
      },
    ]);
    const several = `
      [[hub.a.bridge]]
      device = "br-lan.7"
      promiscuous = false
      limit_broadcast = true
      [[hub.a.bridge]]
      tap = "Lan"
      monitor = true
      enable = false
      mtu = 1400
      mac = "5e:00:53:00:00:01"`;
    expect(bridgesOf(several)).toMatchObject([
      { kind: "nic", device: "br-lan.7", promiscuous: false, limitBroadcast: true },
      {
        kind: "tap",
        device: "tap_lan",
        monitor: true,
        enable: false,
        mtu: 1400,
        mac: 0x5e0053000001,
      },
    ]);
  });

  test("a TAP is named in lower case and cut to 15 characters (hub.md 14.3)", () => {
    const [tap] = bridgesOf('[hub.a.bridge]\ntap = "A-Very.Long_Name"');
    expect(tap).toMatchObject({ device: "tap_a-very.long", mtu: 1500, mac: undefined });
  });

  test.each([
    ['tap = "x"\ndevice = "eth1"', '"device" names an interface, or "tap" one that'],
    ["enable = true", "neither of them is there"],
    ['device = "a name"', "expected the name of an interface, 1 to 15 of letters"],
    ['device = "0123456789abcdef"', "expected the name of an interface"],
    ['device = ".."', "expected the name of an interface"],
    ['device = "eth%d"', "expected the name of an interface"],
    ['tap = "a/b"', "expected a name of letters, digits"],
    ['device = "eth1"\nmtu = 1400', 'only an interface that the server makes ("tap") has it'],
    ['device = "eth1"\nmac = "5e:00:53:00:00:01"', "only an interface that the server makes"],
    ['tap = "x"\npromiscuous = true', 'only a "device" has it'],
    ['tap = "x"\nmtu = 9000', "expected a whole number from 576 to 1582"],
    ['tap = "x"\nmac = "01:00:5e:00:00:01"', "expected the MAC of a station"],
    ['tap = "x"\nmac = "00:00:00:00:00:00"', "expected the MAC of a station"],
    ['device = "eth1"\npromiscous = true', 'did you mean "promiscuous"?'],
  ])("%s is refused: %s", (keys, text) => {
    expect(faults(`[hub.a.bridge]\n${keys}`).join()).toContain(text);
  });

  test("two bridges of a hub do not lead to one interface, two hubs do not share a TAP", () => {
    const twice = '[[hub.a.bridge]]\ndevice = "eth1"\n[[hub.a.bridge]]\ndevice = "eth1"';
    expect(faults(twice)[0]).toContain("two bridges of a hub lead to the same interface eth1");
    const shared = (key: string) =>
      `[hub.a.bridge]\n${key} = "lan"\n[hub.b.bridge]\n${key} = "LAN"`;
    expect(faults(shared("tap"))[0]).toContain("hub a has tap_lan, too");
    const nic = '[hub.a.bridge]\ndevice = "lan"\n[hub.b.bridge]\ndevice = "lan"';
    expect(readServer(nic).config.hubs.map(({ bridges }) => bridges[0]!.device)).toEqual([
      "lan",
      "lan",
    ]);
  });

  test("a hub has no more than 64", () => {
    const many = Array.from({ length: 65 }, (_, n) => `[[hub.a.bridge]]\ndevice = "eth${n}"`);
    expect(faults(many.join("\n"))[0]).toContain("65 bridges, at most 64 are allowed in a hub");
    expect(bridgesOf(many.slice(1).join("\n")).length).toBe(64);
  });
});

test("diffServerConfig() has a step for each bridge that comes, changes or goes", () => {
  const read = (...bridges: string[]) =>
    readServer(`[hub.a]\n${bridges.map((one) => `[[hub.a.bridge]]\n${one}\n`).join("")}`).config;
  const before = read('device = "eth1"', 'device = "eth2"', 'tap = "x"');
  const after = read('tap = "x"', 'device = "eth1"\nmonitor = true', 'device = "eth3"');
  expect(diffServerConfig(before, after)).toEqual([
    { kind: "bridge_added", hub: "a", device: "eth3" },
    { kind: "bridge_changed", hub: "a", device: "eth1" },
    { kind: "bridge_removed", hub: "a", device: "eth2" },
  ]);
});
