import { describe, expect, test } from "bun:test";
import {
  MAX_FRAGMENTS,
  MAX_REASSEMBLIES_PER_ADDRESS,
  MAX_REASSEMBLY_BYTES,
  REASSEMBLY_MS,
} from "../../src/base/limits.ts";
import { sendCut } from "../../src/ip-host/fragment.ts";
import { noHostDrops } from "../../src/ip-host/host-drops.ts";
import type { PacketQuote } from "../../src/ip-host/icmp-error.ts";
import { PacketView } from "../../src/ip-host/packet-view.ts";
import { Reassembly } from "../../src/ip-host/reassembly.ts";
import { sendPacket } from "../../src/ip-host/send-packet.ts";
import { PACKET_BYTES, reserve } from "../../src/platform/packet-memory.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { aimed, bytesOf, GUEST_MAC, ipFrame, KeptFrames, udpPayload } from "./packets.ts";

const V4 = { source: "192.168.30.10", destination: "203.0.113.9" };
const V6 = { source: "fd00::10", destination: "2001:db8::9" };
const random = seededRandom(7);
const DATA = random.bytes(66_000);
const area = reserve(70_000);

type Part = readonly [offset: number, bytes: number, more: boolean];

function world() {
  const clock = new ManualClock();
  const drops = noHostDrops();
  const quotes: (PacketQuote & { readonly quoted: Uint8Array })[] = [];
  const expired = (quote: PacketQuote) =>
    void quotes.push({ ...quote, quoted: PACKET_BYTES.slice(quote.at, quote.at + quote.bytes) });
  const reassembly = new Reassembly({ clock, drops, expired });
  const view = new PacketView();
  return { clock, drops, quotes, reassembly, view };
}

type World = ReturnType<typeof world>;

/** Gives the payload of the whole as soon as there is one. */
function feed(
  { reassembly, view }: World,
  parts: readonly Part[],
  payload: Uint8Array,
  addresses = V4,
  id = 1,
): Uint8Array | undefined {
  for (const [offset, bytes, more] of parts) {
    const part = payload.slice(offset, offset + bytes);
    const frame = ipFrame({ ...addresses, protocol: 17, payload: part, offset, more, id });
    if (reassembly.receive(aimed(frame, view))) return PACKET_BYTES.slice(view.l4At, view.ipEnd);
  }
  return undefined;
}

function shuffled<T>(items: readonly T[]): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0]!);
}

function partsOf(total: number, size: number): Part[] {
  return Array.from({ length: Math.ceil(total / size) }, (_, n): Part => {
    const bytes = Math.min(size, total - n * size);
    return [n * size, bytes, n * size + bytes < total];
  });
}

describe.each([
  ["IPv4", V4],
  ["IPv6", V6],
])("Reassembly of %s", (_, addresses) => {
  const datagram = udpPayload(addresses, 5000, 53, DATA.subarray(0, 4000));

  test("gives the packet in whatever order its parts come", () => {
    for (let round = 0; round < 20; round += 1) {
      const at = world();
      const parts = shuffled(partsOf(datagram.length, 8 * (1 + random.below(180))));
      expect(feed(at, parts, datagram, addresses)).toEqual(Uint8Array.from(datagram));
      expect([at.view.isFragment, at.view.hasRightSum, at.view.protocol]).toEqual([
        false,
        true,
        17,
      ]);
      expect([at.reassembly.size, at.reassembly.heldBytes, at.clock.pending]).toEqual([0, 0, 0]);
    }
  });

  test("IP-07 the last part before the first", () => {
    const parts = partsOf(datagram.length, 1480).reverse();
    expect(feed(world(), parts, datagram, addresses)).toEqual(Uint8Array.from(datagram));
  });

  test.each<[string, Part[]]>([
    [
      "teardrop: inside another",
      [
        [0, 1000, true],
        [8, 800, true],
      ],
    ],
    [
      "across the end of another",
      [
        [0, 1000, true],
        [992, 1000, true],
      ],
    ],
    [
      "across the beginning of another",
      [
        [1000, 1000, true],
        [8, 1000, true],
      ],
    ],
    [
      "around another",
      [
        [1000, 8, true],
        [0, 4000, true],
      ],
    ],
    [
      "two last ones",
      [
        [2000, 1000, false],
        [3000, 1008, false],
      ],
    ],
    [
      "behind the last one",
      [
        [2000, 1000, false],
        [3000, 1000, true],
      ],
    ],
    [
      "a last one before others",
      [
        [3000, 1000, true],
        [2000, 500, false],
      ],
    ],
  ])("IP-07 %s drops all of the packet, also what comes later", (_name, parts) => {
    const at = world();
    expect(feed(at, parts, datagram, addresses)).toBeUndefined();
    expect(at.drops.fragment).toBe(2);
    expect(feed(at, partsOf(datagram.length, 1480), datagram, addresses)).toBeUndefined();
    // The same identification serves again after its time.
    at.clock.advance(REASSEMBLY_MS);
    expect(feed(at, partsOf(datagram.length, 1480), datagram, addresses)).toEqual(
      Uint8Array.from(datagram),
    );
  });

  test("a part that the network has doubled is no overlap", () => {
    const parts = partsOf(datagram.length, 1480);
    const doubled = parts.slice(0, -1).flatMap((part) => [part, part]);
    expect(feed(world(), [...doubled, parts.at(-1)!], datagram, addresses)).toEqual(
      Uint8Array.from(datagram),
    );
  });

  test("a doubled part with other content is an overlap", () => {
    const at = world();
    feed(at, [[0, 1000, true]], datagram, addresses);
    feed(at, [[0, 1000, true]], DATA, addresses);
    expect(at.drops.fragment).toBe(2);
  });

  test.each<[string, Part]>([
    ["no bytes", [1480, 0, true]],
    ["not a multiple of 8", [0, 1001, true]],
    ["65,535 + 1 bytes", [65_528, 8, false]],
  ])("IP-07 a part of %s is dropped", (_name, part) => {
    const at = world();
    expect(feed(at, [part], DATA, addresses)).toBeUndefined();
    expect([at.drops.fragment, at.reassembly.size]).toEqual([1, 0]);
  });

  test("IP-07 a hole that is never filled is freed after ten seconds, and told if the first part was there", () => {
    const at = world();
    feed(
      at,
      [
        [0, 1000, true],
        [2000, 1000, true],
      ],
      datagram,
      addresses,
      1,
    );
    feed(at, [[1000, 1000, true]], datagram, addresses, 2);
    at.clock.advance(REASSEMBLY_MS - 1);
    expect(at.reassembly.size).toBe(2);
    at.clock.advance(1);
    expect([at.reassembly.size, at.reassembly.heldBytes, at.clock.pending]).toEqual([0, 0, 0]);
    expect(at.drops.fragment).toBe(3);
    expect(at.quotes.length).toBe(1);
    const [{ quoted, toMac }] = at.quotes as [World["quotes"][0]];
    expect(toMac).toBe(GUEST_MAC);
    const frame = ipFrame({ ...addresses, protocol: 17, payload: datagram.slice(0, 1000), id: 1 });
    expect(quoted).toEqual(frame.slice(14));
  });

  test("IP-07 1 address holds 64 packets, the oldest go first", () => {
    const at = world();
    for (let id = 0; id <= MAX_REASSEMBLIES_PER_ADDRESS; id += 1) {
      feed(at, [[0, 1000, true]], datagram, addresses, id);
    }
    expect([at.reassembly.size, at.drops.fragment]).toEqual([MAX_REASSEMBLIES_PER_ADDRESS, 1]);
    expect(feed(at, [[1000, 3008, false]], datagram, addresses, 0)).toBeUndefined();
    expect(feed(at, [[1000, 3008, false]], datagram, addresses, 5)).toEqual(
      Uint8Array.from(datagram),
    );
  });

  test("IP-07 pieces of 8 bytes are bounded in number", () => {
    const at = world();
    const parts = Array.from({ length: MAX_FRAGMENTS + 1 }, (__, n): Part => [n * 16, 8, true]);
    feed(at, parts, DATA, addresses);
    expect(at.drops.fragment).toBeGreaterThan(MAX_FRAGMENTS);
    expect(at.reassembly.heldBytes).toBeLessThan(1000);
  });
});

describe("Reassembly", () => {
  test("IP-07 all addresses together hold 50 MiB", () => {
    const at = world();
    for (let n = 0; n < 1000; n += 1) {
      const source = `10.0.${n >> 8}.${n & 255}`;
      feed(at, [[8, 64_000, true]], DATA, { ...V4, source }, n);
    }
    expect(at.reassembly.heldBytes).toBeGreaterThan(MAX_REASSEMBLY_BYTES - 70_000);
    expect(at.reassembly.heldBytes).toBeLessThanOrEqual(MAX_REASSEMBLY_BYTES);
    at.reassembly.close();
    expect([at.reassembly.heldBytes, at.clock.pending]).toEqual([0, 0]);
  });

  test("packets of other addresses, protocols and identifications are not mixed", () => {
    const at = world();
    const payload = DATA.slice(0, 2000);
    feed(at, [[0, 1000, true]], payload, V4, 1);
    for (const [addresses, id] of [
      [V4, 2],
      [{ ...V4, source: "192.168.30.11" }, 1],
      [{ ...V4, destination: "203.0.113.8" }, 1],
    ] as const) {
      expect(feed(at, [[1000, 1000, false]], payload, addresses, id)).toBeUndefined();
    }
    const other = ipFrame({
      ...V4,
      protocol: 1,
      payload: payload.slice(1000),
      offset: 1000,
      id: 1,
    });
    expect(at.reassembly.receive(aimed(other, at.view))).toBe(false);
    expect(at.reassembly.size).toBe(5);
    expect(feed(at, [[1000, 1000, false]], payload, V4, 1)).toEqual(payload);
  });

  test("an IPv4 packet of 65,535 bytes comes through, one byte more does not", () => {
    for (const [bytes, comes] of [
      [65_515, true],
      [65_516, false],
    ] as const) {
      const at = world();
      const whole = feed(at, partsOf(bytes, 1480), DATA);
      expect(whole?.length).toBe(comes ? bytes : undefined);
      expect(at.drops.fragment).toBe(comes ? 0 : 1);
    }
  });

  test("IPv6: a first part without the header of what it carries is dropped (RFC 7112)", () => {
    const at = world();
    const headers = new Uint8Array(8);
    headers[0] = 17;
    const frame = ipFrame({ ...V6, protocol: 60, payload: headers, more: true });
    expect(at.reassembly.receive(aimed(frame, at.view))).toBe(false);
    expect(at.drops.fragment).toBe(1);
  });

  test("IPv6: an atomic fragment is whole by itself (RFC 6946)", () => {
    const payload = udpPayload(V6, 5000, 53, DATA.subarray(0, 100));
    const view = aimed(ipFrame({ ...V6, protocol: 17, payload, atomic: true }));
    expect([view.isFragment, view.hasRightSum]).toEqual([false, true]);
  });
});

describe("sendPacket() and sendCut()", () => {
  const header = {
    source: { family: 4, bytes: bytesOf(V4.source) },
    destination: { family: 4, bytes: bytesOf(V4.destination) },
    protocol: 17,
    ttl: 64,
  } as const;
  const header6 = {
    ...header,
    source: { family: 6, bytes: bytesOf(V6.source) },
    destination: { family: 6, bytes: bytesOf(V6.destination) },
  } as const;

  function put(payload: Uint8Array) {
    PACKET_BYTES.set(payload, area);
    return { at: area, bytes: payload.length, sum: "udp" } as const;
  }

  test.each([
    ["IPv4", V4, header, 62, 1000],
    ["IPv4", V4, header, 1500, 1472],
    ["IPv4", V4, header, 1500, 1473],
    ["IPv4", V4, header, 1500, 65_507],
    ["IPv6", V6, header6, 1280, 1233],
    ["IPv6", V6, header6, 1500, 1452],
    ["IPv6", V6, header6, 1500, 60_000],
  ])("%s: what is cut comes together again (%#)", (_, addresses, ipHeader, mtu, bytes) => {
    const at = world();
    const cable = new KeptFrames(mtu);
    const datagram = udpPayload(addresses, 5000, 53, DATA.subarray(0, bytes));
    expect(sendPacket(cable.link, GUEST_MAC, ipHeader, put(datagram))).toBe(true);
    const frames = cable.take();
    const headerBytes = addresses === V4 ? 20 : 40;
    const isWhole = headerBytes + datagram.length <= mtu;
    expect(frames.length === 1).toBe(isWhole);
    for (const frame of frames) expect(frame.length).toBeLessThanOrEqual(mtu + 14);
    for (const [index, frame] of frames.entries()) {
      const view = aimed(frame, at.view);
      const comes = isWhole || at.reassembly.receive(view);
      expect(comes).toBe(index === frames.length - 1);
    }
    expect(PACKET_BYTES.slice(at.view.l4At, at.view.ipEnd)).toEqual(Uint8Array.from(datagram));
    expect(at.view.hasRightSum).toBe(true);
  });

  test("the payload of each fragment is the largest multiple of 8 (hub.md 11.1)", () => {
    const cable = new KeptFrames(1499);
    sendPacket(cable.link, GUEST_MAC, header, put(DATA.slice(0, 4000)));
    expect(cable.takePackets().map(({ length }) => length - 20)).toEqual([1472, 1472, 1056]);
  });

  test("larger than a packet can be is refused", () => {
    const cable = new KeptFrames();
    expect(sendPacket(cable.link, GUEST_MAC, header, put(DATA.slice(0, 65_516)))).toBe(false);
    expect(sendPacket(cable.link, GUEST_MAC, header6, put(DATA.slice(0, 65_536)))).toBe(false);
    expect(cable.take()).toEqual([]);
  });

  test("a fragment that is cut again keeps its place, and later parts only the options that are copied", () => {
    const cable = new KeptFrames(500);
    const payload = DATA.slice(0, 960);
    const plain = ipFrame({ ...V4, protocol: 17, payload, offset: 1480, more: true, id: 9 });
    // Record route (7) stays behind, router alert (148) goes along.
    const options = [7, 3, 4, 148, 4, 0, 0, 0];
    const frame = Uint8Array.from([...plain.slice(0, 34), ...options, ...payload]);
    frame[14] = 0x47;
    new DataView(frame.buffer).setUint16(16, 28 + payload.length);
    PACKET_BYTES.set(frame, area);
    sendCut(cable.link, GUEST_MAC, area + 14, area + frame.length);
    const sent = cable.take();
    const views = sent.map((each) => {
      const view = aimed(each, new PacketView());
      return [view.fragmentOffset, view.hasMoreFragments, view.fragmentId, view.ipEnd - view.l4At];
    });
    expect(views).toEqual([
      [1480, true, 9, 472],
      [1952, true, 9, 472],
      [2424, true, 9, 16],
    ]);
    expect(sent.map((each) => Array.from(each.subarray(34, 42)))).toEqual([
      options,
      [1, 1, 1, 148, 4, 0, 0, 0],
      [1, 1, 1, 148, 4, 0, 0, 0],
    ]);
  });
});

test("Reassembly holds its bounds whatever comes (fuzz)", () => {
  const at = world();
  const chance = seededRandom(20_261_122);
  for (let n = 0; n < 20_000; n += 1) {
    const addresses = chance.below(2) === 0 ? V4 : V6;
    const offset = 8 * chance.below(chance.below(8) === 0 ? 8192 : 20);
    const bytes = chance.below(10) === 0 ? chance.below(1400) : 8 * (1 + chance.below(20));
    const start = chance.below(2000);
    const payload = DATA.subarray(start, start + bytes);
    const more = chance.below(3) > 0;
    const id = chance.below(100);
    const frame = ipFrame({ ...addresses, protocol: 17, payload, offset, more, id });
    PACKET_BYTES.set(frame, area);
    if (at.view.aim(area, area + frame.length) !== undefined || !at.view.isFragment) continue;
    if (at.reassembly.receive(at.view)) {
      const whole: PacketView = at.view;
      expect(whole.isFragment).toBe(false);
      expect(at.view.ipEnd - at.view.ipAt).toBeLessThanOrEqual(65_575);
    }
    if (chance.below(50) === 0) at.clock.advance(chance.below(1000));
    expect(at.reassembly.size).toBeLessThanOrEqual(2 * MAX_REASSEMBLIES_PER_ADDRESS);
  }
  at.clock.advance(REASSEMBLY_MS);
  expect([at.reassembly.size, at.reassembly.heldBytes, at.clock.pending]).toEqual([0, 0, 0]);
});
