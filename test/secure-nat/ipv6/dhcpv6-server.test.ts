import { describe, expect, test } from "bun:test";
import { Dhcpv6Server } from "../../../src/secure-nat/ipv6/dhcpv6-server.ts";
import {
  DHCPV6_OPTION,
  DHCPV6_TYPE,
  type Dhcpv6Option,
  dhcpv6Option,
  encodeDhcpv6,
  tryParseDhcpv6,
} from "../../../src/wire/dhcpv6.ts";
import { tryEncodeDnsName } from "../../../src/wire/dns.ts";
import { bytesOf, HOST_MAC } from "../../ip-host/packets.ts";
import { fromHex } from "../../support/hex.ts";

const CLIENT = { code: 1, value: fromHex("00030001020000000002") };
const SERVER = { code: 2, value: fromHex("000300015e0000000001") };
const OTHER_SERVER = { code: 2, value: fromHex("000300015e0000000099") };
const ADDRESSES = { code: 3, value: fromHex("00000007 00000e10 00001518".replaceAll(" ", "")) };
const TEMPORARY = { code: 4, value: fromHex("00000008") };
const PREFIXES = { code: 25, value: fromHex("00000009 00000000 00000000".replaceAll(" ", "")) };
const FROM = { address: bytesOf("fe80::2"), isMulticast: true };
const DNS = bytesOf("2001:db8:30::1");

function asks(...codes: number[]): Dhcpv6Option {
  return { code: 6, value: Uint8Array.from(codes.flatMap((code) => [code >> 8, code & 255])) };
}

function open() {
  const search = [tryEncodeDnsName("branch.example")!];
  const server = new Dhcpv6Server({ mac: HOST_MAC, dns: [DNS], search });
  const ask = (type: number, options: readonly Dhcpv6Option[], from = FROM) => {
    const answer = server.receive(encodeDhcpv6({ type, transaction: 0x123456, options }), from);
    return answer && tryParseDhcpv6(answer);
  };
  return { server, ask };
}

describe("Dhcpv6Server.receive()", () => {
  test("answers an information-request with what it asks for, and no more", () => {
    const { ask, server } = open();
    const answer = ask(DHCPV6_TYPE.INFORMATION_REQUEST, [CLIENT, asks(24, 23, 32, 31, 7)])!;
    expect(answer).toEqual({
      type: DHCPV6_TYPE.REPLY,
      transaction: 0x123456,
      options: [
        SERVER,
        CLIENT,
        { code: DHCPV6_OPTION.DNS_SERVERS, value: DNS },
        { code: DHCPV6_OPTION.DOMAIN_LIST, value: tryEncodeDnsName("branch.example")! },
        { code: DHCPV6_OPTION.REFRESH_TIME, value: fromHex("00003840") },
      ],
    });
    const only = ask(DHCPV6_TYPE.INFORMATION_REQUEST, [CLIENT, asks(23)])!;
    expect(only.options.map(({ code }) => code)).toEqual([2, 1, 23]);
    // A host need not say who it is, nor what it wants.
    const anonymous = ask(DHCPV6_TYPE.INFORMATION_REQUEST, [])!;
    expect(anonymous.options.map(({ code }) => code)).toEqual([2, 23, 24]);
    expect(ask(DHCPV6_TYPE.INFORMATION_REQUEST, [SERVER])).toBeDefined();
    expect(server.stats).toEqual({ informed: 4, declined: 0, malformed: 0, ignored: 0 });
  });

  test("says that there are no addresses and no prefixes to who solicits them", () => {
    const { ask, server } = open();
    const wants = [CLIENT, ADDRESSES, TEMPORARY, PREFIXES, asks(23, 82)];
    const answer = ask(DHCPV6_TYPE.SOLICIT, wants)!;
    expect(answer.type).toBe(DHCPV6_TYPE.ADVERTISE);
    // Times of zero, and a status of 2 or 6 without a text inside.
    expect(dhcpv6Option(answer, 3)?.toHex()).toBe("000000070000000000000000000d00020002");
    expect(dhcpv6Option(answer, 4)?.toHex()).toBe("00000008000d00020002");
    expect(dhcpv6Option(answer, 25)?.toHex()).toBe("000000090000000000000000000d00020006");
    expect(dhcpv6Option(answer, 82)?.toHex()).toBe("00000e10");
    expect(dhcpv6Option(answer, 23)).toEqual(DNS);
    expect(dhcpv6Option(answer, 1)).toEqual(CLIENT.value);
    const requested = ask(DHCPV6_TYPE.REQUEST, [CLIENT, SERVER, ADDRESSES])!;
    expect(requested.type).toBe(DHCPV6_TYPE.REPLY);
    expect(dhcpv6Option(requested, 3)?.toHex()).toEndWith("000d00020002");
    expect(server.stats.declined).toBe(2);
  });

  test("knows of no lease that is renewed or given back", () => {
    const { ask } = open();
    for (const type of [DHCPV6_TYPE.RENEW, DHCPV6_TYPE.RELEASE, DHCPV6_TYPE.DECLINE]) {
      const answer = ask(type, [CLIENT, SERVER, ADDRESSES])!;
      expect(answer.type).toBe(DHCPV6_TYPE.REPLY);
      expect(dhcpv6Option(answer, 3)?.toHex()).toEndWith("000d00020003");
      const status = dhcpv6Option(answer, DHCPV6_OPTION.STATUS_CODE);
      expect(status).toEqual(type === DHCPV6_TYPE.RENEW ? undefined : fromHex("0000"));
    }
  });

  test("is silent where it must be (RFC 8415 16)", () => {
    const { ask, server } = open();
    const { INFORMATION_REQUEST, SOLICIT, REQUEST, RENEW, CONFIRM, REBIND, REPLY, ADVERTISE } =
      DHCPV6_TYPE;
    const cases: [string, ReturnType<typeof ask>][] = [
      ["another server's", ask(INFORMATION_REQUEST, [CLIENT, OTHER_SERVER])],
      ["information with addresses", ask(INFORMATION_REQUEST, [CLIENT, ADDRESSES])],
      ["solicit to a server", ask(SOLICIT, [CLIENT, SERVER, ADDRESSES])],
      ["solicit of nobody", ask(SOLICIT, [ADDRESSES])],
      ["request to no server", ask(REQUEST, [CLIENT, ADDRESSES])],
      ["renew to another server", ask(RENEW, [CLIENT, OTHER_SERVER, ADDRESSES])],
      ["confirm", ask(CONFIRM, [CLIENT, ADDRESSES])],
      ["rebind", ask(REBIND, [CLIENT, ADDRESSES])],
      ["reply", ask(REPLY, [CLIENT, SERVER])],
      ["advertise", ask(ADVERTISE, [CLIENT, SERVER])],
      ["unicast", ask(INFORMATION_REQUEST, [CLIENT], { ...FROM, isMulticast: false })],
      ["not of this link", ask(INFORMATION_REQUEST, [CLIENT], { ...FROM, address: DNS })],
    ];
    for (const [what, answer] of cases) expect([what, answer]).toEqual([what, undefined]);
    expect(server.stats).toMatchObject({ ignored: cases.length, malformed: 0 });
  });

  test("bounds what it answers, and drops what is broken or relayed (DH-12)", () => {
    const { ask, server } = open();
    const many = Array.from({ length: 40 }, () => ADDRESSES);
    const answer = ask(DHCPV6_TYPE.SOLICIT, [CLIENT, ...many])!;
    expect(answer.options.filter(({ code }) => code === 3).length).toBe(8);
    const cut = { code: 3, value: fromHex("000000") };
    const short = ask(DHCPV6_TYPE.SOLICIT, [CLIENT, cut])!;
    expect(dhcpv6Option(short, 3)).toBeUndefined();
    const long = { code: 1, value: new Uint8Array(131) };
    expect(ask(DHCPV6_TYPE.INFORMATION_REQUEST, [long])).toBeUndefined();
    expect(server.receive(fromHex("0c00"), FROM)).toBeUndefined();
    expect(ask(DHCPV6_TYPE.RELAY_FORW, [CLIENT])).toBeUndefined();
    expect(server.stats.malformed).toBe(3);
  });
});
