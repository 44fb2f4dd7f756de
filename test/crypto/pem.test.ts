import { expect, test } from "bun:test";
import { derBlocks } from "../../src/crypto/pem.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const block = (label: string, der: readonly number[]) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString("base64")}\n-----END ${label}-----\n`;

test("derBlocks() gives the blocks of one label, whatever stands around them", () => {
  const text = `Subject: x\r\n${block("A", [0x30, 1, 7])}${block("B", [0x30, 0])}note\n${block("A", [0x30, 0])}`;
  expect(derBlocks(bytes(text), "A").map((der) => [...der])).toEqual([
    [0x30, 1, 7],
    [0x30, 0],
  ]);
  expect(derBlocks(bytes(text), "C")).toEqual([]);
});

test("derBlocks() takes bytes for DER where they are one whole SEQUENCE", () => {
  const short = new Uint8Array([0x30, 2, 1, 2]);
  const long = new Uint8Array(4 + 300).fill(1);
  long.set([0x30, 0x82, 300 >> 8, 300 & 255]);
  expect(derBlocks(short, "A")).toEqual([short]);
  expect(derBlocks(long, "A")).toEqual([long]);
  for (const other of [short.subarray(0, 3), long.subarray(0, 303), new Uint8Array([0x30, 0x80])]) {
    expect(derBlocks(other, "A")).toEqual([]);
  }
});

test("derBlocks() leaves out blocks that are cut, or no SEQUENCE", () => {
  expect(derBlocks(bytes(block("A", [0x30, 5, 1]) + block("A", [4, 1, 1])), "A")).toEqual([]);
  expect(derBlocks(bytes("-----BEGIN A-----\nMAA=\n-----END B-----\n"), "A")).toEqual([]);
  expect(derBlocks(new Uint8Array(0), "A")).toEqual([]);
});
