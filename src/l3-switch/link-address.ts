import { type IpAddress, type Ipv4, maskOfPrefix, type Net, readIpv4 } from "../base/ip.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import { sha0 } from "../crypto/sha0.ts";

/** First octets of the interfaces of layer 3 switches (hub.md 12.1, 16). */
const PREFIX = [0x5e, 0xa3] as const;
const HASH_OCTETS = 4;

/**
 * The MAC of an interface: always the same one, and the same that the reference gives it for its first IPv4 address, so
 * that hosts notice nothing when a server is replaced. Names count as they are written.
 */
export function interfaceMac(of: {
  readonly name: string;
  readonly hub: string;
  readonly address: IpAddress;
}): MacAddress {
  const { name, hub, address } = of;
  const hash = sha0(Buffer.concat([Buffer.from(name), Buffer.from(hub), address.bytes]));
  return readMac(Uint8Array.of(...PREFIX, ...hash.subarray(0, HASH_OCTETS)), 0);
}

/** The last address of an IPv4 network. */
export function broadcastOf({ bytes, prefix }: Net): Ipv4 {
  return ((readIpv4(bytes, 0) | ~maskOfPrefix(prefix)) >>> 0) as Ipv4;
}

/** The bits of the network, the others 0. */
export function networkOf({ bytes, prefix }: Net): Uint8Array {
  return bytes.map((octet, at) => octet & (0xff00 >> Math.max(0, Math.min(8, prefix - at * 8))));
}
