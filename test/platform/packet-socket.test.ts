import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { formatMac } from "../../src/base/mac.ts";
import { tryGetLink } from "../../src/platform/link.ts";
import { setPacketFilter } from "../../src/platform/packet-filter.ts";
import { PACKET_BYTES, reserve } from "../../src/platform/packet-memory.ts";
import {
  openPacketSocket,
  type PacketSocket,
  type PacketSocketSettings,
} from "../../src/platform/packet-socket.ts";
import { describeSystem, World, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SEGMENT, tcpFrame, wordSum } from "../wasm/random-frames.ts";
import { dhcpFrame } from "../bridge/dhcp-frame.ts";
import { inNamespace } from "./enter-namespace.ts";

const EAGAIN = -11;
const ENETDOWN = -100;
const VNET_BYTES = 10;
const area = reserve(66_000);

describeSystem("openPacketSocket()", [], () => {
  let world: World;
  let near: Namespace;
  let far: Namespace;
  const opened: PacketSocket[] = [];
  const open = (space: Namespace, settings: Partial<PacketSocketSettings> = {}) =>
    inNamespace(space.netns, () => {
      const socket = openPacketSocket({ name: "b-wire", promiscuous: true, ...settings });
      opened.push(socket);
      return socket;
    });
  const failure = (settings: Partial<PacketSocketSettings>): SystemError => {
    try {
      open(near, settings);
    } catch (thrown) {
      if (thrown instanceof SystemError) return thrown;
      throw thrown;
    }
    throw new Error("it did not fail");
  };

  beforeAll(async () => {
    world = new World();
    [near, far] = [await world.namespace("near"), await world.namespace("far")];
    for (const space of [near, far]) {
      // Nothing but what the tests send is on the wire.
      for (const scope of ["all", "default"])
        await space.check(["sysctl", "-qw", `net.ipv6.conf.${scope}.disable_ipv6=1`]);
    }
    await world.link({ at: near, device: "b-wire" }, { at: far, device: "b-wire" });
  });
  afterEach(() => {
    for (const socket of opened.splice(0)) socket.close();
  });
  afterAll(() => world.close());

  const write = (socket: PacketSocket, frame: Uint8Array, vnet = new Uint8Array(VNET_BYTES)) => {
    PACKET_BYTES.set(vnet, area);
    PACKET_BYTES.set(frame, area + VNET_BYTES);
    expect(socket.write(area, VNET_BYTES + frame.length)).toBe(VNET_BYTES + frame.length);
  };
  /** What has arrived: frames, each behind its virtio-net header. */
  const read = (socket: PacketSocket): { vnet: Uint8Array; frame: Uint8Array }[] => {
    const all = [];
    for (;;) {
      const length = socket.read(area, 66_000);
      if (length < 0) {
        expect(length).toBe(EAGAIN);
        return all;
      }
      const at = socket.frameAt;
      all.push({
        vnet: PACKET_BYTES.slice(at, at + VNET_BYTES),
        frame: PACKET_BYTES.slice(at + VNET_BYTES, at + length),
      });
    }
  };
  const frames = (socket: PacketSocket) => read(socket).map(({ frame }) => frame);
  const numbered = (n: number, length = 60) => {
    const frame = new Uint8Array(length).fill(n);
    frame.set([0x02, 0, 0x5e, 0, 0x53, 1, 0x02, 0, 0x5e, 0, 0x53, 2, 0x88, 0xb5]);
    return frame;
  };
  /** A super-frame of four segments, and the header that asks for its being cut. */
  const superFrame = (tags: [number, number][]) => {
    const payload = Uint8Array.from({ length: 4 * 1448 }, (_, n) => n * 7);
    const frame = tcpFrame({ ...SEGMENT, tags, payload });
    const l3 = 14 + 4 * tags.length;
    const l4 = l3 + 20;
    const pseudo = wordSum(frame.subarray(l3 + 12, l3 + 20), 6 + frame.length - l4);
    new DataView(frame.buffer).setUint16(l4 + 16, pseudo);
    const headers = l4 + 32;
    const mss = [1448 & 255, 1448 >> 8];
    return { frame, vnet: Uint8Array.of(1, 1, headers, 0, ...mss, l4, 0, 16, 0) };
  };

  test("reads what arrives for any station, in order, several frames a call", () => {
    const [here, there] = [open(near), open(far)];
    const sent = Array.from({ length: 20 }, (_, n) => numbered(n, 60 + n));
    for (const frame of sent) write(there, frame);
    expect(frames(here)).toEqual(sent);
    expect(here.takeDropped()).toBe(0);
  });

  test("frames of its own, of other sockets and of this machine are not seen", async () => {
    const [here, other] = [open(near), open(near)];
    await near.address("b-wire", "192.0.2.1/24");
    write(other, numbered(1));
    write(here, numbered(2));
    await near.run(["ping", "-c", "1", "-W", "1", "192.0.2.2"]);
    expect(frames(here)).toEqual([]);
    await near.ip("addr", "flush", "dev", "b-wire");
  });

  test("setPacketFilter() leaves outgoing frames out where the socket cannot", () => {
    const [here, other, there] = [open(near), open(near), open(far)];
    setPacketFilter(here.fd, { outgoing: true, dhcpOf: undefined });
    write(other, numbered(1));
    write(there, numbered(2));
    expect(frames(here)).toEqual([numbered(2)]);
  });

  test("frames of every EtherType pass, LLDP, BPDUs and 802.3 lengths included", () => {
    const [here, there] = [open(near), open(far)];
    const sent = [
      [0x01, 0x80, 0xc2, 0, 0, 0x0e, 0x88, 0xcc],
      [0x01, 0x80, 0xc2, 0, 0, 0x00, 0x00, 0x26],
      [0x33, 0x33, 0, 0, 0, 0x01, 0x86, 0xdd],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x08, 0x06],
    ].map(([...head]) => {
      const frame = numbered(0);
      frame.set(head.slice(0, 6));
      frame.set(head.slice(6), 12);
      return frame;
    });
    for (const frame of sent) write(there, frame);
    expect(frames(here)).toEqual(sent);
  });

  test("FR-13 puts a VLAN tag back that the kernel has taken out, a service tag and priority included", () => {
    const [here, there] = [open(near), open(far)];
    const tags: [number, number][][] = [
      [[0x8100, 200]],
      [[0x8100, 0xe000]],
      [[0x88a8, 0x6fff]],
      [
        [0x88a8, 7],
        [0x8100, 4095],
      ],
    ];
    const sent = tags.map((tags) => tcpFrame({ ...SEGMENT, tags, payload: new Uint8Array(1440) }));
    for (const frame of sent) write(there, frame);
    expect(frames(here)).toEqual(sent);
  });

  test("a super-frame arrives whole with the header to cut it by", () => {
    const [here, there] = [open(near), open(far)];
    const { frame, vnet } = superFrame([]);
    write(there, frame, vnet);
    expect(read(here)).toEqual([{ frame, vnet }]);
  });

  test("FR-13 a tagged super-frame has its tag, and a header that counts it", () => {
    const [here, there] = [open(near), open(far)];
    const { frame, vnet } = superFrame([[0x8100, 200]]);
    write(there, frame, vnet);
    const [first, ...rest] = read(here);
    if (rest.length === 0) {
      expect(first).toEqual({ frame, vnet });
      return;
    }
    // A kernel that does not pass tagged super-frames on has cut it.
    expect(rest.length).toBe(3);
    for (const part of [first!, ...rest])
      expect([...part.frame.subarray(12, 18)]).toEqual([0x81, 0, 0, 200, 8, 0]);
  });

  test("a frame longer than the interface takes is refused by it", () => {
    const here = open(near);
    PACKET_BYTES.fill(0, area, area + VNET_BYTES);
    PACKET_BYTES.set(numbered(1, 1515), area + VNET_BYTES);
    expect(here.write(area, VNET_BYTES + 1515)).toBe(-90);
    expect(here.write(area, VNET_BYTES + 1514)).toBe(VNET_BYTES + 1514);
  });

  test("what nobody reads is counted once it is too much", () => {
    const [here, there] = [open(near), open(far)];
    for (let n = 0; n < 20_000; n += 1) write(there, numbered(n & 255, 1514));
    const dropped = here.takeDropped();
    expect(dropped).toBeGreaterThan(0);
    expect(here.takeDropped()).toBe(0);
    expect(frames(here).length).toBe(20_000 - dropped);
  });

  test("refuseDhcp() leaves out DHCP messages of one station, and only those", () => {
    const [here, there] = [open(near), open(far)];
    const own = formatMac(here.link.mac);
    const others = "02:00:5e:00:53:77";
    const server = "02:00:5e:00:53:01";
    const refused = [
      dhcpFrame({ from: own, to: "ff:ff:ff:ff:ff:ff", client: own }),
      dhcpFrame({ from: server, to: own, client: own, isReply: true }),
      dhcpFrame({ from: server, to: "ff:ff:ff:ff:ff:ff", client: own, isReply: true }),
    ];
    const passing = [
      dhcpFrame({ from: others, to: "ff:ff:ff:ff:ff:ff", client: others }),
      dhcpFrame({ from: server, to: others, client: others, isReply: true }),
      dhcpFrame({ from: server, to: own, client: own, port: 69 }),
      tcpFrame(SEGMENT),
      // Too short to be what the filter looks for.
      ...[14, 15, 24, 34, 38, 42, 60].map((length) => refused[0]!.slice(0, length)),
    ];
    const send = () => {
      for (const frame of [...refused, ...passing]) write(there, frame);
    };
    here.refuseDhcp(here.link.mac);
    send();
    expect(frames(here)).toEqual(passing);
    here.refuseDhcp(undefined);
    send();
    expect(frames(here)).toEqual([...refused, ...passing]);
  });

  test("with sendOnly nothing is read", () => {
    const [here, there] = [open(near, { sendOnly: true }), open(far)];
    write(there, numbered(1));
    expect(frames(here)).toEqual([]);
    write(here, numbered(2));
    expect(frames(there)).toEqual([numbered(2)]);
  });

  test("promiscuous only where asked for", () => {
    const shown = () => inNamespace(near.netns, () => isPromiscuous("b-wire"));
    const quiet = open(near, { promiscuous: false });
    expect(shown()).toBeFalse();
    quiet.close();
    const curious = open(near);
    expect(shown()).toBeTrue();
    curious.close();
    expect(shown()).toBeFalse();
  });

  test("FI-06 tells that the interface went down, and later that it is gone", async () => {
    const here = open(near);
    await near.ip("link", "set", "b-wire", "down");
    expect(here.read(area, 66_000)).toBe(ENETDOWN);
    expect(here.read(area, 66_000)).toBe(EAGAIN);
    expect(failure({}).message).toBe(
      'Cannot open interface "b-wire" (set it up: ip link set b-wire up): bind failed with ENETDOWN (network is down)',
    );
    await near.ip("link", "set", "b-wire", "up");
    await near.ip("link", "del", "b-wire");
    expect(here.read(area, 66_000)).toBe(ENETDOWN);
    await until("the interface to go", () =>
      inNamespace(near.netns, () => tryGetLink("b-wire") === undefined),
    );
    expect(failure({}).message).toBe(
      'Cannot open interface "b-wire": netlink failed with ENODEV (no such device)',
    );
    PACKET_BYTES.fill(0, area, area + 70);
    expect(here.write(area, 70)).toBe(-6);
    await world.link({ at: near, device: "b-wire" }, { at: far, device: "b-wire" });
  });

  test("refuses interfaces that are none of Ethernet", () => {
    expect(failure({ name: "lo" }).message).toContain("it is not an Ethernet one");
  });
});

/** Of this thread's namespace, by what rtnetlink says of references. */
function isPromiscuous(device: string): boolean {
  const { stdout } = Bun.spawnSync(["ip", "-d", "link", "show", "dev", device]);
  return / promiscuity [1-9]/.test(stdout.toString());
}
