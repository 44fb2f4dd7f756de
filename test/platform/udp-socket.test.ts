import { afterEach, describe, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { PACKET_BYTES, reserve } from "../../src/platform/packet-memory.ts";
import { watchShared } from "../../src/platform/shared-poller.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  SOCKET_ADDRESS_BYTES,
} from "../../src/platform/socket-address.ts";
import type { IncomingMessage } from "../../src/platform/receive-messages.ts";
import { type OutgoingMessage, UdpSocket } from "../../src/platform/udp-socket.ts";
import { until } from "../support/process.ts";
import { seededRandom } from "../support/seeded-random.ts";

const at = reserve(65_536);
const open: UdpSocket[] = [];

function socket(address: readonly number[] = [127, 0, 0, 1], port = 0): UdpSocket {
  const family = address.length === 4 ? 4 : 6;
  const made = UdpSocket.open({ family, bytes: Uint8Array.from(address), port });
  open.push(made);
  return made;
}

afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

const LOOPBACK_V6 = [...Array<number>(15).fill(0), 1];

/** Datagrams that have come, as they were sent one by one. */
function drain(from: UdpSocket): { datagrams: Uint8Array[]; ports: number[]; messages: number } {
  const datagrams: Uint8Array[] = [];
  const ports: number[] = [];
  let messages = 0;
  const take = ({ at: start, bytes, segment, fromAt }: IncomingMessage) => {
    const name = PACKET_BYTES.subarray(fromAt, fromAt + SOCKET_ADDRESS_BYTES);
    messages += 1;
    for (let n = 0; n === 0 || n < bytes; n += segment || 1) {
      datagrams.push(PACKET_BYTES.slice(start + n, start + Math.min(n + segment, bytes)));
      ports.push(decodeSocketAddress(name)!.port);
    }
  };
  while (from.receive(take) > 0);
  return { datagrams, ports, messages };
}

describe("UdpSocket", () => {
  test.each([
    ["IPv4", [127, 0, 0, 1]],
    ["IPv6", LOOPBACK_V6],
  ])("%s: datagrams of one size go as one message and arrive one by one", (_, address) => {
    const [near, far] = [socket(address), socket(address)];
    const bytes = seededRandom(1).bytes(40 * 1_400 + 100);
    PACKET_BYTES.set(bytes, at);
    const messages: OutgoingMessage[] = [
      { at, bytes: 40 * 1_400, segment: 1_400, datagrams: 40 },
      { at: at + 40 * 1_400, bytes: 100, segment: 100, datagrams: 1 },
    ];
    near.send(messages, 2, encodeSocketAddress(far.local));
    const { datagrams, ports } = drain(far);
    expect(datagrams.map(({ length }) => length)).toEqual([...Array<number>(40).fill(1_400), 100]);
    expect(Buffer.concat(datagrams)).toEqual(Buffer.from(bytes));
    expect(new Set(ports)).toEqual(new Set([near.local.port]));
    expect([near.stats.sentDatagrams, far.stats.receivedDatagrams]).toEqual([41, 41]);
  });

  test("datagrams larger than the device's packets are sent apart, and the size is remembered", () => {
    const [near, far] = [socket(), socket()];
    // A segment beyond 64 KiB less its headers is larger than any device's.
    const messages = [{ at, bytes: 60_000, segment: 30_000, datagrams: 2 }];
    for (let n = 0; n < 2; n += 1) near.send(messages, 1, encodeSocketAddress(far.local));
    expect(drain(far).datagrams.map(({ length }) => length)).toEqual(Array(4).fill(30_000));
  });

  test("a datagram that cannot go is counted, and those behind it go", () => {
    const [near, far] = [socket(), socket()];
    const one: OutgoingMessage = { at, bytes: 10, segment: 10, datagrams: 1 };
    near.send([{ ...one, bytes: 70_000 }, one], 2, encodeSocketAddress(far.local));
    expect(drain(far).datagrams).toBeArrayOfSize(1);
    expect(near.stats).toMatchObject({ sentDatagrams: 1, refusedDatagrams: 1 });
    const nowhere = encodeSocketAddress({
      family: 4,
      bytes: new Uint8Array([255, 255, 255, 255]),
      port: 9,
    });
    near.send([one], 1, nowhere);
    expect(near.stats.refusedDatagrams).toBe(2);
  });

  test("nobody at the other end is no error", async () => {
    const near = socket();
    const gone = socket();
    const to = encodeSocketAddress(gone.local);
    gone.close();
    const one: OutgoingMessage = { at, bytes: 10, segment: 10, datagrams: 1 };
    for (let n = 0; n < 3; n += 1) {
      near.send([one], 1, to);
      expect(drain(near).messages).toBe(0);
    }
    expect(near.stats).toMatchObject({ sentDatagrams: 3, refusedDatagrams: 0 });
  });

  test("openFirst() takes the first free port and none where all are taken", () => {
    const local = { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) } as const;
    const { port } = socket().local;
    expect(UdpSocket.openFirst(local, { first: port, last: port })).toBeUndefined();
    expect(() => UdpSocket.open({ ...local, bytes: Uint8Array.of(192, 0, 2, 1), port: 0 })).toThrow(
      SystemError,
    );
  });

  test("a watch tells of datagrams, and the poller goes with the last one", async () => {
    const [near, far] = [socket(), socket()];
    let told = 0;
    const watch = watchShared(far.fd, () => (told += 1));
    watch.arm();
    near.send([{ at, bytes: 1, segment: 1, datagrams: 1 }], 1, encodeSocketAddress(far.local));
    await until("a call", () => told === 1, { everyMs: 1, deadlineMs: 5_000 });
    watch.remove();
    watch.remove();
  });

  test("UD-01 an empty datagram and the largest one come as they are", () => {
    const [near, far] = [socket(), socket()];
    const messages = [0, 65_507].map((bytes) => ({ at, bytes, segment: bytes, datagrams: 1 }));
    near.send(messages, 2, encodeSocketAddress(far.local));
    expect(drain(far).datagrams.map(({ length }) => length)).toEqual([0, 65_507]);
  });
});
