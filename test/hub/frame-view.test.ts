import { describe, expect, test } from "bun:test";
import { FrameView, type Layer3 } from "../../src/hub/frame-view.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { arp, bootp, frame, ipv4, ipv6, lan, mac, udp } from "./frames.ts";

const addresses = { to: mac(1), from: mac(2) };

/** Aims at the frame at the very end of its buffer, so that any read past it throws. */
function parsed(bytes: Uint8Array, size = bytes.length): FrameView {
  const buffer = bytes.slice(0, size).buffer;
  const view = new FrameView();
  const data = new DataView(buffer);
  view.aim(data, 0, size, data.getUint16(12));
  view.parse();
  return view;
}

const dhcp = ipv4({ ...addresses, ip: 0, protocol: 17, body: udp(68, 67, bootp()) });
const dhcpv6 = ipv6({
  ...addresses,
  ip: [0xfe80, 0, 0, 0, 0, 0, 0, 1],
  next: 17,
  body: udp(546, 547, new Uint8Array(4)),
});
const solicitation = ipv6({
  ...addresses,
  ip: [0xfe80, 0, 0, 0, 0, 0, 0, 1],
  next: 0,
  // A hop-by-hop header in front of the ICMPv6 message.
  body: Uint8Array.of(58, 0, 5, 2, 0, 0, 1, 0, 133, 0, 0, 0, 0, 0, 0, 0),
});

describe("FrameView", () => {
  const layers: [string, Uint8Array, Layer3, number][] = [
    ["ARP", arp({ ...addresses, ip: lan(1) }), "arp", 14],
    ["IPv4", ipv4({ ...addresses, ip: lan(1) }), "ipv4", 14],
    ["IPv6", ipv6({ ...addresses, ip: [1] }), "ipv6", 14],
    ["tagged IPv4", ipv4({ ...addresses, ip: lan(1), tags: [5] }), "ipv4", 18],
    ["twice tagged IPv4", ipv4({ ...addresses, ip: lan(1), tags: [5, 6] }), "ipv4", 22],
    [
      "FR-13 eight tags",
      ipv4({ ...addresses, ip: lan(1), tags: [1, 2, 3, 4, 5, 6, 7, 8] }),
      "other",
      22,
    ],
    ["another type", frame(addresses), "other", 14],
    [
      "ARP for another hardware",
      frame({ ...addresses, type: 0x0806, payload: new Uint8Array(28) }),
      "other",
      14,
    ],
  ];
  test.each(layers)("parse() finds layer 3 of %s", (_name, bytes, layer3, at) => {
    const view = parsed(bytes);
    expect([view.layer3, view.layer3At]).toEqual([layer3, at]);
  });

  test("parse() recognises DHCP, DHCPv6 and router discovery", () => {
    const seen = [dhcp, dhcpv6, solicitation].map(parsed1);
    expect(seen).toEqual([
      [true, false, false],
      [false, true, false],
      [false, false, true],
    ]);
  });

  const notDhcp: [string, (bytes: Uint8Array) => void][] = [
    ["another port", (b) => void (b[37] = 53)],
    ["no cookie", (b) => void (b[14 + 20 + 8 + 236] = 0)],
    ["a later fragment", (b) => void (b[21] = 1)],
    ["a total length that ends inside", (b) => void (b[16] = 0)],
    ["a total length past the end", (b) => void (b[16] = 0xff)],
    ["a header of 16 bytes", (b) => void (b[14] = 0x44)],
    ["version 5", (b) => void (b[14] = 0x55)],
    ["TCP", (b) => void (b[23] = 6)],
  ];
  test.each(notDhcp)("isDhcp is false with %s, and the source still counts", (_name, spoil) => {
    const bytes = dhcp.slice();
    spoil(bytes);
    const view = parsed(bytes);
    expect(view.isDhcp).toBe(false);
    expect(view.layer3).toBe("ipv4");
  });

  test("parse() stays inside a frame that is cut at any byte", () => {
    for (const bytes of [dhcp, dhcpv6, solicitation, arp({ ...addresses, ip: 1, tags: [1, 2] })]) {
      for (let size = 14; size < bytes.length; size += 1) {
        expect(parsed1(bytes.subarray(0, size))).toEqual([false, false, false]);
      }
    }
  });

  test("parse() stays inside frames of random bytes", () => {
    const random = seededRandom(5);
    const types = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8];
    for (let i = 0; i < 20_000; i += 1) {
      const bytes = random.bytes(14 + random.below(90));
      const type = types[random.below(types.length)]!;
      bytes[12] = type >> 8;
      bytes[13] = type & 0xff;
      if (random.below(2) === 0 && bytes.length > 20)
        bytes[20] = [0, 43, 60, 17, 58][random.below(5)]!;
      const view = parsed(bytes);
      expect(view.layer4 === -1 || view.layer4End <= bytes.length).toBe(true);
      void [view.isDhcp, view.isDhcpv6, view.isRouterDiscovery];
    }
  });

  /** A fragment of IPv6 with this offset in units of eight bytes; what it holds begins like an advertisement. */
  const fragment = (offset: number) =>
    ipv6({
      ...addresses,
      ip: [0xfe80, 0, 0, 0, 0, 0, 0, 1],
      next: 44,
      body: Uint8Array.of(58, 0, offset >> 5, ((offset & 31) << 3) | 1, 0, 0, 0, 9, 134, 0, 0, 0),
    });

  test("parse() looks into the first fragment of IPv6 and into no other", () => {
    expect([0, 1, 0x1fff].map((offset) => parsed(fragment(offset)).icmpv6Type)).toEqual([
      134, -1, -1,
    ]);
    for (let size = 14; size < fragment(0).length; size += 1)
      expect(parsed(fragment(0), size).icmpv6Type).toBe(-1);
  });

  test("configure() names another type of tags, beside those of IEEE 802.1Q", () => {
    const bytes = arp({ ...addresses, ip: 1, tags: [7] });
    bytes.set([0x91, 0x00], 12);
    const view = new FrameView();
    const look = () => {
      view.aim(new DataView(bytes.buffer), 0, bytes.length, 0x9100);
      view.parse();
      return view.layer3;
    };
    expect(look()).toBe("other");
    view.configure(0x9100, true);
    expect(look()).toBe("arp");
    view.configure(0x9100, false);
    expect(look()).toBe("other");
  });

  test("aim() makes the next parse() start afresh", () => {
    const view = new FrameView();
    for (const bytes of [dhcp, arp({ ...addresses, ip: 1 })]) {
      const data = new DataView(bytes.buffer);
      view.aim(data, 0, bytes.length, data.getUint16(12));
      view.parse();
    }
    expect([view.layer3, view.layer4, view.isDhcp]).toEqual(["arp", -1, false]);
  });
});

function parsed1(bytes: Uint8Array): boolean[] {
  const view = parsed(bytes);
  return [view.isDhcp, view.isDhcpv6, view.isRouterDiscovery];
}
