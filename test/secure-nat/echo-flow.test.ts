import { afterEach, describe, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { PACKET_BYTES } from "../../src/platform/packet-memory.ts";
import { closePing, openPing, openRaw } from "../../src/platform/ping-socket.ts";
import { aimed, bytesOf, echoPayload, ipFrame } from "../ip-host/packets.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { socketShare } from "../../src/secure-nat/socket-share.ts";
import { FAR, GUEST, openNat, datagramSockets } from "./datagram-world.ts";

const DATA = seededRandom(4).bytes(60_000);
const PROTOCOL = { 4: 1, 6: 58 } as const;
const opened: { close(): void }[] = [];

function keep<T extends { close(): void }>(thing: T): T {
  opened.push(thing);
  return thing;
}

afterEach(() => {
  for (const thing of opened.splice(0)) thing.close();
});

function echo(family: 4 | 6, id: number, sequence: number, bytes: Uint8Array): Uint8Array {
  const ends = { source: GUEST[family], destination: FAR[family] };
  const payload = echoPayload(ends, id, sequence, bytes);
  return ipFrame({ ...ends, protocol: PROTOCOL[family], payload });
}

/** What the guest gets for it. */
function reply(family: 4 | 6, id: number, sequence: number, bytes: Uint8Array): Uint8Array {
  const ends = { source: FAR[family], destination: GUEST[family] };
  return Uint8Array.from(echoPayload(ends, id, sequence, bytes, family === 4 ? 0 : 129));
}

function payloadOf(frame: Uint8Array): Uint8Array {
  const view = aimed(frame);
  return PACKET_BYTES.slice(view.l4At, view.ipEnd);
}

/** Whether this user may have a ping socket, or a raw one. */
function mayPing(open: typeof openPing, family: 4 | 6): boolean {
  try {
    closePing(open(family, 0, 64));
    return true;
  } catch (thrown) {
    if (thrown instanceof SystemError) return false;
    throw thrown;
  }
}

describe.each([4, 6] as const)("EchoFlow over IPv%d", (family) => {
  test.skipIf(!mayPing(openPing, family))(
    "a real echo comes back with the guest's identifier and sequence",
    async () => {
      const nat = keep(openNat());
      nat.send(echo(family, 0x1234, 7, DATA.subarray(0, 56)));
      const [frame] = await nat.frames(1);
      expect(payloadOf(frame!)).toEqual(reply(family, 0x1234, 7, DATA.subarray(0, 56)));
      const view = aimed(frame!);
      const from = PACKET_BYTES.slice(view.sourceAt, view.sourceAt + view.addressBytes);
      expect(from).toEqual(Uint8Array.from(bytesOf(FAR[family])));
    },
  );

  test.skipIf(!mayPing(openPing, family))(
    "two guests with one identifier are kept apart",
    async () => {
      const nat = keep(openNat());
      const ends = {
        source: family === 4 ? "192.168.30.11" : "fd00::11",
        destination: FAR[family],
      };
      const payload = echoPayload(ends, 9, 2, DATA.subarray(0, 30));
      nat.send(
        echo(family, 9, 1, DATA.subarray(0, 20)),
        ipFrame({ ...ends, protocol: PROTOCOL[family], payload }),
      );
      const frames = await nat.frames(2);
      const got = frames.map((frame) => {
        const view = aimed(frame);
        const to = PACKET_BYTES.slice(view.destinationAt, view.destinationAt + view.addressBytes);
        return [to.at(-1), view.ipEnd - view.l4At];
      });
      expect(got.toSorted((a, b) => a[1]! - b[1]!)).toEqual([
        [bytesOf(GUEST[family]).at(-1), 28],
        [bytesOf(ends.source).at(-1), 38],
      ]);
    },
  );

  test.skipIf(!mayPing(openPing, family))(
    "IP-16 an echo in fragments comes back in fragments, one of 65,507 bytes too",
    async () => {
      for (const bytes of [4000, 65_507 - 8]) {
        const nat = openNat();
        const ends = { source: GUEST[family], destination: FAR[family] };
        const data = seededRandom(bytes).bytes(bytes);
        const whole = echoPayload(ends, 5, 1, data);
        const frames: Uint8Array[] = [];
        for (let offset = 0; offset < whole.length; offset += 1448) {
          const payload = whole.slice(offset, offset + 1448);
          const more = offset + 1448 < whole.length;
          frames.push(
            ipFrame({ ...ends, protocol: PROTOCOL[family], id: 3, offset, payload, more }),
          );
        }
        nat.send(...frames);
        const got = await nat.frames(Math.ceil(whole.length / (family === 4 ? 1480 : 1448)));
        const joined = new Uint8Array(whole.length);
        for (const frame of got) {
          const view = aimed(frame);
          const from = family === 4 ? view.l4At : view.fragmentHeaderAt + 8;
          joined.set(PACKET_BYTES.slice(from, view.ipEnd), view.fragmentOffset);
        }
        expect(Bun.hash(joined)).toBe(Bun.hash(reply(family, 5, 1, data)));
        nat.close();
      }
    },
  );

  test.skipIf(!mayPing(openRaw, family))(
    "a raw socket does where no other may be had",
    async () => {
      const nat = keep(openNat({}, 1500, openRaw));
      // Another raw socket hears the same replies, and must not take them for its own.
      nat.send(
        echo(family, 21, 1, DATA.subarray(0, 20)),
        echo(family, 22, 1, DATA.subarray(0, 30)),
      );
      const got = (await nat.frames(2)).map(payloadOf);
      expect(got.toSorted((a, b) => a.length - b.length)).toEqual([
        reply(family, 21, 1, DATA.subarray(0, 20)),
        reply(family, 22, 1, DATA.subarray(0, 30)),
      ]);
    },
  );

  test("where there is neither, the guest is told that there is no route: an echo is never made up", async () => {
    const refuse = () => {
      throw new SystemError("socket", 13, "open a socket for datagrams");
    };
    const nat = keep(openNat({}, 1500, refuse));
    nat.send(echo(family, 1, 1, DATA.subarray(0, 20)));
    const [packet] = await nat.packets(1);
    const ip = family === 4 ? 20 : 40;
    expect([packet![ip], packet![ip + 1]]).toEqual(family === 4 ? [3, 0] : [1, 0]);
    expect([nat.warnings, nat.nat.counts.icmp]).toEqual([["nat_socket"], 0]);
  });

  test.skipIf(!mayPing(openPing, family))("ends ten seconds after the last echo", async () => {
    const nat = keep(openNat());
    const before = { sockets: datagramSockets(), share: socketShare.taken };
    nat.send(echo(family, 77, 1, DATA.subarray(0, 20)));
    await nat.frames(1);
    nat.clock.advance(9_000);
    nat.send(echo(family, 77, 2, DATA.subarray(0, 20)));
    await nat.frames(1);
    nat.clock.advance(9_999);
    expect([nat.nat.counts.icmp, socketShare.taken]).toEqual([1, before.share + 1]);
    nat.clock.advance(1);
    expect([nat.nat.counts.icmp, nat.clock.pending]).toEqual([0, 0]);
    expect(socketShare.taken).toBe(before.share);
    expect(datagramSockets()).toBe(before.sockets);
  });
});
