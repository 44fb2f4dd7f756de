import { describe, expect, test } from "bun:test";
import {
  CIPHER_KINDS,
  type DatagramCipher,
  tryMakeCipher,
} from "../../../src/crypto/chacha20poly1305.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../../../src/platform/packet-memory.ts";
import type { DatagramCodec } from "../../../src/session/udp/datagram.ts";
import { LegacyCodec } from "../../../src/session/udp/legacy-codec.ts";
import { SealedCodec } from "../../../src/session/udp/sealed-codec.ts";
import { fromHex, toHex } from "../../support/hex.ts";
import vectors from "../../vectors/udp_acceleration.json" with { type: "json" };
import ipv6 from "../../vectors/welcome_ipv6_udp.json" with { type: "json" };

const inAt = reserve(8192);
const outAt = reserve(8192) + 64;

interface Recorded {
  readonly direction: string;
  readonly what: string;
  readonly packet_hex: string;
  readonly cookie: number;
  readonly sender_tick: number;
  readonly echoed_tick: number;
  readonly flag: number;
  readonly payload_hex: string;
  readonly padding: number;
}

/** The codec of whoever sent the recorded datagram, which opens its own as the other end would. */
function codecOf(
  vector: (typeof vectors)[number],
  packet: Recorded,
  cipher: DatagramCipher,
): DatagramCodec {
  const { welcome_fields: fields, version } = vector;
  if (vector.plaintext) return new LegacyCodec(version === 1 ? 1 : 2, undefined);
  const isOurs = packet.direction === "c2s";
  const iv = fromHex(packet.packet_hex);
  if (version === 1) {
    const key = fromHex(isOurs ? vector.client_key_v1 : fields.udp_acceleration_server_key);
    return new LegacyCodec(1, { send: key, receive: key, iv: iv.slice(0, 20) });
  }
  const key = fromHex(isOurs ? vector.client_key_v2 : fields.udp_acceleration_server_key_v2);
  return new SealedCodec(key, key, iv, cipher);
}

describe.each(CIPHER_KINDS)("datagrams of the reference, %s cipher", (kind) => {
  const cipher = tryMakeCipher(kind)!;
  const cases = vectors.flatMap((vector, n) =>
    vector.packets.map((packet, at) => [`${n}.${at} ${packet.what}`, vector, packet] as const),
  );

  test.each(cases)("%s is opened, and sealed again to the same bytes", (_, vector, packet) => {
    const codec = codecOf(vector, packet, cipher);
    const bytes = fromHex(packet.packet_hex);
    const payload = fromHex(packet.payload_hex);
    PACKET_BYTES.set(bytes, inAt);
    expect(codec.open(inAt, bytes.length, outAt, packet.cookie)).toBe(payload.length);
    expect(codec.opened).toMatchObject({
      tick: packet.sender_tick,
      echo: packet.echoed_tick,
      flag: packet.flag,
    });
    if (payload.length > 0) {
      expect(PACKET_VIEW.getUint32(outAt)).toBe(payload.length);
      expect(toHex(PACKET_BYTES.slice(outAt + 4, outAt + 4 + payload.length))).toBe(
        packet.payload_hex,
      );
    }

    codec.begin({
      cookie: packet.cookie,
      tick: packet.sender_tick,
      echo: packet.echoed_tick,
    });
    PACKET_VIEW.setUint32(inAt, payload.length);
    PACKET_BYTES.set(payload, inAt + 4);
    if (payload.length === 0) {
      expect(codec.sealKeepalive(outAt, bytes.length)).toBe(bytes.length);
    } else {
      const sealed = codec.seal(inAt, inAt + 4 + payload.length, {
        out: outAt,
        room: 4096,
        most: 64,
        segment: 0,
        padding: packet.padding,
        whole: 1426,
        flag: packet.flag,
      });
      expect(sealed).toMatchObject({ bytes: bytes.length, datagrams: 1, segment: bytes.length });
    }
    codec.end();
    expect(toHex(PACKET_BYTES.slice(outAt, outAt + bytes.length))).toBe(packet.packet_hex);
  });

  test.each(ipv6.s2c_udp_packets)("keep-alive %# over IPv6 is opened", (hex) => {
    const { elements } = ipv6.welcome;
    const value = (name: string) => elements.find((element) => element.name === name)?.values[0];
    const key = fromHex(String(value("udp_acceleration_server_key_v2")));
    const codec = new SealedCodec(key, key, key, cipher);
    const bytes = fromHex(hex);
    PACKET_BYTES.set(bytes, inAt);
    const cookie = Number(value("udp_acceleration_client_cookie"));
    expect(codec.open(inAt, bytes.length, outAt, cookie)).toBe(0);
    expect(codec.opened.tick).toBeGreaterThan(0);
  });
});
