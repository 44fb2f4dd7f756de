import { describe, expect, test } from "bun:test";
import type { MacAddress } from "../../src/base/mac.ts";
import { noHostDrops } from "../../src/ip-host/host-drops.ts";
import { outbox } from "../../src/ip-host/outbox.ts";
import type { PacketView } from "../../src/ip-host/packet-view.ts";
import { type PacketHandler, SoftwarePort } from "../../src/ip-host/software-port.ts";
import { PACKET_BASE, PACKET_BYTES, PACKET_VIEW } from "../../src/platform/packet-memory.ts";
import { finishChecksum, sumWords } from "../../src/wire/checksum.ts";
import { ArrayPort, runOf } from "../support/array-port.ts";
import { bytesOf, GUEST_MAC, HOST_MAC, ipFrame, udpPayload } from "./packets.ts";

const V4 = { source: "192.168.30.10", destination: "198.51.100.1" };
const V6 = { source: "fd00::10", destination: "2001:db8::1" };

interface Seen {
  readonly version: number;
  readonly protocol: number;
  readonly isMerged: boolean;
  readonly hasRightSum: boolean;
  readonly payload: Uint8Array;
}

/** Keeps what it is shown. */
class Witness implements PacketHandler {
  readonly mac: MacAddress = HOST_MAC;
  readonly packets: Seen[] = [];
  readonly arps: Uint8Array[] = [];
  handledTimes = 0;
  onPacket: (packet: PacketView) => void = () => undefined;

  packet(packet: PacketView): void {
    this.packets.push({
      version: packet.version,
      protocol: packet.protocol,
      isMerged: packet.isMerged,
      hasRightSum: packet.hasRightSum,
      payload: payloadOf(packet),
    });
    this.onPacket(packet);
  }

  arp(_frameAt: number, at: number, end: number): void {
    this.arps.push(PACKET_BYTES.slice(at, end));
  }

  handled(): void {
    this.handledTimes += 1;
  }
}

function payloadOf(packet: PacketView): Uint8Array {
  const parts: number[] = [];
  for (let vector = 0; vector < packet.vectors; vector += 1) {
    const at = packet.vectorAt + vector * 16;
    const address = PACKET_VIEW.getUint32(at, true) + PACKET_VIEW.getUint32(at + 4, true) * 2 ** 32;
    const from = address - PACKET_BASE;
    parts.push(...PACKET_BYTES.subarray(from, from + PACKET_VIEW.getUint32(at + 8, true)));
  }
  return Uint8Array.from(parts);
}

function open() {
  const witness = new Witness();
  const drops = noHostDrops();
  const port = new SoftwarePort("host", witness, { drops });
  const give = (...frames: Uint8Array[]) => {
    port.deliver(runOf(frames));
    port.flush();
  };
  return { witness, drops, port, give };
}

/** A TCP segment with ACK and PSH if told, its checksum right unless told. */
function segment(
  ends: typeof V4,
  of: {
    readonly sequence: number;
    readonly payload: Uint8Array;
    readonly flags?: number;
    readonly id?: number;
    readonly isWrong?: boolean;
  },
): Uint8Array {
  const tcp = new Uint8Array(20 + of.payload.length);
  const view = new DataView(tcp.buffer);
  view.setUint16(0, 50_000);
  view.setUint16(2, 80);
  view.setUint32(4, of.sequence);
  view.setUint32(8, 77);
  tcp[12] = 0x50;
  tcp[13] = of.flags ?? 0x10;
  view.setUint16(14, 1000);
  tcp.set(of.payload, 20);
  const [from, to] = [bytesOf(ends.source), bytesOf(ends.destination)];
  const pseudo = sumWords(from, 0, from.length, sumWords(to, 0, to.length, 6 + tcp.length));
  view.setUint16(16, finishChecksum(sumWords(tcp, 0, tcp.length, pseudo)) ^ (of.isWrong ? 1 : 0));
  return ipFrame({ ...ends, protocol: 6, payload: tcp, id: of.id ?? 0, dontFragment: true });
}

function filled(bytes: number, from: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => (from + at) & 255);
}

describe("SoftwarePort", () => {
  for (const [name, ends] of Object.entries({ V4, V6 })) {
    test(`shows consecutive segments of a ${name} flow as one packet with all their payload`, () => {
      const { witness, give } = open();
      const all = filled(3000, 7);
      give(
        segment(ends, { sequence: 1, payload: all.subarray(0, 1000) }),
        segment(ends, { sequence: 1001, payload: all.subarray(1000, 2000) }),
        segment(ends, { sequence: 2001, payload: all.subarray(2000) }),
      );
      expect(witness.packets).toHaveLength(1);
      expect(witness.packets[0]).toMatchObject({ isMerged: true, hasRightSum: true, protocol: 6 });
      expect(witness.packets[0]!.payload).toEqual(all);
    });
  }

  test("shows a single segment with the same vector as merged ones", () => {
    const { witness, give } = open();
    give(segment(V4, { sequence: 5, payload: filled(10, 1), flags: 0x18 }));
    expect(witness.packets[0]).toMatchObject({ isMerged: false, hasRightSum: true });
    expect(witness.packets[0]!.payload).toEqual(filled(10, 1));
  });

  test("never merges a segment whose checksum is wrong, and tells that it is", () => {
    const { witness, give } = open();
    give(
      segment(V4, { sequence: 1, payload: filled(100, 0) }),
      segment(V4, { sequence: 101, payload: filled(100, 0), isWrong: true }),
      segment(V4, { sequence: 201, payload: filled(100, 0) }),
    );
    expect(witness.packets.map(({ hasRightSum }) => hasRightSum)).toEqual([true, false, true]);
  });

  test("passes over frames for other stations, and counts tags, other protocols and runts", () => {
    const { witness, drops, give } = open();
    const payload = udpPayload(V4, 1000, 2000, filled(4, 0));
    give(ipFrame({ ...V4, protocol: 17, payload, toMac: GUEST_MAC }));
    const tagged = ipFrame({ ...V4, protocol: 17, payload });
    tagged.set([0x81, 0x00], 12);
    const other = ipFrame({ ...V4, protocol: 17, payload });
    other.set([0x88, 0xcc], 12);
    give(tagged, other, new Uint8Array(10));
    expect(witness.packets).toEqual([]);
    expect(drops).toMatchObject({ tagged: 1, protocol: 1, frame_length: 1 });
  });

  test("drains what the handler sends after it has seen all, in the order it was sent", () => {
    const { witness, give, port } = open();
    const hub = new ArrayPort("hub");
    port.plug(hub);
    const link = { mac: HOST_MAC, sink: hub, mtu: 1500 };
    let deliveredEarly = 0;
    let sent = 0;
    witness.onPacket = () => {
      deliveredEarly += hub.frames.length;
      const at = outbox.begin(link, GUEST_MAC, 0x0800, 1);
      PACKET_BYTES[at] = sent++;
      outbox.end(1);
      outbox.drain();
    };
    const payload = udpPayload(V4, 1000, 2000, filled(4, 0));
    const frame = ipFrame({ ...V4, protocol: 17, payload });
    give(frame, frame, frame);
    expect(deliveredEarly).toBe(0);
    expect(hub.frames.map((each) => each[14])).toEqual([0, 1, 2]);
    expect(hub.flushes).toBe(1);
    expect(witness.handledTimes).toBe(1);
  });

  test("lets the host before it handle what it has when both are given frames in one event", () => {
    const first = open();
    const second = open();
    const payload = udpPayload(V4, 1000, 2000, filled(4, 0));
    const run = runOf([ipFrame({ ...V4, protocol: 17, payload })]);
    first.port.deliver(run);
    second.port.deliver(run);
    first.port.deliver(run);
    first.port.flush();
    second.port.flush();
    expect(first.witness.packets).toHaveLength(2);
    expect(second.witness.packets).toHaveLength(1);
  });

  test("takes runs that are larger than what it gathers", () => {
    const { witness, give } = open();
    const payload = udpPayload(V4, 1000, 2000, filled(1400, 0));
    give(...Array.from({ length: 300 }, () => ipFrame({ ...V4, protocol: 17, payload })));
    expect(witness.packets).toHaveLength(300);
  });

  test("counts what comes after it was closed", () => {
    const { drops, give, port, witness } = open();
    port.close({ code: "test" });
    give(ipFrame({ ...V4, protocol: 17, payload: udpPayload(V4, 1, 2, filled(1, 0)) }));
    expect(drops.port_closed).toBe(1);
    expect(witness.packets).toEqual([]);
  });
});
