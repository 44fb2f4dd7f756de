import { join } from "node:path";
import { formatMac, readMac, tryParseMac, type MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { findLine, readLines, withoutLine, writeLines } from "./line-file.ts";

const MACS = "macs";
const INSTALLATION_BYTES = 16;
/** First octet of the reference's adapters: locally administered, unicast (hub.md 15.2). */
const MAC_PREFIX = 0x5e;

/** The bytes by which servers tell this installation from others: made once, then read from the state directory. */
export function loadInstallation(stateDir: string, random: Random): Uint8Array {
  const path = join(stateDir, "installation");
  const [known] = readLines(path);
  if (known !== undefined && /^[0-9a-f]{32}$/.test(known)) return Uint8Array.fromHex(known);
  const made = random.bytes(INSTALLATION_BYTES);
  writeLines(path, [made.toHex()]);
  return made;
}

/** The MAC of an interface, kept so that DHCP servers and their leases know it again. */
export function loadMac(stateDir: string, device: string, random: Random): MacAddress {
  const known = findMac(stateDir, device);
  if (known !== undefined) return known;
  const path = join(stateDir, MACS);
  const made = randomMac(random);
  writeLines(path, [...withoutLine(readLines(path), device), `${device} ${formatMac(made)}`]);
  return made;
}

/** The MAC that the interface had before; undefined for one that never was. */
export function findMac(stateDir: string, device: string): MacAddress | undefined {
  return tryParseMac(findLine(readLines(join(stateDir, MACS)), device)?.[0] ?? "");
}

/** One that no maker of cards has given away. */
export function randomMac(random: Random): MacAddress {
  const octets = random.bytes(6);
  octets[0] = MAC_PREFIX;
  return readMac(octets, 0);
}
