// Limits on the IP addresses of a port: what makes client mode one host and not a network (hub.md 2.8, 5.4).
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import { ETHERTYPE, type FrameView } from "./frame-view.ts";
import type { IpTable } from "./ip-table.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";
import { ipLimitsOf } from "./port-rules.ts";

/** For how long an address that was just counted is let through without a look at the table. */
const REFRESH_MS = 1000;

/** Infinity where a family has no limit. */
export interface IpLimits {
  readonly ipv4: number;
  readonly ipv6: number;
}

/** The check of a port that has limits. */
export function ipLimit(port: PortIdentity, { ipTable }: HubParts): readonly FrameCheck[] {
  const limits = ipLimitsOf(port.policy);
  return limits.ipv4 === Infinity && limits.ipv6 === Infinity
    ? []
    : [new IpLimit(ipTable, port.index, limits)];
}

/** Drops frames from one address too many; ARP senders count as IPv4 addresses. */
export class IpLimit implements FrameCheck {
  private readonly table: IpTable;
  private readonly port: number;
  private readonly limits: IpLimits;
  private ipv4 = 0;
  private ipv4Until = -Infinity;
  private readonly ipv6 = new Int32Array(4);
  private ipv6Until = -Infinity;

  constructor(table: IpTable, port: number, limits: IpLimits) {
    this.table = table;
    this.port = port;
    this.limits = limits;
  }

  check(frame: FrameView, now: number): number {
    const { view, start, etherType } = frame;
    const length = frame.end - start;
    // Nearly every frame bears the address of the one before it.
    if (etherType === ETHERTYPE.IPV4) {
      if (length >= 34 && view.getInt32(start + 26) === this.ipv4 && now < this.ipv4Until)
        return PASS;
    } else if (etherType === ETHERTYPE.IPV6) {
      if (length >= 54 && now < this.ipv6Until && this.isLastIpv6(view, start + 22)) return PASS;
    }
    frame.parse();
    switch (frame.layer3) {
      case "ipv4":
        return frame.isDhcp ? PASS : this.countIpv4(frame, frame.layer3At + 12, now);
      case "arp":
        return this.countIpv4(frame, frame.layer3At + 14, now);
      case "ipv6":
        return this.countIpv6(frame, frame.layer3At + 8, now);
      case "other":
        return PASS;
    }
  }

  private countIpv4(frame: FrameView, at: number, now: number): number {
    const address = frame.view.getInt32(at);
    // Unset, limited broadcast, and polls of a hub (2.4) are nobody's addresses.
    if (address === 0 || address === -1) return PASS;
    if (address >>> 16 === 0xac1f && isHubStation(frame)) return PASS;
    if (!this.table.admitIpv4(this.port, address, this.limits.ipv4, now)) return DROP.ip_limit;
    this.ipv4 = address;
    this.ipv4Until = now + REFRESH_MS;
    return PASS;
  }

  private countIpv6(frame: FrameView, at: number, now: number): number {
    const { view } = frame;
    const a = view.getInt32(at);
    const b = view.getInt32(at + 4);
    const c = view.getInt32(at + 8);
    const d = view.getInt32(at + 12);
    const isMulticast = a >>> 24 === 0xff;
    const isUnsetOrLoopback = (a | b | c) === 0 && d >>> 1 === 0;
    if (isMulticast || isUnsetOrLoopback || frame.isRouterDiscovery || frame.isDhcpv6) return PASS;
    if (a === (0xfe800000 | 0) && c >>> 16 === 0x02ae && isHubStation(frame)) return PASS;
    if (!this.table.admitIpv6(this.port, a, b, c, d, this.limits.ipv6, now)) return DROP.ip_limit;
    this.ipv6[0] = a;
    this.ipv6[1] = b;
    this.ipv6[2] = c;
    this.ipv6[3] = d;
    this.ipv6Until = now + REFRESH_MS;
    return PASS;
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

/** Source MAC 00:AE:..., the stations of hubs (2.4). */
function isHubStation(frame: FrameView): boolean {
  return frame.view.getUint16(frame.start + 6) === 0x00ae;
}
