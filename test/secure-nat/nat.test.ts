import { describe, expect, test } from "bun:test";
import { formatAddress } from "../../src/base/ip.ts";
import { MAX_HALF_OPEN_PER_ADDRESS } from "../../src/base/limits.ts";
import { noHostDrops } from "../../src/ip-host/host-drops.ts";
import type { PacketView } from "../../src/ip-host/packet-view.ts";
import type { Flow, FlowEnd, FlowEnds, FlowHost } from "../../src/secure-nat/flow.ts";
import { type NatDeps, UserNat } from "../../src/secure-nat/nat.ts";
import { finishChecksum, sumWords } from "../../src/wire/checksum.ts";
import {
  aimed,
  bytesOf,
  echoPayload,
  GUEST_MAC,
  ipFrame,
  KeptFrames,
  udpPayload,
} from "../ip-host/packets.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { secureNatConfig } from "./config.ts";

const V4 = { source: "192.168.30.10", destination: "198.51.100.1" };
const V6 = { source: "fd00::10", destination: "2001:db8::1" };
const FLAG = { FIN: 1, SYN: 2, RST: 4, ACK: 16 } as const;

class FakeFlow implements Flow {
  readonly info = { created: 0, lastUsed: 0, bytesIn: 0, bytesOut: 0 };
  received = 0;
  flushes = 0;
  readonly ended: FlowEnd[] = [];
  onReceive: () => void = () => undefined;
  readonly ends: FlowEnds;
  readonly host: FlowHost;

  constructor(ends: FlowEnds, host: FlowHost) {
    this.ends = ends;
    this.host = host;
  }

  receive(): void {
    this.received += 1;
    this.onReceive();
  }

  flush(): void {
    this.flushes += 1;
  }

  close(end: FlowEnd): void {
    this.ended.push(end);
  }
}

function open(more: Partial<NatDeps> = {}) {
  const flows: FakeFlow[] = [];
  const told: string[] = [];
  const drops = noHostDrops();
  const make = (ends: FlowEnds, host: FlowHost) => {
    const flow = new FakeFlow(ends, host);
    flows.push(flow);
    return flow;
  };
  const nat = new UserNat({
    link: new KeptFrames().link,
    clock: new ManualClock(),
    random: seededRandom(1),
    epoll: undefined as never,
    config: secureNatConfig(),
    isPlain: false,
    log: { warn: (event) => void told.push(event) },
    addressOf: (family) => ({ family, bytes: bytesOf(family === 4 ? "192.168.30.1" : "fd00::1") }),
    seed: 1,
    drops,
    factories: { tcp: make, udp: make, icmp: make },
    dialOf: () => undefined,
    mayReach: () => true,
    prohibited: () => void told.push("prohibited"),
    reset: () => void told.push("reset"),
    ...more,
  });
  return { nat, flows, told, drops };
}

function tcp(
  flags: number,
  of: { readonly port?: number; readonly ends?: typeof V4; readonly offset?: number } = {},
): PacketView {
  const { port = 50_000, ends = V4, offset = 5 } = of;
  const segment = new Uint8Array(20);
  const view = new DataView(segment.buffer);
  view.setUint16(0, port);
  view.setUint16(2, 443);
  segment[12] = offset << 4;
  segment[13] = flags;
  const [from, to] = [bytesOf(ends.source), bytesOf(ends.destination)];
  const pseudo = sumWords(from, 0, from.length, sumWords(to, 0, to.length, 6 + 20));
  view.setUint16(16, finishChecksum(sumWords(segment, 0, 20, pseudo)));
  return aimed(ipFrame({ ...ends, protocol: 6, payload: segment }));
}

function udp(
  options: {
    readonly sum?: number;
    readonly length?: number;
    readonly ports?: [number, number];
  } = {},
  ends = V4,
): PacketView {
  const [from, to] = options.ports ?? [1000, 53];
  const payload = udpPayload(ends, from, to, Uint8Array.of(1, 2), options);
  return aimed(ipFrame({ ...ends, protocol: 17, payload }));
}

describe("UserNat", () => {
  test("makes one flow of the packets between two ends, for each protocol and version", () => {
    for (const ends of [V4, V6]) {
      const { nat, flows } = open();
      nat.receive(tcp(FLAG.SYN, { ends }));
      nat.receive(tcp(FLAG.ACK, { ends }));
      nat.receive(udp({}, ends));
      nat.receive(udp({}, ends));
      for (const sequence of [1, 2]) {
        const payload = echoPayload(ends, 7, sequence, new Uint8Array(8));
        nat.receive(aimed(ipFrame({ ...ends, protocol: ends === V4 ? 1 : 58, payload })));
      }
      expect(flows.map(({ received }) => received)).toEqual([2, 2, 2]);
      expect(nat.counts).toEqual({ tcp: 1, udp: 1, icmp: 1 });
      expect(flows[0]!.ends).toMatchObject({ protocol: "tcp", innerPort: 50_000, outerPort: 443 });
      expect(formatAddress(flows[0]!.ends.outer.bytes)).toBe(ends.destination);
    }
  });

  test("makes a new flow of the SYN that ends an old one", () => {
    const { nat, flows } = open();
    nat.receive(tcp(FLAG.SYN));
    flows[0]!.onReceive = () => nat.ended(flows[0]!);
    nat.receive(tcp(FLAG.SYN));
    expect(flows.map(({ received }) => received)).toEqual([2, 1]);
    flows[1]!.onReceive = () => nat.ended(flows[1]!);
    nat.receive(tcp(FLAG.ACK));
    expect(flows).toHaveLength(2);
  });

  test("answers a segment of no flow with a reset, unless it is one", () => {
    const { nat, flows, told } = open();
    nat.receive(tcp(FLAG.ACK));
    nat.receive(tcp(FLAG.SYN | FLAG.ACK));
    nat.receive(tcp(FLAG.RST));
    expect(flows).toEqual([]);
    expect(told).toEqual(["reset", "reset"]);
  });

  test("IP-10: drops segments whose header is nonsense", () => {
    const { nat, flows, told, drops } = open();
    nat.receive(tcp(FLAG.SYN, { offset: 4 }));
    nat.receive(tcp(FLAG.SYN, { offset: 6 }));
    nat.receive(tcp(FLAG.SYN | FLAG.FIN));
    nat.receive(tcp(FLAG.SYN | FLAG.RST));
    nat.receive(tcp(0xff));
    nat.receive(tcp(FLAG.SYN, { port: 0 }));
    expect(flows).toEqual([]);
    expect(told).toEqual([]);
    expect(drops.header).toBe(6);
  });

  test("IP-06, IP-15: takes a datagram without checksum over IPv4 only, and none of wrong length", () => {
    const { nat, flows, drops } = open();
    nat.receive(udp({ sum: 0 }, V6));
    nat.receive(udp({ sum: 0x1234 }));
    expect(drops.checksum).toBe(2);
    nat.receive(udp({ length: 7 }));
    nat.receive(udp({ length: 11 }));
    nat.receive(udp({ ports: [0, 53] }));
    nat.receive(udp({ ports: [53, 0] }));
    expect(drops.header).toBe(4);
    expect(flows).toEqual([]);
    nat.receive(udp({ sum: 0 }));
    expect(flows).toHaveLength(1);
  });

  test("IP-16: ignores ICMP errors and replies of guests", () => {
    const { nat, flows, drops } = open();
    for (const type of [0, 3, 5, 11, 13]) {
      const payload = echoPayload(V4, 1, 1, new Uint8Array(28), type);
      nat.receive(aimed(ipFrame({ ...V4, protocol: 1, payload })));
    }
    expect(flows).toEqual([]);
    expect(drops.not_served).toBe(5);
  });

  test("IP-12: bounds half-open flows of one guest while others connect", () => {
    const { nat, flows, told, drops } = open();
    for (let port = 1; port <= 4096; port += 1) nat.receive(tcp(FLAG.SYN, { port }));
    expect(flows).toHaveLength(MAX_HALF_OPEN_PER_ADDRESS);
    expect(drops.limit).toBe(4096 - MAX_HALF_OPEN_PER_ADDRESS);
    expect(told.filter((event) => event === "reset")).toHaveLength(drops.limit);
    nat.receive(tcp(FLAG.SYN, { ends: { ...V4, source: "192.168.30.11" } }));
    expect(flows).toHaveLength(MAX_HALF_OPEN_PER_ADDRESS + 1);
    nat.opened(flows[0]!);
    nat.ended(flows[1]!);
    nat.receive(tcp(FLAG.SYN, { port: 5000 }));
    nat.receive(tcp(FLAG.SYN, { port: 5001 }));
    nat.receive(tcp(FLAG.SYN, { port: 5002 }));
    expect(flows).toHaveLength(MAX_HALF_OPEN_PER_ADDRESS + 3);
  });

  test("bounds entries of one guest and of all", () => {
    const config = { ...secureNatConfig(), maxEntries: 5, maxEntriesPerAddress: 3 };
    const { nat, flows, told } = open({ config });
    const from = (source: string, port: number) =>
      nat.receive(udp({ ports: [port, 53] }, { ...V4, source }));
    for (let port = 1; port < 9; port += 1) from("192.168.30.10", port);
    expect(flows).toHaveLength(3);
    for (let port = 1; port < 9; port += 1) from("192.168.30.11", port);
    expect(flows).toHaveLength(5);
    expect(told).toContain("nat_limit");
    nat.reconfigure({ ...config, maxEntries: 6 });
    from("192.168.30.12", 1);
    expect(flows).toHaveLength(6);
  });

  test("ends the oldest flow of an address that has as many as options of the hub allow", () => {
    const perAddress = { tcp: 2, udp: 1, icmp: 0, halfOpenTcp: 1 };
    const { nat, flows, told } = open({ config: { ...secureNatConfig(), perAddress } });
    const ends = () => flows.map(({ ended }) => ended.join());
    nat.receive(udp({ ports: [1, 53] }));
    nat.receive(udp({ ports: [2, 53] }));
    nat.receive(udp({ ports: [3, 53] }, { ...V4, source: "192.168.30.11" }));
    expect(ends()).toEqual(["limit", "", ""]);
    expect(nat.counts).toMatchObject({ udp: 2 });
    flows.length = 0;
    nat.receive(tcp(FLAG.SYN, { port: 1 }));
    nat.receive(tcp(FLAG.SYN, { port: 2 }));
    expect(told).toContain("reset");
    expect(flows).toHaveLength(1);
    nat.opened(flows[0]!);
    nat.receive(tcp(FLAG.SYN, { port: 3 }));
    nat.opened(flows[1]!);
    nat.receive(tcp(FLAG.SYN, { port: 4 }));
    expect(ends()).toEqual(["limit", "", ""]);
    // A limit that a reload brings counts what is there already.
    nat.reconfigure(secureNatConfig());
    nat.opened(flows[2]!);
    nat.receive(tcp(FLAG.SYN, { port: 5 }));
    nat.opened(flows[3]!);
    nat.reconfigure({ ...secureNatConfig(), perAddress });
    nat.receive(tcp(FLAG.SYN, { port: 6 }));
    expect(ends()).toEqual(["limit", "limit", "", "", ""]);
  });

  test("IP-18: tells a guest that it may not go there, and makes no flow", () => {
    const { nat, flows, told } = open({ mayReach: () => false });
    nat.receive(tcp(FLAG.SYN));
    nat.receive(udp());
    expect(flows).toEqual([]);
    expect(told).toEqual(["prohibited", "prohibited"]);
  });

  test("IP-18: ends what guests may not reach any more, and leaves the rest", () => {
    let isAllowed = true;
    const dial = { address: { family: 4 as const, bytes: bytesOf("127.0.0.53") }, port: 53 };
    const { nat, flows } = open({
      mayReach: ({ outerPort }) => isAllowed || outerPort === 7,
      dialOf: ({ innerPort }) => (innerPort === 3 ? dial : undefined),
    });
    for (const ports of [
      [1, 53],
      [2, 7],
      [3, 53],
    ] as const) {
      nat.receive(udp({ ports: [...ports] }));
    }
    isAllowed = false;
    nat.endForbidden();
    expect(flows.map(({ ended }) => ended)).toEqual([["deleted"], [], []]);
    expect(nat.counts.udp).toBe(2);
  });

  test("sends a flow to the host itself elsewhere, wherever guests may go", () => {
    const dial = { address: { family: 4 as const, bytes: bytesOf("127.0.0.53") }, port: 53 };
    const { nat, flows } = open({ mayReach: () => false, dialOf: () => dial });
    nat.receive(tcp(FLAG.SYN));
    expect(flows[0]!.ends.dial).toEqual(dial);
  });

  test("flushes those that asked for it, once, when all was received", () => {
    const { nat, flows } = open();
    nat.receive(udp());
    const flow = flows[0]!;
    flow.onReceive = () => nat.soil(flow);
    nat.receive(udp());
    nat.receive(udp());
    expect(flow.flushes).toBe(0);
    nat.handled();
    nat.handled();
    expect(flow.flushes).toBe(1);
  });

  test("removes an entry by its number, and all of them when it closes", () => {
    const finished: number[] = [];
    const { nat, flows } = open({ finished: (id) => void finished.push(id) });
    nat.receive(udp({ ports: [1, 53] }));
    nat.receive(udp({ ports: [2, 53] }));
    nat.receive(udp({ ports: [3, 53] }));
    const [first] = nat.entries;
    expect(nat.remove(first!.id)).toBe(true);
    expect(nat.remove(first!.id)).toBe(false);
    expect(flows[0]!.ended).toEqual(["deleted"]);
    nat.close();
    expect(flows.map(({ ended }) => ended)).toEqual([["deleted"], ["closing"], ["closing"]]);
    expect(finished).toHaveLength(3);
    expect(nat.counts).toEqual({ tcp: 0, udp: 0, icmp: 0 });
    nat.receive(udp());
    expect(flows).toHaveLength(3);
  });

  test("tells who began what", () => {
    const began: unknown[] = [];
    const { nat } = open({ began: (id, ends, mac) => void began.push([id, ends.protocol, mac]) });
    nat.receive(udp());
    expect(began).toEqual([[1, "udp", GUEST_MAC]]);
  });
});
