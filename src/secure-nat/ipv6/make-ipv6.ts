import type { Clock } from "../../base/clock.ts";
import type { Net } from "../../base/ip.ts";
import { MIN_IPV6_MTU } from "../../base/limits.ts";
import type { MacAddress } from "../../base/mac.ts";
import type { Random } from "../../base/random.ts";
import type { SecureNatConfig } from "../../config/secure-nat-config.ts";
import type { HostDrops } from "../../ip-host/host-drops.ts";
import { linkLocalOf } from "../../ip-host/ipv6-address.ts";
import type { HostLink } from "../../ip-host/link.ts";
import type { Log } from "../../observe/log.ts";
import { type HostIpv6, Ipv6Services } from "./ipv6-services.ts";
import { watchWayOut } from "./way-out.ts";

const PREFIX_BYTES = 8;
/** Of the host in its /64: what people look for first. */
const HOST_NUMBER = 1;

export interface Ipv6Parts {
  readonly hub: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Its prefix is used where none is configured. */
  readonly identity: { readonly ipv6Prefix: Net };
  readonly link: HostLink;
  readonly drops: HostDrops;
}

/** IPv6 of a virtual host on this machine; undefined where it is off, or the link too narrow for it (RFC 8200 5). */
export function tryMakeIpv6(config: SecureNatConfig, parts: Ipv6Parts): Ipv6Services | undefined {
  const { clock, identity, link } = parts;
  if (!config.ipv6 || link.mtu < MIN_IPV6_MTU) return undefined;
  return new Ipv6Services({
    ...parts,
    addresses: hostIpv6(link.mac, config.ipv6Prefix ?? identity.ipv6Prefix),
    domain: config.dhcp.domain,
    hasNat: config.nat !== "off",
    watchWayOut: (onChange) => watchWayOut(clock, onChange),
  });
}

/** The host's addresses in a /64. */
export function hostIpv6(mac: MacAddress, { bytes }: Net): HostIpv6 {
  const global = new Uint8Array(16);
  global.set(bytes.subarray(0, PREFIX_BYTES));
  global[15] = HOST_NUMBER;
  return { linkLocal: linkLocalOf(mac), global };
}
