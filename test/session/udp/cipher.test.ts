import { describe, expect, test } from "bun:test";
import {
  CIPHER_KINDS,
  type DatagramCipher,
  tryMakeCipher,
} from "../../../src/crypto/chacha20poly1305.ts";
import { NOT_OPENED, SLACK_BYTES } from "../../../src/crypto/datagram-module.ts";
import { PACKET_BYTES, reserve } from "../../../src/platform/packet-memory.ts";
import type { SealBounds } from "../../../src/session/udp/datagram.ts";
import { SealedCodec } from "../../../src/session/udp/sealed-codec.ts";
import { runOf } from "../../support/array-port.ts";
import { fromHex, toHex } from "../../support/hex.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const BORDER = 0xb5;
const AREA_BYTES = 70_000;
const runAt = reserve(AREA_BYTES);
const outAt = reserve(AREA_BYTES) + 512;
const openAt = reserve(8_192) + 512;

const KEY = seededRandom(3).bytes(128);
const NONCE = seededRandom(4).bytes(20);

const BOUNDS: SealBounds = {
  out: outAt,
  room: 65_000,
  most: 64,
  segment: 0,
  padding: 9,
  whole: 1_426,
  flag: 0,
};

function codecOf(cipher: DatagramCipher): SealedCodec {
  return new SealedCodec(KEY, KEY, NONCE, cipher);
}

/** Seals frames of these sizes; the datagrams as they go out. */
function seal(codec: SealedCodec, sizes: readonly number[], bounds: SealBounds = BOUNDS) {
  const random = seededRandom(sizes.length);
  const run = runOf(sizes.map((size) => random.bytes(size)));
  PACKET_BYTES.set(run.bytes, runAt);
  PACKET_BYTES.fill(BORDER, outAt - 512, outAt + 68_000);
  codec.begin({ cookie: 77, tick: 2 ** 40 + 5, echo: 12 });
  const sealed = { ...codec.seal(runAt + 4, runAt + run.end, bounds) };
  codec.end();
  const bytes = PACKET_BYTES.slice(outAt, outAt + sealed.bytes);
  return { ...sealed, at: sealed.stoppedAt - runAt, datagrams: sealed.datagrams, bytes };
}

function open(codec: SealedCodec, datagram: Uint8Array, cookie = 77): number {
  PACKET_BYTES.set(datagram, runAt);
  PACKET_BYTES.fill(BORDER, openAt - 512, openAt + 7_000);
  const size = codec.open(runAt, datagram.length, openAt, cookie);
  // Frames that came before lie there.
  expect(PACKET_BYTES.subarray(openAt - 512, openAt).every((octet) => octet === BORDER)).toBe(true);
  return size;
}

/** From an independent implementation of RFC 8439, for cookie 1, tick 2, echo 3. */
const KNOWN_KEEPALIVE =
  "0700000040414243444546479f7be95c01fd40ba15e28ff936810aaec1c0883c09016eb582f68827bb84e6ecc926ea9ae230c6";

describe.each(CIPHER_KINDS)("%s cipher", (kind) => {
  const cipher = tryMakeCipher(kind)!;

  test("a keep-alive is what RFC 8439 makes of its header", () => {
    const codec = new SealedCodec(
      fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
      KEY,
      fromHex("070000004041424344454647"),
      cipher,
    );
    codec.begin({ cookie: 1, tick: 2, echo: 3 });
    expect(codec.sealKeepalive(outAt, 0)).toBe(51);
    codec.end();
    expect(toHex(PACKET_BYTES.slice(outAt, outAt + 51))).toBe(KNOWN_KEEPALIVE);
  });

  test("sealed datagrams are opened to the frames that went in, for every size", () => {
    const codec = codecOf(cipher);
    const random = seededRandom(9);
    for (let size = 1; size <= 3_200; size += 1 + random.below(40)) {
      const { bytes } = seal(codec, [size], { ...BOUNDS, padding: random.below(32) });
      const frame = PACKET_BYTES.slice(runAt + 8, runAt + 8 + size);
      expect(open(codec, bytes)).toBe(size);
      expect(toHex(PACKET_BYTES.slice(openAt + 4, openAt + 4 + size))).toBe(toHex(frame));
      expect(codec.opened).toMatchObject({ tick: 2 ** 40 + 5, echo: 12, flag: 0 });
    }
  });

  test("one flipped bit anywhere is found", () => {
    const codec = codecOf(cipher);
    const { bytes } = seal(codec, [200]);
    for (let bit = 0; bit < bytes.length * 8; bit += 37) {
      const flipped = bytes.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(open(codec, flipped)).toBe(NOT_OPENED.wrongTag);
    }
    expect(open(codec, bytes, 78)).toBe(NOT_OPENED.wrongCookie);
    expect(open(codec, bytes)).toBe(200);
  });

  test("UD-01 datagrams that are too short or too long are not looked at", () => {
    const codec = codecOf(cipher);
    for (const size of [0, 1, 11, 12, 28, 50]) {
      expect(open(codec, new Uint8Array(size))).toBe(NOT_OPENED.tooShort);
    }
    expect(codec.open(runAt, 65_507, openAt, 77)).toBe(NOT_OPENED.tooLong);
  });

  test("datagrams of one message are of one size: padding makes up for a little", () => {
    const codec = codecOf(cipher);
    expect(seal(codec, [1_000, 990, 985, 1_009])).toMatchObject({
      datagrams: 4,
      segment: 1_060,
      bytes: { length: 4_240 },
    });
    // Too short, as one of them would tell its size by it and be taken for as large as the others (UD-10).
    expect(seal(codec, [1_000, 1_000, 60, 1_000])).toMatchObject({
      datagrams: 2,
      segment: 1_060,
      at: 2_012,
    });
    // Too long for the size, so it begins another message.
    expect(seal(codec, [60, 1_000])).toMatchObject({ datagrams: 1, segment: 120, at: 68 });
    expect(seal(codec, [60, 60, 60], { ...BOUNDS, most: 2 })).toMatchObject({ datagrams: 2 });
    expect(seal(codec, [60, 60, 60], { ...BOUNDS, room: 250 })).toMatchObject({ datagrams: 2 });
    // No padding beyond what goes whole over the path.
    expect(seal(codec, [1_370])).toMatchObject({ segment: 1_426 });
    expect(seal(codec, [1_500])).toMatchObject({ segment: 1_551 });
  });

  test("blocks that no session knows are left out, and a broken end of the run stays", () => {
    const codec = codecOf(cipher);
    expect(seal(codec, [60, 3_201, 60])).toMatchObject({ datagrams: 2, refused: 1 });
    const run = runOf([new Uint8Array(60)]);
    PACKET_BYTES.set(run.bytes, runAt);
    codec.begin({ cookie: 77, tick: 1, echo: 0 });
    expect(codec.seal(runAt + 4, runAt + 50, BOUNDS)).toMatchObject({ datagrams: 0, refused: 0 });
    codec.end();
  });

  test("nothing is written before the datagrams or far behind them", () => {
    const { bytes } = seal(codecOf(cipher), [1_363, 1_363, 100]);
    const end = outAt + bytes.length;
    expect(PACKET_BYTES.subarray(outAt - 512, outAt).every((octet) => octet === BORDER)).toBe(true);
    const behind = PACKET_BYTES.subarray(end + SLACK_BYTES, end + 2_000);
    expect(behind.every((octet) => octet === BORDER)).toBe(true);
  });

  test("it agrees with the other kinds to the byte", () => {
    const sizes = [14, 60, 61, 75, 1_363, 1_363, 1_360, 1_363, 700];
    const of = (each: DatagramCipher) => {
      const codec = codecOf(each);
      return [sizes, sizes.slice(4), [3_200]].map((some) => toHex(seal(codec, some).bytes));
    };
    expect(of(cipher)).toEqual(of(tryMakeCipher("scalar")!));
  });
});
