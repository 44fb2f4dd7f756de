// Step 16 of a frame's way (hub.md 2.5, 2.8): its source address is learnt, if the port may have it.
import { MAX_IP_ENTRIES_PER_PORT } from "../base/limits.ts";
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import { ETHERTYPE, type FrameView, IP_PROTOCOL } from "./frame-view.ts";
import { IP_REFRESH_MS } from "./ip-table.ts";
import { LeaseWatch } from "./lease-watch.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";
import { ipLimitsOf } from "./port-rules.ts";

const ETHERNET_BYTES = 14;
/** Least size of a frame with a DHCP message: Ethernet, IPv4, UDP, BOOTP as far as the magic cookie. */
const DHCP_FRAME_BYTES = 282;

/** The check of every port of a hub that has an IP table. */
export function ipAdmission(port: PortIdentity, hub: HubParts): readonly FrameCheck[] {
  const { NoIpTable, DisableIPParsing } = hub.settings.options;
  return NoIpTable || DisableIPParsing ? [] : [new IpAdmission(port, hub)];
}

/** Drops frames from an address that is another's, was not leased, or is one too many. */
class IpAdmission implements FrameCheck {
  private readonly port: PortIdentity;
  private readonly hub: HubParts;
  private readonly leases: LeaseWatch;
  private readonly ipv4Limit: number;
  private readonly ipv6Limit: number;
  private readonly isReference: boolean;
  /** Entries that the port may have: one session must not push out what others own (robustness.md FR-11). */
  private readonly share: number;
  private readonly onlyPrivate: boolean;
  private readonly onlyLinkLocal: boolean;
  // What was looked up last, and how long it need not be looked up again.
  private generation = 0;
  private ipv4 = 0;
  private ipv4Until = -Infinity;
  private readonly ipv6 = new Int32Array(4);
  private ipv6Until = -Infinity;

  constructor(port: PortIdentity, hub: HubParts) {
    const { options, compat } = hub.settings;
    const limits = ipLimitsOf(port.policy);
    this.port = port;
    this.hub = hub;
    this.leases = new LeaseWatch(port, hub);
    this.ipv4Limit = limits.ipv4;
    this.ipv6Limit = limits.ipv6;
    this.isReference = compat.has("ip-rules");
    this.share = port.isNetworkSession && !this.isReference ? MAX_IP_ENTRIES_PER_PORT : Infinity;
    this.onlyPrivate = options.ManageOnlyPrivateIP !== 0;
    this.onlyLinkLocal = options.ManageOnlyLocalUnicastIPv6 !== 0;
  }

  check(frame: FrameView, now: number): number {
    const { view, start, etherType } = frame;
    const length = frame.end - start;
    // Nearly every frame bears the address of the one before it.
    if (etherType === ETHERTYPE.IPV4) {
      if (
        length >= 34 &&
        view.getInt32(start + 26) === this.ipv4 &&
        now < this.ipv4Until &&
        this.generation === this.hub.ipTable.generation &&
        !mayBeDhcp(view, start, length)
      )
        return PASS;
    } else if (etherType === ETHERTYPE.IPV6) {
      if (
        length >= 54 &&
        now < this.ipv6Until &&
        this.generation === this.hub.ipTable.generation &&
        this.isLastIpv6(view, start + 22)
      )
        return PASS;
    }
    frame.parse();
    switch (frame.layer3) {
      case "ipv4":
        if (!frame.isDhcp) return this.admitIpv4(frame, frame.layer3At + 12, now);
        if (!isTagged(frame)) this.leases.see(frame, now);
        return PASS;
      case "arp":
        return this.admitIpv4(frame, frame.layer3At + 14, now);
      case "ipv6":
        return this.admitIpv6(frame, frame.layer3At + 8, now);
      case "other":
        return PASS;
    }
  }

  private admitIpv4(frame: FrameView, at: number, now: number): number {
    const { port, hub } = this;
    const { ipTable: table } = hub;
    const { policy } = port;
    const address = frame.view.getInt32(at);
    // Unset, limited broadcast, and polls of a hub (2.4) are nobody's addresses.
    if (address === 0 || address === -1) return PASS;
    if (address >>> 16 === 0xac1f && isHubStation(frame)) return PASS;

    if (isTagged(frame)) return this.countIpv4(address, true, now);
    const isKnown = table.seekIpv4(address, now);
    const isElsewhere = isKnown && table.port !== port.index;
    if (isElsewhere && (policy.check_ip || policy.dhcp_force) && table.isFresh(now))
      return this.refuse("ip_conflict", frame, now);
    if (policy.dhcp_force && !(isKnown && table.isLeased))
      return this.refuse("ip_not_leased", frame, now);
    if (this.countIpv4(address, isKnown, now) !== PASS) return DROP.ip_limit;
    if (isElsewhere) table.move(port.index, sourceHigh(frame), sourceLow(frame), now);
    else if (isKnown) table.refresh(sourceHigh(frame), sourceLow(frame), now);
    else if (!this.onlyPrivate || isPrivate(address)) this.enter(frame, now);
    this.ipv4 = address;
    this.ipv4Until = now + IP_REFRESH_MS;
    this.trustFrom(table.generation, "ipv6");
    return PASS;
  }

  private admitIpv6(frame: FrameView, at: number, now: number): number {
    const { port, hub } = this;
    const { ipTable: table } = hub;
    const { view } = frame;
    const a = view.getInt32(at);
    const b = view.getInt32(at + 4);
    const c = view.getInt32(at + 8);
    const d = view.getInt32(at + 12);
    const isMulticast = a >>> 24 === 0xff;
    const isUnsetOrLoopback = (a | b | c) === 0 && d >>> 1 === 0;
    if (isMulticast || isUnsetOrLoopback) return PASS;
    if (a === (0xfe800000 | 0) && c >>> 16 === 0x02ae && isHubStation(frame)) return PASS;

    const isExempt = frame.isRouterDiscovery || frame.isDhcpv6;
    if (isTagged(frame)) return isExempt ? PASS : this.countIpv6(a, b, c, d, true, now);
    const isKnown = table.seekIpv6(a, b, c, d, now);
    const isElsewhere = isKnown && table.port !== port.index;
    if (isElsewhere && port.policy.check_ipv6 && table.isFresh(now))
      return this.refuse("ip_conflict", frame, now);
    if (!isExempt && this.countIpv6(a, b, c, d, isKnown, now) !== PASS) return DROP.ip_limit;
    if (isElsewhere) {
      // The reference leaves it with its old port until it ages out.
      if (!this.isReference) table.move(port.index, sourceHigh(frame), sourceLow(frame), now);
    } else if (isKnown) table.refresh(sourceHigh(frame), sourceLow(frame), now);
    else if (!this.onlyLinkLocal || isLinkLocal(a)) this.enter(frame, now);
    if (isExempt) return PASS;
    this.ipv6[0] = a;
    this.ipv6[1] = b;
    this.ipv6[2] = c;
    this.ipv6[3] = d;
    this.ipv6Until = now + IP_REFRESH_MS;
    this.trustFrom(table.generation, "ipv4");
    return PASS;
  }

  /** Adds the address that was just sought, unless the port has its share of the table. */
  private enter(frame: FrameView, now: number): void {
    const { port, share } = this;
    const { ipTable: table } = this.hub;
    if (table.countOf(port.index, 4) + table.countOf(port.index, 6) < share)
      table.enter(port.index, sourceHigh(frame), sourceLow(frame), now);
  }

  /** The reference counts what is in the table, and asks only about what is not. */
  private countIpv4(address: number, isKnown: boolean, now: number): number {
    const { port, hub, ipv4Limit: limit } = this;
    if (limit === Infinity) return PASS;
    const isAdmitted = this.isReference
      ? isKnown || hub.ipTable.countOf(port.index, 4) < limit
      : hub.ipCounts.admitIpv4(port.index, address, limit, now);
    return isAdmitted ? PASS : DROP.ip_limit;
  }

  private countIpv6(
    a: number,
    b: number,
    c: number,
    d: number,
    isKnown: boolean,
    now: number,
  ): number {
    const { port, hub, ipv6Limit: limit } = this;
    if (limit === Infinity) return PASS;
    const isAdmitted = this.isReference
      ? isKnown || hub.ipTable.countOf(port.index, 6) < limit
      : hub.ipCounts.admitIpv6(port.index, a, b, c, d, limit, now);
    return isAdmitted ? PASS : DROP.ip_limit;
  }

  /** What was just looked up holds for this generation; what is known of the other family may not. */
  private trustFrom(generation: number, other: "ipv4" | "ipv6"): void {
    if (generation === this.generation) return;
    this.generation = generation;
    if (other === "ipv4") this.ipv4Until = -Infinity;
    else this.ipv6Until = -Infinity;
  }

  private refuse(reason: "ip_conflict" | "ip_not_leased", frame: FrameView, now: number): number {
    const { hub, port } = this;
    if (reason === "ip_not_leased") hub.log.notLeased(hub.ipTable, port.name, frame.source, now);
    else {
      const owner = hub.portAt(hub.ipTable.port)?.name;
      hub.log.conflict(hub.ipTable, port.name, frame.source, owner, now);
    }
    return DROP[reason];
  }

  private isLastIpv6(view: DataView, at: number): boolean {
    const { ipv6 } = this;
    return (
      view.getInt32(at + 12) === ipv6[3] &&
      view.getInt32(at + 8) === ipv6[2] &&
      view.getInt32(at + 4) === ipv6[1] &&
      view.getInt32(at) === ipv6[0]
    );
  }
}

/** An IPv4 frame that has to be looked into: its server's address is known, its message is not. */
function mayBeDhcp(view: DataView, start: number, length: number): boolean {
  if (view.getUint8(start + 23) !== IP_PROTOCOL.UDP || length < DHCP_FRAME_BYTES) return false;
  // Ports lie elsewhere behind IP options.
  if (view.getUint8(start + 14) !== 0x45) return true;
  const port = view.getUint16(start + 36);
  return port === 67 || port === 68;
}

/**
 * VLANs are networks apart, in which the same address may be another host's: what is in them counts against limits,
 * but has no entry in the table, and no owner.
 */
function isTagged({ start, layer3At }: FrameView): boolean {
  return layer3At !== start + ETHERNET_BYTES;
}

/** RFC 1918, and link-local addresses of RFC 3927. */
function isPrivate(address: number): boolean {
  return (
    address >>> 24 === 10 ||
    address >>> 20 === 0xac1 ||
    address >>> 16 === 0xc0a8 ||
    address >>> 16 === 0xa9fe
  );
}

/** fe80::/10 (RFC 4291 2.5.6). */
function isLinkLocal(word0: number): boolean {
  return word0 >>> 22 === 0x3fa;
}

/** Source MAC 00:AE:..., the stations of hubs (2.4). */
function isHubStation(frame: FrameView): boolean {
  return sourceHigh(frame) === 0x00ae;
}

function sourceHigh({ view, start }: FrameView): number {
  return view.getUint16(start + 6);
}

function sourceLow({ view, start }: FrameView): number {
  return view.getInt32(start + 8);
}
