import { afterEach, describe, expect, test } from "bun:test";
import { tryParseAddress } from "../../src/base/ip.ts";
import { formatMac, type MacAddress } from "../../src/base/mac.ts";
import { mac } from "../hub/frames.ts";
import {
  advertisement,
  etherFrame,
  type Host,
  ipPacket,
  L3World,
  seen,
  switchConfig,
} from "./world.ts";
import { finishChecksum, sumWords } from "../../src/wire/checksum.ts";

const BOTH =
  'interface = { a = ["10.1.0.254/24", "fd00:1::fe/64"], b = ["10.2.0.254/24", "fd00:2::fe/64"] }';
const bytesOf = (ip: string) => tryParseAddress(ip)!.bytes;

let world = new L3World();
afterEach(() => {
  world.close();
  expect(world.clock.pending).toBe(0);
  world = new L3World();
});

function open() {
  const l3 = world.start(switchConfig(BOTH));
  const a = world.host("a", "10.1.0.1");
  const b = world.host("b", "10.2.0.2");
  return { l3, a, b, own: l3.interfaces[0]! };
}

/** A neighbour solicitation; `source` "::" looks whether the address is free. */
function solicitation(
  from: MacAddress,
  source: string,
  target: string,
  options: number[],
): Uint8Array {
  const body = new Uint8Array(24 + options.length);
  body[0] = 135;
  body.set(bytesOf(target), 8);
  body.set(options, 24);
  const group = Uint8Array.of(
    0xff,
    2,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    1,
    0xff,
    ...bytesOf(target).subarray(13),
  );
  let sum = sumWords(body, 0, body.length, 58 + body.length);
  sum = sumWords(bytesOf(source), 0, 16, sum);
  sum = sumWords(group, 0, 16, sum);
  new DataView(body.buffer).setUint16(2, finishChecksum(sum));
  const packet = ipPacket(source, "::", { ttl: 255, protocol: 58, body });
  packet.set(group, 24);
  const to = Buffer.from([0x33, 0x33, 0xff, ...bytesOf(target).subarray(13)]).readUIntBE(0, 6);
  return etherFrame(to as MacAddress, from, packet);
}

describe("Neighbour discovery of an L3 interface", () => {
  const advertisements = (host: Host) =>
    host.port.take().filter((one) => one[20] === 58 && one[54] === 136);

  test("answers for its addresses as a router, by unicast; to who looks whether one is free, to all", () => {
    const { own } = open();
    const host = world.host("a", "fd00:1::1");
    host.sendFrames(
      solicitation(host.mac, host.ip, "fd00:1::fe", [1, 1, 2, 0, 0, 0, 0, Number(host.mac % 256)]),
    );
    const [reply] = advertisements(host);
    expect(seen(reply!).to).toBe(formatMac(host.mac));
    // Router, solicited, override.
    expect(reply![58]).toBe(0xe0);
    expect(reply!.subarray(80, 86).toHex()).toBe(formatMac(own.mac).replaceAll(":", ""));
    host.sendFrames(solicitation(host.mac, "::", "fd00:1::fe", []));
    const [toAll] = advertisements(host);
    expect([seen(toAll!).to, toAll![58]]).toEqual(["33:33:00:00:00:01", 0xa0]);
    host.sendFrames(solicitation(host.mac, host.ip, "fd00:1::77", []));
    expect(advertisements(host)).toEqual([]);
  });

  test("believes advertisements that it asked for, from who sends them", () => {
    const { l3 } = open();
    const host = world.host("a", "fd00:1::1");
    const far = world.host("b", "fd00:2::2");
    const side = l3.interfaces[1]!;
    far.sendFrames(advertisement(far, side.mac, side.linkLocal.bytes));
    expect(side.neighbors(6).size).toBe(0);
    far.answers = false;
    host.send(far.ip);
    const forged = advertisement({ mac: mac(77), ip: far.ip }, side.mac, side.linkLocal.bytes);
    forged.set(advertisement(far, side.mac, side.linkLocal.bytes).subarray(6, 12), 6);
    far.sendFrames(forged);
    expect(far.take()).toEqual([]);
    expect(side.drops.arp_spoof).toBe(1);
    far.sendFrames(advertisement(far, side.mac, side.linkLocal.bytes));
    expect(far.take().length).toBe(1);
  });

  test("IP-17: an advertisement of a router or a redirect changes nothing", () => {
    const { a, b, own } = open();
    const host = world.host("a", "fd00:1::1");
    for (const type of [134, 137]) {
      const body = new Uint8Array(40);
      body[0] = type;
      host.sendFrames(host.packet("fd00:1::fe", { ttl: 255, protocol: 58, body }));
    }
    expect(own.drops.router_spoof).toBe(1);
    a.send(b.ip);
    expect(b.take().length).toBe(1);
  });

  test("IPv4 alone has no IPv6 at all", () => {
    const l3 = world.start(
      switchConfig('interface = { a = "10.1.0.254/24", b = "10.2.0.254/24" }'),
    );
    const host = world.host("a", "fd00:1::1");
    host.port.take();
    host.send("fd00:1::fe", { protocol: 58 });
    host.sendFrames(solicitation(host.mac, host.ip, "fd00:1::fe", []));
    expect(host.port.take().filter((one) => one[12] === 0x86)).toEqual([]);
    expect(l3.interfaces[0]!.drops.not_served).toBe(1);
  });
});
