import { describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import {
  formatAddress,
  formatIpv4,
  formatNet,
  IPV4_BROADCAST,
  isV4Mapped,
  maskOfPrefix,
  netContains,
  prefixOfMask,
  readIpv4,
  sourceKey,
  tryParseAddress,
  tryParseIpv4,
  tryParseNet,
  unmapV4,
  writeIpv4,
  type Ipv4,
} from "../../src/base/ip.ts";
import { toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

describe("tryParseIpv4()", () => {
  for (const [text, value] of [
    ["0.0.0.0", 0],
    ["10.1.2.3", 0x0a010203],
    ["255.255.255.255", 0xffffffff],
    ["192.168.30.1", 0xc0a81e01],
  ] as const) {
    test(`reads ${text}`, () => {
      expect(tryParseIpv4(text)).toBe(value as Ipv4);
      expect(formatIpv4(value as Ipv4)).toBe(text);
    });
  }
  for (const text of [
    "",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "1..2.3",
    "256.1.1.1",
    "01.2.3.4",
    "1.2.3.00",
    "0x10.1.1.1",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.4\n",
    "1.2.3.+4",
    "1e1.2.3.4",
    "١.2.3.4",
    "1111.2.3.4",
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => expect(tryParseIpv4(text)).toBeUndefined());
  }
});

describe("tryParseAddress()", () => {
  /** Text, octets, and the text that RFC 5952 wants. */
  const good: readonly [text: string, hex: string, canonical: string][] = [
    ["::", "00000000000000000000000000000000", "::"],
    ["::1", "00000000000000000000000000000001", "::1"],
    ["1::", "00010000000000000000000000000000", "1::"],
    ["2001:db8::1", "20010db8000000000000000000000001", "2001:db8::1"],
    ["2001:DB8::A", "20010db800000000000000000000000a", "2001:db8::a"],
    ["2001:0db8:0:0:1:0:0:1", "20010db8000000000001000000000001", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"],
    ["2001:db8::1:1:1:1:1", "20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000", "1:2:3:4:5:6:7:0"],
    ["0:0:1::", "00000000000100000000000000000000", "0:0:1::"],
    ["::ffff:10.1.2.3", "00000000000000000000ffff0a010203", "::ffff:10.1.2.3"],
    ["::ffff:0a01:0203", "00000000000000000000ffff0a010203", "::ffff:10.1.2.3"],
    ["1:2:3:4:5:6:1.2.3.4", "00010002000300040005000601020304", "1:2:3:4:5:6:102:304"],
    ["64:ff9b::192.0.2.33", "0064ff9b0000000000000000c0000221", "64:ff9b::c000:221"],
    ["fe80::1", "fe800000000000000000000000000001", "fe80::1"],
    ["10.1.2.3", "0a010203", "10.1.2.3"],
  ];
  for (const [text, hex, canonical] of good) {
    test(`reads ${text} and formats it as ${canonical}`, () => {
      const address = tryParseAddress(text)!;
      expect(toHex(address.bytes)).toBe(hex);
      expect(address.family).toBe(hex.length === 8 ? 4 : 6);
      expect(formatAddress(address.bytes)).toBe(canonical);
    });
  }
  for (const text of [
    "",
    ":",
    ":::",
    "1",
    ":1",
    "1:",
    "::1::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "1:2:3:4::5:6:7:8",
    "12345::",
    "g::1",
    "::1.2.3",
    "::1.2.3.04",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "::1 ",
    "fe80::1%eth0",
    "[::1]",
    "::1/64",
    "::0x1",
    `${"0:".repeat(100)}1`,
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => expect(tryParseAddress(text)).toBeUndefined());
  }

  test("agrees with the platform on which texts are addresses", () => {
    const random = seededRandom(4291);
    const pieces = [":", ":", ":", "::", "0", "1", "ffff", "abcd", "10.1.2.3", "255", ".", "12345"];
    let good = 0;
    for (let round = 0; round < 30_000; round++) {
      let text = "";
      for (let n = random.below(16); n >= 0; n--) text += pieces[random.below(pieces.length)]!;
      const family = tryParseAddress(text)?.family ?? 0;
      if (family !== isIP(text)) throw new Error(`${text}: ${family}, platform ${isIP(text)}`);
      if (family !== 0) good++;
    }
    expect(good).toBeGreaterThan(100);
  });

  test("reads back what formatAddress() wrote, for random addresses full of zeros", () => {
    const random = seededRandom(5952);
    for (let round = 0; round < 5000; round++) {
      const bytes = random.bytes(16).map((byte) => (byte & 1 ? 0 : byte));
      const text = formatAddress(bytes);
      expect(toHex(tryParseAddress(text)!.bytes)).toBe(toHex(bytes));
      expect(isIP(text)).toBe(6);
    }
  });
});

describe("tryParseNet()", () => {
  for (const text of [
    "10.0.0.0/8",
    "0.0.0.0/0",
    "192.168.30.1/24",
    "1.2.3.4/32",
    "2001:db8::/32",
  ]) {
    test(`reads ${text} with its host bits`, () => {
      expect(formatNet(tryParseNet(text)!)).toBe(text);
    });
  }
  test("takes an address alone for a net of one address", () => {
    expect(tryParseNet("10.1.2.3")?.prefix).toBe(32);
    expect(tryParseNet("::1")?.prefix).toBe(128);
  });
  for (const text of [
    "",
    "/8",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.0/255.0.0.0",
    "10.0.0.0/ 8",
    "::/129",
    "::/1e1",
    "10/8",
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => expect(tryParseNet(text)).toBeUndefined());
  }
});

describe("netContains()", () => {
  const contains = (net: string, address: string) =>
    netContains(tryParseNet(net)!, tryParseAddress(address)!);
  test("compares the prefix and nothing after it", () => {
    expect(contains("10.0.0.0/8", "10.255.255.255")).toBe(true);
    expect(contains("10.0.0.0/8", "11.0.0.0")).toBe(false);
    expect(contains("192.168.30.77/25", "192.168.30.127")).toBe(true);
    expect(contains("192.168.30.77/25", "192.168.30.128")).toBe(false);
    expect(contains("1.2.3.4/32", "1.2.3.4")).toBe(true);
    expect(contains("1.2.3.4/32", "1.2.3.5")).toBe(false);
    expect(contains("0.0.0.0/0", "255.1.2.3")).toBe(true);
    expect(contains("2001:db8::/33", "2001:db8:7fff::1")).toBe(true);
    expect(contains("2001:db8::/33", "2001:db8:8000::1")).toBe(false);
  });
  test("is false across families", () => {
    expect(contains("0.0.0.0/0", "::1")).toBe(false);
    expect(contains("::/0", "1.2.3.4")).toBe(false);
  });
});

test("maskOfPrefix() and prefixOfMask() are each other's inverse; holes are refused", () => {
  for (let prefix = 0; prefix <= 32; prefix++) {
    expect(prefixOfMask(maskOfPrefix(prefix))).toBe(prefix);
  }
  expect(maskOfPrefix(24)).toBe(0xffffff00 as Ipv4);
  expect(prefixOfMask(0xff00ff00 as Ipv4)).toBeUndefined();
  expect(prefixOfMask(0x00ffffff as Ipv4)).toBeUndefined();
});

test("readIpv4() reads what writeIpv4() wrote, unsigned", () => {
  const bytes = new Uint8Array(6);
  writeIpv4(bytes, 1, 0xfffefdfc as Ipv4);
  expect(toHex(bytes)).toBe("00fffefdfc00");
  expect(readIpv4(bytes, 1)).toBe(0xfffefdfc as Ipv4);
  writeIpv4(bytes, 1, IPV4_BROADCAST);
  expect(readIpv4(bytes, 1)).toBe(IPV4_BROADCAST);
});

test("unmapV4() turns a mapped address into IPv4 and leaves others", () => {
  expect(formatAddress(unmapV4(tryParseAddress("::ffff:1.2.3.4")!).bytes)).toBe("1.2.3.4");
  expect(formatAddress(unmapV4(tryParseAddress("::1.2.3.4")!).bytes)).toBe("::102:304");
  expect(isV4Mapped(tryParseAddress("1::ffff:1.2.3.4")!.bytes)).toBe(false);
});

describe("sourceKey()", () => {
  for (const [text, key] of [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::9", "2001:db8:1:2::/64"],
    ["fe80::1%eth0", "fe80::/64"],
    ["::1", "::/64"],
    ["unix", "unix"],
  ] as const) {
    test(`gives ${key} for ${text}`, () => expect(sourceKey(text)).toBe(key));
  }
});
