import { afterEach, describe, expect, test } from "bun:test";
import { formatAddress } from "../../src/base/ip.ts";
import { formatMac, type MacAddress } from "../../src/base/mac.ts";
import { bytesOf, echoPayload, icmpv6Packet, ipFrame } from "../ip-host/packets.ts";
import { fromHex } from "../support/hex.ts";
import { concatBytes } from "../support/layers.ts";
import { etherFrame, type Host, isReport, L3World, seen, switchConfig } from "./world.ts";

const BOTH =
  'interface = { a = ["10.1.0.254/24", "fd00:1::fe/64"], b = ["10.2.0.254/24", "fd00:2::fe/64"] }';
const ALL_NODES_MAC = 0x3333_0000_0001 as MacAddress;
const QUERY = fromHex(`8200000003e80000${"00".repeat(16)}00000000`);

let world = new L3World();
afterEach(() => {
  world.close();
  expect(world.clock.pending).toBe(0);
  world = new L3World();
});

/** A switch that starts while a host listens. */
function open(text = BOTH) {
  const host = world.host("a", "fd00:1::1");
  const l3 = world.start(switchConfig(text));
  const [own] = l3.interfaces;
  host.gateway = own!.mac;
  return { l3, host, own: own! };
}

/** A record a line: what is said, and of which group. */
const reports = (host: Host) =>
  host.port
    .take()
    .filter(isReport)
    .map((frame) => {
      const packet = frame.subarray(14);
      const count = (packet[54]! << 8) | packet[55]!;
      const group = (at: number) => formatAddress(packet.subarray(at + 4, at + 20));
      return Array.from(
        { length: count },
        (_, n) => `${packet[56 + 20 * n]} ${group(56 + 20 * n)}`,
      );
    });

describe("L3Switch as a listener of groups (RFC 3810)", () => {
  const groupsOf = (linkLocal: Uint8Array) => [
    "ff02::2",
    `ff02::1:ff${linkLocal.subarray(13).toHex().replace(/^(..)/, "$1:")}`,
    "ff02::1:ff00:fe",
  ];
  const said = (record: number, own: { readonly linkLocal: { readonly bytes: Uint8Array } }) =>
    groupsOf(own.linkLocal.bytes).map((group) => `${record} ${group}`);

  function query(host: Host, to = ALL_NODES_MAC, ttl = 1, isAlert = true) {
    const plain = icmpv6Packet({ source: "fe80::9", destination: "ff02::1", ttl }, QUERY);
    if (!isAlert) return etherFrame(to, host.mac, plain);
    const packet = concatBytes(
      plain.subarray(0, 40),
      fromHex("3a00050200000100"),
      plain.subarray(40),
    );
    packet[5]! += 8;
    packet[6] = 0;
    return etherFrame(to, host.mac, packet);
  }

  test("an interface reports its groups twice at the start, and that it leaves them at the end", () => {
    const { l3, host, own } = open();
    expect(reports(host)).toEqual([said(4, own)]);
    world.advance(1_000);
    expect(reports(host)).toEqual([said(4, own)]);
    l3.close();
    expect(reports(host)).toEqual([said(3, own)]);
  });

  test("answers a query once within the time that it gives, to all or to itself", () => {
    const { host, own } = open();
    world.advance(1_000);
    reports(host);
    for (const to of [ALL_NODES_MAC, host.gateway]) {
      for (let n = 0; n < 20; n += 1) host.sendFrames(query(host, to));
      expect(reports(host)).toEqual([]);
      world.advance(1_000);
      expect(reports(host)).toEqual([said(2, own)]);
    }
    host.sendFrames(query(host, ALL_NODES_MAC, 64), query(host, ALL_NODES_MAC, 1, false));
    world.advance(10_000);
    expect([reports(host), own.drops.header]).toEqual([[], 2]);
  });

  test("an interface that a reload adds reports, those that stay do not again, and one of IPv4 never", () => {
    const { l3, host } = open('interface = { a = ["10.1.0.254/24", "fd00:1::fe/64"] }');
    const other = world.host("b", "fd00:2::1");
    const third = world.host("c", "fd00:3::1");
    world.advance(1_000);
    reports(host);
    const next = `${BOTH.slice(0, -1)}, c = "10.3.0.254/24" }`;
    for (const one of l3.reconfigure(switchConfig(next)).added) world.plug(one);
    l3.begin();
    expect(reports(other)).toEqual([said(4, l3.interfaces[1]!)]);
    world.advance(10_000);
    expect([reports(host), reports(third)]).toEqual([[], []]);
    l3.reconfigure(switchConfig('interface = { b = ["10.2.0.254/24", "fd00:2::fe/64"] }'));
    expect(reports(host)[0]![0]).toBe("3 ff02::2");
  });
});

describe("L3Switch and all nodes of a link", () => {
  const ask = (
    host: Host,
    source: string,
    of: { to?: string; type?: number; change?: number } = {},
  ) => {
    const ends = { source, destination: of.to ?? "ff02::1" };
    const payload = echoPayload(ends, 7, 9, Uint8Array.of(1), of.type);
    payload[8]! += of.change ?? 0;
    const packet = ipFrame({ ...ends, protocol: 58, payload }).subarray(14);
    return etherFrame(ALL_NODES_MAC, host.mac, packet);
  };

  test("an echo request is answered from the address of its scope", () => {
    const { host, own } = open();
    host.take();
    for (const [source, expected] of [
      ["fe80::9", own.linkLocal.bytes],
      ["fd00:1::1", bytesOf("fd00:1::fe")],
    ] as const) {
      host.sendFrames(ask(host, source));
      const [answer, ...more] = host.take();
      expect(more).toEqual([]);
      expect(seen(answer!)).toMatchObject({ to: formatMac(host.mac), ttl: 255 });
      expect([22, 38].map((at) => answer!.subarray(at, at + 16).toHex())).toEqual([
        expected.toHex(),
        bytesOf(source).toHex(),
      ]);
      const back = { source: formatAddress(expected), destination: source };
      expect(answer!.subarray(54)).toEqual(echoPayload(back, 7, 9, Uint8Array.of(1), 129));
    }
  });

  test("other groups and messages, broken ones and those of its own addresses get none", () => {
    const { host, own } = open();
    host.take();
    host.sendFrames(
      ask(host, host.ip, { to: "ff02::fb" }),
      ask(host, host.ip, { type: 129 }),
      ask(host, host.ip, { change: 1 }),
      ask(host, "::"),
      ask(host, "fd00:2::fe"),
      ask(host, formatAddress(own.linkLocal.bytes)),
    );
    expect([host.take(), own.drops.checksum, own.drops.martian]).toEqual([[], 1, 3]);
  });

  test("answers to all, or to who asks all, are 32 a second for one host", () => {
    const { host, own } = open();
    world.advance(3_000);
    host.take();
    host.sendFrames(...Array.from({ length: 40 }, () => ask(host, host.ip)));
    expect([host.take().length, own.drops.limit]).toEqual([32, 8]);
    world.advance(1_000);
    const body = fromHex(`8700000000000000${bytesOf("fd00:1::fe").toHex()}`);
    const isFree = icmpv6Packet({ source: "::", destination: "ff02::1:ff00:fe" }, body);
    const frame = etherFrame(0x3333_ff00_00fe as MacAddress, host.mac, isFree);
    host.port.take();
    host.sendFrames(...Array.from({ length: 40 }, () => frame));
    expect([host.port.take().length, own.drops.limit]).toEqual([32, 16]);
  });
});
