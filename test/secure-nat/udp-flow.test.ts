import { afterEach, describe, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { PacketView } from "../../src/ip-host/packet-view.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../../src/platform/packet-memory.ts";
import { DatagramSocket } from "../../src/platform/datagram-socket.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
  type SocketAddress,
} from "../../src/platform/socket-address.ts";
import { UdpSocket } from "../../src/platform/udp-socket.ts";
import { reserve } from "../../src/platform/packet-memory.ts";
import { socketShare } from "../../src/secure-nat/socket-share.ts";
import { tryParseIpv4Packet } from "../../src/wire/ipv4.ts";
import { aimed, bytesOf, ipFrame, udpPayload } from "../ip-host/packets.ts";
import { until } from "../support/process.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { secureNatConfig } from "./config.ts";
import { FAR, GUEST, HOST, LOOPBACK, openNat, datagramSockets } from "./datagram-world.ts";

const DATA = seededRandom(3).bytes(60_000);
const area = reserve(65_536);
const opened: { close(): void }[] = [];

function keep<T extends { close(): void }>(thing: T): T {
  opened.push(thing);
  return thing;
}

afterEach(() => {
  for (const thing of opened.splice(0)) thing.close();
});

/** A target on this machine, what it has got, and from where. */
function target(family: 4 | 6 = 4) {
  const bytes = Uint8Array.from(bytesOf(LOOPBACK[family]));
  const socket = keep(UdpSocket.open({ family, bytes, port: 0 }));
  const got: Uint8Array[] = [];
  const from: SocketAddress[] = [];
  const poll = () => {
    const take = (message: Parameters<Parameters<UdpSocket["receive"]>[0]>[0]) => {
      const { at, bytes: size, segment, fromAt } = message;
      for (let n = 0; n === 0 || n < size; n += segment || 1) {
        got.push(PACKET_BYTES.slice(at + n, at + Math.min(n + segment, size)));
        from.push(decodeSocketAddress(PACKET_BYTES.slice(fromAt, fromAt + SOCKET_ADDRESS_BYTES))!);
      }
    };
    while (socket.receive(take) > 0);
    return got.length;
  };
  const port = socket.local.port;
  return {
    socket,
    port,
    got,
    from,
    close: () => socket.close(),
    waitFor: (count: number) => until(`${count} datagrams`, () => poll() >= count),
    answer(bytes: Uint8Array, to: SocketAddress, segment = 0) {
      PACKET_BYTES.set(bytes, area);
      const datagrams = segment === 0 ? 1 : Math.ceil(bytes.length / segment);
      const message = { at: area, bytes: bytes.length, segment, datagrams };
      socket.send([message], 1, encodeSocketAddress(to));
    },
  };
}

/** A datagram of the guest. */
function datagram(
  to: { readonly port: number },
  bytes: Uint8Array,
  more: { family?: 4 | 6; from?: number; ttl?: number; sum?: number; dontFragment?: boolean } = {},
): Uint8Array {
  const { family = 4, from = 40_123, ttl = 64, sum, dontFragment = false } = more;
  const ends = { source: GUEST[family], destination: FAR[family] };
  const payload = udpPayload(ends, from, to.port, bytes, sum === undefined ? {} : { sum });
  return ipFrame({ ...ends, protocol: 17, payload, ttl, dontFragment });
}

function loopback(port: number, family: 4 | 6 = 4): SocketAddress {
  return { family, bytes: Uint8Array.from(bytesOf(LOOPBACK[family])), port };
}

/** A free port of this machine. */
function freePort(): number {
  const socket = UdpSocket.open(loopback(0));
  socket.close();
  return socket.local.port;
}

describe.each([4, 6] as const)("UdpFlow over IPv%d", (family) => {
  test("datagrams go out from the guest's port, and answers come to it from where they were sent", async () => {
    const nat = keep(openNat());
    const far = target(family);
    const from = freePort();
    nat.send(datagram(far, DATA.subarray(0, 100), { family, from }));
    await far.waitFor(1);
    expect(far.got[0]).toEqual(DATA.slice(0, 100));
    expect(far.from[0]!.port).toBe(from);
    far.answer(DATA.slice(100, 300), far.from[0]!);
    const [frame] = await nat.frames(1);
    const view = aimed(frame!);
    expect(view.hasRightSum).toBe(true);
    const port = (at: number) => PACKET_VIEW.getUint16(view.l4At + at);
    expect([port(0), port(2)]).toEqual([far.port, from]);
    const addresses = [view.sourceAt, view.destinationAt].map((at) =>
      PACKET_BYTES.slice(at, at + view.addressBytes),
    );
    const expected = [FAR[family], GUEST[family]].map((text) => Uint8Array.from(bytesOf(text)));
    expect(addresses).toEqual(expected);
    expect(PACKET_BYTES.slice(view.l4At + 8, view.ipEnd)).toEqual(DATA.slice(100, 300));
    const [{ flow }] = nat.nat.entries as [(typeof nat.nat.entries)[0]];
    expect([flow.info.bytesOut, flow.info.bytesIn]).toEqual([100, 200]);
  });

  test("40 datagrams of one event arrive one by one, and 40 that were joined come as 40 frames", async () => {
    const nat = keep(openNat());
    const far = target(family);
    const parts = Array.from({ length: 40 }, (_, n) => DATA.slice(n * 1400, n * 1400 + 1400));
    parts.push(DATA.slice(0, 77));
    nat.send(...parts.map((part) => datagram(far, part, { family })));
    await far.waitFor(41);
    expect(far.got).toEqual(parts);
    far.answer(DATA.slice(0, 40 * 1400 + 77), far.from[0]!, 1400);
    const frames = await nat.frames(41);
    const came = frames.map((frame) => {
      const view = aimed(frame);
      expect(view.hasRightSum).toBe(true);
      return PACKET_BYTES.slice(view.l4At + 8, view.ipEnd);
    });
    expect(Buffer.concat(came)).toEqual(Buffer.from(DATA.slice(0, 40 * 1400 + 77)));
  });

  test("a datagram of no bytes goes both ways", async () => {
    const nat = keep(openNat());
    const far = target(family);
    nat.send(datagram(far, new Uint8Array(), { family }));
    await far.waitFor(1);
    expect(far.got[0]!.length).toBe(0);
    far.answer(new Uint8Array(), far.from[0]!);
    const view = aimed((await nat.frames(1))[0]!);
    expect([view.hasRightSum, view.ipEnd - view.l4At]).toEqual([true, 8]);
  });

  test("a big answer is fragmented to the guest's MTU", async () => {
    const nat = keep(openNat({}, 1400));
    const far = target(family);
    nat.send(datagram(far, DATA.subarray(0, 100), { family }));
    await far.waitFor(1);
    far.answer(DATA.slice(0, 5000), far.from[0]!);
    const frames = await nat.frames(4);
    expect(frames.every(({ length }) => length <= 1414)).toBe(true);
    const views = frames.map((frame) => aimed(frame, new PacketView()));
    expect(views.map(({ isFragment }) => isFragment)).toEqual([true, true, true, true]);
    expect(views.at(-1)!.hasMoreFragments).toBe(false);
  });

  test("a closed port is told as port unreachable from the target, about the guest's datagram", async () => {
    const nat = keep(openNat());
    const port = freePort();
    nat.send(datagram({ port }, DATA.subarray(0, 64), { family, from: 40_777 }));
    const [packet] = await nat.packets(1);
    const ip = family === 4 ? 20 : 40;
    expect([packet![ip], packet![ip + 1]]).toEqual(family === 4 ? [3, 3] : [1, 4]);
    const source = family === 4 ? packet!.slice(12, 16) : packet!.slice(8, 24);
    expect(source).toEqual(Uint8Array.from(bytesOf(LOOPBACK[family])));
    const quoted = packet!.subarray(ip + 8);
    const quotedSource = family === 4 ? quoted.slice(12, 16) : quoted.slice(8, 24);
    expect(quotedSource).toEqual(Uint8Array.from(bytesOf(GUEST[family])));
    const ports = new DataView(quoted.buffer, quoted.byteOffset + ip);
    expect([ports.getUint16(0), ports.getUint16(2)]).toEqual([40_777, port]);
    if (family === 4) expect(tryParseIpv4Packet(packet!)).toBeDefined();
    // The error of one datagram keeps none of the next from going.
    const far = target(family);
    nat.send(datagram({ port }, DATA.subarray(0, 64), { family, from: 40_777 }));
    nat.send(datagram(far, DATA.subarray(0, 10), { family, from: 40_777 }));
    nat.send(datagram(far, DATA.subarray(0, 20), { family, from: 40_777 }));
    await far.waitFor(2);
    expect(far.got.map(({ length }) => length)).toEqual([10, 20]);
  });

  test("with nat-errors switched off nothing is told", async () => {
    const nat = keep(openNat({ isPlain: true }));
    const far = target(family);
    nat.send(datagram({ port: freePort() }, DATA.subarray(0, 64), { family }));
    nat.send(datagram(far, DATA.subarray(0, 64), { family }));
    await far.waitFor(1);
    far.answer(DATA.slice(0, 9), far.from[0]!);
    const [frame] = await nat.frames(1);
    expect(aimed(frame!).protocol).toBe(17);
  });

  test("strangers do not get through, nor another port of the target", async () => {
    const nat = keep(openNat());
    const [far, other] = [target(family), target(family)];
    nat.send(datagram(far, DATA.subarray(0, 10), { family }));
    await far.waitFor(1);
    other.answer(DATA.slice(0, 50), loopback(far.from[0]!.port, family));
    far.answer(DATA.slice(0, 60), far.from[0]!);
    const [frame] = await nat.frames(1);
    const view = aimed(frame!);
    expect(view.ipEnd - view.l4At).toBe(68);
    expect(nat.drops.unsolicited).toBe(1);
    // Once it was sent to, it may answer.
    nat.send(datagram(other, DATA.subarray(0, 10), { family }));
    other.answer(DATA.slice(0, 50), loopback(far.from[0]!.port, family));
    const answer = aimed((await nat.frames(1))[0]!);
    expect(answer.ipEnd - answer.l4At).toBe(58);
  });
});

describe("UdpFlow", () => {
  test("all peers of an inner port see one outer port, and share one descriptor", async () => {
    const nat = keep(openNat());
    const targets = Array.from({ length: 5 }, () => target());
    const before = socketShare.taken;
    for (const far of targets) nat.send(datagram(far, DATA.subarray(0, 10)));
    for (const far of targets) await far.waitFor(1);
    expect(new Set(targets.map(({ from }) => from[0]!.port)).size).toBe(1);
    expect([socketShare.taken, nat.nat.counts.udp]).toEqual([before + 1, 5]);
  });

  test("a port that is taken is replaced, a service's port is never taken", async () => {
    const nat = keep(openNat());
    const far = target();
    const taken = keep(DatagramSocket.openUdp(4, 0, 64));
    nat.send(datagram(far, DATA.subarray(0, 1), { from: taken.port }));
    nat.send(datagram(far, DATA.subarray(0, 2), { from: 500 }));
    await far.waitFor(2);
    expect(far.from[0]!.port).not.toBe(taken.port);
    expect(far.from[1]!.port).toBeGreaterThanOrEqual(1024);
  });

  test("IP-06 a checksum of zero is allowed on IPv4 only, a wrong one never", async () => {
    const nat = keep(openNat());
    const far = target();
    const far6 = target(6);
    nat.send(datagram(far6, DATA.subarray(0, 10), { family: 6, sum: 0 }));
    nat.send(datagram(far, DATA.subarray(0, 20), { sum: 0x1234 }));
    nat.send(datagram(far, DATA.subarray(0, 30), { sum: 0 }));
    await far.waitFor(1);
    expect(far.got.map(({ length }) => length)).toEqual([30]);
    expect([nat.drops.checksum, nat.nat.counts.udp]).toEqual([2, 1]);
  });

  test("a fragmented datagram of the guest goes out whole", async () => {
    const nat = keep(openNat());
    const far = target();
    const ends = { source: GUEST[4], destination: FAR[4] };
    const whole = udpPayload(ends, 40_123, far.port, DATA.subarray(0, 4000));
    const part = (offset: number) =>
      ipFrame({
        ...ends,
        protocol: 17,
        id: 7,
        offset,
        payload: whole.slice(offset, offset + 1480),
        more: offset + 1480 < whole.length,
      });
    nat.send(part(1480), part(0), part(2960));
    await far.waitFor(1);
    expect(far.got[0]).toEqual(DATA.slice(0, 4000));
  });

  test("idle flows end after their time, those in use stay, and nothing waits then", async () => {
    const nat = keep(openNat());
    const [far, other] = [target(), target()];
    const before = { sockets: datagramSockets(), share: socketShare.taken };
    nat.send(datagram(far, DATA.subarray(0, 10), { from: 41_001 }));
    nat.send(datagram(other, DATA.subarray(0, 10), { from: 41_002 }));
    await far.waitFor(1);
    nat.clock.advance(40_000);
    far.answer(DATA.slice(0, 10), far.from[0]!);
    await nat.frames(1);
    nat.clock.advance(20_000);
    expect(nat.nat.entries.map(({ flow }) => flow.ends.outerPort)).toEqual([far.port]);
    nat.clock.advance(39_999);
    expect(nat.nat.counts.udp).toBe(1);
    nat.clock.advance(1);
    expect([nat.nat.counts.udp, nat.clock.pending]).toEqual([0, 0]);
    expect(socketShare.taken).toBe(before.share);
    expect(datagramSockets()).toBe(before.sockets);
  });

  test("a shorter time to be idle counts for flows that are there", async () => {
    const nat = keep(openNat());
    const far = target();
    nat.send(datagram(far, DATA.subarray(0, 10)));
    nat.clock.advance(20_000);
    nat.nat.reconfigure({ ...secureNatConfig(), udpTimeoutMs: 30_000 });
    nat.clock.advance(9_999);
    expect(nat.nat.counts.udp).toBe(1);
    nat.clock.advance(1);
    expect([nat.nat.counts.udp, nat.clock.pending]).toEqual([0, 0]);
  });

  test("a thousand flows end together and free their sockets", () => {
    const nat = keep(openNat());
    const far = target();
    const before = { sockets: datagramSockets(), share: socketShare.taken };
    for (let n = 0; n < 1000; n += 1) {
      nat.send(datagram(far, DATA.subarray(0, 10), { from: 42_000 + n }));
    }
    expect(nat.nat.counts.udp).toBe(1000);
    nat.clock.advance(60_000);
    expect([nat.nat.counts.udp, nat.clock.pending]).toEqual([0, 0]);
    expect(socketShare.taken).toBe(before.share);
    expect(datagramSockets()).toBe(before.sockets);
  });

  test("what an administrator deletes is gone at once, and comes back with the next datagram", async () => {
    const nat = keep(openNat());
    const far = target();
    nat.send(datagram(far, DATA.subarray(0, 10)));
    expect(nat.nat.remove(nat.nat.entries[0]!.id)).toBe(true);
    expect([nat.nat.counts.udp, nat.clock.pending]).toEqual([0, 0]);
    nat.send(datagram(far, DATA.subarray(0, 10)));
    await far.waitFor(2);
  });

  test("without a socket the guest is told that there is no route, and the operator why", async () => {
    const refuse = () => {
      throw new SystemError("socket", 24, "open a socket");
    };
    const original = DatagramSocket.openUdp;
    DatagramSocket.openUdp = refuse;
    try {
      const nat = keep(openNat());
      nat.send(datagram({ port: 9 }, DATA.subarray(0, 10)));
      const [packet] = await nat.packets(1);
      expect([packet![20], packet![21]]).toEqual([3, 0]);
      expect(packet!.slice(12, 16)).toEqual(Uint8Array.from(bytesOf(HOST[4])));
      expect([nat.warnings, nat.nat.counts.udp]).toEqual([["nat_socket"], 0]);
    } finally {
      DatagramSocket.openUdp = original;
    }
  });
});

describe("a mapping", () => {
  test("lets an answer through behind a flood of errors", async () => {
    const nat = keep(openNat());
    const far = target();
    nat.send(datagram(far, DATA.subarray(0, 10)));
    await far.waitFor(1);
    const closed = freePort();
    // More errors than are read at once; they are about datagrams of the same socket.
    for (let n = 0; n < 150; n += 1) nat.send(datagram({ port: closed }, DATA.subarray(0, 20)));
    far.answer(DATA.slice(0, 33), far.from[0]!);
    const answers = () => nat.cable.frames.filter((frame) => frame[23] === 17);
    await until("the answer", () => answers().length === 1);
    expect(aimed(answers()[0]!).ipEnd).toBeGreaterThan(0);
  });

  test("two guests that open a way with both ends reach each other (RFC 4787 9.1)", async () => {
    const nat = keep(openNat());
    const far = target();
    const [first, second] = [freePort(), freePort()];
    // Both are known outside by the ports that the far end sees.
    nat.send(datagram(far, DATA.subarray(0, 1), { from: first }));
    nat.send(datagram(far, DATA.subarray(0, 1), { from: second }));
    await far.waitFor(2);
    const [a, b] = far.from.map(({ port }) => port);
    nat.send(datagram({ port: b! }, DATA.subarray(0, 44), { from: first }));
    nat.send(datagram({ port: a! }, DATA.subarray(0, 55), { from: second }));
    const frames = await nat.frames(2);
    const came = frames.map((frame) => {
      const view = aimed(frame);
      return [PACKET_VIEW.getUint16(view.l4At + 2), view.ipEnd - view.l4At - 8];
    });
    expect(new Map(came as [number, number][])).toEqual(
      new Map([
        [first, 55],
        [second, 44],
      ]),
    );
  });
});
