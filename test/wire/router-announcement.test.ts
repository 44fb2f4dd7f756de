import { describe, expect, test } from "bun:test";
import type { MacAddress } from "../../src/base/mac.ts";
import { tryEncodeDnsName } from "../../src/wire/dns.ts";
import {
  tryParseRouterAdvertisement,
  tryParseRouterSolicitation,
} from "../../src/wire/router-advertisement.ts";
import { encodeRouterAnnouncement } from "../../src/wire/router-announcement.ts";
import { bytesOf, icmpv6Packet } from "../ip-host/packets.ts";
import { fromHex } from "../support/hex.ts";

const NETWORK = bytesOf("2001:db8:30::");

describe("encodeRouterAnnouncement()", () => {
  test("writes what RFC 4861 4.2 and RFC 8106 5 draw", () => {
    const packet = encodeRouterAnnouncement({
      source: bytesOf("fe80::1"),
      destination: bytesOf("ff02::1"),
      mac: 0x5e00_0000_0001 as MacAddress,
      lifetimeS: 1800,
      hopLimit: 64,
      hasOtherConfig: true,
      mtu: 1400,
      prefixes: [
        { network: NETWORK, length: 64, isAutonomous: true, validS: 86_400, preferredS: 14_400 },
      ],
      dns: [bytesOf("2001:db8:30::1")],
      search: [tryEncodeDnsName("branch.example")!],
      dnsLifetimeS: 1800,
    });
    expect(tryParseRouterAdvertisement(packet)).toMatchObject({
      lifetimeMs: 1_800_000,
      preference: "medium",
    });
    expect(packet.subarray(0, 8)).toEqual(fromHex("6000000000703aff"));
    const message = packet.slice(40);
    message.fill(0, 2, 4);
    expect(message.toHex()).toBe(
      [
        "86000000 40 40 0708 00000000 00000000",
        "0101 5e0000000001",
        "0501 0000 00000578",
        "0304 40 c0 00015180 00003840 00000000 20010db8003000000000000000000000",
        "1903 0000 00000708 20010db8003000000000000000000001",
        "1f03 0000 00000708 066272616e6368076578616d706c6500",
      ]
        .join("")
        .replaceAll(" ", ""),
    );
  });

  test("leaves out what there is none of, and has no autonomous prefix but a /64", () => {
    const of = {
      source: bytesOf("fe80::1"),
      destination: bytesOf("ff02::1"),
      mac: 0x5e00_0000_0001 as MacAddress,
      lifetimeS: 0,
      hopLimit: 64,
      hasOtherConfig: false,
      mtu: undefined,
      prefixes: [],
      dns: [],
      search: [],
      dnsLifetimeS: 1800,
    };
    const bare = encodeRouterAnnouncement(of);
    expect(bare.length).toBe(40 + 16 + 8);
    expect(tryParseRouterAdvertisement(bare)?.lifetimeMs).toBe(0);
    const prefixes = [
      { network: NETWORK, length: 56, isAutonomous: false, validS: 1, preferredS: 1 },
    ];
    expect(encodeRouterAnnouncement({ ...of, prefixes })[40 + 16 + 8 + 3]).toBe(0x80);
  });
});

describe("tryParseRouterSolicitation()", () => {
  const solicitation = (
    source: string,
    options: string,
    change: (packet: Uint8Array) => void = () => {},
  ) => {
    const packet = icmpv6Packet(
      { source, destination: "ff02::2" },
      fromHex(`8500000000000000${options}`),
    );
    change(packet);
    return tryParseRouterSolicitation(packet);
  };

  test("reads who asks, with or without an address", () => {
    expect(solicitation("fe80::2", "")).toEqual({ source: bytesOf("fe80::2") });
    expect(solicitation("fe80::2", "0101020000000002")).toEqual({ source: bytesOf("fe80::2") });
    expect(solicitation("::", "")).toEqual({ source: bytesOf("::") });
    expect(solicitation("::", "0e01020000000002")).toBeDefined();
  });

  test("drops what a router must not answer (RFC 4861 6.1.1)", () => {
    expect(solicitation("::", "0101020000000002")).toBeUndefined();
    expect(solicitation("::", "0e010200000000020101020000000002")).toBeUndefined();
    expect(solicitation("fe80::2", "0100020000000002")).toBeUndefined();
    expect(solicitation("fe80::2", "0102020000000002")).toBeUndefined();
    expect(solicitation("fe80::2", "", (packet) => (packet[7] = 254))).toBeUndefined();
    expect(solicitation("fe80::2", "", (packet) => (packet[41] = 1))).toBeUndefined();
    expect(solicitation("fe80::2", "", (packet) => (packet[47]! ^= 1))).toBeUndefined();
  });
});
