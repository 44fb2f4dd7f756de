// What the policy of a port lets in and out (hub.md 2.9 and 6): one check for each direction, in which a bit stands
// for each item that is set.
import type { Policy } from "../config/policy.ts";
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import {
  ETHERTYPE,
  type FrameView,
  IP_PROTOCOL,
  ROUTER_ADVERTISEMENT,
  TCP_FLAG,
} from "./frame-view.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";

const BIT = {
  NO_SERVER: 1 << 0,
  NO_SERVER_V6: 1 << 1,
  ARP_DHCP_ONLY: 1 << 2,
  IPV4: 1 << 3,
  IPV6: 1 << 4,
  NON_IP: 1 << 5,
  DHCP: 1 << 6,
  DHCPV6: 1 << 7,
  DHCP_NO_SERVER: 1 << 8,
  DHCPV6_NO_SERVER: 1 << 9,
  RS_AND_RA: 1 << 10,
  RA: 1 << 11,
} as const;
const NO_TCP_SERVER = BIT.NO_SERVER | BIT.NO_SERVER_V6;
const TYPES = BIT.IPV4 | BIT.IPV6 | BIT.NON_IP;
const SYN_ACK = TCP_FLAG.SYN | TCP_FLAG.ACK;
const TAG_BYTES = 4;

/** The filter of frames from the port (step 10). */
export function arrivalPolicy(port: PortIdentity): readonly FrameCheck[] {
  const bits = sharedBits(port.policy) | arrivalBits(port.policy);
  return bits === 0 ? [] : [new ArrivalPolicy(bits, ownTagBytes(port))];
}

/** The filter of frames to the port (step 19). Monitoring ports see what passes, whatever it is (hub.md 5.6). */
export function departurePolicy(port: PortIdentity): readonly FrameCheck[] {
  const bits = sharedBits(port.policy);
  return bits === 0 || port.kind === "monitor"
    ? []
    : [new DeparturePolicy(bits, ownTagBytes(port))];
}

/** Keeps apart two ports that both have the policy PrivacyFilter. */
export function privacyFilter(port: PortIdentity, { settings }: HubParts): readonly FrameCheck[] {
  if (!port.policy.privacy_filter || port.kind === "monitor") return [];
  const { options } = settings;
  return [
    new PrivacyFilter(port, {
      passesGroups: options.DropBroadcastsInPrivacyFilterMode === 0,
      passesArp: options.DropArpInPrivacyFilterMode === 0,
      passesSameUser: options.AllowSameUserInPrivacyFilterMode !== 0,
    }),
  ];
}

/** Items that hold in both directions. */
function sharedBits(policy: Policy): number {
  return (
    (policy.arp_dhcp_only ? BIT.ARP_DHCP_ONLY : 0) |
    (policy.filter_ipv4 ? BIT.IPV4 : 0) |
    (policy.filter_ipv6 ? BIT.IPV6 : 0) |
    (policy.filter_non_ip ? BIT.NON_IP : 0) |
    (policy.dhcp_filter ? BIT.DHCP : 0) |
    (policy.dhcpv6_filter ? BIT.DHCPV6 : 0) |
    (policy.rs_and_ra_filter ? BIT.RS_AND_RA : 0)
  );
}

function arrivalBits(policy: Policy): number {
  return (
    (policy.no_server ? BIT.NO_SERVER : 0) |
    (policy.no_server_v6 ? BIT.NO_SERVER_V6 : 0) |
    (policy.dhcp_no_server ? BIT.DHCP_NO_SERVER : 0) |
    (policy.dhcpv6_no_server ? BIT.DHCPV6_NO_SERVER : 0) |
    (policy.ra_filter ? BIT.RA : 0)
  );
}

/** A tag that the hub puts on and takes off for the port hides no type: what the port sends and gets has none. */
function ownTagBytes(port: PortIdentity): number {
  return port.policy.vlan_id === 0 ? 0 : TAG_BYTES;
}

class ArrivalPolicy implements FrameCheck {
  private readonly bits: number;
  private readonly tagBytes: number;

  constructor(bits: number, tagBytes: number) {
    this.bits = bits;
    this.tagBytes = tagBytes;
  }

  check(frame: FrameView): number {
    const { bits } = this;
    frame.parse();
    if ((bits & NO_TCP_SERVER) !== 0 && frame.layer4 === IP_PROTOCOL.TCP && acceptsTcp(frame)) {
      if (frame.layer3 === "ipv4" && (bits & BIT.NO_SERVER) !== 0) return DROP.no_server;
      if (frame.layer3 === "ipv6" && (bits & BIT.NO_SERVER_V6) !== 0) return DROP.no_server_v6;
    }
    if ((bits & BIT.ARP_DHCP_ONLY) !== 0 && isIdleGroup(frame)) return DROP.arp_dhcp_only;
    if ((bits & TYPES) !== 0) {
      const refused = refusedType(bits, outerType(frame, this.tagBytes));
      if (refused !== PASS) return refused;
    }
    if ((bits & BIT.DHCP) !== 0 && frame.isDhcp) return DROP.dhcp_filter;
    if ((bits & BIT.DHCPV6) !== 0 && frame.isDhcpv6) return DROP.dhcpv6_filter;
    if ((bits & BIT.DHCP_NO_SERVER) !== 0 && frame.isDhcpReply) return DROP.dhcp_no_server;
    if ((bits & BIT.DHCPV6_NO_SERVER) !== 0 && frame.isDhcpv6Reply) return DROP.dhcpv6_no_server;
    if ((bits & BIT.RS_AND_RA) !== 0 && frame.isRouterDiscovery) return DROP.rs_and_ra_filter;
    if ((bits & BIT.RA) !== 0 && frame.icmpv6Type === ROUTER_ADVERTISEMENT) return DROP.ra_filter;
    return PASS;
  }
}

class DeparturePolicy implements FrameCheck {
  private readonly bits: number;
  private readonly tagBytes: number;

  constructor(bits: number, tagBytes: number) {
    this.bits = bits;
    this.tagBytes = tagBytes;
  }

  check(frame: FrameView): number {
    const { bits } = this;
    frame.parse();
    if ((bits & BIT.RS_AND_RA) !== 0 && frame.isRouterDiscovery) return DROP.rs_and_ra_filter;
    if ((bits & BIT.DHCP) !== 0 && frame.isDhcp) return DROP.dhcp_filter;
    if ((bits & BIT.DHCPV6) !== 0 && frame.isDhcpv6) return DROP.dhcpv6_filter;
    if ((bits & BIT.ARP_DHCP_ONLY) !== 0 && isIdleGroup(frame)) return DROP.arp_dhcp_only;
    return (bits & TYPES) === 0 ? PASS : refusedType(bits, outerType(frame, this.tagBytes));
  }
}

interface PrivacyOptions {
  readonly passesGroups: boolean;
  readonly passesArp: boolean;
  readonly passesSameUser: boolean;
}

class PrivacyFilter implements FrameCheck {
  private readonly port: PortIdentity;
  private readonly options: PrivacyOptions;
  /** The sender of the frame before, and whether he is this port's user. */
  private sender: PortIdentity | undefined;
  private isSameUser = false;

  constructor(port: PortIdentity, options: PrivacyOptions) {
    this.port = port;
    this.options = options;
  }

  check(frame: FrameView): number {
    const { from } = frame;
    const { passesGroups, passesArp, passesSameUser } = this.options;
    if (from === undefined || !from.policy.privacy_filter) return PASS;
    if (passesGroups && frame.isGroup) return PASS;
    if (passesSameUser && this.isOwn(from)) return PASS;
    if (passesArp) {
      frame.parse();
      if (frame.layer3 === "arp") return PASS;
    }
    return DROP.privacy_filter;
  }

  /** User names are the same whatever their case (hub.md, conventions). */
  private isOwn(from: PortIdentity): boolean {
    if (from !== this.sender) {
      this.sender = from;
      this.isSameUser = from.user.toLowerCase() === this.port.user.toLowerCase();
    }
    return this.isSameUser;
  }
}

/**
 * SYN with ACK. A segment without flags (-1, so all of them) counts as well: who lets them come in a later fragment
 * wants to hide them (RFC 3128).
 */
function acceptsTcp(frame: FrameView): boolean {
  return (frame.tcpFlags & SYN_ACK) === SYN_ACK;
}

/** Sent to a group, and neither address resolution nor configuration. */
function isIdleGroup(frame: FrameView): boolean {
  if (!frame.isGroup) return false;
  if (frame.layer3 === "arp" || frame.isDhcp || frame.isDhcpv6) return false;
  return frame.layer3 !== "ipv6" || frame.layer4 !== IP_PROTOCOL.ICMPV6;
}

/** What is in a VLAN is no IP for filters by type (hub.md 2.6). */
function outerType(frame: FrameView, tagBytes: number): number {
  return tagBytes === 0 ? frame.etherType : frame.view.getUint16(frame.start + 12 + tagBytes);
}

function refusedType(bits: number, type: number): number {
  if (type === ETHERTYPE.IPV4 || type === ETHERTYPE.ARP)
    return (bits & BIT.IPV4) !== 0 ? DROP.filter_ipv4 : PASS;
  if (type === ETHERTYPE.IPV6) return (bits & BIT.IPV6) !== 0 ? DROP.filter_ipv6 : PASS;
  return (bits & BIT.NON_IP) !== 0 ? DROP.filter_non_ip : PASS;
}
