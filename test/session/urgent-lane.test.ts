import { afterEach, describe, expect, test } from "bun:test";
import { isUrgent } from "../../src/hub/urgent.ts";
import { Batch, batchSlots } from "../../src/session/batch.ts";
import { StreamParser } from "../../src/session/stream-parser.ts";
import { ArrayPort, runOf } from "../support/array-port.ts";

/** A frame of this size whose bytes say what it is; `id` tells it from others. */
function frameOf(
  kind: { type: number; tos?: number; protocol?: number; size: number },
  id = 0,
): Uint8Array {
  const frame = new Uint8Array(kind.size);
  const view = new DataView(frame.buffer);
  view.setUint16(12, kind.type);
  if (kind.type === 0x0800) {
    view.setUint8(15, kind.tos ?? 0);
    view.setUint8(23, kind.protocol ?? 6);
  } else if (kind.type === 0x86dd) {
    view.setUint16(14, 0x6000 | ((kind.tos ?? 0) << 4));
    view.setUint8(20, kind.protocol ?? 6);
  }
  view.setUint8(kind.size - 1, id);
  return frame;
}

const ping = (id = 0) => frameOf({ type: 0x0800, protocol: 1, size: 98 }, id);
const bulk = (id = 0) => frameOf({ type: 0x0800, size: 1514 }, id);

describe("isUrgent()", () => {
  const cases: [string, Parameters<typeof frameOf>[0], boolean][] = [
    ["an ICMP echo", { type: 0x0800, protocol: 1, size: 98 }, true],
    ["a large ICMP echo", { type: 0x0800, protocol: 1, size: 129 }, false],
    ["an ICMPv6 message", { type: 0x86dd, protocol: 58, size: 118 }, true],
    ["a large ICMPv6 message", { type: 0x86dd, protocol: 58, size: 149 }, false],
    ["ARP", { type: 0x0806, size: 42 }, true],
    ["a voice packet", { type: 0x0800, tos: 0xb8, protocol: 17, size: 214 }, true],
    ["a voice packet over IPv6", { type: 0x86dd, tos: 0xb8, protocol: 17, size: 234 }, true],
    ["a large frame that is marked", { type: 0x0800, tos: 0xb8, size: 1514 }, false],
    ["the mark for what can wait", { type: 0x0800, tos: 0x08, size: 60 }, false],
    ["ECN bits alone", { type: 0x0800, tos: 0x03, size: 60 }, false],
    ["an acknowledgement of TCP", { type: 0x0800, size: 66 }, false],
    ["something else", { type: 0x88cc, size: 60 }, false],
  ];
  for (const [name, kind, expected] of cases) {
    test(`says ${expected} of ${name}`, () => {
      expect(isUrgent(new DataView(frameOf(kind).buffer), 0, kind.size)).toBe(expected);
    });
  }

  test("reads nothing behind a frame that is too short to tell", () => {
    expect(isUrgent(new DataView(new ArrayBuffer(14)), 0, 14)).toBe(false);
  });
});

describe("Batch while the socket is full", () => {
  let room = 0;
  let taken: Uint8Array[] = [];
  let batch = new Batch({ write: () => 0 });

  function start(): void {
    room = 0;
    taken = [];
    batch = new Batch({
      write(bytes) {
        const count = Math.min(room, bytes.length);
        room -= count;
        taken.push(bytes.slice(0, count));
        return count;
      },
    });
  }
  afterEach(() => {
    batch.close();
    expect(batchSlots.taken).toBe(0);
  });

  /** Kind and id of every frame that the socket took. */
  function received(): string[] {
    const port = new ArrayPort("out");
    new StreamParser({ inFrames: 0, inBytes: 0 }, () => {}).feed(Buffer.concat(taken), port);
    return port.frames.map((frame) => `${frame.length === 98 ? "ping" : "bulk"}${frame.at(-1)}`);
  }

  test("lets urgent frames go before bulk that waits, each kind in its order", () => {
    start();
    for (let id = 0; id < 3; id++) batch.deliver(runOf([bulk(2 * id), ping(id), bulk(2 * id + 1)]));
    batch.flush();
    batch.deliver(runOf([ping(3), bulk(6), ping(4)]));
    room = Infinity;
    batch.drained();
    // The first three runs were one unit when the socket was found full; the lane comes next.
    expect(received().filter((name) => name.startsWith("ping"))).toEqual(
      [0, 1, 2, 3, 4].map((id) => `ping${id}`),
    );
    expect(received().filter((name) => name.startsWith("bulk"))).toEqual(
      [0, 1, 2, 3, 4, 5, 6].map((id) => `bulk${id}`),
    );
    expect(received().indexOf("ping4")).toBeLessThan(received().indexOf("bulk6"));
  });

  test("never puts the lane into the middle of a unit", () => {
    start();
    room = 1000;
    batch.deliver(runOf([bulk(0), bulk(1)]));
    batch.flush();
    batch.deliver(runOf([ping(0), bulk(2)]));
    for (let i = 0; i < 40; i++) {
      room = 200;
      batch.drained();
    }
    expect(received()).toEqual(["bulk0", "bulk1", "ping0", "bulk2"]);
  });

  test("deliverUrgent() takes frames until the lane is full, and gives its memory back", () => {
    start();
    batch.deliver(runOf([bulk(0)]));
    batch.flush();
    let count = 0;
    while (batch.deliverUrgent(runOf([ping(count & 0xff)]))) count++;
    expect(count).toBe(Math.floor((65_536 - 4) / (98 + 4)));
    room = Infinity;
    batch.drained();
    expect(received()).toHaveLength(count + 1);
    expect(batch.heldBytes).toBe(0);
  });
});
