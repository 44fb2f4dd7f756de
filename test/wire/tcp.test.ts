import { describe, expect, test } from "bun:test";
import { type IpAddress, tryParseAddress } from "../../src/base/ip.ts";
import { areTcpFlags, TCP_FLAG, tcpHeaderBytes, TcpOptions } from "../../src/wire/tcp.ts";
import { encodeTcp, type TcpSegment, tryParseTcp } from "../support/tcp-segment.ts";

const { SYN, ACK, FIN, RST, PSH, URG } = TCP_FLAG;

function path(source: string, destination: string): { source: IpAddress; destination: IpAddress } {
  return { source: tryParseAddress(source)!, destination: tryParseAddress(destination)! };
}

const V4 = path("192.0.2.1", "198.51.100.7");
const V6 = path("2001:db8::1", "2001:db8::7");
const SEGMENT: TcpSegment = {
  sourcePort: 40_000,
  destinationPort: 443,
  sequence: 0xffff_fff0,
  acknowledgment: 17,
  flags: PSH | ACK,
  window: 512,
  options: new Uint8Array([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
  payload: new Uint8Array([1, 2, 3]),
};

function read(...bytes: number[]): { options: TcpOptions; isSound: boolean } {
  const options = new TcpOptions();
  const view = new DataView(new Uint8Array(bytes).buffer);
  return { options, isSound: options.read(view, 0, bytes.length) };
}

describe("encodeTcp() and tryParseTcp()", () => {
  test("agree on a segment of either family", () => {
    for (const of of [V4, V6]) expect(tryParseTcp(encodeTcp(SEGMENT, of), of)).toEqual(SEGMENT);
  });

  test("refuse each changed byte, and each cut of the header", () => {
    const bytes = encodeTcp(SEGMENT, V4);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = bytes.slice();
      changed[at]! ^= 0x10;
      expect(tryParseTcp(changed, V4)).toBeUndefined();
    }
    for (let cut = 0; cut < 32; cut += 1) {
      expect(tryParseTcp(bytes.subarray(0, cut), V4)).toBeUndefined();
    }
  });

  test("refuse options over 40 bytes", () => {
    expect(() => encodeTcp({ ...SEGMENT, options: new Uint8Array(41) }, V4)).toThrow(RangeError);
  });
});

describe("tcpHeaderBytes()", () => {
  test("IP-10 gives 0 for a data offset of 4, and one past the end", () => {
    const bytes = encodeTcp(SEGMENT, V4);
    const view = new DataView(bytes.buffer);
    expect(tcpHeaderBytes(view, 0, bytes.length)).toBe(32);
    expect(tcpHeaderBytes(view, 0, 31)).toBe(0);
    bytes[12] = 4 << 4;
    expect(tcpHeaderBytes(view, 0, bytes.length)).toBe(0);
  });
});

describe("areTcpFlags()", () => {
  test("IP-10 knows what some TCP sends from what none does", () => {
    for (const flags of [SYN, SYN | ACK, ACK, ACK | PSH | URG, FIN | ACK, FIN, RST, RST | ACK]) {
      expect([flags, areTcpFlags(flags)]).toEqual([flags, true]);
    }
    for (const flags of [0, PSH, SYN | FIN, SYN | RST, FIN | RST, SYN | FIN | RST | ACK, 0xff]) {
      expect([flags, areTcpFlags(flags)]).toEqual([flags, false]);
    }
  });
});

describe("TcpOptions.read()", () => {
  test("reads those of a SYN", () => {
    const { options, isSound } = read(
      2,
      4,
      5,
      180,
      4,
      2,
      8,
      10,
      0,
      0,
      0,
      9,
      0,
      0,
      0,
      0,
      1,
      3,
      3,
      7,
    );
    expect(isSound).toBe(true);
    expect(options).toMatchObject({
      mss: 1460,
      sackPermitted: true,
      hasTimestamps: true,
      timestampValue: 9,
      windowScale: 7,
    });
  });

  test("reads timestamps alone, and with SACK blocks", () => {
    expect(read(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2).options).toMatchObject({
      timestampValue: 1,
      timestampEcho: 2,
    });
    const { options } = read(1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 255, 255, 255, 255);
    expect(options.sackBlocks).toBe(2);
    expect([...options.sackEdges.subarray(0, 4)]).toEqual([1, 2, 3, 0xffff_ffff]);
  });

  test("forgets what the segment before has said", () => {
    const { options } = read(2, 4, 5, 180);
    options.read(new DataView(new ArrayBuffer(0)), 0, 0);
    expect(options).toMatchObject({ mss: 0, windowScale: -1, hasTimestamps: false, sackBlocks: 0 });
  });

  test("IP-11 refuses lengths of 0 and 1 and past the end, and holds a window scale to 14", () => {
    expect(read(8, 0, 1, 1).isSound).toBe(false);
    expect(read(8, 1, 1, 1).isSound).toBe(false);
    expect(read(1, 1, 1, 2).isSound).toBe(false);
    expect(read(5, 10, 0, 0).isSound).toBe(false);
    expect(read(3, 3, 255, 0).options.windowScale).toBe(14);
  });

  test("skips unknown ones, wrong lengths of known ones, and what follows the end", () => {
    const { options, isSound } = read(254, 4, 9, 9, 2, 3, 5, 3, 2, 0, 2, 4);
    expect(isSound).toBe(true);
    expect(options).toMatchObject({ mss: 0, windowScale: -1 });
    expect(read(0, 255, 255, 255).isSound).toBe(true);
    expect(read(254, 4, 9, 9, 5, 3, 1, 0).options.sackBlocks).toBe(0);
  });

  test("ends for any bytes", () => {
    for (let seed = 0; seed < 2_000; seed += 1) {
      const bytes = Array.from({ length: seed % 41 }, (_, n) => (seed * 31 + n * 17 * seed) & 0xff);
      expect(read(...bytes).options.sackBlocks).toBeLessThanOrEqual(4);
    }
  });
});
