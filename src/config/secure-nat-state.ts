import { formatNet, type Net, tryParseNet } from "../base/ip.ts";
import { formatMac, type MacAddress, tryParseMac } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import type { StateObjects } from "./state-objects.ts";
import { makeMac } from "./tap-mac.ts";

/** What the SecureNAT of a hub is known by inside, where its file does not say. */
export interface MadeIdentity {
  readonly mac: MacAddress;
  /** A unique local /64 (RFC 4193 3.1). */
  readonly ipv6Prefix: Net;
}

/** fd00::/8: locally assigned. */
const UNIQUE_LOCAL = 0xfd;
const GLOBAL_ID_BYTES = 5;

/**
 * Made once for each hub and kept: hosts that learnt the MAC, and made addresses of the prefix, know them again after a
 * restart. `now` is in milliseconds since 1970.
 * @throws VpnError `state_write` if they cannot be kept
 */
export function secureNatIdentity(
  objects: StateObjects,
  hub: string,
  deps: { readonly random: Random; readonly now: number },
): MadeIdentity {
  const wanted = hub.toLowerCase();
  const keys = objects.dynamic("securenat").find(({ name }) => name.toLowerCase() === wanted)?.keys;
  const text = (key: string) => {
    const value = keys?.[key];
    return typeof value === "string" ? value : "";
  };
  const [mac, ipv6Prefix] = [tryParseMac(text("mac")), tryParseNet(text("ipv6_prefix"))];
  if (mac !== undefined && ipv6Prefix !== undefined) return { mac, ipv6Prefix };
  const made = { mac: makeMac(deps.random), ipv6Prefix: makePrefix(deps.random) };
  const kept = { mac: formatMac(made.mac), ipv6_prefix: formatNet(made.ipv6Prefix) };
  objects.put("securenat", hub, kept, deps.now);
  return made;
}

function makePrefix(random: Random): Net {
  const bytes = new Uint8Array(16);
  bytes[0] = UNIQUE_LOCAL;
  bytes.set(random.bytes(GLOBAL_ID_BYTES), 1);
  return { family: 6, bytes, prefix: 64 };
}
