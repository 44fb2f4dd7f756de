// What a packet log tells frames apart by (hub.md 2.6, 10): offsets and kinds, nothing is copied.
import { ETHERTYPE, IP_PROTOCOL, MIN_ETHERTYPE } from "../frame-view.ts";

const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const TCP_BYTES = 20;
const UDP_BYTES = 8;
const ICMP_BYTES = 4;
const ARP_BYTES = 28;
/** BOOTP without its two names (RFC 951). */
const DHCP_BYTES = 44;
const DNS_BYTES = 12;
const IKE_BYTES = 28;
/** P_CONTROL_HARD_RESET_CLIENT_V2 without an authentication key. */
const OPENVPN_BYTES = 14;
const MAX_IPV6_EXTENSIONS = 8;
const ICMP = 1;
const NO_NEXT_HEADER = 59;

export const TCP_FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32 } as const;
/** Of segments that begin or end a connection. */
export const CONNECT_FLAGS = TCP_FLAG.FIN | TCP_FLAG.SYN | TCP_FLAG.RST;

export const IKE_EXCHANGE = { MAIN: 2, AGGRESSIVE: 4 } as const;

export type LoggedLayer3 = "arp" | "ipv4" | "ipv6" | "other" | "unnamed";
export type LoggedLayer4 = "none" | "tcp" | "udp" | "icmp" | "fragment";
/** `request` and `hello` look like one; whether they are is for their readers to say. */
export type LoggedLayer7 = "none" | "dhcp" | "dns" | "ike" | "openvpn" | "request" | "hello";

/** The one descriptor of a packet log, filled anew for each frame. */
export class Dissection {
  layer3: LoggedLayer3 = "other";
  layer3At = 0;
  layer4: LoggedLayer4 = "none";
  layer4At = 0;
  layer7: LoggedLayer7 = "none";
  /** Data of TCP and UDP. */
  payloadAt = 0;
  /** End of the frame, or of its IP packet where that ends before. */
  end = 0;
  /** IP protocol, behind the extension headers of IPv6. */
  protocol = 0;

  /** `view` holds the frame from `start` to `end`, at least 14 bytes. */
  read(view: DataView, start: number, end: number): void {
    this.layer3 = "other";
    this.layer4 = "none";
    this.layer7 = "none";
    this.layer3At = start + 14;
    this.end = end;
    const type = view.getUint16(start + 12);
    if (type === ETHERTYPE.IPV4) this.#readIpv4(view);
    else if (type === ETHERTYPE.IPV6) this.#readIpv6(view);
    else if (type === ETHERTYPE.ARP) {
      if (end - this.layer3At >= ARP_BYTES) this.layer3 = "arp";
    } else if (type === ETHERTYPE.VLAN || this.#isBpdu(view, type)) this.layer3 = "unnamed";
  }

  /** Takes data of TCP for nothing but data. */
  forgetRequest(): void {
    if (this.layer7 === "request" || this.layer7 === "hello") this.layer7 = "none";
  }

  /** IEEE 802.1D 9.2, behind LLC 42/42. */
  #isBpdu(view: DataView, type: number): boolean {
    const at = this.layer3At;
    return type < MIN_ETHERTYPE && this.end - at >= 38 && view.getUint16(at) === 0x4242;
  }

  #readIpv4(view: DataView): void {
    const at = this.layer3At;
    if (this.end - at < IPV4_BYTES) return;
    const headerBytes = (view.getUint8(at) & 15) * 4;
    if (headerBytes < IPV4_BYTES || this.end - at < headerBytes) return;
    this.layer3 = "ipv4";
    this.protocol = view.getUint8(at + 9);
    this.layer4At = at + headerBytes;
    const packetEnd = at + view.getUint16(at + 2);
    if (packetEnd >= this.layer4At && packetEnd < this.end) this.end = packetEnd;
    if ((view.getUint16(at + 6) & 0x1fff) !== 0) this.layer4 = "fragment";
    else this.#readLayer4(view, ICMP);
  }

  #readIpv6(view: DataView): void {
    const at = this.layer3At;
    if (this.end - at < IPV6_BYTES || view.getUint8(at) >>> 4 !== 6) return;
    const packetEnd = at + IPV6_BYTES + view.getUint16(at + 4);
    if (packetEnd < this.end) this.end = packetEnd;
    let next = view.getUint8(at + 6);
    let header = at + IPV6_BYTES;
    let isFragment = false;
    // Hop-by-hop, routing, fragment, destination options (RFC 8200 4).
    for (let i = 0; next === 0 || next === 43 || next === 44 || next === 60; i += 1) {
      if (i === MAX_IPV6_EXTENSIONS || header + 8 > this.end) return;
      if (next === 44 && (view.getUint16(header + 2) & 0xfff8) !== 0) isFragment = true;
      const bytes = next === 44 ? 8 : (view.getUint8(header + 1) + 1) * 8;
      next = view.getUint8(header);
      header += bytes;
    }
    if (header > this.end) return;
    this.layer3 = "ipv6";
    this.protocol = next;
    this.layer4At = header;
    if (next === NO_NEXT_HEADER) return;
    if (isFragment) this.layer4 = "fragment";
    else this.#readLayer4(view, IP_PROTOCOL.ICMPV6);
  }

  #readLayer4(view: DataView, icmp: number): void {
    const at = this.layer4At;
    const size = this.end - at;
    if (this.protocol === IP_PROTOCOL.TCP && size >= TCP_BYTES) {
      const headerBytes = (view.getUint8(at + 12) >>> 4) * 4;
      if (headerBytes < TCP_BYTES || headerBytes > size) return;
      this.layer4 = "tcp";
      this.payloadAt = at + headerBytes;
      const flags = view.getUint8(at + 13);
      if ((flags & CONNECT_FLAGS) === 0)
        this.layer7 = requestAt(view, at, this.payloadAt, this.end);
    } else if (this.protocol === IP_PROTOCOL.UDP && size >= UDP_BYTES) {
      this.layer4 = "udp";
      this.payloadAt = at + UDP_BYTES;
      this.layer7 = this.#readUdp(view, view.getUint16(at), view.getUint16(at + 2));
    } else if (this.protocol === icmp && size >= ICMP_BYTES) {
      this.layer4 = "icmp";
    }
  }

  #readUdp(view: DataView, from: number, to: number): LoggedLayer7 {
    const at = this.payloadAt;
    const size = this.end - at;
    if ((from === 67 && to === 68) || (from === 68 && to === 67)) {
      if (this.layer3 === "ipv4") return size >= DHCP_BYTES ? "dhcp" : "none";
    }
    if (to === 53) return size > DNS_BYTES && isQuestion(view, at, this.end) ? "dns" : "none";
    const isIkePort = from === 500 || to === 500 || from === 4500 || to === 4500;
    if (isIkePort && size >= IKE_BYTES && isIkeStart(view, at)) return "ike";
    return size === OPENVPN_BYTES && isOpenVpnStart(view, at) ? "openvpn" : "none";
  }
}

/**
 * Whether the data of a segment may be a request of HTTP, or the greeting of TLS, by its port and its first bytes:
 * the only thing that costs anything with the segments of a stream.
 */
export function requestAt(
  view: DataView,
  tcpAt: number,
  payloadAt: number,
  end: number,
): "request" | "hello" | "none" {
  const port = view.getUint16(tcpAt + 2);
  if (port !== 80 && port !== 443 && port !== 8080 && port !== 3128) return "none";
  if (end - payloadAt <= 5) return "none";
  const word = view.getUint32(payloadAt);
  // A handshake record of TLS (RFC 8446 5.1).
  if (port === 443) return word >>> 16 >= 0x1603 && word >>> 16 <= 0x16ff ? "hello" : "none";
  // "get ", "head" and "post", whatever their case.
  const lower = (word | 0x20202020) >>> 0;
  if (lower === 0x67657420) return "request";
  if (lower !== 0x68656164 && lower !== 0x706f7374) return "none";
  return view.getUint8(payloadAt + 4) === 0x20 ? "request" : "none";
}

/** One question of RFC 1035 for an address or a name (types A and PTR, class IN). */
function isQuestion(view: DataView, at: number, end: number): boolean {
  // Neither an answer, nor another operation, nor cut: the bits that the reference looks at.
  if ((view.getUint8(at + 2) & (0x80 | 78)) !== 0 || view.getUint16(at + 4) !== 1) return false;
  const name = at + DNS_BYTES;
  let label = name;
  while (label < end && view.getUint8(label) !== 0) label += 1 + view.getUint8(label);
  if (label === name || label + 5 > end) return false;
  const type = view.getUint16(label + 1);
  return (type === 1 || type === 12) && view.getUint16(label + 3) === 1;
}

/** The first message of an IKEv1 initiator (RFC 2408 3.1): the other cookie is not known yet. */
function isIkeStart(view: DataView, at: number): boolean {
  const exchange = view.getUint8(at + 18);
  return (
    (view.getUint32(at) | view.getUint32(at + 4)) !== 0 &&
    (view.getUint32(at + 8) | view.getUint32(at + 12)) === 0 &&
    (exchange === IKE_EXCHANGE.MAIN || exchange === IKE_EXCHANGE.AGGRESSIVE)
  );
}

function isOpenVpnStart(view: DataView, at: number): boolean {
  return (
    view.getUint8(at) === 0x38 &&
    (view.getUint32(at + 1) | view.getUint32(at + 5)) !== 0 &&
    view.getUint32(at + 9) === 0 &&
    view.getUint8(at + 13) === 0
  );
}
