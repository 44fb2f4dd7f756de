// Keeps a port from taking a router of the hub for its default router (hub.md 2.9): the lifetime in advertisements
// becomes 0, which says that the sender is none (RFC 4861 section 4.2). Prefixes and options stay.
import { tryParseAddress, unmapV4 } from "../base/ip.ts";
import type { RunRewriter } from "./frame-check.ts";
import { ETHERTYPE, FrameView, IP_PROTOCOL, ROUTER_ADVERTISEMENT } from "./frame-view.ts";
import type { FrameRun } from "./port.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";
import { runScratch } from "./run-scratch.ts";

const PREFIX_BYTES = 4;
/** Ethernet, IPv6 and the fixed part of an advertisement. */
const MIN_FRAME_BYTES = 14 + 40 + 16;
const IPV6_NEXT_HEADER_AT = 20;
const CHECKSUM_AT = 2;
const LIFETIME_AT = 6;

/** Policies NoIPv6DefaultRouterInRA and ...WhenIPv6, and the hub's option of that name. */
export function defaultRouterRemover(
  port: PortIdentity,
  { settings }: HubParts,
): readonly RunRewriter[] {
  const { policy } = port;
  const { options } = settings;
  const isWanted =
    policy.no_ipv6_default_router_in_ra ||
    ((policy.no_ipv6_default_router_in_ra_when_ipv6 ||
      options.NoIPv6DefaultRouterInRAWhenIPv6 !== 0) &&
      isTunnelledInIpv6(port));
  if (!isWanted || port.kind === "monitor" || options.DisableIPParsing !== 0) return [];
  return [new DefaultRouterRemover(options.VlanTypeId || ETHERTYPE.VLAN)];
}

function isTunnelledInIpv6({ remoteAddress }: PortIdentity): boolean {
  const address = remoteAddress === undefined ? undefined : tryParseAddress(remoteAddress);
  return address !== undefined && unmapV4(address).bytes.length === 16;
}

class DefaultRouterRemover implements RunRewriter {
  private readonly frame = new FrameView();

  constructor(tagType: number) {
    this.frame.configure(tagType, true);
  }

  rewrite(run: FrameRun): FrameRun {
    const { view, end } = run;
    let copy: FrameRun | undefined;
    for (let at = run.start; at < end;) {
      const start = at + PREFIX_BYTES;
      at = start + view.getUint32(at);
      const lifetime = this.lifetimeAt(view, start, at);
      if (lifetime === 0) continue;
      copy ??= runScratch.copy(run);
      zero(copy.view, lifetime + copy.start - run.start);
    }
    this.frame.release();
    return copy ?? run;
  }

  /** Where the lifetime of an advertisement stands; 0 if it has none, or the frame is another. */
  private lifetimeAt(view: DataView, start: number, end: number): number {
    if (start + MIN_FRAME_BYTES > end) return 0;
    const type = view.getUint16(start + 12);
    if (type === ETHERTYPE.IPV4 || type === ETHERTYPE.ARP) return 0;
    if (type === ETHERTYPE.IPV6) {
      const next = view.getUint8(start + IPV6_NEXT_HEADER_AT);
      if (next === IP_PROTOCOL.TCP || next === IP_PROTOCOL.UDP) return 0;
    }
    const { frame } = this;
    frame.aim(view, start, end, type);
    frame.parse();
    if (frame.icmpv6Type !== ROUTER_ADVERTISEMENT) return 0;
    const at = frame.layer4At + LIFETIME_AT;
    return at + 2 <= frame.layer4End && view.getUint16(at) !== 0 ? at : 0;
  }
}

/** Takes the lifetime out, and out of the checksum (RFC 1624 eqn. 3). */
function zero(view: DataView, at: number): void {
  const checksumAt = at - LIFETIME_AT + CHECKSUM_AT;
  let sum = (~view.getUint16(checksumAt) & 0xffff) + (~view.getUint16(at) & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at, 0);
  view.setUint16(checksumAt, ~sum & 0xffff);
}
