import { describe, expect, test } from "bun:test";
import { formatIpv4, type Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import {
  DHCP_OPTION,
  encodeRoutes,
  tryParseRoutes,
  tryReadAddress,
  tryReadAddresses,
  tryReadNumber,
} from "../../src/wire/dhcp-option.ts";
import { DHCP_TYPE, encodeDhcp, tryParseDhcp, type DhcpMessage } from "../../src/wire/dhcp.ts";
import { tryParseEthernet } from "../../src/wire/ethernet.ts";
import { tryParseIpv4Packet } from "../../src/wire/ipv4.ts";
import { tryParseUdp } from "../../src/wire/udp.ts";
import recorded from "../vectors/data_stream.json" with { type: "json" };
import { fromHex, toHex } from "../support/hex.ts";

const ANY = 0 as Ipv4;
const DISCOVER: DhcpMessage = {
  op: "request",
  type: DHCP_TYPE.DISCOVER,
  xid: 0xfedcba98,
  secs: 3,
  wantsBroadcast: true,
  ciaddr: ANY,
  yiaddr: ANY,
  siaddr: ANY,
  giaddr: ANY,
  chaddr: 0x5eaabbccdd01 as MacAddress,
  options: new Map([[DHCP_OPTION.HOST_NAME, fromHex("7063")]]),
};

/** A message with these bytes for its options field and, if given, for `file` and `sname`. */
function withFields(fields: { options: string; file?: string; sname?: string }): Uint8Array {
  const options = fromHex(fields.options);
  const bytes = new Uint8Array(240 + options.length);
  bytes.set(encodeDhcp(DISCOVER).subarray(0, 240));
  bytes.set(options, 240);
  if (fields.file !== undefined) bytes.set(fromHex(fields.file), 108);
  if (fields.sname !== undefined) bytes.set(fromHex(fields.sname), 44);
  return bytes;
}

const optionsOf = (bytes: Uint8Array) =>
  [...(tryParseDhcp(bytes)?.options ?? [])].map(([code, value]) => `${code}=${toHex(value)}`);

describe("tryParseDhcp()", () => {
  test("reads the offer that the recorded server sent", () => {
    const frame = tryParseEthernet(fromHex(String(recorded.s2c_units[1]!.payload[0])))!;
    const packet = tryParseIpv4Packet(frame.payload)!;
    const datagram = tryParseUdp(packet.payload, packet)!;
    const offer = tryParseDhcp(datagram.payload)!;
    expect(offer).toMatchObject({
      op: "reply",
      type: DHCP_TYPE.OFFER,
      xid: 0x12345678,
      chaddr: 0x5eaabbccdd01 as MacAddress,
    });
    expect(formatIpv4(offer.yiaddr)).toBe("192.168.30.10");
    expect(tryReadNumber(offer.options, DHCP_OPTION.LEASE_TIME, 4)).toBe(7200);
    expect(tryReadAddress(offer.options, DHCP_OPTION.SUBNET_MASK)).toBe(0xffffff00 as Ipv4);
    expect(tryReadAddresses(offer.options, DHCP_OPTION.DNS)?.map(formatIpv4)).toEqual([
      "192.168.30.1",
    ]);
  });

  test("DH-01 refuses a message cut at each byte from 0 to 240", () => {
    const bytes = encodeDhcp(DISCOVER);
    for (let end = 0; end <= 240; end++) {
      expect(tryParseDhcp(bytes.subarray(0, end))).toBeUndefined();
    }
  });

  test("DH-02 refuses a wrong cookie and an op that is neither request nor reply", () => {
    for (const [at, value] of [
      [236, 0],
      [239, 0x64],
      [0, 0],
      [0, 3],
    ] as const) {
      const bytes = encodeDhcp(DISCOVER);
      bytes[at] = value;
      expect(tryParseDhcp(bytes)).toBeUndefined();
    }
    const reply = encodeDhcp({ ...DISCOVER, op: "reply" });
    expect(tryParseDhcp(reply)?.op).toBe("reply");
  });

  test("DH-03 refuses an option that runs past the end, and a bad or missing type", () => {
    for (const options of [
      "350101 0c05 616263",
      "350101 0c",
      "350101 0cff",
      "0c0161 ff",
      "3500 ff",
      "35020101 ff",
      "3501c8 ff",
      "350100 ff",
      "350101 350101 ff",
    ]) {
      expect(tryParseDhcp(withFields({ options }))).toBeUndefined();
    }
    expect(tryParseDhcp(withFields({ options: "350101 ff" }))).toBeDefined();
  });

  test("DH-04 reads past 300 pad bytes, without an end option, and nothing behind one", () => {
    expect(tryParseDhcp(withFields({ options: "350101" }))).toBeDefined();
    const padded = `350101 ${"00".repeat(300)} 0c0161`;
    expect(optionsOf(withFields({ options: padded }))).toEqual(["12=61"]);
    expect(optionsOf(withFields({ options: "350101 ff 0c0161" }))).toEqual([]);
  });

  test("DH-04 reads options continued in file and sname once each, in the order of RFC 3396", () => {
    const message = (overload: string) =>
      withFields({
        options: `350101 3401${overload} 790141 ff`,
        file: "790142 0f0166 ff",
        sname: "790143 0c0173 ff",
      });
    expect(optionsOf(message("01"))).toEqual(["121=4142", "15=66"]);
    expect(optionsOf(message("02"))).toEqual(["121=4143", "12=73"]);
    expect(optionsOf(message("03"))).toEqual(["121=414243", "15=66", "12=73"]);
    expect(tryParseDhcp(message("00"))).toBeUndefined();
    expect(tryParseDhcp(message("04"))).toBeUndefined();
  });

  test("DH-04 does not follow an overload option inside an overloaded field", () => {
    const bytes = withFields({
      options: "350101 340101 ff",
      file: "340103 0f0166 ff",
      sname: "0c0173 ff",
    });
    expect(optionsOf(bytes)).toEqual(["15=66"]);
  });

  test("DH-04 refuses an option of sname that runs into file", () => {
    const sname = `${"00".repeat(60)} 0c04 6162`;
    expect(tryParseDhcp(withFields({ options: "350101 340102 ff", sname }))).toBeUndefined();
  });

  test("DH-05 refuses hardware lengths 0, 17 and 255, and other hardware", () => {
    for (const [at, value] of [
      [2, 0],
      [2, 17],
      [2, 255],
      [1, 6],
    ] as const) {
      const bytes = encodeDhcp(DISCOVER);
      bytes[at] = value;
      expect(tryParseDhcp(bytes)).toBeUndefined();
    }
  });
});

describe("encodeDhcp()", () => {
  test("gives a message that parses to the same value and has at least 300 bytes", () => {
    const bytes = encodeDhcp(DISCOVER);
    expect(bytes).toHaveLength(300);
    expect(tryParseDhcp(bytes)).toEqual(DISCOVER);
  });
  test("DH-15 splits a value over 255 bytes and joins it again", () => {
    for (const length of [0, 1, 255, 256, 510, 511]) {
      const value = new Uint8Array(length).fill(7);
      const options = new Map([[DHCP_OPTION.CLASSLESS_ROUTES, value]]);
      expect(tryParseDhcp(encodeDhcp({ ...DISCOVER, options }))?.options).toEqual(options);
    }
  });
  test("keeps its own message type whatever the options say", () => {
    const options = new Map([[DHCP_OPTION.MESSAGE_TYPE, Uint8Array.of(5)]]);
    expect(tryParseDhcp(encodeDhcp({ ...DISCOVER, options }))?.type).toBe(DHCP_TYPE.DISCOVER);
  });
});

describe("tryParseRoutes()", () => {
  test("reads the example of RFC 3442 and encodes it again", () => {
    const bytes = fromHex("00 0a000001  11 0a1b80 0a1b8001  20 c0a80005 00000000");
    const routes = tryParseRoutes(bytes)!;
    expect(routes.map((r) => `${formatIpv4(r.network)}/${r.prefix} ${formatIpv4(r.via)}`)).toEqual([
      "0.0.0.0/0 10.0.0.1",
      "10.27.128.0/17 10.27.128.1",
      "192.168.0.5/32 0.0.0.0",
    ]);
    expect(encodeRoutes(routes)).toEqual(bytes);
  });
  test("clears bits behind the prefix", () => {
    expect(tryParseRoutes(fromHex("09 0aff 0a000001"))).toEqual([
      { network: 0x0a800000 as Ipv4, prefix: 9, via: 0x0a000001 as Ipv4 },
    ]);
  });
  test("refuses a prefix over 32 and a route cut at each byte", () => {
    expect(tryParseRoutes(fromHex("21 0a000000 00 0a000001"))).toBeUndefined();
    const bytes = fromHex("11 0a1b80 0a1b8001");
    for (let end = 1; end < bytes.length; end++) {
      expect(tryParseRoutes(bytes.subarray(0, end))).toBeUndefined();
    }
  });
});

test("option readers give undefined for values of the wrong length", () => {
  const options = new Map([
    [1, fromHex("ffffff")],
    [3, fromHex("")],
    [6, fromHex("0102030405060708")],
    [26, fromHex("05dc")],
  ]);
  expect(tryReadAddress(options, 1)).toBeUndefined();
  expect(tryReadAddresses(options, 3)).toBeUndefined();
  expect(tryReadAddress(options, 6)).toBeUndefined();
  expect(tryReadAddresses(options, 6)).toHaveLength(2);
  expect(tryReadNumber(options, 26, 4)).toBeUndefined();
  expect(tryReadNumber(options, 26, 2)).toBe(1500);
  expect(tryReadNumber(options, 99, 2)).toBeUndefined();
});
