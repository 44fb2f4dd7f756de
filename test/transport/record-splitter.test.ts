import { describe, expect, test } from "bun:test";
import { RecordSplitter } from "../../src/transport/record-splitter.ts";
import { seededRandom } from "../support/seeded-random.ts";

const record = (type: number, length: number) => [
  type,
  3,
  3,
  length >> 8,
  length & 255,
  ...Array.from({ length }, () => 0),
];

describe("RecordSplitter", () => {
  test("tlsBytes() ends behind the last record, where a number of blocks or a keep-alive begins", () => {
    const records = [...record(22, 3), ...record(20, 1), ...record(23, 300), ...record(21, 2)];
    for (const clear of [
      [0, 0, 0, 1, 0, 0, 0, 60],
      [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9],
    ]) {
      const splitter = new RecordSplitter();
      expect(splitter.tlsBytes(Uint8Array.of(...records, ...clear))).toBe(records.length);
      expect(splitter.isClear).toBe(true);
      // What looks like a record is none any more.
      expect(splitter.tlsBytes(Uint8Array.of(...record(23, 1)))).toBe(0);
    }
  });

  test("FI-01 tlsBytes() finds the same place in pieces of any size", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 200; round++) {
      const records = Array.from({ length: 3 }, () =>
        record(23, Math.floor(random.fraction() * 40)),
      ).flat();
      const bytes = Uint8Array.of(...records, 0, 0, 0, 1, 23, 3, 3, 0, 1, 9);
      const splitter = new RecordSplitter();
      let found = 0;
      for (let at = 0; at < bytes.length;) {
        const size = 1 + Math.floor(random.fraction() * 9);
        found += splitter.tlsBytes(bytes.subarray(at, at + size));
        at += size;
      }
      expect(found).toBe(records.length);
    }
  });

  test("tlsBytes() takes empty records and the longest that a header can announce", () => {
    const splitter = new RecordSplitter();
    const bytes = Uint8Array.of(...record(23, 0), ...record(23, 65_535), 0);
    expect(splitter.tlsBytes(bytes)).toBe(bytes.length - 1);
  });
});
