// Where the kernel's NAT of a hub has its place on this machine: names and networks that nobody else has.
import { createHash } from "node:crypto";
import { SystemError, VpnError } from "../base/errors.ts";
import { formatNet, type Net, netContains, ipv4Address } from "../base/ip.ts";
import { listRoutes } from "../platform/ip-route.ts";
import { deleteLink, tryGetLink, tryGetLinkByIndex } from "../platform/link.ts";
import { TUN_PREFIX } from "./kernel-nat-forwarding.ts";
import { type HostAddresses } from "./virtual-host.ts";

const IFNAME_BYTES = 15;
const HASH_DIGITS = 10;
const V6_PREFIX = 64;
const GONE_MS = 500;
const GONE_STEP_MS = 10;

/** What TUN and table of a hub are called behind their prefixes: as the hub, as far as that is a name for them. */
export function kernelNatName(hub: string): string {
  const name = hub.toLowerCase();
  const isPlain = /^[a-z0-9][a-z0-9_-]*$/.test(name);
  if (isPlain && TUN_PREFIX.length + name.length <= IFNAME_BYTES) return name;
  return createHash("sha256").update(name).digest("hex").slice(0, HASH_DIGITS);
}

/** The networks of the guests, the host's address with each. */
export function netsOf({ v4, prefix, v6 }: HostAddresses, isV6: boolean): Net[] {
  const nets: Net[] = [{ ...ipv4Address(v4), prefix }];
  if (isV6 && v6 !== undefined) nets.push({ family: 6, bytes: v6.global, prefix: V6_PREFIX });
  return nets;
}

export function networkOf(net: Net): Net {
  const bytes = net.bytes.slice();
  for (let bit = net.prefix; bit < bytes.length * 8; bit += 1) {
    bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
  }
  return { ...net, bytes };
}

/**
 * The kernel knows a network once: one of this machine, or of another hub, cannot be the guests', too. A route over a
 * router may contain it: the narrower one counts.
 */
export function expectFree(nets: readonly Net[], hub: string): void {
  for (const { to, via, device } of listRoutes()) {
    if (to.prefix === 0) continue;
    const net = nets.find(
      (own) => netContains(own, to) || (via === undefined && netContains(to, own)),
    );
    if (net === undefined) continue;
    const name = device === undefined ? "nowhere" : tryGetLinkByIndex(device)?.name;
    throw new VpnError(
      "nat_subnet",
      `Cannot use the kernel's NAT in hub ${hub}: its network ${formatNet(net)} overlaps ` +
        `${formatNet(to)} at ${name ?? `interface ${device}`}; choose another, or nat = "user"`,
    );
  }
}

/** A program that was killed a moment ago, or this one before a change, may still have the interface for a moment. */
export function waitGone(device: string): void {
  for (let waited = 0; waited < GONE_MS; waited += GONE_STEP_MS) {
    if (tryGetLink(device) === undefined) return;
    Bun.sleepSync(GONE_STEP_MS);
  }
}

export function tryDeleteLink(index: number): void {
  try {
    deleteLink(index);
  } catch (thrown) {
    // Somebody else has deleted it, or we have lost the right to.
    if (!(thrown instanceof SystemError)) throw thrown;
  }
}
