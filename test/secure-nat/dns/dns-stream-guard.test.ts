import { describe, expect, test } from "bun:test";
import { addressOf } from "../../../src/platform/libc.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../../../src/platform/packet-memory.ts";
import { setVector } from "../../../src/platform/message-table.ts";
import { DnsStreamGuard } from "../../../src/secure-nat/dns/dns-stream-guard.ts";

const vectorAt = reserve(32);
const payloadAt = reserve(4096);

/** A guard with the messages it has asked about; those that begin with 9 may not pass. */
function open() {
  const seen: string[] = [];
  const guard = new DnsStreamGuard((message) => {
    seen.push(message.length > 8 ? `${message.length} bytes` : message.join());
    return message[0] !== 9;
  });
  const passes = (...bytes: number[]) => {
    PACKET_BYTES.set(bytes, payloadAt);
    setVector(vectorAt, payloadAt, bytes.length);
    return guard.passes(vectorAt, 1, bytes.length);
  };
  return { guard, passes, seen };
}

describe("DnsStreamGuard", () => {
  test("looks at each message before its last byte goes on, however the stream is cut", () => {
    const { guard, passes, seen } = open();
    for (const byte of [0, 2, 7, 8, 0, 1, 6]) {
      expect(passes(byte)).toBe(true);
      guard.taken(1);
    }
    expect(seen).toEqual(["7,8", "6"]);
    expect(passes(0, 1, 5, 0, 2, 4, 4, 0)).toBe(true);
    expect(seen).toEqual(["7,8", "6", "5", "4,4"]);
  });

  test("looks once at what does not go on at once", () => {
    const { guard, passes, seen } = open();
    expect(passes(0, 1, 7, 0, 1)).toBe(true);
    guard.taken(2);
    expect(passes(7, 0)).toBe(true);
    expect(passes(7, 0, 1, 8)).toBe(true);
    guard.taken(4);
    expect(passes(0, 1, 3)).toBe(true);
    expect(seen).toEqual(["7", "8", "3"]);
  });

  test("refuses for good after a message that may not pass", () => {
    const { guard, passes, seen } = open();
    expect(passes(0, 1, 7, 0, 2, 9)).toBe(true);
    guard.taken(6);
    expect(passes(1)).toBe(false);
    guard.taken(1);
    expect(passes(0, 1, 7)).toBe(false);
    expect(seen).toEqual(["7", "9,1"]);
  });

  test("takes questions of up to 1024 bytes", () => {
    const { passes, seen } = open();
    expect(passes(4, 0, ...Array.from({ length: 1024 }, () => 1))).toBe(true);
    expect(seen).toEqual(["1024 bytes"]);
    expect(open().passes(4, 1)).toBe(false);
  });

  test("reads parts, also where they lie outside packet memory", () => {
    const { guard, seen } = open();
    const outside = Uint8Array.of(0, 3, 1);
    PACKET_VIEW.setBigUint64(vectorAt, BigInt(addressOf(outside)), true);
    PACKET_VIEW.setBigUint64(vectorAt + 8, 3n, true);
    PACKET_BYTES.set([2, 3, 0], payloadAt);
    setVector(vectorAt + 16, payloadAt, 3);
    expect(guard.passes(vectorAt, 2, 6)).toBe(true);
    expect(seen).toEqual(["1,2,3"]);
  });
});
