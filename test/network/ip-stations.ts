// What the tests of the IP table share: stations, their frames, and what a list shows.
import { formatAddress, type Ipv4 } from "../../src/base/ip.ts";
import type { MacAddress } from "../../src/base/mac.ts";
import type { Policy } from "../../src/config/policy.ts";
import { DHCP_TYPE, type DhcpType, encodeDhcp } from "../../src/wire/dhcp.ts";
import { BROADCAST, ipv4, ipv6, lan, mac, udp } from "../hub/frames.ts";
import { type Plugged, World } from "../hub/world.ts";

export const [A, B, SERVER] = [mac(1), mac(2), mac(99)];
export const LINK_LOCAL = [0xfe80, 0, 0, 0, 0, 0, 0];
export const from4 = (from: number, ip: number, tags: number[] = []) =>
  ipv4({ to: BROADCAST, from, ip, tags });
export const from6 = (from: number, n: number) =>
  ipv6({ to: BROADCAST, from, ip: [...LINK_LOCAL, n] });
export const global6 = (from: number, n: number) =>
  ipv6({ to: BROADCAST, from, ip: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n] });

/** What lists show: address, port, MAC, and how it was got. */
export function rows(world: World) {
  return world.hub
    .ipTable()
    .map(({ address, port, mac: at, isLeased }) => [
      formatAddress(address.bytes),
      port.name,
      at,
      ...(isLeased ? ["DHCP"] : []),
    ])
    .sort();
}

/** What a DHCP server behind SERVER says to everybody. */
export function dhcp(
  type: DhcpType,
  parts: { yiaddr: number; chaddr: number; ip?: number },
): Uint8Array {
  const message = encodeDhcp({
    op: "reply",
    type,
    xid: 1,
    secs: 0,
    wantsBroadcast: true,
    ciaddr: 0 as Ipv4,
    yiaddr: parts.yiaddr as Ipv4,
    siaddr: 0 as Ipv4,
    giaddr: 0 as Ipv4,
    chaddr: parts.chaddr as MacAddress,
    options: new Map(),
  });
  return ipv4({
    to: BROADCAST,
    from: SERVER,
    ip: parts.ip ?? lan(254),
    protocol: 17,
    body: udp(67, 68, message),
  });
}
export const ack = (yiaddr: number, chaddr: number) => dhcp(DHCP_TYPE.ACK, { yiaddr, chaddr });

/** Whether each of the frames gets through to `listener`, sent one by one. */
export function passes(port: Plugged, listener: Plugged, frames: Uint8Array[]): boolean[] {
  listener.take();
  return frames.map((bytes) => {
    port.send(bytes);
    return listener.take().length === 1;
  });
}

/** Two ports with the same policy. */
export function pair(policy: Partial<Policy> = {}) {
  const world = new World();
  return { world, a: world.attach("bridge", policy), b: world.attach("bridge", policy) };
}
