import { formatMac, readMac, tryParseMac, type MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import type { StateObjects } from "./state-objects.ts";

/** First octet of the reference's: locally administered, unicast (hub.md 14.3). */
const MAC_PREFIX = 0x5e;

/**
 * The MAC of a TAP for which the file names none: made once and kept, so that those who learnt it know it again after a
 * restart. `now` is in milliseconds since 1970.
 * @throws VpnError `state_write` if it cannot be kept
 */
export function tapMac(
  objects: StateObjects,
  device: string,
  deps: { readonly random: Random; readonly now: number },
): MacAddress {
  const known = objects.dynamic("tap").find(({ name }) => name === device)?.keys["mac"];
  const kept = typeof known === "string" ? tryParseMac(known) : undefined;
  if (kept !== undefined) return kept;
  const made = makeMac(deps.random);
  objects.put("tap", device, { mac: formatMac(made) }, deps.now);
  return made;
}

/** The MAC of a device that there is in software only. */
export function makeMac(random: Random): MacAddress {
  const octets = random.bytes(6);
  octets[0] = MAC_PREFIX;
  return readMac(octets, 0);
}
