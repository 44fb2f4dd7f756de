import { describe, expect, test } from "bun:test";
import { CIPHER_KINDS, tryMakeCipher } from "../../src/crypto/chacha20poly1305.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../../src/platform/packet-memory.ts";
import { type DatagramCodec, MAX_PAYLOAD_BYTES } from "../../src/session/udp/datagram.ts";
import { LegacyCodec } from "../../src/session/udp/legacy-codec.ts";
import { SealedCodec } from "../../src/session/udp/sealed-codec.ts";
import { fromHex } from "../support/hex.ts";
import vectors from "../vectors/udp_acceleration.json" with { type: "json" };
import { fuzz } from "./fuzz.ts";

const BORDER = 0xb5;
const inAt = reserve(8_192);
const outAt = reserve(8_192) + 256;
const COOKIE = 711_669_691;
const KEY = new Uint8Array(128).fill(5);

const codecs: readonly (readonly [string, DatagramCodec])[] = [
  ...CIPHER_KINDS.map((kind) => {
    const codec = new SealedCodec(KEY, KEY, KEY, tryMakeCipher(kind)!);
    return [`sealed, ${kind}`, codec] as const;
  }),
  [
    "version 1",
    new LegacyCodec(1, {
      send: KEY.slice(0, 20),
      receive: KEY.slice(0, 20),
      iv: KEY.slice(0, 20),
    }),
  ],
  ["in clear", new LegacyCodec(2, undefined)],
];

/** The recorded datagrams as their sender saw them before they were sealed, and some that nobody sent. */
const SEEDS = [
  ...vectors.flatMap(({ packets }) =>
    packets.map((packet) => {
      const payload = fromHex(packet.payload_hex);
      const bytes = new Uint8Array(23 + payload.length + packet.padding);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, COOKIE);
      view.setUint32(8, packet.sender_tick);
      view.setUint32(16, packet.echoed_tick);
      view.setUint16(20, payload.length);
      bytes[22] = packet.flag;
      bytes.set(payload, 23);
      return bytes;
    }),
  ),
  new Uint8Array(23),
];

/** What the bytes say is sealed by its sender, so that it is judged behind a right tag; in clear they go as they are. */
function target(codec: DatagramCodec, bytes: Uint8Array): boolean {
  const size = codec.isEncrypted
    ? sealRaw(codec, bytes)
    : (PACKET_BYTES.set(bytes, inAt), bytes.length);
  PACKET_BYTES.fill(BORDER, outAt - 256, outAt + 7_000);
  const answer = codec.open(inAt, size, outAt, COOKIE);
  const before = PACKET_BYTES.subarray(outAt - 256, outAt);
  if (before.some((octet) => octet !== BORDER)) throw new Error("it wrote before its place");
  const behind = PACKET_BYTES.subarray(outAt + 5_000, outAt + 7_000);
  if (behind.some((octet) => octet !== BORDER)) throw new Error("it wrote far behind its place");
  if (answer < 0) return false;
  if (answer > MAX_PAYLOAD_BYTES) throw new Error(`it took a payload of ${answer} bytes`);
  const { tick, echo } = codec.opened;
  if (!(tick >= 0 && echo >= 0)) throw new Error("it read no number");
  return true;
}

/** Seals a payload under the cookie, the ticks and the flag that the bytes begin with. */
function sealRaw(codec: DatagramCodec, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isWhole = bytes.length >= 23;
  const payload = isWhole ? bytes.subarray(23) : bytes;
  codec.begin({
    cookie: isWhole ? view.getUint32(0) : COOKIE,
    tick: isWhole ? view.getUint32(8) : 1,
    echo: isWhole ? view.getUint32(16) : 0,
  });
  PACKET_VIEW.setUint32(outAt, payload.length);
  PACKET_BYTES.set(payload, outAt + 4);
  const sealed = codec.seal(outAt, outAt + 4 + payload.length, {
    out: inAt,
    room: 4_096,
    most: 1,
    segment: 0,
    padding: bytes.length & 31,
    whole: 1_426,
    flag: isWhole ? bytes[22]! : 0,
  });
  const size = sealed.datagrams === 0 ? codec.sealKeepalive(inAt, 60) : sealed.bytes;
  codec.end();
  // Now and then with a bit that somebody flipped.
  if (bytes.length % 5 === 0) PACKET_BYTES[inAt + (bytes.length % size)]! ^= 1;
  return size;
}

/** The driver ends by itself after FUZZ_SECONDS; the runner must not be quicker. */
const TIMEOUT_MS = (Number(process.env["FUZZ_SECONDS"] ?? 0) + 60) * 1000;

describe("fuzz session/udp-accel", () => {
  test.each(codecs)(
    "%s",
    (_, codec) => {
      const { accepted, rounds } = fuzz({
        name: "session-udp-accel",
        seeds: SEEDS,
        target: (bytes) => target(codec, bytes),
      });
      expect(accepted).toBeGreaterThan(rounds / 50);
    },
    TIMEOUT_MS,
  );
});
