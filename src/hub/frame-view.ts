// Where the layers of the frame under examination begin. Offsets only: nothing is copied.

import { formatAddress } from "../base/ip.ts";
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
export const IP_PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, OSPF: 89 } as const;
/** Flags in the 14th byte of a TCP header (RFC 9293 3.1). */
export const TCP_FLAG = { FIN: 0x01, SYN: 0x02, RST: 0x04, ACK: 0x10 } as const;
export const ROUTER_ADVERTISEMENT = 134;

const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const ARP_BYTES = 28;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const UDP_BYTES = 8;
const TCP_FLAGS_AT = 13;
const IPV6_FRAGMENT = 44;
/** Tags that are looked past: a service tag and a customer tag (robustness.md FR-13). */
const MAX_TAGS = 2;
const MAX_IPV6_EXTENSIONS = 8;
/** BOOTP as far as its magic cookie (RFC 2131 section 3). */
const BOOTP_BYTES = 240;
const DHCP_COOKIE = 0x63825363;
const LLC_BYTES = 3;
/** Both service access points of the spanning tree protocol (IEEE 802.1D). */
const BPDU_SAPS = 0x4242;
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
  private tagType: number = ETHERTYPE.VLAN;
  private parsesLayer3 = true;

  /**
   * For all frames from now on.
   * @param tagType another type field of tags, besides the two of IEEE 802.1Q
   * @param parsesLayer3 false lets all frames be "other" (option DisableIPParsing)
   */
  configure(tagType: number, parsesLayer3: boolean): void {
    this.tagType = tagType;
    this.parsesLayer3 = parsesLayer3;
    this.isParsed = false;
  }

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

  /** The sender's IP address as text, for logs; undefined for what is not IP nor ARP. Needs parse(). */
  get sourceAddress(): string | undefined {
    const { view, layer3, layer3At } = this;
    const at = view.byteOffset + layer3At;
    const octets = (offset: number, count: number) =>
      formatAddress(new Uint8Array(view.buffer, at + offset, count));
    switch (layer3) {
      case "arp":
        return octets(14, 4);
      case "ipv4":
        return octets(12, 4);
      case "ipv6":
        return octets(8, 16);
      case "other":
        return undefined;
    }
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
    for (let tags = 0; tags < MAX_TAGS && this.isTag(type) && at + TAG_BYTES <= end; tags += 1) {
      type = view.getUint16(at + 2);
      at += TAG_BYTES;
    }
    this.layer3At = at;
    if (!this.parsesLayer3) return;
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

  /** A DHCPv4 message from a server: op 2 (RFC 2131 section 2); needs parse(). */
  get isDhcpReply(): boolean {
    return this.isDhcp && this.view.getUint8(this.layer4At + UDP_BYTES) === 2;
  }

  /** DHCPv6 by destination port (hub.md 2.6); needs parse(). */
  get isDhcpv6(): boolean {
    if (!this.hasUdpv6) return false;
    const port = this.view.getUint16(this.layer4At + 2);
    return port === 546 || port === 547;
  }

  /** DHCPv6 to a client or from a server's port (policy DHCPv6NoServer); needs parse(). */
  get isDhcpv6Reply(): boolean {
    if (!this.hasUdpv6) return false;
    const { view, layer4At: at } = this;
    return view.getUint16(at + 2) === 546 || view.getUint16(at) === 547;
  }

  /** Router solicitation or advertisement (RFC 4861 section 4); needs parse(). */
  get isRouterDiscovery(): boolean {
    const type = this.icmpv6Type;
    return type === 133 || type === ROUTER_ADVERTISEMENT;
  }

  /** Type of an ICMPv6 message, -1 for all else; needs parse(). */
  get icmpv6Type(): number {
    const isThere =
      this.layer4 === IP_PROTOCOL.ICMPV6 &&
      this.layer3 === "ipv6" &&
      this.layer4At < this.layer4End;
    return isThere ? this.view.getUint8(this.layer4At) : -1;
  }

  /** Flags of a TCP segment; -1 for all else, and for what ends before them. Needs parse(). */
  get tcpFlags(): number {
    const at = this.layer4At + TCP_FLAGS_AT;
    return this.layer4 === IP_PROTOCOL.TCP && at < this.layer4End ? this.view.getUint8(at) : -1;
  }

  /** The protocol number in an IPv4 header, also of later fragments; -1 for all else. Needs parse(). */
  get ipv4Protocol(): number {
    return this.layer3 === "ipv4" ? this.view.getUint8(this.layer3At + 9) : -1;
  }

  /** A frame of the spanning tree protocol, behind tags as well; needs parse(). */
  get isBpdu(): boolean {
    const { view, layer3At: at } = this;
    return (
      at + LLC_BYTES <= this.end &&
      view.getUint16(at - 2) < MIN_ETHERTYPE &&
      view.getUint16(at) === BPDU_SAPS
    );
  }

  private get hasUdpv6(): boolean {
    return (
      this.layer4 === IP_PROTOCOL.UDP &&
      this.layer3 === "ipv6" &&
      this.layer4At + UDP_BYTES <= this.layer4End
    );
  }

  private isTag(type: number): boolean {
    return type === ETHERTYPE.VLAN || type === ETHERTYPE.PROVIDER_VLAN || type === this.tagType;
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
    for (let i = 0; next === 0 || next === 43 || next === 60 || next === IPV6_FRAGMENT; i += 1) {
      if (i === MAX_IPV6_EXTENSIONS || header + 8 > packetEnd) return;
      // In the first fragment the payload follows, in the others nothing that has a meaning.
      const isFragment = next === IPV6_FRAGMENT;
      if (isFragment && view.getUint16(header + 2) >>> 3 !== 0) return;
      next = view.getUint8(header);
      header += isFragment ? 8 : (view.getUint8(header + 1) + 1) * 8;
    }
    if (header > packetEnd) return;
    this.layer4 = next;
    this.layer4At = header;
    this.layer4End = packetEnd;
  }
}

function isDhcpPort(port: number): boolean {
  return port === 67 || port === 68;
}
