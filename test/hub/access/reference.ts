// The access list as hub.md 7 tells it, rule by rule and from what a frame was made of: slow, and with nothing in
// common with the compiled list.
import { netContains, tryParseAddress } from "../../../src/base/ip.ts";
import type { MacAddress } from "../../../src/base/mac.ts";
import type { AccessRule, MacMatch, UserMatch } from "../../../src/config/access-rule.ts";
import { ethernet, ipv4Packet, ipv6Packet, tcpSegment, udpDatagram } from "../../support/layers.ts";

export const SYN = 0x02;
export const ACK = 0x10;

/** What a frame is made of. */
export interface Made {
  readonly kind: "ipv4" | "ipv6" | "arp" | "other";
  readonly fromMac: MacAddress;
  readonly toMac: MacAddress;
  /** Text of addresses; in ARP those of sender and target. */
  readonly from: string;
  readonly to: string;
  readonly proto: number;
  readonly fromPort: number;
  readonly toPort: number;
  readonly flags: number;
  /** A fragment that is not the first. */
  readonly isLater: boolean;
  /** VLAN id of a tag, 0 for none. */
  readonly tag: number;
}

export const FRAME: Made = {
  kind: "ipv4",
  fromMac: 0x02_00_00_00_00_01 as MacAddress,
  toMac: 0x02_00_00_00_00_02 as MacAddress,
  from: "10.0.0.1",
  to: "10.0.0.2",
  proto: 6,
  fromPort: 40_000,
  toPort: 80,
  flags: ACK,
  isLater: false,
  tag: 0,
};
export const FRAME6: Made = { ...FRAME, kind: "ipv6", from: "2001:db8::1", to: "2001:db8::2" };

const TYPES = { ipv4: 0x0800, ipv6: 0x86dd, arp: 0x0806, other: 0x88b5 };

export function bytesOf(made: Made, data: Uint8Array = new Uint8Array(8)): Uint8Array {
  const hex = (mac: number) => mac.toString(16).padStart(12, "0");
  const inner = payloadOf(made, data);
  const [to, from, type] = [hex(made.toMac), hex(made.fromMac), TYPES[made.kind]];
  if (made.tag === 0) return ethernet(to, from, type, inner);
  const tagged = new Uint8Array(4 + inner.length);
  new DataView(tagged.buffer).setUint16(0, made.tag);
  new DataView(tagged.buffer).setUint16(2, type);
  tagged.set(inner, 4);
  return ethernet(to, from, 0x8100, tagged);
}

function payloadOf(made: Made, data: Uint8Array): Uint8Array {
  switch (made.kind) {
    case "other":
      return data;
    case "arp": {
      const arp = new Uint8Array(28);
      arp.set([0, 1, 8, 0, 6, 4, 0, 1]);
      arp.set(octetsOf(made.from), 14);
      arp.set(octetsOf(made.to), 24);
      return arp;
    }
    case "ipv4":
      return ipv4Packet(made.from, made.to, made.proto, layer4Of(made, data), made.isLater ? 7 : 0);
    case "ipv6": {
      const hex = (text: string) => octetsOf(text).toHex();
      if (!made.isLater)
        return ipv6Packet(hex(made.from), hex(made.to), made.proto, layer4Of(made, data));
      const fragment = new Uint8Array([made.proto, 0, 0, 64, 0, 0, 0, 1, ...layer4Of(made, data)]);
      return ipv6Packet(hex(made.from), hex(made.to), 44, fragment);
    }
  }
}

function layer4Of(made: Made, data: Uint8Array): Uint8Array {
  if (made.proto === 6) return tcpSegment(made.fromPort, made.toPort, made.flags, data);
  if (made.proto === 17) return udpDatagram(made.fromPort, made.toPort, data);
  return data;
}

function octetsOf(text: string): Uint8Array {
  const address = tryParseAddress(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address.bytes;
}

export interface Person {
  readonly user: string;
  readonly group: string | undefined;
}

/** True if the hub lets the frame pass from one to another. */
export function mayPass(
  rules: readonly AccessRule[],
  made: Made,
  from: Person,
  to: Person,
  judgesArp = false,
): boolean {
  if (made.kind === "arp" && !judgesArp) return true;
  const enabled = rules.filter(({ enable }) => enable);
  const found = enabled.findIndex(({ toUser }) => toUser !== undefined);
  const divide = found < 0 ? enabled.length : found;
  const first = enabled
    .slice(0, divide)
    .find((rule) => isMet(rule, made) && isMeant(rule.fromUser, from));
  if (first !== undefined) return first.action === "pass";
  const second = enabled
    .slice(divide)
    .find((rule) => isMet(rule, made) && isMeant(rule.fromUser, from) && isMeant(rule.toUser, to));
  return second?.action !== "drop";
}

function isMeant(match: UserMatch | undefined, { user, group }: Person): boolean {
  if (match === undefined) return true;
  if (match.kind !== "name") throw new Error("Files are not this matcher's business");
  const name = match.name.toLowerCase();
  return name === user.toLowerCase() || name === group?.toLowerCase();
}

/** True if all that the rule asks of the frame itself holds. */
export function isMet(rule: AccessRule, made: Made): boolean {
  if (!isMacMet(rule.fromMac, made.fromMac) || !isMacMet(rule.toMac, made.toMac)) return false;
  if (rule.family === undefined) return true;
  const isArp = made.kind === "arp";
  const isFamily = rule.family === 4 ? made.kind === "ipv4" || isArp : made.kind === "ipv6";
  if (!isFamily) return false;
  if (!isAddressMet(rule.from, made.from) || !isAddressMet(rule.to, made.to)) return false;
  if (rule.proto !== undefined && (isArp || rule.proto !== made.proto)) return false;
  const hasPorts = !isArp && !made.isLater && (made.proto === 6 || made.proto === 17);
  for (const [range, port] of [
    [rule.fromPort, made.fromPort],
    [rule.toPort, made.toPort],
  ] as const) {
    if (range !== undefined && !(hasPorts && port >= range.first && port <= range.last))
      return false;
  }
  if (rule.tcpState === undefined) return true;
  if (!hasPorts || made.proto !== 6) return false;
  const isOpening = (made.flags & SYN) !== 0 && (made.flags & ACK) === 0;
  return (rule.tcpState === "unestablished") === isOpening;
}

function isMacMet(match: MacMatch | undefined, mac: MacAddress): boolean {
  if (match === undefined) return true;
  const free = 2n ** BigInt(48 - match.prefix);
  return BigInt(match.mac) / free === BigInt(mac) / free;
}

function isAddressMet(net: AccessRule["from"], text: string): boolean {
  return net === undefined || netContains(net, { family: net.family, bytes: octetsOf(text) });
}
