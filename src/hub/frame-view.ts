// Where the layers of the frame under examination begin. Offsets only: nothing is copied.

import type { MacAddress } from "../base/mac.ts";
import type { PortIdentity } from "./port-identity.ts";

export const ETHERTYPE = {
  IPV4: 0x0800,
  ARP: 0x0806,
  VLAN: 0x8100,
  IPV6: 0x86dd,
  PROVIDER_VLAN: 0x88a8,
} as const;
/** Smaller values are the length field of IEEE 802.3. */
export const MIN_ETHERTYPE = 0x0600;
export const IP_PROTOCOL = { TCP: 6, UDP: 17, ICMPV6: 58 } as const;

const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const ARP_BYTES = 28;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const UDP_BYTES = 8;
/** Tags that are looked past: a service tag and a customer tag (robustness.md FR-13). */
const MAX_TAGS = 2;
const MAX_IPV6_EXTENSIONS = 8;
/** BOOTP as far as its magic cookie (RFC 2131 section 3). */
const BOOTP_BYTES = 240;
const DHCP_COOKIE = 0x63825363;
const NO_VIEW = new DataView(new ArrayBuffer(0));

export type Layer3 = "arp" | "ipv4" | "ipv6" | "other";

/**
 * The one descriptor that all checks of a hub share: aim() for each frame costs four stores, parse() runs
 * when the first check asks for more than the outer header. A frame that is cut, or lies about its lengths,
 * is "other" from the layer on that is wrong.
 */
export class FrameView {
  view: DataView = NO_VIEW;
  /** First byte of the frame, and the one behind its last. */
  start = 0;
  end = 0;
  /** Outer type field: 0x8100 for a tagged frame. */
  etherType = 0;
  layer3: Layer3 = "other";
  layer3At = 0;
  /** IP protocol number, or -1 where there is no complete first header of one (fragments, other layers). */
  layer4 = -1;
  layer4At = 0;
  /** End of the IP packet as its header tells it, never past the end of the frame. */
  layer4End = 0;
  /** The port that sent the frame. */
  from: PortIdentity | undefined;
  /** Goes to more than one port: broadcast, multicast, or a MAC that is not known. Not known on arrival. */
  isFlood = false;
  /** The port that it goes to, if it goes to one; not known on arrival. */
  to: PortIdentity | undefined;
  /** The access list has decided on it for good when it arrived (hub.md 7.3). */
  isJudged = false;
  private isParsed = false;

  /** Turns to another frame, which has at least 14 bytes. */
  aim(view: DataView, start: number, end: number, etherType: number): void {
    this.view = view;
    this.start = start;
    this.end = end;
    this.etherType = etherType;
    this.isParsed = false;
  }

  /** As aim(), but what was found out about this very frame before is kept. */
  look(view: DataView, start: number, end: number): void {
    if (this.view !== view || this.start !== start || this.end !== end)
      this.aim(view, start, end, view.getUint16(start + 12));
  }

  /** Lets go of the frame. */
  release(): void {
    this.view = NO_VIEW;
    this.start = this.end = 0;
    this.from = this.to = undefined;
    this.isParsed = false;
  }

  /** Broadcast or multicast destination: the I/G bit. */
  get isGroup(): boolean {
    return (this.view.getUint8(this.start) & 1) !== 0;
  }

  get source(): MacAddress {
    const { view, start } = this;
    return (view.getUint16(start + 6) * 2 ** 32 + view.getUint32(start + 8)) as MacAddress;
  }

  /** Fills in layers 3 and 4; at most once per frame. */
  parse(): void {
    if (this.isParsed) return;
    this.isParsed = true;
    this.layer3 = "other";
    this.layer4 = -1;
    const { view, end } = this;
    let type = this.etherType;
    let at = this.start + ETHERNET_BYTES;
    for (let tags = 0; tags < MAX_TAGS && isTag(type) && at + TAG_BYTES <= end; tags += 1) {
      type = view.getUint16(at + 2);
      at += TAG_BYTES;
    }
    this.layer3At = at;
    if (type === ETHERTYPE.IPV4) this.parseIpv4(at);
    else if (type === ETHERTYPE.IPV6) this.parseIpv6(at);
    else if (type === ETHERTYPE.ARP) this.parseArp(at);
  }

  /** DHCPv4 by ports, size and cookie; needs parse(). */
  get isDhcp(): boolean {
    const { view, layer4At: at } = this;
    if (this.layer4 !== IP_PROTOCOL.UDP || this.layer3 !== "ipv4") return false;
    if (at + UDP_BYTES + BOOTP_BYTES > this.layer4End) return false;
    return (
      isDhcpPort(view.getUint16(at)) &&
      isDhcpPort(view.getUint16(at + 2)) &&
      view.getUint32(at + UDP_BYTES + BOOTP_BYTES - 4) === DHCP_COOKIE
    );
  }

  /** DHCPv6 by destination port (hub.md 2.6); needs parse(). */
  get isDhcpv6(): boolean {
    if (this.layer4 !== IP_PROTOCOL.UDP || this.layer3 !== "ipv6") return false;
    if (this.layer4At + UDP_BYTES > this.layer4End) return false;
    const port = this.view.getUint16(this.layer4At + 2);
    return port === 546 || port === 547;
  }

  /** Router solicitation or advertisement (RFC 4861 section 4); needs parse(). */
  get isRouterDiscovery(): boolean {
    if (this.layer4 !== IP_PROTOCOL.ICMPV6 || this.layer4At >= this.layer4End) return false;
    const type = this.view.getUint8(this.layer4At);
    return type === 133 || type === 134;
  }

  private parseArp(at: number): void {
    const { view } = this;
    if (at + ARP_BYTES > this.end) return;
    // Ethernet and IPv4 with addresses of 6 and 4 bytes (RFC 826).
    if (view.getUint32(at) === 0x00010800 && view.getUint16(at + 4) === 0x0604) this.layer3 = "arp";
  }

  private parseIpv4(at: number): void {
    const { view } = this;
    if (at + IPV4_BYTES > this.end) return;
    // A sender address is one even if the rest is nonsense: else nonsense would escape the limits.
    this.layer3 = "ipv4";
    const headerBytes = (view.getUint8(at) & 15) * 4;
    const totalBytes = view.getUint16(at + 2);
    if (view.getUint8(at) >>> 4 !== 4 || headerBytes < IPV4_BYTES || totalBytes < headerBytes)
      return;
    if (at + totalBytes > this.end || (view.getUint16(at + 6) & 0x1fff) !== 0) return;
    this.layer4 = view.getUint8(at + 9);
    this.layer4At = at + headerBytes;
    this.layer4End = at + totalBytes;
  }

  private parseIpv6(at: number): void {
    const { view } = this;
    if (at + IPV6_BYTES > this.end) return;
    this.layer3 = "ipv6";
    const packetEnd = at + IPV6_BYTES + view.getUint16(at + 4);
    if (view.getUint8(at) >>> 4 !== 6 || packetEnd > this.end) return;
    let next = view.getUint8(at + 6);
    let header = at + IPV6_BYTES;
    // Hop-by-hop, routing and destination options stand before the payload (RFC 8200 section 4).
    for (let i = 0; next === 0 || next === 43 || next === 60; i += 1) {
      if (i === MAX_IPV6_EXTENSIONS || header + 8 > packetEnd) return;
      next = view.getUint8(header);
      header += (view.getUint8(header + 1) + 1) * 8;
    }
    if (header > packetEnd) return;
    this.layer4 = next;
    this.layer4At = header;
    this.layer4End = packetEnd;
  }
}

function isTag(type: number): boolean {
  return type === ETHERTYPE.VLAN || type === ETHERTYPE.PROVIDER_VLAN;
}

function isDhcpPort(port: number): boolean {
  return port === 67 || port === 68;
}
