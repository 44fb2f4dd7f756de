import { afterEach, describe, expect, test } from "bun:test";
import { formatAddress } from "../../src/base/ip.ts";
import { formatMac } from "../../src/base/mac.ts";
import type { L3Interface } from "../../src/l3-switch/l3-interface.ts";
import { internetChecksum } from "../../src/wire/checksum.ts";
import { runOf } from "../support/array-port.ts";
import { echo, type Host, ipPacket, L3World, replyTo, seen, switchConfig } from "./world.ts";

const BOTH =
  'interface = { a = ["10.1.0.254/24", "fd00:1::fe/64"], b = ["10.2.0.254/24", "fd00:2::fe/64"] }';
let world = new L3World();
afterEach(() => {
  world.close();
  expect(world.clock.pending).toBe(0);
  world = new L3World();
});

const FAMILIES = [
  ["IPv4", "10.1.0.1", "10.2.0.2", "10.2.0.9", "10.2.0.254", "10.1.0.254", "10.99.0.1"],
  ["IPv6", "fd00:1::1", "fd00:2::2", "fd00:2::9", "fd00:2::fe", "fd00:1::fe", "fd00:99::1"],
] as const;

describe.each(FAMILIES)(
  "L3Switch with %s",
  (family, near, far, silent, farOwn, nearOwn, nowhere) => {
    const isV6 = family === "IPv6";
    const two = (text = BOTH, asReference = false) => {
      const l3 = world.start(switchConfig(text), asReference);
      return { l3, a: world.host("a", near), b: world.host("b", far) };
    };

    test("sends a packet on to the host that it is for, one hop less and with both MACs its own", () => {
      const { l3, a, b } = two();
      const body = Uint8Array.from({ length: 100 }, (_, at) => at);
      a.send(far, { body });
      const [got, ...more] = b.take();
      expect(more).toEqual([]);
      const [, toB] = l3.interfaces;
      expect(seen(got!)).toMatchObject({
        ttl: 63,
        isSound: true,
        to: formatMac(b.mac),
        from: formatMac(toB!.mac),
      });
      expect(got!.subarray(-100)).toEqual(body);
      expect(a.take()).toEqual([]);
    });

    test("keeps runs together: those of one flow leave as one, in order", () => {
      const { a, b } = two();
      a.send(far);
      b.take();
      const burst = Array.from({ length: 30 }, (_, at) =>
        a.packet(far, { body: Uint8Array.of(at, 1, 2, 3, 4, 5, 6, 7) }),
      );
      a.sendFrames(...burst);
      expect(b.port.runs).toEqual([30]);
      expect(b.take().map((one) => one.at(-8))).toEqual(Array.from({ length: 30 }, (_, at) => at));
    });

    test("takes apart a run for several hubs and hosts", () => {
      const { a, b } = two();
      const other = world.host("b", silent);
      for (const to of [far, silent]) a.send(to);
      b.take();
      other.take();
      a.sendFrames(
        a.packet(far),
        a.packet(silent),
        a.packet(silent),
        a.packet(nowhere),
        a.packet(far),
      );
      expect([b.take().length, other.take().length]).toEqual([2, 2]);
      expect(a.take().length).toBe(1);
    });

    test("answers echo requests to its near and its far address, with TTL 255", () => {
      const { l3, a } = two();
      for (const own of [nearOwn, farOwn]) {
        const protocol = isV6 ? 58 : 1;
        a.send(own, { protocol, body: echo(near, own, new Uint8Array(32).fill(7)), ttl: 1 });
        const [reply] = a.take();
        expect(seen(reply!)).toMatchObject({
          ttl: 255,
          type: isV6 ? 129 : 0,
          word: 0x12340001,
          isSound: true,
          from: formatMac(l3.interfaces[0]!.mac),
        });
        if (!isV6) expect(internetChecksum(reply!, 34, reply!.length)).toBe(0);
      }
    });

    test("IP-06: does not answer an echo request with a wrong checksum, or a cut one", () => {
      const { l3, a } = two();
      const protocol = isV6 ? 58 : 1;
      const body = echo(near, nearOwn);
      body[9]! ^= 1;
      a.send(nearOwn, { protocol, body });
      a.send(nearOwn, { protocol, body: body.slice(0, 7) });
      expect(a.take()).toEqual([]);
      expect(l3.interfaces[0]!.drops.checksum).toBe(1);
    });

    test("compat l3-errors keeps to itself that nobody listens", () => {
      const { a } = two(BOTH, true);
      a.send(nearOwn, { protocol: 17 });
      expect(a.take()).toEqual([]);
    });

    test("tells who sends to its own ports that nobody listens", () => {
      const { a } = two();
      a.send(nearOwn, { protocol: 17 });
      expect(seen(a.take()[0]!)).toMatchObject(isV6 ? { type: 1, code: 4 } : { type: 3, code: 3 });
    });

    test("IP-08: at the end of its hops a packet is dropped, and its sender told from the near address", () => {
      const { a, b } = two();
      a.send(far);
      b.take();
      a.send(far, { ttl: 1 });
      a.send(far, { ttl: 0 });
      const errors = a.take();
      expect(b.take()).toEqual([]);
      expect(errors.map(seen)).toMatchObject([
        { type: isV6 ? 3 : 11, code: 0, ttl: 255, isSound: true },
      ]);
      a.send(far, { ttl: 2 });
      a.send(far, { ttl: 255 });
      expect(b.take().map((one) => seen(one).ttl)).toEqual([1, 254]);
    });

    test("IP-08: errors come at a bounded rate", () => {
      const { a } = two();
      for (let at = 0; at < 40; at += 1)
        a.sendFrames(...Array.from({ length: 10 }, () => a.packet(far, { ttl: 1 })));
      const first = a.take().length;
      expect(first).toBe(100);
      world.advance(1000);
      a.sendFrames(...Array.from({ length: 400 }, () => a.packet(far, { ttl: 1 })));
      expect(a.take().length).toBeLessThanOrEqual(200);
    });

    test("without a route a packet is dropped, and its sender told", () => {
      const { a, b } = two();
      a.send(nowhere);
      expect(a.take().map(seen)).toMatchObject([{ type: isV6 ? 1 : 3, code: 0 }]);
      expect(b.take()).toEqual([]);
    });

    test("a host that does not answer is asked five times, and then the sender is told of it", () => {
      const { l3, a, b } = two();
      for (let at = 0; at < 3; at += 1) a.send(silent);
      expect(l3.waiting).toBe(3);
      world.advance(4_900);
      expect(a.take()).toEqual([]);
      expect(questions(b)).toBe(5);
      world.advance(200);
      expect(a.take().map(seen)).toMatchObject(
        Array(3).fill({ type: isV6 ? 1 : 3, code: isV6 ? 3 : 1 }),
      );
      expect(l3.waiting).toBe(0);
      b.port.take();
      world.advance(10_000);
      expect(questions(b)).toBe(0);
    });

    test("compat l3-errors drops in silence what waits for nobody", () => {
      const { a } = two(BOTH, true);
      a.send(silent);
      world.advance(6_000);
      expect(a.take()).toEqual([]);
    });

    test("packets wait for a late answer, 64 for one host, and go in order", () => {
      const { l3, a, b } = two();
      b.answers = false;
      for (let at = 0; at < 70; at += 1)
        a.send(far, { body: Uint8Array.of(at, 0, 0, 0, 0, 0, 0, 0) });
      expect(l3.waiting).toBe(64);
      expect(l3.interfaces[0]!.drops.limit).toBe(6);
      b.answers = true;
      world.advance(1_000);
      expect(b.take().map((one) => one.at(-8))).toEqual(Array.from({ length: 64 }, (_, at) => at));
      expect(l3.waiting).toBe(0);
    });

    test("what has waited goes beside what comes in the same event, and neither harms the other", () => {
      const { a, b } = two();
      b.answers = false;
      const waited = Uint8Array.from({ length: 1000 }, (_, at) => at);
      a.send(far, { body: waited });
      const asked = b.port
        .take()
        .find((one) => (one[12] === 0x08 ? one[13] === 6 : one[54] === 135))!;
      b.sendFrames(b.packet(near));
      const answer = runOf([replyTo(asked, b)!]);
      const body = new Uint8Array(1200).fill(9);
      a.take();
      b.port.into!.deliver(answer);
      b.port.into!.deliver(runOf([b.packet(near, { body }), b.packet(near, { body })]));
      b.port.into!.flush();
      expect(b.take().map((one) => one.slice(-1000))).toEqual([waited]);
      expect(a.take().map((one) => one.slice(-1200))).toEqual([body, body]);
    });

    test("addresses that are only probed by TTL leave room for hosts that are there", () => {
      const { l3, a, b } = two(BOTH.replace("10.2.0.254/24", "10.2.0.254/16"));
      const [, toB] = l3.interfaces;
      for (let n = 0; n < 1100; n += 1) {
        const host = isV6 ? `fd00:2::1:${n.toString(16)}` : `10.2.${1 + (n >> 8)}.${n & 255}`;
        a.send(host, { ttl: 1 });
      }
      expect(toB!.neighbors(isV6 ? 6 : 4).size).toBeLessThanOrEqual(1024);
      a.take();
      a.send(far);
      expect(b.take().length).toBe(1);
    });

    test("asks a neighbour again that was silent for 30 seconds, and packets go meanwhile", () => {
      const { a, b } = two();
      a.send(far);
      b.port.take();
      world.advance(29_000);
      a.send(far);
      expect([questions(b), b.take().length]).toEqual([0, 1]);
      world.advance(2_000);
      a.send(far);
      // To the station alone.
      const asked = b.port.frames.filter((one) => formatMac(b.mac) === seen(one).to);
      expect(asked.length).toBe(2);
      expect(b.take().length).toBe(1);
      b.answers = false;
      world.advance(31_000);
      a.send(far);
      b.take();
      world.advance(6_000);
      a.send(far);
      expect(b.take()).toEqual([]);
    });

    test("a flow goes on when a host that was given up is there again", () => {
      const { a, b } = two();
      a.send(far);
      b.take();
      b.answers = false;
      world.advance(31_000);
      for (let at = 0; at < 12; at += 1) {
        a.send(far);
        world.advance(1_000);
      }
      expect(a.take().length).toBeGreaterThan(0);
      b.answers = true;
      a.send(far);
      world.advance(1_000);
      b.take();
      const before = world.switches[0]!.waiting;
      a.sendFrames(a.packet(far), a.packet(far), a.packet(far));
      expect([before, [...b.port.runs], b.take().length]).toEqual([0, [3], 3]);
    });

    test("what is for other stations, or a group, is not routed", () => {
      const { a, b } = two();
      a.send(far);
      b.take();
      const group = a.packet(far);
      group.fill(0xff, 0, 6);
      const other = a.packet(far);
      other.set([2, 0, 0, 0, 9, 9], 0);
      a.sendFrames(group, other, other);
      expect(b.take()).toEqual([]);
      for (const to of isV6
        ? ["ff02::1", "ff05::2", "fe80::9", "::1"]
        : ["224.0.0.1", "255.255.255.255", "10.2.0.255", "127.0.0.1", "240.0.0.1"])
        a.send(to);
      expect([b.take(), a.take()]).toEqual([[], []]);
    });

    test("IP-09: senders that nobody can be are martians", () => {
      const { l3, a, b } = two();
      a.send(far);
      b.take();
      const senders = isV6
        ? [
            "::",
            "::1",
            "ff02::1",
            linkLocalOf(l3.interfaces[0]!),
            nearOwn,
            farOwn,
            far,
            "::ffff:10.1.0.1",
          ]
        : [
            "0.0.0.0",
            "127.0.0.1",
            "224.0.0.5",
            "255.255.255.255",
            "10.1.0.255",
            nearOwn,
            farOwn,
            far,
          ];
      for (const from of senders) a.sendFrames(a.packet(far, {}, from));
      expect([b.take(), a.take()]).toEqual([[], []]);
      expect(l3.interfaces[0]!.drops.martian).toBe(senders.length);
    });

    test("an interface without addresses of a family has no part in it", () => {
      const text = `interface = { a = "${isV6 ? "10.1.0.254/24" : "fd00:1::fe/64"}", b = "${farOwn}/${isV6 ? 64 : 24}" }`;
      const { l3, a, b } = two(text);
      const others = world.host("b", silent);
      others.send(far);
      b.take();
      for (let turn = 0; turn < 2; turn += 1) a.send(far);
      expect([b.take(), a.take()]).toEqual([[], []]);
      expect(l3.interfaces[0]!.drops.not_served).toBe(2);
    });

    test("IP-04: headers that are cut or contradict themselves go nowhere", () => {
      const { a, b } = two();
      a.send(far);
      b.take();
      const whole = a.packet(far);
      const bad = (change: (bytes: Uint8Array) => void) => {
        const bytes = whole.slice();
        change(bytes);
        return bytes;
      };
      a.sendFrames(
        bad((bytes) => (bytes[14] = isV6 ? 0x50 : 0x55)),
        bad((bytes) => bytes.set([0xff, 0xff], isV6 ? 18 : 16)),
        whole.slice(0, 14 + 12),
        bad((bytes) => (bytes[14] = isV6 ? 0x40 : 0x44)),
        ...(isV6
          ? []
          : [bad((bytes) => (bytes[24]! ^= 1)), bad((bytes) => bytes.set([0, 12], 16))]),
      );
      expect([b.take(), a.take()]).toEqual([[], []]);
    });

    test("longer packets than the MTU are refused with the size that fits", () => {
      const { a, b } = two(`${BOTH}\nmtu = 1300`);
      a.send(far);
      b.take();
      const header = isV6 ? 40 : 20;
      a.send(far, { body: new Uint8Array(1300 - header), flags: 0x4000 });
      expect(b.take().length).toBe(1);
      a.send(far, { body: new Uint8Array(1301 - header), flags: 0x4000 });
      expect(b.take()).toEqual([]);
      expect(a.take().map(seen)).toMatchObject([
        isV6 ? { type: 2, word: 1300 } : { type: 3, code: 4, word: 1300 },
      ]);
    });
  },
);

describe("L3Switch", () => {
  test("cuts IPv4 packets that are too long and may be cut, whether the next hop is known or not", () => {
    world.start(switchConfig(`${BOTH}\nmtu = 1300`));
    const a = world.host("a", "10.1.0.1");
    const b = world.host("b", "10.2.0.2");
    const body = Uint8Array.from({ length: 1400 }, (_, at) => at);
    for (let turn = 0; turn < 2; turn += 1) {
      a.send("10.2.0.2", { body, id: 77 });
      const parts = b.take();
      expect(parts.map((one) => seen(one))).toMatchObject([
        { ttl: 63, isSound: true },
        { ttl: 63, isSound: true },
      ]);
      expect(parts.every((one) => one.length <= 1314)).toBe(true);
      const whole = Buffer.concat(parts.map((one) => one.subarray(34)));
      expect(new Uint8Array(whole)).toEqual(body);
    }
  });

  test("puts together an echo request for itself, and cuts the reply", () => {
    world.start(switchConfig(BOTH));
    const a = world.host("a", "10.1.0.1");
    const body = echo("10.1.0.1", "10.1.0.254", new Uint8Array(2000).fill(3));
    a.send("10.1.0.254", { protocol: 1, body: body.slice(0, 1480), flags: 0x2000, id: 5 });
    expect(a.take()).toEqual([]);
    a.send("10.1.0.254", { protocol: 1, body: body.slice(1480), flags: 185, id: 5 });
    const parts = a.take();
    expect(parts.length).toBe(2);
    expect(Buffer.concat(parts.map((one) => one.subarray(34))).length).toBe(2008);
  });

  test("a host with an address of its link alone reaches the switch, and hears that it gets no further (RFC 4443 3.1)", () => {
    const l3 = world.start(switchConfig(BOTH));
    const a = world.host("a", "fe80::7");
    const b = world.host("b", "fd00:2::2");
    const near = world.host("a", "fd00:1::1");
    for (const own of ["fd00:1::fe", "fd00:2::fe"]) {
      a.send(own, { protocol: 58, body: echo("fe80::7", own) });
      expect(a.take().map(seen)).toMatchObject([{ type: 129, ttl: 255 }]);
    }
    // Whether its MAC is known or not.
    for (let turn = 0; turn < 2; turn += 1) {
      a.send("fd00:2::2");
      const [error, ...more] = a.take();
      expect([more, b.take()]).toEqual([[], []]);
      expect(seen(error!)).toMatchObject({ type: 1, code: 2 });
      expect(error!.slice(22, 38)).toEqual(Uint8Array.from(l3.interfaces[0]!.linkLocal.bytes));
      near.send("fd00:2::2");
      b.take();
    }
    a.send("fd00:1::1");
    expect(near.take().map(seen)).toMatchObject([{ ttl: 63 }]);
  });

  test("IP-05: source routes are dropped, other options go on", () => {
    world.start(switchConfig(BOTH));
    const a = world.host("a", "10.1.0.1");
    const b = world.host("b", "10.2.0.2");
    a.send("10.2.0.2", { options: [131, 7, 4, 10, 9, 9, 9, 0] });
    a.send("10.2.0.2", { options: [137, 7, 4, 10, 9, 9, 9, 0] });
    expect(b.take()).toEqual([]);
    a.send("10.2.0.2", { options: [7, 7, 4, 0, 0, 0, 0, 0] });
    a.send("10.2.0.2", { options: [148, 4, 0, 0] });
    expect(b.take().map(seen)).toMatchObject([
      { ttl: 63, isSound: true },
      { ttl: 63, isSound: true },
    ]);
  });

  test("IP-17: IPv6 headers pass up to eight deep, with routing headers that are done", () => {
    world.start(switchConfig(BOTH));
    const a = world.host("a", "fd00:1::1");
    const b = world.host("b", "fd00:2::2");
    const chain = (depth: number, kind = 60) => {
      const body = new Uint8Array(depth * 8 + 8);
      for (let at = 0; at < depth; at += 1) body[at * 8] = at === depth - 1 ? 17 : kind;
      return { protocol: kind, body };
    };
    a.send("fd00:2::2", chain(8));
    expect(b.take().length).toBe(1);
    a.send("fd00:2::2", chain(9));
    a.send("fd00:2::2", chain(100));
    const routing = chain(1, 43);
    routing.body[3] = 1;
    a.send("fd00:2::2", routing);
    expect(b.take()).toEqual([]);
  });

  test("checksums stay right for every TTL and first word", () => {
    world.start(switchConfig(BOTH));
    const a = world.host("a", "10.1.0.1");
    const b = world.host("b", "10.2.0.2");
    a.send("10.2.0.2");
    b.take();
    const frames = Array.from({ length: 254 }, (_, at) =>
      a.packet("10.2.0.2", { ttl: at + 2, id: (at * 517) & 0xffff }),
    );
    // The sum that comes to each end of its range.
    for (let id = 0; id < 65_536; id += 97) frames.push(a.packet("10.2.0.2", { id }));
    a.sendFrames(...frames.slice(0, 500));
    a.sendFrames(...frames.slice(500));
    const got = b.take().map(seen);
    expect(got.length).toBe(frames.length);
    expect(got.every(({ isSound }) => isSound)).toBe(true);
    expect(got.slice(0, 254).map(({ ttl }) => ttl)).toEqual(
      Array.from({ length: 254 }, (_, at) => at + 1),
    );
  });

  test("sends back by the interface of entry what has its way there, and tells of no better one", () => {
    const text = `${BOTH}\nroute = [{ to = "10.7.0.0/16", via = "10.1.0.9" }]`;
    world.start(switchConfig(text));
    const a = world.host("a", "10.1.0.1");
    const router = world.host("a", "10.1.0.9");
    a.send("10.7.1.1");
    expect(router.take().map(seen)).toMatchObject([{ ttl: 63, to: formatMac(router.mac) }]);
    expect(a.take()).toEqual([]);
  });

  test("two switches in a row, and a loop between them that ends with the hops", () => {
    const first =
      'interface = { a = "10.1.0.254/24", m = "10.5.0.1/24" }\nroute = [{ to = "0.0.0.0/0", via = "10.5.0.2" }]';
    const second =
      'interface = { m = "10.5.0.2/24", b = "10.2.0.254/24" }\nroute = [{ to = "0.0.0.0/0", via = "10.5.0.1" }]';
    world.start(switchConfig(first, "one"));
    const l3 = world.start(switchConfig(second, "two"));
    const a = world.host("a", "10.1.0.1");
    const b = world.host("b", "10.2.0.2");
    b.gateway = l3.interfaces[1]!.mac;
    a.send("10.2.0.2");
    expect(b.take().map(seen)).toMatchObject([{ ttl: 62 }]);
    b.send("10.1.0.1");
    expect(a.take().map(seen)).toMatchObject([{ ttl: 62 }]);
    a.send("10.99.0.1", { ttl: 200 });
    // The last one to count tells, by the way back.
    expect(a.take().map(seen)).toMatchObject([{ type: 11, isSound: true }]);
  });

  test("routes by the longest prefix, then the lowest metric; compat l3-errors by the metric first", () => {
    const text = `${BOTH}
      route = [
        { to = "10.0.0.0/8", via = "10.2.0.2", metric = 1 },
        { to = "10.9.0.0/16", via = "10.2.0.3", metric = 9 },
        { to = "10.9.0.0/16", via = "10.2.0.4", metric = 5 },
        { to = "10.2.0.64/26", via = "10.2.0.5", metric = 5 },
      ]`;
    for (const asReference of [false, true]) {
      world.start(switchConfig(text), asReference);
      const a = world.host("a", "10.1.0.1");
      const at = (ip: string) => world.host("b", ip);
      const [wide, costly, cheap, within, inside] = [
        "10.2.0.2",
        "10.2.0.3",
        "10.2.0.4",
        "10.2.0.5",
        "10.2.0.70",
      ].map(at);
      a.send("10.8.0.1");
      a.send("10.9.0.1");
      a.send("10.2.0.70");
      const counts = [wide, costly, cheap, within, inside].map(
        (host: Host | undefined) => host!.take().length,
      );
      expect(counts).toEqual(asReference ? [2, 0, 0, 0, 1] : [1, 0, 1, 1, 0]);
      world.close();
      world = new L3World();
    }
  });

  test("a hub that lets go of an interface is told to the owner; closing tells nobody", () => {
    const l3 = world.start(switchConfig(BOTH));
    world.hub("b").close();
    expect(world.lost).toEqual(["b"]);
    l3.close();
    l3.close();
    expect(world.lost).toEqual(["b"]);
  });

  test("random packets never break it", () => {
    world.start(switchConfig(BOTH));
    const a = world.host("a", "10.1.0.1");
    let seed = 12_345;
    const draw = () => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32;
    for (let turn = 0; turn < 2_000; turn += 1) {
      const packet = ipPacket(
        turn % 2 ? "10.1.0.1" : "fd00:1::1",
        turn % 2 ? "10.2.0.2" : "fd00:2::2",
        {
          body: new Uint8Array(Math.floor(draw() * 60)),
        },
      );
      for (let at = 0; at < 4; at += 1)
        packet[Math.floor(draw() * packet.length)] = Math.floor(draw() * 256);
      const bytes = new Uint8Array(14 + packet.length);
      bytes.set(a.packet("10.2.0.2").subarray(0, 12));
      bytes.set(turn % 2 ? [8, 0] : [0x86, 0xdd], 12);
      bytes.set(packet, 14);
      a.sendFrames(bytes.subarray(0, Math.max(14, Math.floor(draw() * bytes.length))));
    }
    world.advance(10_000);
  });
});

function questions({ port }: Host): number {
  return port.frames.filter((one) =>
    one[12] === 0x08 ? one[13] === 6 && one[21] === 1 && !isAnnouncement(one) : one[54] === 135,
  ).length;
}

function linkLocalOf({ linkLocal }: L3Interface): string {
  return formatAddress(linkLocal.bytes);
}

function isAnnouncement(one: Uint8Array): boolean {
  return Buffer.from(one.subarray(28, 32)).equals(one.subarray(38, 42));
}
