import { describe, expect, test } from "bun:test";
import {
  readGrant,
  readWish,
  type UdpGrant,
  type UdpWish,
  writeGrant,
  writeWish,
} from "../../../src/session/udp/elements.ts";
import { Pack } from "../../../src/wire/pack.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import recorded from "../../vectors/welcome_ipv6_udp.json" with { type: "json" };
import { fromHex } from "../../support/hex.ts";

const random = seededRandom(2);
const WISH: UdpWish = {
  version: 2,
  ip: "192.0.2.7",
  port: 50_000,
  keys: { legacy: random.bytes(20), sealed: random.bytes(128) },
  isFast: true,
};
const GRANT: UdpGrant = {
  ...WISH,
  ip: "2001:db8::1",
  port: 40_000,
  serverCookie: 0xffff_fffe,
  clientCookie: 1,
  isEncrypted: true,
};

function again(pack: Pack): Pack {
  return Pack.parse(pack.encode());
}

describe("readWish()", () => {
  test("reads what writeWish() wrote", () => {
    expect(readWish(again(writeWish(new Pack(), WISH)))).toEqual(WISH);
  });

  test("a wish of a client that knows no version 2 is for version 1", () => {
    const old = writeWish(new Pack(), WISH)
      .setInt("udp_acceleration_max_version")
      .setData("udp_acceleration_client_key_v2")
      .setBool("support_udp_accel_fast_disconnect_detect", false);
    expect(readWish(again(old))).toEqual({
      ...WISH,
      version: 1,
      keys: { ...WISH.keys, sealed: undefined },
      isFast: false,
    });
  });

  test("a loop-back address is told as zeros", () => {
    const pack = writeWish(new Pack(), { ...WISH, ip: "127.0.0.1" });
    expect(readWish(again(pack))?.ip).toBe("0.0.0.0");
    expect(readWish(again(writeWish(new Pack(), { ...WISH, ip: "::1" })))?.ip).toBe("::");
  });

  test.each([
    ["no wish", (pack: Pack) => pack.setBool("use_udp_acceleration", false)],
    ["port 0", (pack: Pack) => pack.setInt("udp_acceleration_client_port", 0)],
    ["port 65,536", (pack: Pack) => pack.setInt("udp_acceleration_client_port", 65_536)],
    ["no key", (pack: Pack) => pack.setData("udp_acceleration_client_key")],
    [
      "a short key",
      (pack: Pack) => pack.setData("udp_acceleration_client_key", new Uint8Array(19)),
    ],
  ])("%s is not granted", (_, change) => {
    expect(readWish(again(change(writeWish(new Pack(), WISH))))).toBeUndefined();
  });

  test("a key of version 2 that is too short leaves version 1", () => {
    const pack = writeWish(new Pack(), WISH).setData(
      "udp_acceleration_client_key_v2",
      new Uint8Array(127),
    );
    expect(readWish(again(pack))?.version).toBe(1);
  });
});

describe("readGrant()", () => {
  test("reads what writeGrant() wrote", () => {
    expect(readGrant(again(writeGrant(new Pack(), GRANT)))).toEqual(GRANT);
  });

  test("reads what the reference grants over IPv6", () => {
    const pack = new Pack();
    for (const { name, type, values } of recorded.welcome.elements) {
      if (!name.includes("udp")) continue;
      if (type === "int") pack.setInt(name, ...values.map(Number));
      if (type === "data") pack.setData(name, ...values.map((hex) => fromHex(String(hex))));
    }
    expect(readGrant(again(pack))).toMatchObject({
      version: 2,
      isEncrypted: true,
      isFast: true,
      keys: { legacy: { length: 20 }, sealed: { length: 128 } },
    });
    expect(readGrant(again(pack))?.ip).toContain(":");
  });

  test.each([
    ["no grant", (pack: Pack) => pack.setBool("use_udp_acceleration", false)],
    ["port 0", (pack: Pack) => pack.setInt("udp_acceleration_server_port", 0)],
    ["no cookie", (pack: Pack) => pack.setInt("udp_acceleration_server_cookie", 0)],
    ["no key of its version", (pack: Pack) => pack.setData("udp_acceleration_server_key_v2")],
  ])("%s is none", (_, change) => {
    expect(readGrant(again(change(writeGrant(new Pack(), GRANT))))).toBeUndefined();
  });
});
