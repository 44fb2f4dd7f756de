import { join } from "node:path";
import { formatMac, readMac, tryParseMac, type MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { findLine, readLines, withoutLine, writeLines } from "./line-file.ts";

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
  const path = join(stateDir, "macs");
  const lines = readLines(path);
  const known = tryParseMac(findLine(lines, device)?.[0] ?? "");
  if (known !== undefined) return known;
  const octets = random.bytes(6);
  octets[0] = MAC_PREFIX;
  const made = readMac(octets, 0);
  writeLines(path, [...withoutLine(lines, device), `${device} ${formatMac(made)}`]);
  return made;
}
