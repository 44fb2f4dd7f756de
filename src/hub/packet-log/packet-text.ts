// From the bytes of a caught frame to the columns of its line (hub.md 10).
import { formatAddress, formatIpv4, readIpv4 } from "../../base/ip.ts";
import { hexWord, type PacketDraft } from "../../observe/packet-record.ts";
import { CONNECT_FLAGS, type Dissection, IKE_EXCHANGE, TCP_FLAG } from "./dissection.ts";
import { icmpv6Note } from "./icmpv6-note.ts";
import { macDigits } from "./mac-digits.ts";
import { helloNote, requestNote } from "./request-note.ts";

/**
 * Fills in what the bytes of a frame tell. `frame` are its first bytes, at least as many as its headers, and `found` is what was
 * found in them.
 */
export function describeFrame(
  record: PacketDraft,
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
): void {
  const at = found.layer3At;
  switch (found.layer3) {
    case "unnamed":
      return;
    case "other":
      record.kind = `Proto=0x${hexWord(view.getUint16(12))}`;
      return;
    case "arp":
      return describeArp(record, frame, view, at);
    case "ipv4":
      record.fromIp = formatIpv4(readIpv4(frame, at + 12));
      record.toIp = formatIpv4(readIpv4(frame, at + 16));
      return describePacket(record, frame, view, found, "v4");
    case "ipv6":
      record.fromIp = formatAddress(frame.subarray(at + 8, at + 24));
      record.toIp = formatAddress(frame.subarray(at + 24, at + 40));
      return describePacket(record, frame, view, found, "v6");
  }
}

function describeArp(record: PacketDraft, frame: Uint8Array, view: DataView, at: number): void {
  const operation = view.getUint16(at + 6);
  record.kind = "ARPv4";
  if (operation !== 1 && operation !== 2) return;
  record.subKind = operation === 1 ? "Request" : "Response";
  // Ethernet and IPv4 with addresses of 6 and 4 bytes (RFC 826).
  if (view.getUint32(at) !== 0x00010800 || view.getUint16(at + 4) !== 0x0604) return;
  const sender = macDigits(frame, at + 8);
  const senderIp = formatIpv4(readIpv4(frame, at + 14));
  const targetIp = formatIpv4(readIpv4(frame, at + 24));
  record.note =
    operation === 1
      ? `Who has ${targetIp}? Please Tell ${sender}(${senderIp})`
      : `${sender} has ${senderIp}`;
}

function describePacket(
  record: PacketDraft,
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
  version: "v4" | "v6",
): void {
  const at = found.layer4At;
  switch (found.layer4) {
    case "none":
      record.kind = `IP${version}(${protocolOf(found)})`;
      return;
    case "fragment":
      record.kind = `IP${version}_Fragment(${protocolOf(found)})`;
      return;
    case "icmp":
      return version === "v4"
        ? describeIcmp(record, frame[at]!)
        : describeIcmpv6(record, frame.subarray(at, found.end), found);
    case "tcp":
      return describeTcp(record, frame, view, found, version);
    case "udp":
      record.transport = "udp";
      record.fromPort = view.getUint16(at);
      record.toPort = view.getUint16(at + 2);
      return describeUdp(record, frame, view, found, version);
  }
}

function protocolOf({ protocol }: Dissection): string {
  return `0x${protocol.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Types of RFC 792. */
const ECHO = new Map([
  [8, "Echo Request"],
  [0, "Echo Reply"],
]);

function describeIcmp(record: PacketDraft, type: number): void {
  record.kind = "ICMPv4";
  record.subKind = ECHO.get(type) ?? "";
}

function describeIcmpv6(record: PacketDraft, message: Uint8Array, found: Dissection): void {
  const told = icmpv6Note(message);
  record.kind = told === undefined ? `IPv6(${protocolOf(found)})` : "ICMPv6";
  record.subKind = told?.subKind ?? "";
  record.note = told?.note ?? "";
}

/** By the flags that are told of: `SYN+ACK`. */
const FLAG_TEXTS = Array.from({ length: 64 }, (_, flags) =>
  Object.entries(TCP_FLAG)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join("+"),
);

function describeTcp(
  record: PacketDraft,
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
  version: "v4" | "v6",
): void {
  const at = found.layer4At;
  const flags = view.getUint8(at + 13);
  const request = requestOf(frame, view, found);
  record.kind = `${(flags & CONNECT_FLAGS) === 0 ? "TCP_DATA" : "TCP_CONNECT"}${version}`;
  record.subKind = FLAG_TEXTS[flags & 63]!;
  record.transport = "tcp";
  record.fromPort = view.getUint16(at);
  record.toPort = view.getUint16(at + 2);
  record.sequence = view.getUint32(at + 4);
  record.acknowledgement = view.getUint32(at + 8);
  record.note = `WindowSize=${view.getUint16(at + 14)}${request === undefined ? "" : ` ${request}`}`;
}

/** What is requested, if the data of this segment is a request (hub.md 2.6). */
export function requestOf(
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
): string | undefined {
  if (found.layer7 !== "request" && found.layer7 !== "hello") return undefined;
  const port = view.getUint16(found.layer4At + 2);
  const data = frame.subarray(found.payloadAt, found.end);
  return found.layer7 === "hello"
    ? helloNote(data, port)
    : requestNote(Buffer.from(data).toString("latin1"), port);
}

function describeUdp(
  record: PacketDraft,
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
  version: "v4" | "v6",
): void {
  const at = found.payloadAt;
  switch (found.layer7) {
    case "dns":
      record.kind = `DNS${version}`;
      record.subKind = "DNS_Query";
      record.note = questionOf(frame, at + 12);
      return;
    case "openvpn":
      record.kind = `OPENVPN_CONNECT${version}`;
      return;
    case "ike":
      record.kind = `IKE_CONNECT${version}`;
      record.subKind = view.getUint8(at + 18) === IKE_EXCHANGE.MAIN ? "MainMode" : "AggressiveMode";
      record.note =
        `InitiatorCookie=${view.getBigUint64(at)} ResponderCookie=${view.getBigUint64(at + 8)} ` +
        `Version=0x${view.getUint8(at + 17).toString(16)} ` +
        `ExchangeType=0x${view.getUint8(at + 18).toString(16)} ` +
        `Flag=0x${view.getUint8(at + 19).toString(16)} ` +
        `MessageId=${view.getUint32(at + 20)} MessageSize=${view.getUint32(at + 24)}`;
      return;
    case "dhcp": {
      const ip = (offset: number) => formatIpv4(readIpv4(frame, at + offset));
      record.kind = "DHCPv4";
      record.subKind = view.getUint8(at) === 1 ? "Request" : "Response";
      record.note =
        `TransactionId=${view.getUint32(at + 4)} ClientIP=${ip(12)} YourIP=${ip(16)} ` +
        `ServerIP=${ip(20)} RelayIP=${ip(24)}`;
      return;
    }
    default:
      record.kind = `UDP${version}`;
  }
}

/** The name of a question (RFC 1035 4.1.2), which dissection has followed to its end. */
function questionOf(frame: Uint8Array, from: number): string {
  const labels: string[] = [];
  for (let at = from; frame[at]; at += 1 + frame[at]!) {
    labels.push(Buffer.from(frame.subarray(at + 1, at + 1 + frame[at]!)).toString("latin1"));
  }
  return labels.join(".");
}
