// Keys and owners of the IP table: addresses of both families as four words, ports with the family.
import type { IpAddress } from "../base/ip.ts";
import type { AgedTable } from "./aged-table.ts";
import type { IpFamily } from "./ip-counts.ts";

/** First word of the keys of IPv4 addresses, which are the last: an IPv6 source is never multicast. */
export const IPV4_MARK = -1;
export const ADDRESS_WORDS = 4;

/** The slot of this address, or -1. */
export function find(table: AgedTable, a: number, b: number, c: number, d: number): number {
  const { key } = table;
  key[0] = a;
  key[1] = b;
  key[2] = c;
  key[3] = d;
  return table.find();
}

/** Entries of a port are counted by family. */
export function ownerOf(port: number, family: IpFamily): number {
  return port * 2 + (family === 6 ? 1 : 0);
}

/** By the first word of a key. */
export function familyOf(word0: number): IpFamily {
  return word0 === IPV4_MARK ? 4 : 6;
}

/** `word` gives the words of a key. */
export function addressOf(word: (at: number) => number): IpAddress {
  const family = familyOf(word(0));
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  const view = new DataView(bytes.buffer);
  if (family === 4) view.setInt32(0, word(3));
  else for (let i = 0; i < ADDRESS_WORDS; i += 1) view.setInt32(i * 4, word(i));
  return { family, bytes };
}
