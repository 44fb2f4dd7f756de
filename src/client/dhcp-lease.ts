import { IPV4_ANY, IPV4_BROADCAST, prefixOfMask, type Ipv4 } from "../base/ip.ts";
import { MAX_FRAME_BYTES } from "../base/limits.ts";
import {
  DHCP_OPTION,
  tryParseRoutes,
  tryReadAddress,
  tryReadAddresses,
  tryReadNumber,
  type DhcpOptions,
  type DhcpRoute,
} from "../wire/dhcp-option.ts";
import type { DhcpMessage } from "../wire/dhcp.ts";
import { ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";

/** Shorter leases would be spent on renewing; a lease of seconds is a fault or an attack. */
const MIN_LEASE_S = 10;
/** RFC 2131 3.3: this number of seconds means for ever. */
const INFINITE_LEASE_S = 0xffff_ffff;
/** Shares of the lease where the server names no times (RFC 2131 4.4.5). */
const T1_SHARE = 0.5;
const T2_SHARE = 0.875;
/** Every IPv4 host takes packets of this size (RFC 791 3.1), so no smaller MTU is of use. */
const MIN_MTU = 576;
const MAX_MTU = MAX_FRAME_BYTES - ETHERNET_HEADER_BYTES;

/** What a server granted. Times in milliseconds from the request; `Infinity` for a lease without end. */
export interface DhcpLease {
  readonly address: Ipv4;
  readonly prefix: number;
  readonly gateway: Ipv4 | undefined;
  readonly dns: readonly Ipv4[];
  /** A domain name of letters, digits, hyphens and underscores; nothing else gets this far. */
  readonly domain: string | undefined;
  readonly mtu: number | undefined;
  /** Routes of option 121, or 249, but the default one, which is `gateway`; `via` 0.0.0.0 is on the link. */
  readonly routes: readonly DhcpRoute[];
  readonly server: Ipv4;
  readonly leaseMs: number;
  readonly t1Ms: number;
  readonly t2Ms: number;
}

/** Reads an OFFER or ACK; undefined if it lacks what a lease needs or grants what no host can have. */
export function tryReadLease(message: DhcpMessage): DhcpLease | undefined {
  const { options, yiaddr: address } = message;
  const server = tryReadAddress(options, DHCP_OPTION.SERVER_ID);
  const leaseS = tryReadNumber(options, DHCP_OPTION.LEASE_TIME, 4);
  const prefix = readPrefix(options, address);
  if (!isHostAddress(address) || server === undefined || !isHostAddress(server)) return undefined;
  if (leaseS === undefined || leaseS < MIN_LEASE_S || prefix === undefined) return undefined;
  const classless =
    options.get(DHCP_OPTION.CLASSLESS_ROUTES) ?? options.get(DHCP_OPTION.OLD_CLASSLESS_ROUTES);
  const routes = classless === undefined ? undefined : tryParseRoutes(classless);
  return {
    address,
    prefix,
    gateway: readGateway(options, routes),
    dns: (tryReadAddresses(options, DHCP_OPTION.DNS) ?? []).filter(isHostAddress),
    domain: readDomain(options),
    mtu: readMtu(options),
    routes: (routes ?? []).filter((route) => route.prefix > 0),
    server,
    ...readTimes(options, leaseS),
  };
}

/** RFC 3442: who sends classless routes has the default route among them, and option 3 is ignored. */
function readGateway(options: DhcpOptions, routes: DhcpRoute[] | undefined): Ipv4 | undefined {
  const gateway =
    routes === undefined
      ? tryReadAddresses(options, DHCP_OPTION.ROUTER)?.[0]
      : routes.find((route) => route.prefix === 0)?.via;
  return gateway !== undefined && isHostAddress(gateway) ? gateway : undefined;
}

/** The prefix of the mask; without the option that of the address' class (RFC 1122 3.2.2.9). */
function readPrefix(options: DhcpOptions, address: Ipv4): number | undefined {
  if (!options.has(DHCP_OPTION.SUBNET_MASK))
    return address >>> 31 === 0 ? 8 : address >>> 30 === 2 ? 16 : 24;
  const mask = tryReadAddress(options, DHCP_OPTION.SUBNET_MASK);
  const prefix = mask === undefined ? undefined : prefixOfMask(mask);
  return prefix === 0 ? undefined : prefix;
}

function readTimes(
  options: DhcpOptions,
  leaseS: number,
): Pick<DhcpLease, "leaseMs" | "t1Ms" | "t2Ms"> {
  if (leaseS === INFINITE_LEASE_S) return { leaseMs: Infinity, t1Ms: Infinity, t2Ms: Infinity };
  const t1 = tryReadNumber(options, DHCP_OPTION.RENEWAL_TIME, 4) ?? leaseS * T1_SHARE;
  const t2 = tryReadNumber(options, DHCP_OPTION.REBINDING_TIME, 4) ?? leaseS * T2_SHARE;
  const isOrdered = t1 > 0 && t1 < t2 && t2 < leaseS;
  return {
    leaseMs: leaseS * 1000,
    t1Ms: (isOrdered ? t1 : leaseS * T1_SHARE) * 1000,
    t2Ms: (isOrdered ? t2 : leaseS * T2_SHARE) * 1000,
  };
}

/** The domain ends up in the resolver's configuration: only what RFC 1035 2.3.1 and practice allow passes. */
function readDomain(options: DhcpOptions): string | undefined {
  const value = options.get(DHCP_OPTION.DOMAIN);
  if (value === undefined || value.length > 255) return undefined;
  const text = String.fromCharCode(...value)
    .replace(/\0$/, "")
    .replace(/\.$/, "");
  const label = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
  const isDomain = new RegExp(`^${label}(?:\\.${label})*$`, "i").test(text) && text.length <= 253;
  return isDomain ? text : undefined;
}

function readMtu(options: DhcpOptions): number | undefined {
  const mtu = tryReadNumber(options, DHCP_OPTION.MTU, 2);
  return mtu !== undefined && mtu >= MIN_MTU && mtu <= MAX_MTU ? mtu : undefined;
}

/** True for what one host may have: neither "this network", loopback, multicast nor reserved (RFC 6890). */
function isHostAddress(address: Ipv4): boolean {
  const first = address >>> 24;
  return (
    address !== IPV4_ANY &&
    address !== IPV4_BROADCAST &&
    first !== 0 &&
    first !== 127 &&
    first < 224
  );
}
