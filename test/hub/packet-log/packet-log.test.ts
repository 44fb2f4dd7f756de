import { describe, expect, test } from "bun:test";
import { PACKET_LOG_BYTES } from "../../../src/base/limits.ts";
import {
  DEFAULT_PACKET_LEVELS,
  formatPacket,
  NO_PACKETS,
  type PacketKind,
} from "../../../src/observe/packet-record.ts";
import { ethernet, ipv4Packet, tcpSegment, udpDatagram } from "../../support/layers.ts";
import { packetLogFrames } from "../../support/packet-log-frames.ts";
import vectors from "../../vectors/packet-log/lines.json";
import { EVERY_BYTE, EVERY_KIND, PacketWorld } from "./world.ts";

const NO_BYTES = new Uint8Array(0);
const FRAMES = new Map(packetLogFrames().map((frame) => [frame.name, frame]));
const SYN = FRAMES.get("SYN")!.bytes;
const GET = FRAMES.get("GET")!.bytes;
const ARP = FRAMES.get("ARP request")!.bytes;
const ARP_REPLY = FRAMES.get("ARP reply")!.bytes;
const NS = FRAMES.get("neighbour solicitation")!.bytes;

/** A frame that the reference takes for broken and drops; this hub carries it on. */
const CARRIED = "cut TCP";

function sendAll(world: PacketWorld): void {
  for (const { from, frame } of vectors.frames) {
    world.send(from === "left" ? world.left : world.right, Uint8Array.fromHex(frame));
  }
}

test("packetLogFrames() makes the frames of the vectors", () => {
  expect([...FRAMES.values()].map(({ name, bytes }) => [name, bytes.toHex()])).toEqual(
    vectors.frames.map(({ name, frame }) => [name, frame]),
  );
});

describe("the packet log of a hub writes what the reference has written", () => {
  test("of each kind of frame", () => {
    const world = new PacketWorld(EVERY_KIND);
    sendAll(world);
    const lines = new Map(vectors.frames.map(({ name }, i) => [name, world.lines()[i]]));
    for (const { name, line } of vectors.frames) {
      if (name === CARRIED) expect(lines.get(name)).toContain(",IPv4(0x06),");
      else expect(lines.get(name)).toBe(line!);
    }
  });

  test("with all bytes of a frame in the column of data", () => {
    const world = new PacketWorld(EVERY_BYTE);
    sendAll(world);
    const lines = world.lines();
    for (const [i, { name, line, frame }] of vectors.frames.entries()) {
      if (name === CARRIED) continue;
      const columns = line!.split(",");
      columns[15] = frame.toUpperCase();
      expect(lines[i]).toBe(columns.join(","));
    }
  });

  test("with the settings of a new hub", () => {
    const world = new PacketWorld(DEFAULT_PACKET_LEVELS);
    sendAll(world);
    const kept = vectors.frames.filter(({ isKeptByDefault }) => isKeptByDefault);
    expect(world.lines()).toEqual(kept.map(({ line }) => line!));
  });
});

const ONE_KIND: readonly (readonly [PacketKind, string])[] = [
  ["tcpconn", "SYN"],
  ["tcpdata", "bare ACK"],
  ["dhcp", "DHCP request"],
  ["udp", "UDP"],
  ["icmp", "ICMP echo request"],
  ["ip", "GRE"],
  ["arp", "ARP request"],
  ["ether", "another EtherType"],
];
test.each(ONE_KIND)(
  "the kind %s alone keeps %s, and none of the others keeps that",
  (kind, name) => {
    const { bytes } = FRAMES.get(name)!;
    const kept = (levels: Partial<Record<PacketKind, 1>>) => {
      const world = new PacketWorld({ ...NO_PACKETS, ...levels });
      world.send(world.left, bytes);
      return world.lines().length;
    };
    expect(kept({ [kind]: 1 })).toBe(1);
    const wider: readonly PacketKind[] = ["ip", "ether", "udp"];
    const others = ONE_KIND.filter(([other]) => other !== kind && !wider.includes(other));
    expect(kept(Object.fromEntries(others.map(([other]) => [other, 1])))).toBe(
      kind === "tcpconn" ? 1 : 0,
    );
  },
);

describe("options of the hub", () => {
  test("NoIPv4PacketLog keeps IPv4 and ARP out, NoIPv6PacketLog keeps IPv6 out", () => {
    for (const [option, kept] of [
      ["NoIPv4PacketLog", ["ICMPv6"]],
      ["NoIPv6PacketLog", ["ARPv4", "TCP_CONNECTv4"]],
    ] as const) {
      const world = new PacketWorld(EVERY_KIND, { [option]: 1 });
      world.send(world.left, ARP, SYN, NS);
      world.lines();
      expect(world.records.map(({ kind }) => kind)).toEqual([...kept]);
      expect(world.right.frames).toHaveLength(3);
    }
  });

  test("DisableHttpParsing leaves requests unread", () => {
    const quiet = new PacketWorld(DEFAULT_PACKET_LEVELS, { DisableHttpParsing: 1 });
    quiet.send(quiet.left, GET);
    expect(quiet.lines()).toEqual([]);
    const world = new PacketWorld(EVERY_KIND, { DisableHttpParsing: 1 });
    world.send(world.left, GET);
    world.lines();
    expect(world.records[0]?.note).toBe("WindowSize=64240");
  });

  test("NoPhysicalIPOnPacketLog leaves two columns out", () => {
    const world = new PacketWorld(EVERY_KIND, { NoPhysicalIPOnPacketLog: 1 });
    world.send(world.left, ARP);
    expect(world.lines()[0]?.split(",")).toHaveLength(16);
  });

  test("MaxLoggedPacketsPerMinute drops what comes on top, of sessions from outside, until the minute is over", () => {
    const world = new PacketWorld(EVERY_KIND, { MaxLoggedPacketsPerMinute: 2 });
    world.send(world.left, ARP, ARP, ARP);
    expect(world.right.frames).toHaveLength(2);
    expect(world.lines()).toHaveLength(2);
    expect(world.hub.totals().drops).toEqual({ packet_log_limit: 1 });
    const bridge = world.attach("SID-LOCALBRIDGE-3", undefined, "local-bridge");
    const other = ethernet("ffffffffffff", "020000000003", 0x88b5, new Uint8Array(8));
    world.send(bridge, other, other, other);
    expect(world.lines()).toHaveLength(5);
    // A change of rules does not give a session another minute.
    world.hub.reconfigure({ ...world.hub.settings });
    world.send(world.left, ARP);
    expect(world.lines()).toHaveLength(5);
    world.clock.advance(60_000);
    world.send(world.left, ARP);
    expect(world.lines()).toHaveLength(6);
  });
});

describe("the frame path", () => {
  test("never waits: lines are made in a later turn, and frames for which there is no room are lost and counted", () => {
    const world = new PacketWorld(EVERY_BYTE);
    const large = ethernet("020000000002", "020000000001", 0x88b5, new Uint8Array(1486));
    const most = Math.floor(PACKET_LOG_BYTES / large.length);
    world.send(world.left, ...Array.from({ length: most + 10 }, () => large));
    expect(world.right.frames).toHaveLength(most + 10);
    expect(world.records).toHaveLength(0);
    expect(world.lines()).toHaveLength(most);
    expect(world.lost).toBe(10);
    world.send(world.left, large);
    expect(world.lines()).toHaveLength(most + 1);
  });

  test("leaves no timer behind, and no line out, when the hub closes", () => {
    const world = new PacketWorld(EVERY_KIND);
    world.send(world.left, ARP);
    // A session that is closed may have a last word, while others are still there.
    const { left, right } = world;
    left.close = () => world.send(right, ARP);
    world.hub.close();
    expect(world.records).toHaveLength(1);
    expect(world.lost).toBe(1);
    expect(world.clock.pending).toBe(0);
  });

  test("catches nothing while nobody would read it", () => {
    const world = new PacketWorld(EVERY_KIND);
    world.isOpen = false;
    world.send(world.left, ARP);
    expect(world.lines()).toEqual([]);
    world.isOpen = true;
    world.send(world.left, ARP);
    expect(world.lines()).toHaveLength(1);
  });
});

test("a name that passed by cannot make a line, nor a column", () => {
  const world = new PacketWorld(EVERY_KIND);
  const label = "a\r\n2026-01-01,x";
  const question = new Uint8Array([
    ...Uint8Array.fromHex("123401000001000000000000"),
    label.length,
    ...new TextEncoder().encode(label),
    ...Uint8Array.fromHex("0000010001"),
  ]);
  const packet = ipv4Packet("192.0.2.1", "192.0.2.2", 17, udpDatagram(40_000, 53, question));
  world.send(world.left, ethernet("020000000002", "020000000001", 0x0800, packet));
  const [line] = world.lines();
  expect(line).toContain("a\\u000d\\u000a2026-01-01_x");
  expect(line?.split(",")).toHaveLength(18);
});

test("frames cut at any length, or with any byte changed, are carried on and leave a line each", () => {
  const world = new PacketWorld(EVERY_KIND);
  let count = 0;
  for (const { bytes } of FRAMES.values()) {
    for (let size = 14; size < bytes.length; size += 3) {
      world.send(world.left, bytes.slice(0, size));
      count += 1;
    }
    for (let at = 14; at < bytes.length; at += 5) {
      const changed = bytes.slice();
      changed[at]! ^= 0xff;
      world.send(world.left, changed);
      count += 1;
    }
    world.lines();
  }
  expect(world.records.length + dropped(world)).toBe(count);
});

function dropped(world: PacketWorld): number {
  return Object.values(world.hub.totals().drops).reduce((sum, drops) => sum + drops, 0);
}

test("formatPacket() gives one JSON object without what is not there", () => {
  const world = new PacketWorld(EVERY_KIND);
  world.send(world.right, ARP_REPLY);
  world.send(world.left, SYN);
  world.lines();
  const [arp, syn] = world.records.map(
    (record) => JSON.parse(formatPacket(record, "TEST", "json", () => undefined)) as unknown,
  );
  expect(arp).toMatchObject({ event: "packet", hub: "TEST", kind: "ARPv4", sub_kind: "Response" });
  expect(syn).toEqual({
    time: new Date(world.records[1]!.wall).toISOString(),
    event: "packet",
    hub: "TEST",
    from: "SID-LEFT-1",
    to: "SID-RIGHT-2",
    from_mac: "020000000001",
    to_mac: "020000000002",
    type: "0x0800",
    size: 54,
    kind: "TCP_CONNECTv4",
    sub_kind: "SYN",
    from_ip: "192.0.2.1",
    from_port: 40_000,
    to_ip: "192.0.2.2",
    to_port: 80,
    seq: 3_000_000_001,
    ack: 4_000_000_002,
    note: "WindowSize=64240",
    from_address: "10.9.0.2",
    to_address: "10.9.1.2",
  });
});

test("a TLS greeting that goes on in the next segment still tells its server", () => {
  const whole = FRAMES.get("ClientHello")!.bytes;
  const cut = whole.slice(0, whole.length);
  // The record says that 200 bytes more follow.
  cut[57] = 0;
  cut[58]! += 200;
  const world = new PacketWorld(DEFAULT_PACKET_LEVELS);
  world.send(world.left, cut);
  world.lines();
  expect(world.records[0]?.note).toContain("HttpUrl=https://sni.example.com/");
});

test("segments of a running stream leave no line by default", () => {
  const world = new PacketWorld(DEFAULT_PACKET_LEVELS);
  const segment = tcpSegment(40_000, 443, 0x18, new Uint8Array(1000).fill(0x17));
  const packet = ipv4Packet("192.0.2.1", "192.0.2.2", 6, segment);
  const ack = ipv4Packet("192.0.2.1", "192.0.2.2", 6, tcpSegment(443, 40_000, 0x10, NO_BYTES));
  world.send(world.left, ethernet("020000000002", "020000000001", 0x0800, packet));
  world.send(world.left, ethernet("020000000002", "020000000001", 0x0800, ack));
  expect(world.lines()).toEqual([]);
});
