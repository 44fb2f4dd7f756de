import { describe, expect, test } from "bun:test";
import {
  encodeCaptureEnd,
  encodeCaptureStart,
  packetBlockBytes,
  writePacketBlock,
} from "../../src/wire/pcapng.ts";
import { blocksOf, optionsOf } from "../support/pcapng-blocks.ts";

const ORIGIN = {
  application: "app",
  hardware: "cpu",
  os: "Linux",
  name: "HUB",
  description: "d",
  filter: "tcp",
  snapLength: 96,
};
/** 2026-11-22 20:00:00.123456 UTC. */
const AT_US = 1_795_377_600_123_456;

function packet(frame: Uint8Array, kept = frame.length, lost = 0): Uint8Array {
  const bytes = new Uint8Array(packetBlockBytes(kept, lost) + 8).fill(0xee);
  const into = { bytes, view: new DataView(bytes.buffer) };
  const end = writePacketBlock(
    into,
    4,
    { bytes: frame, start: 0, size: frame.length },
    kept,
    AT_US,
    lost,
  );
  expect(end).toBe(bytes.length - 4);
  // Nothing around the block is touched.
  expect([...bytes.subarray(0, 4), ...bytes.subarray(end)]).toEqual(Array(8).fill(0xee));
  return bytes.slice(4, end);
}

describe("encodeCaptureStart()", () => {
  test("writes a section and an interface, byte for byte", () => {
    expect(encodeCaptureStart(ORIGIN).toHex()).toBe(
      [
        "0a0d0d0a3c000000 4d3c2b1a 01000000 ffffffffffffffff",
        "02000300 63707500 03000500 4c696e7578000000 04000300 61707000 00000000 3c000000",
        "010000004c000000 01000000 60000000",
        "02000300 48554200 03000100 64000000 09000100 06000000 0b000400 00746370",
        "0c000500 4c696e7578000000 0f000300 63707500 00000000 4c000000",
      ]
        .join("")
        .replaceAll(" ", ""),
    );
  });

  test("leaves the filter out where there is none, and cuts texts at a character", () => {
    const start = encodeCaptureStart({
      ...ORIGIN,
      filter: undefined,
      description: "\u00e9".repeat(2000),
    });
    const [, description] = blocksOf(start);
    const options = optionsOf(description!, 8);
    expect(options.has(11)).toBe(false);
    expect(new TextDecoder("utf-8", { fatal: true }).decode(options.get(3)!)).toBe(
      "\u00e9".repeat(512),
    );
  });
});

describe("writePacketBlock()", () => {
  test.each([14, 15, 16, 17, 60, 1514])("writes a frame of %d bytes and pads it", (size) => {
    const frame = Uint8Array.from({ length: size }, (_, at) => at & 255);
    const [block] = blocksOf(packet(frame));
    const { view } = block!;
    expect(block!.type).toBe(6);
    expect(view.getUint32(0, true)).toBe(0);
    expect(view.getUint32(4, true) * 2 ** 32 + view.getUint32(8, true)).toBe(AT_US);
    expect([view.getUint32(12, true), view.getUint32(16, true)]).toEqual([size, size]);
    expect(block!.body.subarray(20, 20 + size)).toEqual(frame);
    expect(block!.body.subarray(20 + size)).toEqual(new Uint8Array((4 - (size % 4)) % 4));
  });

  test("keeps the first bytes and the length of all", () => {
    const [block] = blocksOf(packet(new Uint8Array(1514).fill(7), 61));
    expect(block!.view.getUint32(12, true)).toBe(61);
    expect(block!.view.getUint32(16, true)).toBe(1514);
    expect(block!.body.length).toBe(20 + 64);
  });

  test("tells how many frames were lost before it", () => {
    const lost = 5 * 2 ** 32 + 3;
    const [block] = blocksOf(packet(new Uint8Array(60), 60, lost));
    const count = optionsOf(block!, 20 + 60).get(4)!;
    expect(new DataView(count.buffer, count.byteOffset).getBigUint64(0, true)).toBe(BigInt(lost));
  });
});

describe("encodeCaptureEnd()", () => {
  test("tells what came, what passed, what was lost, and from when to when", () => {
    const end = encodeCaptureEnd({
      startedUs: AT_US - 5_000_000,
      endedUs: AT_US,
      received: 10,
      accepted: 7,
      dropped: 2,
      written: 5,
    });
    const [block] = blocksOf(end);
    expect(block!.type).toBe(5);
    const options = optionsOf(block!, 12);
    const number = (code: number) => {
      const value = options.get(code)!;
      return Number(new DataView(value.buffer, value.byteOffset).getBigUint64(0, true));
    };
    expect([4, 5, 6, 8].map(number)).toEqual([10, 2, 7, 5]);
    const time = (code: number) => {
      const value = options.get(code)!;
      const view = new DataView(value.buffer, value.byteOffset);
      return view.getUint32(0, true) * 2 ** 32 + view.getUint32(4, true);
    };
    expect([time(2), time(3)]).toEqual([AT_US - 5_000_000, AT_US]);
  });
});
