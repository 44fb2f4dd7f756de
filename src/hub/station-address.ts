import { createHash } from "node:crypto";
import type { Ipv4 } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";

/** First two octets of the MACs of all hubs (hub.md 2.4). */
export const STATION_MAC_HIGH = 0x00ae;
/** 172.31.0.0/16, with neither of the last octets 0 or 255. */
const POLLING_NET = 0xac1f0000;
const OCTETS = 254;

/** What a hub calls itself on the segment that it is. */
export interface StationAddress {
  readonly mac: MacAddress;
  /** The last four octets of the MAC as a signed word, as the frame path reads them. */
  readonly macLow: number;
  readonly ipv4: Ipv4;
  /** The link-local address that belongs to the MAC (RFC 4291 appendix A). */
  readonly ipv6: Uint8Array;
}

/** The same for the same server and hub, whatever the case of its name. */
export function stationAddress(serverId: string, hub: string): StationAddress {
  const hash = createHash("sha256").update(`${serverId}\n${hub.toUpperCase()}`).digest();
  const macLow = hash.readInt32BE(0);
  const mac = (STATION_MAC_HIGH * 2 ** 32 + (macLow >>> 0)) as MacAddress;
  const third = 1 + (hash.readUInt32BE(4) % OCTETS);
  const fourth = 1 + (hash.readUInt32BE(8) % OCTETS);
  const ipv6 = new Uint8Array(16);
  ipv6.set([0xfe, 0x80]);
  ipv6.set([0x02, STATION_MAC_HIGH, hash[0]!, 0xff, 0xfe, ...hash.subarray(1, 4)], 8);
  return { mac, macLow, ipv4: (POLLING_NET + third * 256 + fourth) as Ipv4, ipv6 };
}
