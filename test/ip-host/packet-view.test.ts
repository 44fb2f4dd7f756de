import { describe, expect, test } from "bun:test";
import { PacketView } from "../../src/ip-host/packet-view.ts";
import { PACKET_BYTES, reserve } from "../../src/platform/packet-memory.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { ipFrame, type PacketParts, udpPayload } from "./packets.ts";

const V4 = { source: "192.168.30.10", destination: "198.51.100.1" };
const V6 = { source: "fd00::10", destination: "2001:db8::1" };
const at = reserve(2048);

function look(frame: Uint8Array) {
  PACKET_BYTES.set(frame, at);
  const view = new PacketView();
  return { view, fault: view.aim(at, at + frame.length) };
}

function datagram(ends: typeof V4, more: Partial<PacketParts> = {}): Uint8Array {
  const payload = udpPayload(ends, 1000, 2000, Uint8Array.of(1, 2, 3));
  return ipFrame({ ...ends, protocol: 17, payload, ...more });
}

/** Changes bytes of an IPv4 header and makes its checksum right again. */
function changed(frame: Uint8Array, change: (ip: Uint8Array) => void): Uint8Array {
  const ip = frame.subarray(14);
  change(ip);
  const headerBytes = Math.max(20, (ip[0]! & 15) * 4);
  ip.set([0, 0], 10);
  const sum = internetChecksum(ip, 0, Math.min(headerBytes, ip.length));
  ip.set([sum >>> 8, sum & 255], 10);
  return frame;
}

/** The frame with bytes put behind the IPv4 header as options. */
function withOptions(options: readonly number[]): Uint8Array {
  const plain = datagram(V4);
  const frame = new Uint8Array(plain.length + options.length);
  frame.set(plain.subarray(0, 34));
  frame.set(options, 34);
  frame.set(plain.subarray(34), 34 + options.length);
  return changed(frame, (ip) => {
    ip[0] = 0x45 + options.length / 4;
    ip[2] = (ip.length >>> 8) & 255;
    ip[3] = ip.length & 255;
  });
}

function withHeaders(first: number, headers: readonly (readonly number[])[]): Uint8Array {
  const plain = datagram(V6);
  const bytes = headers.flat();
  const frame = new Uint8Array(plain.length + bytes.length);
  frame.set(plain.subarray(0, 54));
  frame.set(bytes, 54);
  frame.set(plain.subarray(54), 54 + bytes.length);
  new DataView(frame.buffer).setUint16(18, frame.length - 54);
  frame[20] = first;
  return frame;
}

describe("PacketView", () => {
  test("finds the parts of a packet of either version", () => {
    for (const [ends, version, l4] of [
      [V4, 4, 34],
      [V6, 6, 54],
    ] as const) {
      const { view, fault } = look(datagram(ends));
      expect(fault).toBeUndefined();
      expect(view).toMatchObject({ version, l4At: at + l4, protocol: 17, ttl: 64 });
      expect(view.hasRightSum).toBe(true);
      PACKET_BYTES[view.l4At + 9]! ^= 1;
      expect(view.hasRightSum).toBe(false);
    }
  });

  test("takes padding for none of the packet", () => {
    const frame = datagram(V4);
    const padded = new Uint8Array(60);
    padded.set(frame);
    const { view, fault } = look(padded);
    expect(fault).toBeUndefined();
    expect(view.ipEnd - view.ipAt).toBe(frame.length - 14);
  });

  test("IP-04: refuses wrong versions and lengths", () => {
    const faults: readonly ((ip: Uint8Array) => void)[] = [
      (ip) => void (ip[0] = 0x55),
      (ip) => void (ip[0] = 0x44),
      (ip) => void (ip[3] = 19),
      (ip) => void (ip[2] = 9),
    ];
    for (const change of faults) expect(look(changed(datagram(V4), change)).fault).toBe("header");
    for (let length = 14; length < 34; length += 1) {
      expect(look(datagram(V4).subarray(0, length)).fault).toBe("header");
    }
    for (let length = 14; length < 54; length += 1) {
      expect(look(datagram(V6).subarray(0, length)).fault).toBe("header");
    }
  });

  test("IP-05: refuses a source route and skips all other options", () => {
    expect(look(withOptions([131, 3, 4, 0])).fault).toBe("source_route");
    expect(look(withOptions([1, 137, 3, 4])).fault).toBe("source_route");
    const recordRoute = look(withOptions([7, 39, 4, ...Array.from({ length: 36 }, () => 0), 0]));
    expect(recordRoute.fault).toBeUndefined();
    expect(recordRoute.view.hasRightSum).toBe(true);
    expect(look(withOptions([7, 0, 0, 0])).fault).toBe("header");
    expect(look(withOptions([7, 5, 0, 0])).fault).toBe("header");
  });

  test("IP-06: refuses a wrong header checksum", () => {
    const frame = datagram(V4);
    frame[25]! ^= 1;
    expect(look(frame).fault).toBe("checksum");
  });

  test("IP-08: refuses a TTL of 0 and takes 1 and 255", () => {
    for (const ends of [V4, V6]) {
      expect(look(datagram(ends, { ttl: 0 })).fault).toBe("ttl_zero");
      expect(look(datagram(ends, { ttl: 1 })).fault).toBeUndefined();
      expect(look(datagram(ends, { ttl: 255 })).fault).toBeUndefined();
    }
  });

  test("IP-09: refuses sources that nobody can have", () => {
    for (const source of ["255.255.255.255", "224.0.0.1", "127.0.0.1", "0.1.2.3", "240.0.0.1"]) {
      expect(look(datagram({ ...V4, source })).fault).toBe("martian");
    }
    expect(look(datagram({ ...V4, source: V4.destination })).fault).toBe("martian");
    expect(look(datagram({ ...V4, source: "0.0.0.0" })).fault).toBeUndefined();
    for (const source of ["ff02::1", "::1", "::ffff:10.0.0.1"]) {
      expect(look(datagram({ ...V6, source })).fault).toBe("martian");
    }
    expect(look(datagram({ ...V6, source: V6.destination })).fault).toBe("martian");
  });

  test("IP-17: passes up to 8 extension headers, and no routing header with a way left", () => {
    const options = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0];
    const chain = (count: number) =>
      Array.from({ length: count }, (_, index) => options(index === count - 1 ? 17 : 60));
    expect(look(withHeaders(60, chain(8))).fault).toBeUndefined();
    expect(look(withHeaders(60, chain(8))).view.hasRightSum).toBe(true);
    expect(look(withHeaders(60, chain(9))).fault).toBe("header_chain");
    expect(look(withHeaders(0, chain(100))).fault).toBe("header_chain");
    expect(look(withHeaders(43, [[17, 0, 0, 1, 0, 0, 0, 0]])).fault).toBe("source_route");
    expect(look(withHeaders(60, [[17, 200, 0, 0, 0, 0, 0, 0]])).fault).toBe("header");
  });

  test("tells fragments, of which an atomic one is none", () => {
    const part = look(datagram(V4, { offset: 1480, more: true, id: 7 }));
    expect(part.view).toMatchObject({ isFragment: true, fragmentOffset: 1480, fragmentId: 7 });
    expect(look(datagram(V6, { offset: 1448, id: 9 })).view).toMatchObject({
      isFragment: true,
      fragmentOffset: 1448,
      hasMoreFragments: false,
      fragmentId: 9,
    });
    const atomic = look(datagram(V6, { atomic: true }));
    expect(atomic.view).toMatchObject({ isFragment: false, protocol: 17 });
    expect(atomic.view.hasRightSum).toBe(true);
  });

  test("never looks past the frame, whatever is in it", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 20_000; round += 1) {
      const frame = datagram(round % 2 === 0 ? V4 : V6).slice();
      const flips = 1 + Math.floor(random.fraction() * 4);
      for (let n = 0; n < flips; n += 1) {
        const index = 12 + Math.floor(random.fraction() * (frame.length - 12));
        frame[index] = Math.floor(random.fraction() * 256);
      }
      const cut = frame.subarray(0, 14 + Math.floor(random.fraction() * (frame.length - 13)));
      const { view, fault } = look(cut);
      if (fault !== undefined) continue;
      expect(view.ipEnd).toBeLessThanOrEqual(at + cut.length);
      expect(view.l4At).toBeLessThanOrEqual(view.ipEnd);
    }
  });
});
