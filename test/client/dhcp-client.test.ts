import { describe, expect, test } from "bun:test";
import { formatIpv4, type Ipv4 } from "../../src/base/ip.ts";
import { MAC_BROADCAST, MAC_ZERO, type MacAddress } from "../../src/base/mac.ts";
import { DhcpClient } from "../../src/client/dhcp-client.ts";
import type { DhcpLease } from "../../src/client/dhcp-lease.ts";
import { ARP_OPERATION, encodeArp, tryParseArp } from "../../src/wire/arp.ts";
import { DHCP_OPTION, encodeNumber, tryReadAddress } from "../../src/wire/dhcp-option.ts";
import { DHCP_TYPE, type DhcpType } from "../../src/wire/dhcp.ts";
import { encodeEthernet, ETHER_TYPE, tryParseEthernet } from "../../src/wire/ethernet.ts";
import {
  encodeReply,
  readRequest,
  typeName,
  usualOptions,
  type ReplyDraft,
  type SeenMessage,
} from "../support/dhcp-server.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";

const MAC = 0x5eaabbccdd01 as MacAddress;
const SERVER_MAC = 0x5e7af355d332 as MacAddress;
const SERVER = 0xc0a81e01 as Ipv4;
const OTHER_SERVER = 0xc0a81e02 as Ipv4;
const ADDRESS = 0xc0a81e0a as Ipv4;
const OTHER_ADDRESS = 0xc0a81e0b as Ipv4;
const HOUR_MS = 3_600_000;

/** One client on a cable whose other end the test plays; retries come without spread. */
class World {
  readonly clock = new ManualClock();
  readonly client: DhcpClient;
  readonly requests: SeenMessage[] = [];
  readonly probes: Ipv4[] = [];
  readonly events: string[] = [];
  lease: DhcpLease | undefined;
  onLost: () => void = () => {};
  /** Called inside the client's own send(). */
  onRequest: (seen: SeenMessage) => void = () => {};
  onProbe: () => void = () => {};

  constructor(hostname?: string) {
    const random = seededRandom(2131);
    this.client = new DhcpClient({
      mac: MAC,
      hostname,
      clock: this.clock,
      random: { bytes: (count) => random.bytes(count), fraction: () => 0.5 },
      send: (frame) => this.#see(frame),
      onLease: (lease) => {
        this.lease = lease;
        this.events.push(`lease ${formatIpv4(lease.address)}`);
      },
      onLost: (reason) => {
        this.events.push(`lost ${reason}`);
        this.onLost();
      },
    });
  }

  #see(frame: Uint8Array): void {
    const seen = readRequest(frame);
    if (seen !== undefined) {
      this.requests.push(seen);
      this.onRequest(seen);
      return;
    }
    const arp = tryParseArp(tryParseEthernet(frame)!.payload)!;
    expect(arp).toMatchObject({ senderMac: MAC, senderIp: 0 as Ipv4 });
    this.probes.push(arp.targetIp);
    this.onProbe();
  }

  get last(): SeenMessage {
    return this.requests.at(-1)!;
  }

  /** Names of the messages since the last call. */
  sent(): string[] {
    return this.requests.splice(0).map(({ message }) => typeName(message.type));
  }

  /** Answers the newest message as the usual server; true if the client took the frame. */
  reply(type: DhcpType, draft: Partial<ReplyDraft> = {}): boolean {
    const server = draft.server ?? SERVER;
    return this.feed(
      encodeReply(this.last.message, {
        type,
        yiaddr: type === DHCP_TYPE.NAK ? (0 as Ipv4) : ADDRESS,
        server,
        serverMac: SERVER_MAC,
        options: type === DHCP_TYPE.NAK ? [] : usualOptions(server),
        ...draft,
      }),
    );
  }

  feed(frame: Uint8Array): boolean {
    // Inside a larger buffer, as frames lie in a run.
    const bytes = new Uint8Array(frame.length + 9).fill(0xee);
    bytes.set(frame, 4);
    return this.client.feed(bytes, 4, 4 + frame.length);
  }

  /** Goes the whole way to a lease of an hour and lets the watch for its owner end. */
  bind(draft: Partial<ReplyDraft> = {}): void {
    this.client.start();
    this.reply(DHCP_TYPE.OFFER, draft);
    this.reply(DHCP_TYPE.ACK, draft);
    expect(this.client.lease).toBeDefined();
    this.clock.advance(2_000);
    this.requests.length = 0;
    this.events.length = 0;
  }

  close(): void {
    this.client.stop({ release: false });
    expect(this.clock.pending).toBe(0);
  }
}

function arpFrame(sender: { mac: MacAddress; ip: Ipv4 }): Uint8Array {
  const payload = encodeArp({
    operation: ARP_OPERATION.REPLY,
    senderMac: sender.mac,
    senderIp: sender.ip,
    targetMac: MAC,
    targetIp: 0 as Ipv4,
  });
  return encodeEthernet({
    dst: MAC,
    src: sender.mac,
    tags: [],
    etherType: ETHER_TYPE.ARP,
    payload,
  });
}

describe("DhcpClient, getting an address", () => {
  test("start() goes discover, offer, request, ack without waiting", () => {
    const world = new World("laptop");
    world.client.start();
    const discover = world.last;
    expect(discover).toMatchObject({ srcMac: MAC, dstMac: MAC_BROADCAST, src: 0, dst: 0xffffffff });
    expect(discover.message).toMatchObject({ type: DHCP_TYPE.DISCOVER, chaddr: MAC, secs: 0 });
    expect(discover.message.wantsBroadcast).toBe(false);
    expect(new TextDecoder().decode(discover.message.options.get(DHCP_OPTION.HOST_NAME))).toBe(
      "laptop",
    );
    expect(discover.message.options.get(DHCP_OPTION.CLIENT_ID)).toHaveLength(7);

    expect(world.reply(DHCP_TYPE.OFFER)).toBe(true);
    const request = world.last;
    expect(request).toMatchObject({ dstMac: MAC_BROADCAST, src: 0, dst: 0xffffffff });
    expect(request.message.xid).toBe(discover.message.xid);
    expect(request.message.ciaddr).toBe(0 as Ipv4);
    expect(tryReadAddress(request.message.options, DHCP_OPTION.REQUESTED_ADDRESS)).toBe(ADDRESS);
    expect(tryReadAddress(request.message.options, DHCP_OPTION.SERVER_ID)).toBe(SERVER);

    expect(world.reply(DHCP_TYPE.ACK)).toBe(true);
    expect(world.sent()).toEqual(["DISCOVER", "REQUEST"]);
    expect(world.events).toEqual(["lease 192.168.30.10"]);
    expect(world.clock.now()).toBe(0);
    expect(world.client.lease).toEqual(world.lease!);
    expect(world.lease).toMatchObject({
      address: ADDRESS,
      prefix: 24,
      gateway: SERVER,
      dns: [SERVER],
      server: SERVER,
      leaseMs: HOUR_MS,
    });
    world.close();
  });

  test("retries discover after 1, 2, 4 ... 64 seconds, and tells for how long it has been trying", () => {
    const world = new World();
    world.client.start();
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      waits.push(world.clock.untilNext!);
      world.clock.advance(world.clock.untilNext!);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64].map((s) => s * 1000));
    expect(world.requests.map(({ message }) => message.secs)).toEqual([
      0, 1, 3, 7, 15, 31, 63, 127, 191, 255,
    ]);
    expect(new Set(world.requests.map(({ message }) => message.xid)).size).toBe(1);
    world.close();
  });

  test("retries spread to both sides of their time", () => {
    for (const [fraction, expected] of [
      [0, 875],
      [1, 1125],
    ] as const) {
      const clock = new ManualClock();
      const client = new DhcpClient({
        mac: MAC,
        clock,
        random: { bytes: (count) => new Uint8Array(count), fraction: () => fraction },
        send: () => {},
        onLease: () => expect.unreachable(),
        onLost: () => expect.unreachable(),
      });
      client.start();
      expect(clock.untilNext).toBe(expected);
      client.stop({ release: false });
    }
  });

  test("asks four times for an offered address, then searches anew", () => {
    const world = new World();
    world.client.start();
    world.reply(DHCP_TYPE.OFFER);
    world.sent();
    world.clock.advance(14_999);
    expect(world.sent()).toEqual(["REQUEST", "REQUEST", "REQUEST"]);
    world.clock.advance(1);
    expect(world.sent()).toEqual(["DISCOVER"]);
    world.close();
  });

  test("takes the first offer and leaves later ones", () => {
    const world = new World();
    world.client.start();
    const { message } = world.last;
    world.reply(DHCP_TYPE.OFFER);
    const late = encodeReply(message, {
      type: DHCP_TYPE.OFFER,
      yiaddr: OTHER_ADDRESS,
      server: OTHER_SERVER,
      serverMac: SERVER_MAC,
      options: usualOptions(OTHER_SERVER),
    });
    expect(world.feed(late)).toBe(true);
    expect(world.client.ignored).toBe(1);
    expect(tryReadAddress(world.last.message.options, DHCP_OPTION.SERVER_ID)).toBe(SERVER);
    world.close();
  });

  test("bears a server that answers while the request is being sent", () => {
    const world = new World();
    world.onRequest = ({ message }) => {
      if (message.type === DHCP_TYPE.DISCOVER) world.reply(DHCP_TYPE.OFFER);
      if (message.type === DHCP_TYPE.REQUEST) world.reply(DHCP_TYPE.ACK);
    };
    world.client.start();
    expect(world.sent()).toEqual(["DISCOVER", "REQUEST"]);
    world.clock.advance(HOUR_MS / 4);
    expect(world.sent()).toEqual([]);
    world.clock.advance(HOUR_MS / 4);
    expect(world.sent()).toEqual(["REQUEST"]);
    world.clock.advance(HOUR_MS * 24);
    expect(new Set(world.events)).toEqual(new Set(["lease 192.168.30.10"]));

    world.events.length = 0;
    world.onRequest = ({ message }) => {
      if (message.type === DHCP_TYPE.DISCOVER) world.reply(DHCP_TYPE.OFFER);
      else world.reply(message.ciaddr === ADDRESS ? DHCP_TYPE.NAK : DHCP_TYPE.ACK);
    };
    world.clock.advance(HOUR_MS / 2);
    expect(world.events).toEqual(["lost refused", "lease 192.168.30.10"]);
    expect(world.client.lease?.address).toBe(ADDRESS);
    world.close();
  });

  const unfit: readonly [what: string, draft: Partial<ReplyDraft>][] = [
    ["another transaction", { change: { xid: 1 } }],
    ["no address", { yiaddr: 0 as Ipv4 }],
    ["a multicast address", { yiaddr: 0xe0000001 as Ipv4 }],
    ["a loopback address", { yiaddr: 0x7f000001 as Ipv4 }],
    ["no lease time", { options: usualOptions(SERVER).slice(1) }],
    ["a lease of no time", { options: usualOptions(SERVER, 0) }],
    ["a mask with holes", { options: [...usualOptions(SERVER), [1, encodeNumber(0xff00ff00, 4)]] }],
    ["another type", { type: DHCP_TYPE.INFORM }],
    ["no server identifier", { change: { options: new Map(usualOptions(SERVER)) } }],
    ["op request", { change: { op: "request" } }],
  ];
  for (const [what, draft] of unfit) {
    test(`takes no offer with ${what}, and counts it`, () => {
      const world = new World();
      world.client.start();
      expect(world.reply(DHCP_TYPE.OFFER, draft)).toBe(true);
      expect(world.sent()).toEqual(["DISCOVER"]);
      expect(world.client.ignored).toBe(1);
      world.close();
    });
  }

  test("takes no ack of a server that was not asked", () => {
    const world = new World();
    world.client.start();
    world.reply(DHCP_TYPE.OFFER);
    world.reply(DHCP_TYPE.ACK, { server: OTHER_SERVER });
    world.reply(DHCP_TYPE.NAK, { server: OTHER_SERVER });
    expect(world.events).toEqual([]);
    expect(world.client.ignored).toBe(2);
    world.reply(DHCP_TYPE.ACK);
    expect(world.events).toEqual(["lease 192.168.30.10"]);
    world.close();
  });

  test("searches at once after a refusal, and with growing rests after more", () => {
    const world = new World();
    world.client.start();
    const gaps: number[] = [];
    for (let i = 0; i < 5; i++) {
      world.reply(DHCP_TYPE.OFFER);
      world.reply(DHCP_TYPE.NAK);
      const before = world.clock.now();
      while (world.last.message.type !== DHCP_TYPE.DISCOVER) {
        world.clock.advance(world.clock.untilNext!);
      }
      gaps.push(world.clock.now() - before);
    }
    expect(gaps).toEqual([0, 1_000, 2_000, 4_000, 8_000]);
    expect(world.events).toEqual([]);
    world.close();
  });
});

describe("DhcpClient, keeping an address", () => {
  test("renews at T1 from the server alone and takes the new times", () => {
    const world = new World();
    world.bind();
    // T1 is half an hour, begun up to 5 % early: 2.5 % with this source of randomness.
    world.clock.advance(HOUR_MS / 2 - 2_000 - 45_000 - 1);
    expect(world.sent()).toEqual([]);
    world.clock.advance(1);
    expect(world.last).toMatchObject({ dstMac: SERVER_MAC, src: ADDRESS, dst: SERVER });
    expect(world.last.message.ciaddr).toBe(ADDRESS);
    expect(world.last.message.options.has(DHCP_OPTION.SERVER_ID)).toBe(false);
    expect(world.last.message.options.has(DHCP_OPTION.REQUESTED_ADDRESS)).toBe(false);
    world.reply(DHCP_TYPE.ACK, { options: usualOptions(SERVER, 7200) });
    expect(world.events).toEqual(["lease 192.168.30.10"]);
    expect(world.lease?.leaseMs).toBe(2 * HOUR_MS);
    world.sent();
    world.clock.advance(HOUR_MS * 0.97);
    expect(world.sent()).toEqual([]);
    world.clock.advance(HOUR_MS * 0.02);
    expect(world.sent()).toEqual(["REQUEST"]);
    world.close();
  });

  test("asks the server until T2, then everybody, and loses the lease at its end", () => {
    const world = new World();
    world.bind();
    const times: string[] = [];
    while (world.events.length === 0) {
      const before = world.requests.length;
      world.clock.advance(world.clock.untilNext!);
      if (world.requests.length > before && world.last.message.type === DHCP_TYPE.REQUEST) {
        const to = world.last.dst === SERVER ? "server" : "all";
        times.push(`${Math.round(world.clock.now() / 1000)} ${to}`);
      }
    }
    expect(times).toEqual([
      "1755 server",
      "2453 server",
      "2801 server",
      "2976 server",
      "3063 server",
      "3123 server",
      "3150 all",
      "3375 all",
      "3488 all",
      "3548 all",
    ]);
    expect(world.clock.now()).toBe(HOUR_MS);
    expect(world.events).toEqual(["lost expired"]);
    expect(world.client.lease).toBeUndefined();
    expect(typeName(world.last.message.type)).toBe("DISCOVER");
    world.close();
  });

  test("takes an ack of any server while rebinding", () => {
    const world = new World();
    world.bind();
    world.clock.advance(HOUR_MS * 0.875);
    expect(world.last.dst).toBe(0xffffffff as Ipv4);
    world.reply(DHCP_TYPE.ACK, { server: OTHER_SERVER });
    expect(world.lease?.server).toBe(OTHER_SERVER);
    expect(world.events).toEqual(["lease 192.168.30.10"]);
    world.close();
  });

  test("takes no ack of another server while renewing", () => {
    const world = new World();
    world.bind();
    world.clock.advance(HOUR_MS / 2);
    world.reply(DHCP_TYPE.ACK, { server: OTHER_SERVER });
    expect(world.events).toEqual([]);
    world.close();
  });

  test("loses the lease when a renewal is refused, and searches at once", () => {
    const world = new World();
    world.bind();
    world.clock.advance(HOUR_MS / 2);
    world.reply(DHCP_TYPE.NAK);
    expect(world.events).toEqual(["lost refused"]);
    expect(typeName(world.last.message.type)).toBe("DISCOVER");
    expect(world.client.lease).toBeUndefined();
    world.close();
  });

  test("holds a lease without end, with no timer that runs", () => {
    const world = new World();
    world.bind({ options: usualOptions(SERVER, 0xffffffff) });
    expect(world.lease?.leaseMs).toBe(Infinity);
    expect(world.clock.pending).toBe(0);
    world.close();
  });

  test("holds a lease whose times are longer than a timer of the runtime", () => {
    const world = new World();
    const days = 24 * HOUR_MS;
    world.bind({ options: usualOptions(SERVER, (100 * days) / 1000) });
    world.clock.advance(48 * days);
    expect(world.sent()).toEqual([]);
    world.clock.advance(2 * days);
    expect(world.sent().length).toBeGreaterThan(0);
    world.clock.advance(50 * days);
    expect(world.events).toEqual(["lost expired"]);
    world.close();
  });

  test("DH-13 leases run on monotonic time", () => {
    const world = new World();
    world.clock.wall = () => expect.unreachable();
    world.bind();
    world.clock.advance(HOUR_MS);
    expect(world.events).toEqual(["lost expired"]);
    world.close();
  });
});

describe("DhcpClient.stop() and start()", () => {
  test("asks for the address of before, without a server, and keeps its lease meanwhile", () => {
    const world = new World();
    world.bind();
    world.client.stop({ release: false });
    expect(world.sent()).toEqual([]);
    expect(world.clock.pending).toBe(0);
    expect(world.client.lease).toBeUndefined();
    world.clock.advance(60_000);
    world.client.start();
    expect(world.client.lease?.address).toBe(ADDRESS);
    expect(typeName(world.last.message.type)).toBe("REQUEST");
    expect(world.last.message.ciaddr).toBe(0 as Ipv4);
    const { options } = world.last.message;
    expect(tryReadAddress(options, DHCP_OPTION.REQUESTED_ADDRESS)).toBe(ADDRESS);
    expect(options.has(DHCP_OPTION.SERVER_ID)).toBe(false);
    world.probes.length = 0;
    world.reply(DHCP_TYPE.ACK, { server: OTHER_SERVER });
    expect(world.events).toEqual(["lease 192.168.30.10"]);
    expect(world.probes).toEqual([]);
    world.close();
  });

  test("searches after two requests for the address of before that nobody answers", () => {
    const world = new World();
    world.bind();
    world.client.stop({ release: false });
    world.client.start();
    world.clock.advance(3_000);
    expect(world.sent()).toEqual(["REQUEST", "REQUEST", "DISCOVER"]);
    expect(world.client.lease?.address).toBe(ADDRESS);
    world.clock.advance(1_000);
    world.reply(DHCP_TYPE.OFFER, { yiaddr: OTHER_ADDRESS });
    world.reply(DHCP_TYPE.ACK, { yiaddr: OTHER_ADDRESS });
    expect(world.events).toEqual(["lease 192.168.30.11"]);
    world.close();
  });

  test("loses the address of before when it is refused", () => {
    const world = new World();
    world.bind();
    world.client.stop({ release: false });
    world.client.start();
    world.reply(DHCP_TYPE.NAK);
    expect(world.events).toEqual(["lost refused"]);
    expect(world.sent()).toEqual(["REQUEST", "DISCOVER"]);
    world.close();
  });

  test("loses a lease that ran out while stopped, and one that runs out while searching", () => {
    const world = new World();
    world.bind();
    world.client.stop({ release: false });
    world.clock.advance(HOUR_MS);
    expect(world.events).toEqual([]);
    world.client.start();
    expect(world.events).toEqual(["lost expired"]);
    expect(world.sent()).toEqual(["DISCOVER"]);

    world.client.stop({ release: false });
    world.bind();
    world.client.stop({ release: false });
    world.clock.advance(HOUR_MS - 10_000);
    world.client.start();
    world.clock.advance(10_000);
    expect(world.events).toEqual(["lost expired"]);
    world.close();
  });

  test("stop() with release gives the address back to its server and forgets it", () => {
    const world = new World();
    world.bind();
    world.client.stop({ release: true });
    expect(world.last).toMatchObject({ dstMac: SERVER_MAC, src: ADDRESS, dst: SERVER });
    expect(world.last.message).toMatchObject({ type: DHCP_TYPE.RELEASE, ciaddr: ADDRESS });
    expect(tryReadAddress(world.last.message.options, DHCP_OPTION.SERVER_ID)).toBe(SERVER);
    expect(world.events).toEqual([]);
    expect(world.sent()).toEqual(["RELEASE"]);
    world.client.start();
    expect(world.sent()).toEqual(["DISCOVER"]);
    world.close();
  });

  test("stop() without a lease sends nothing, and may be called twice, also before start()", () => {
    const world = new World();
    world.client.stop({ release: true });
    world.client.start();
    world.client.start();
    world.client.stop({ release: true });
    world.client.stop({ release: true });
    expect(world.sent()).toEqual(["DISCOVER"]);
    world.close();
  });

  test("stop() inside onLost leaves no timer", () => {
    const world = new World();
    world.bind();
    world.onLost = () => world.client.stop({ release: false });
    world.clock.advance(HOUR_MS * 2);
    expect(world.events).toEqual(["lost expired"]);
    expect(world.clock.pending).toBe(0);
    world.close();
  });
});

describe("DhcpClient, probing for another owner", () => {
  const owner = { mac: SERVER_MAC, ip: ADDRESS };

  test("asks twice after a new lease and declines when somebody answers", () => {
    const world = new World();
    world.client.start();
    world.reply(DHCP_TYPE.OFFER);
    world.reply(DHCP_TYPE.ACK);
    expect(world.probes).toEqual([ADDRESS]);
    world.clock.advance(500);
    expect(world.probes).toEqual([ADDRESS, ADDRESS]);
    world.sent();
    // ARP goes on to the adapter whatever it says.
    expect(world.feed(arpFrame(owner))).toBe(false);
    expect(world.last).toMatchObject({ src: 0, dst: 0xffffffff });
    expect(world.last.message).toMatchObject({ type: DHCP_TYPE.DECLINE, ciaddr: 0 });
    const { options } = world.last.message;
    expect(tryReadAddress(options, DHCP_OPTION.REQUESTED_ADDRESS)).toBe(ADDRESS);
    expect(tryReadAddress(options, DHCP_OPTION.SERVER_ID)).toBe(SERVER);
    expect(world.events).toEqual(["lease 192.168.30.10", "lost conflict"]);
    world.clock.advance(9_999);
    expect(world.sent()).toEqual(["DECLINE"]);
    world.clock.advance(1);
    expect(world.sent()).toEqual(["DISCOVER"]);
    world.close();
  });

  test("minds neither other addresses, nor its own MAC, nor what comes after 1.5 seconds", () => {
    const world = new World();
    world.client.start();
    world.reply(DHCP_TYPE.OFFER);
    world.reply(DHCP_TYPE.ACK);
    world.feed(arpFrame({ mac: SERVER_MAC, ip: SERVER }));
    world.feed(arpFrame({ mac: MAC, ip: ADDRESS }));
    world.clock.advance(1_500);
    expect(world.client.wants(arpFrame(owner), 0, 42)).toBe(false);
    world.feed(arpFrame(owner));
    expect(world.events).toEqual(["lease 192.168.30.10"]);
    world.close();
  });

  test("declines once when the owner answers while the question is being sent", () => {
    const world = new World();
    world.onProbe = () => void world.feed(arpFrame(owner));
    world.client.start();
    world.reply(DHCP_TYPE.OFFER);
    world.reply(DHCP_TYPE.ACK);
    expect(world.events).toEqual(["lease 192.168.30.10", "lost conflict"]);
    expect(world.sent()).toEqual(["DISCOVER", "REQUEST", "DECLINE"]);
    expect(world.probes).toHaveLength(1);
    world.close();
  });

  test("bears ARP that is cut", () => {
    const world = new World();
    world.client.start();
    world.reply(DHCP_TYPE.OFFER);
    world.reply(DHCP_TYPE.ACK);
    const frame = arpFrame(owner);
    for (let end = 0; end < 42; end++) world.client.feed(frame.subarray(0, end), 0, end);
    expect(world.events).toEqual(["lease 192.168.30.10"]);
    world.close();
  });
});

describe("DhcpClient.wants()", () => {
  test("is true for messages to this MAC alone, and false while stopped", () => {
    const world = new World();
    world.client.start();
    const offer = encodeReply(world.last.message, {
      type: DHCP_TYPE.OFFER,
      yiaddr: ADDRESS,
      server: SERVER,
      serverMac: SERVER_MAC,
      options: usualOptions(SERVER),
    });
    const wants = (changes: Readonly<Record<number, number>>) => {
      const bytes = offer.slice();
      for (const [at, value] of Object.entries(changes)) bytes[Number(at)] = value;
      return world.client.wants(bytes, 0, bytes.length);
    };
    expect(wants({})).toBe(true);
    expect(wants({ 12: 0x86, 13: 0xdd })).toBe(false);
    expect(wants({ 23: 6 })).toBe(false);
    expect(wants({ 37: 67 })).toBe(false);
    expect(wants({ 21: 1 })).toBe(false);
    expect(wants({ 75: 0 })).toBe(false);
    for (let end = 0; end < 76; end++) expect(world.client.wants(offer, 0, end)).toBe(false);
    expect(world.client.wants(offer, 0, 76)).toBe(true);
    // A header that claims 60 bytes must not lead past the frame.
    expect(world.client.wants(offer.with(14, 0x4f), 0, 80)).toBe(false);
    world.client.stop({ release: false });
    expect(wants({})).toBe(false);
    world.close();
  });

  test("feed() takes a broken message to this MAC and counts it; other frames go on", () => {
    const world = new World();
    world.client.start();
    const offer = encodeReply(world.last.message, {
      type: DHCP_TYPE.OFFER,
      yiaddr: ADDRESS,
      server: SERVER,
      serverMac: SERVER_MAC,
    });
    offer[100]! ^= 1;
    expect(world.feed(offer)).toBe(true);
    expect(world.client.ignored).toBe(1);
    expect(world.feed(arpFrame({ mac: SERVER_MAC, ip: ADDRESS }))).toBe(false);
    const other = encodeReply(
      { ...world.last.message, chaddr: MAC_ZERO },
      {
        type: DHCP_TYPE.OFFER,
        yiaddr: ADDRESS,
        server: SERVER,
        serverMac: SERVER_MAC,
      },
    );
    expect(world.feed(other)).toBe(false);
    expect(world.client.ignored).toBe(1);
    world.close();
  });
});
