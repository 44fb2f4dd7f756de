import { afterEach, describe, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { DatagramSocket } from "../../src/platform/datagram-socket.ts";
import { type DatagramOwner, datagramStage } from "../../src/platform/datagram-stage.ts";
import { PACKET_BYTES, reserve } from "../../src/platform/packet-memory.ts";
import { closePing, openPing, openRaw } from "../../src/platform/ping-socket.ts";
import { encodeSocketAddress, type SocketAddress } from "../../src/platform/socket-address.ts";
import { inNamespace } from "./enter-namespace.ts";
import { until } from "../support/process.ts";
import { describeSystem, World } from "../support/namespace.ts";
import { seededRandom } from "../support/seeded-random.ts";

const LOOPBACK = {
  4: Uint8Array.of(127, 0, 0, 1),
  6: Uint8Array.from([...Array<number>(15).fill(0), 1]),
} as const;
const EMSGSIZE = 90;
const DATA = seededRandom(5).bytes(65_000);
const area = reserve(65_536);
PACKET_BYTES.set(DATA, area);
const opened: DatagramSocket[] = [];

function socket(family: 4 | 6 = 4, port = 0, ttl = 64): DatagramSocket {
  const made = DatagramSocket.openUdp(family, port, ttl);
  opened.push(made);
  return made;
}

afterEach(() => {
  for (const each of opened.splice(0)) closePing(each);
});

/** Whoever sends to a port of this machine, and what it is told. */
function owner(from: DatagramSocket, port: number) {
  const to: SocketAddress = { family: from.family, bytes: LOOPBACK[from.family], port };
  const refusals: [error: number, bytes: number][] = [];
  const lost = { datagrams: 0 };
  const errors: [errno: number, type: number | undefined, bytes: number][] = [];
  const made: DatagramOwner = {
    name: encodeSocketAddress(to),
    readErrors: () =>
      from.readErrors(({ errno, icmp, bytes }) => void errors.push([errno, icmp?.type, bytes])),
    refused: (error, _at, bytes) => void refusals.push([error, bytes]),
    overflowed: (datagrams) => void (lost.datagrams += datagrams),
  };
  return Object.assign(made, { refusals, errors, lost });
}

const PLAIN = { ttl: 64, trafficClass: 0, mayFragment: false };

/** Sizes of what has come, joined or not. */
function sizes(at: DatagramSocket): { datagrams: number[]; messages: number } {
  const datagrams: number[] = [];
  let messages = 0;
  at.receive(({ bytes, segment }) => {
    messages += 1;
    for (let n = 0; n === 0 || n < bytes; n += segment || 1) {
      datagrams.push(Math.min(segment, bytes - n));
    }
  });
  return { datagrams, messages };
}

describe.each([4, 6] as const)("datagrams over IPv%d", (family) => {
  test("those of one size and peer share a message, and all arrive in order", () => {
    const [near, far] = [socket(family), socket(family)];
    const to = owner(near, far.port);
    for (const bytes of [1000, 1000, 1000, 300, 1000, 0, 0, 1200, 50]) {
      datagramStage.add(near, to, { ...PLAIN, at: area, bytes });
    }
    datagramStage.flush();
    const { datagrams, messages } = sizes(far);
    expect(datagrams).toEqual([1000, 1000, 1000, 300, 1000, 0, 0, 1200, 50]);
    expect(messages).toBeLessThan(datagrams.length);
  });

  test("another TTL or class does not share a message", () => {
    const [near, far] = [socket(family), socket(family)];
    const to = owner(near, far.port);
    datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 100 });
    datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 100, ttl: 3 });
    datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 100, ttl: 3, trafficClass: 0xb8 });
    datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 100, ttl: 3, trafficClass: 0xb8 });
    datagramStage.flush();
    expect(sizes(far)).toEqual({ datagrams: [100, 100, 100, 100], messages: 3 });
  });

  test("the error of a closed port is read with what it is about, and the next datagram goes", async () => {
    const [near, far] = [socket(family), socket(family)];
    const gone = socket(family);
    const closed = gone.port;
    gone.close();
    const nobody = owner(near, closed);
    datagramStage.add(near, nobody, { ...PLAIN, at: area, bytes: 70 });
    datagramStage.flush();
    const type = family === 4 ? 3 : 1;
    // Read while another is sent, which it would have stopped.
    const to = owner(near, far.port);
    datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 80 });
    datagramStage.flush();
    expect([...nobody.errors, ...to.errors]).toEqual([[111, type, 70]]);
    expect(to.refusals).toEqual([]);
    await until("the datagram", () => sizes(far).datagrams[0] === 80);
  });

  test("one that is too large and must not be cut is refused, one that may be cut goes", () => {
    const [near, far] = [socket(family), socket(family)];
    const to = owner(near, far.port);
    // The loopback's MTU is 65,536: more than any datagram. A route of its own would be the system's; see system tests.
    datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 65_000, mayFragment: true });
    datagramStage.flush();
    expect(sizes(far).datagrams).toEqual([65_000]);
    PACKET_BYTES.fill(0, area + 65_000, area + 65_536);
    datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 65_530 });
    datagramStage.flush();
    expect(to.refusals).toEqual([[EMSGSIZE, 65_530]]);
  });

  test("the preferred port is taken where it is free, else another", () => {
    const first = socket(family);
    const second = socket(family, first.port);
    expect(second.port).not.toBe(first.port);
    const { port } = first;
    first.close();
    expect(socket(family, port).port).toBe(port);
  });
});

describe("the stage", () => {
  test("takes more than it holds, and sends in between", () => {
    const [near, far] = [socket(), socket()];
    const to = owner(near, far.port);
    let came = 0;
    for (let n = 0; n < 400; n += 1) {
      datagramStage.add(near, to, { ...PLAIN, at: area, bytes: 1400 - (n & 1) });
      if (n % 20 === 19) {
        datagramStage.flush();
        for (let more = 1; more > 0;) came += more = sizes(far).datagrams.length;
      }
    }
    expect([came, to.refusals]).toEqual([400, []]);
  });

  test("sends nothing by a socket that was closed meanwhile", () => {
    const [near, far] = [socket(), socket()];
    datagramStage.add(near, owner(near, far.port), { ...PLAIN, at: area, bytes: 10 });
    near.close();
    datagramStage.flush();
    expect(sizes(far).datagrams).toEqual([]);
  });
});

describeSystem("the stage before a full device", ["tc"], () => {
  test("tells of each datagram that there was no room for, joined ones as well", async () => {
    const world = new World();
    try {
      const near = await world.namespace("near");
      await near.check(["tc", "qdisc", "replace", "dev", "lo", "root", "pfifo", "limit", "0"]);
      const from = inNamespace(near.netns, () => socket());
      const to = owner(from, 9);
      for (const bytes of [500, 500, 500, 20]) {
        datagramStage.add(from, to, { ...PLAIN, at: area, bytes });
      }
      datagramStage.add(from, to, { ...PLAIN, at: area, bytes: 1000 });
      datagramStage.flush();
      expect([to.lost.datagrams, to.refusals]).toEqual([5, []]);
    } finally {
      await world.close();
    }
  });
});

describe("openPing()", () => {
  test.each([4, 6] as const)("raw sockets of IPv%d share no identifier", (family) => {
    let first: DatagramSocket;
    try {
      first = openRaw(family, 7, 64);
    } catch (thrown) {
      // Without privilege there is none.
      expect(thrown).toBeInstanceOf(SystemError);
      return;
    }
    opened.push(first);
    const second = openRaw(family, 7, 64);
    opened.push(second);
    expect(first.port).toBe(7);
    expect(second.port).toBe(8);
    closePing(first);
    const third = openPing(family, 7, 64);
    opened.push(third);
    expect(third.port).toBe(7);
  });
});
