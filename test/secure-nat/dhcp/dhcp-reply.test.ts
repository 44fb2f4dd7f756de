import { describe, expect, test } from "bun:test";
import { formatIpv4, type Ipv4 } from "../../../src/base/ip.ts";
import { MAC_BROADCAST, type MacAddress } from "../../../src/base/mac.ts";
import type { DhcpConfig } from "../../../src/config/secure-nat-config.ts";
import { DHCP_OPTION, tryParseRoutes } from "../../../src/wire/dhcp-option.ts";
import { tryParseEthernet } from "../../../src/wire/ethernet.ts";
import { tryParseIpv4Packet } from "../../../src/wire/ipv4.ts";
import { tryParseUdp } from "../../../src/wire/udp.ts";
import recorded from "../../vectors/data_stream.json" with { type: "json" };
import { fromHex, toHex } from "../../support/hex.ts";
import { DhcpWorld, ip, mac, type Said } from "./world.ts";

const FULL: Partial<DhcpConfig> = {
  dns: [ip("192.168.30.1"), ip("192.168.30.2")],
  domain: "guest.example",
  ntp: [ip("192.168.30.3")],
  routes: [{ to: { family: 4, bytes: fromHex("0a000000"), prefix: 8 }, via: ip("192.168.30.4") }],
};
/** 64 routes to networks of /24: 512 bytes. */
const MANY: Partial<DhcpConfig> = {
  routes: Array.from({ length: 64 }, (_, n) => ({
    to: { family: 4, bytes: Uint8Array.of(10, 0, n, 0), prefix: 24 },
    via: ip("192.168.30.4"),
  })),
};

/** Option codes in the order in which they stand in the bytes. */
function codesOf(said: Said): number[] {
  const bytes = said.reply.message;
  const codes: number[] = [];
  for (let at = 240; bytes[at] !== DHCP_OPTION.END; at += 2 + bytes[at + 1]!)
    codes.push(bytes[at]!);
  return codes;
}

const optionsOf = (said: Said) =>
  Object.fromEntries([...said.message.options].map(([code, value]) => [code, toHex(value)]));
const routesOf = (said: Said, code: number) =>
  tryParseRoutes(said.message.options.get(code)!)!.map(
    ({ network, prefix, via }) => `${formatIpv4(network)}/${prefix} ${formatIpv4(via)}`,
  );
const to = ({ reply }: Said) => [formatIpv4(reply.toIp), reply.toMac, reply.toPort] as const;

describe("DhcpReplies", () => {
  test("an offer has the options of the reference in its order, and behind them ours", () => {
    using world = new DhcpWorld(FULL);
    const offer = world.ask({ type: "DISCOVER" })!;
    expect(codesOf(offer)).toEqual([53, 54, 51, 15, 1, 3, 6, 121, 249, 58, 59, 42]);
    expect(optionsOf(offer)).toMatchObject({
      54: "c0a81e01",
      51: "00001c20",
      15: toHex(new TextEncoder().encode("guest.example")),
      1: "ffffff00",
      3: "c0a81e01",
      6: "c0a81e01c0a81e02",
      58: "00000e10",
      59: "0000189c",
      42: "c0a81e03",
    });
    expect(offer.reply.message.length).toBeGreaterThanOrEqual(300);
  });

  test("routes name the default gateway too, since who reads them reads no option 3", () => {
    using world = new DhcpWorld(FULL);
    const offer = world.ask({ type: "DISCOVER" })!;
    const routes = ["10.0.0.0/8 192.168.30.4", "0.0.0.0/0 192.168.30.1"];
    expect([routesOf(offer, 121), routesOf(offer, 249)]).toEqual([routes, routes]);
    world.reconfigure({ gateway: undefined });
    expect(routesOf(world.ask({ type: "DISCOVER" })!, 121)).toEqual(routes.slice(0, 1));
    const own = { to: { family: 4, bytes: new Uint8Array(4), prefix: 0 }, via: ip("192.168.30.9") };
    world.reconfigure({ gateway: ip("192.168.30.1"), routes: [own as never] });
    expect(routesOf(world.ask({ type: "DISCOVER" })!, 121)).toEqual(["0.0.0.0/0 192.168.30.9"]);
  });

  test("leaves out what is not set", () => {
    using world = new DhcpWorld({ gateway: undefined, dns: [], leaseMs: Infinity });
    const offer = world.ask({ type: "DISCOVER" })!;
    expect(codesOf(offer)).toEqual([53, 54, 51, 1]);
    expect(optionsOf(offer)[51]).toBe("ffffffff");
  });

  test("INFORM is answered with settings, without an address and times", () => {
    using world = new DhcpWorld(FULL);
    const answer = world.ask({ type: "INFORM", ciaddr: "192.168.30.222" })!;
    expect([answer.type, answer.address]).toEqual(["ACK", "0.0.0.0"]);
    expect(codesOf(answer)).toEqual([53, 54, 15, 1, 3, 6, 121, 249, 42]);
    expect(to(answer)).toEqual(["192.168.30.222", mac(1), 68]);
    expect(world.leases).toEqual([]);
  });

  test("a NAK says why, has no settings, and goes to everybody", () => {
    using world = new DhcpWorld(FULL);
    const answer = world.ask({ type: "REQUEST", wants: "10.0.0.1", source: "10.0.0.1" })!;
    expect(codesOf(answer)).toEqual([53, 54, 56]);
    expect(Buffer.from(answer.message.options.get(56)!).toString()).toBe(
      "10.0.0.1 is no address of this network",
    );
    expect(answer.message).toMatchObject({ yiaddr: 0 as Ipv4, siaddr: 0 as Ipv4 });
    expect(to(answer)).toEqual(["255.255.255.255", MAC_BROADCAST, 68]);
  });

  test("goes where the client can hear it (RFC 2131 4.1)", () => {
    using world = new DhcpWorld();
    const everybody = ["255.255.255.255", MAC_BROADCAST, 68] as const;
    const offer = world.ask({ type: "DISCOVER" })!;
    expect(to(offer)).toEqual(["192.168.30.10", mac(1), 68]);
    const loud = world.ask({ type: "DISCOVER", change: { wantsBroadcast: true } })!;
    expect(to(loud)).toEqual(everybody);
    expect(loud.message.wantsBroadcast).toBe(true);
    world.bind(1);
    const renewed = world.ask({ type: "REQUEST", ciaddr: "192.168.30.10", port: 1068 })!;
    expect(to(renewed)).toEqual(["192.168.30.10", mac(1), 1068]);
    const informed = world.ask({ type: "INFORM", source: "192.168.30.77" })!;
    expect(to(informed)).toEqual(["192.168.30.77", mac(1), 68]);
    expect(to(world.ask({ type: "INFORM" })!)).toEqual(everybody);
  });

  test("DH-15 classless routes of 512 bytes are split, never cut", () => {
    using world = new DhcpWorld(MANY);
    const offer = world.ask({ type: "DISCOVER" })!;
    expect(codesOf(offer).filter((code) => code === 121)).toHaveLength(3);
    expect(routesOf(offer, 121)).toHaveLength(65);
    expect(routesOf(offer, 249)).toHaveLength(65);
  });

  test("DH-15 a client of short messages that asks for 121 alone is spared the copy in 249", () => {
    using world = new DhcpWorld(MANY);
    const ask = (wanted: string, most?: string) =>
      codesOf(
        world.ask({
          type: "DISCOVER",
          options: [
            [DHCP_OPTION.PARAMETER_LIST, fromHex(wanted)],
            ...(most === undefined ? [] : [[DHCP_OPTION.MAX_MESSAGE_SIZE, fromHex(most)] as const]),
          ],
        })!,
      );
    expect(ask("0103 79")).not.toContain(249);
    expect(ask("0103 79 f9")).toContain(249);
    expect(ask("0103 f9")).toContain(249);
    expect(ask("0103 79", "05dc")).toContain(249);
    expect(ask("0103 79")).toContain(121);
  });

  test("repeats an identifier (RFC 6842) where it fits into one packet", () => {
    using world = new DhcpWorld(MANY);
    const ask = (bytes: number) =>
      world
        .ask({
          type: "DISCOVER",
          options: [[DHCP_OPTION.CLIENT_ID, new Uint8Array(bytes).fill(7)]],
        })!
        .message.options.get(DHCP_OPTION.CLIENT_ID)?.length;
    expect([ask(7), ask(255)]).toEqual([7, undefined]);
  });
});

describe("DhcpReplies as the reference", () => {
  test("its recorded offer comes out byte by byte", () => {
    using world = new DhcpWorld({}, { isPlain: true });
    const payload = (hex: string) => {
      const frame = tryParseEthernet(fromHex(hex))!;
      const packet = tryParseIpv4Packet(frame.payload)!;
      return tryParseUdp(packet.payload, packet)!.payload;
    };
    // A block: its count and length stand before the frame.
    const asked = payload(recorded.c2s[0]!.hex.slice(16));
    world.server.receive(asked, {
      mac: 0x5eaabbccdd01 as MacAddress,
      sourceIp: 0 as Ipv4,
      sourcePort: 68,
    });
    const [said] = world.said;
    expect(toHex(said!.reply.message)).toBe(
      toHex(payload(String(recorded.s2c_units[1]!.payload[0]))),
    );
    expect(to(said!)).toEqual(["255.255.255.255", MAC_BROADCAST, 68]);
  });

  test("offers for 5 s, ignores RELEASE and DECLINE, probes nothing, keeps nothing", () => {
    using world = new DhcpWorld({ ...FULL, probeMs: 200 }, { isPlain: true });
    world.ask({ type: "DISCOVER" });
    expect(world.probes).toEqual([]);
    world.clock.advance(4_999);
    expect(world.ask({ type: "DISCOVER", client: 2 })?.address).toBe("192.168.30.11");
    world.clock.advance(1);
    expect(world.ask({ type: "DISCOVER", client: 3 })?.address).toBe("192.168.30.10");
    const address = world.bind(4);
    world.ask({ type: "RELEASE", client: 4, ciaddr: address });
    world.ask({ type: "DECLINE", client: 4, wants: address });
    expect(world.leases).toEqual([`4 ${address}`]);
    world.restart();
    expect(world.leases).toEqual([]);
    expect(world.book.writes).toBe(0);
    const offer = world.ask({
      type: "DISCOVER",
      options: [[DHCP_OPTION.CLIENT_ID, fromHex("0001")]],
      change: { wantsBroadcast: true },
    })!;
    // It has no key for time servers: who sets ours wants them.
    expect(codesOf(offer)).toEqual([53, 54, 51, 15, 1, 3, 6, 121, 249, 42]);
    expect(routesOf(offer, 121)).toEqual(["10.0.0.0/8 192.168.30.4"]);
    expect(offer.message.wantsBroadcast).toBe(false);
  });

  test("refuses with the mask, to where the request came from, and heeds no server identifier", () => {
    using world = new DhcpWorld({}, { isPlain: true });
    const answer = world.ask({ type: "REQUEST", wants: "10.0.0.1", source: "192.168.30.99" })!;
    expect(codesOf(answer)).toEqual([53, 54, 1]);
    expect(to(answer)).toEqual(["192.168.30.99", mac(1), 68]);
    const other = { type: "REQUEST", wants: "192.168.30.50", server: "192.168.30.2" } as const;
    expect(world.ask(other)?.type).toBe("ACK");
  });
});
