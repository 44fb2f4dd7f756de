// From a caught frame to the columns of its line (hub.md 10).
import { formatAddress } from "../../base/ip.ts";
import { hexWord, type PacketRecord } from "../../observe/packet-record.ts";
import { CONNECT_FLAGS, type Dissection, IKE_EXCHANGE, TCP_FLAG } from "./dissection.ts";
import { icmpv6Note } from "./icmpv6-note.ts";
import { macDigits } from "./mac-digits.ts";
import { helloNote, requestNote } from "./request-note.ts";

/** The columns that the bytes of a frame tell of. */
export type FrameColumns = Pick<
  PacketRecord,
  | "kind"
  | "subKind"
  | "fromIp"
  | "toIp"
  | "transport"
  | "fromPort"
  | "toPort"
  | "sequence"
  | "acknowledgement"
  | "note"
>;

const NOTHING: FrameColumns = {
  kind: "",
  subKind: "",
  fromIp: "",
  toIp: "",
  transport: undefined,
  fromPort: undefined,
  toPort: undefined,
  sequence: undefined,
  acknowledgement: undefined,
  note: "",
};

/** `frame` are its first bytes, at least as many as its headers, and `found` is what was found in them. */
export function columnsOf(frame: Uint8Array, found: Dissection): FrameColumns {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const at = found.layer3At;
  switch (found.layer3) {
    case "unnamed":
      return NOTHING;
    case "other":
      return { ...NOTHING, kind: `Proto=0x${hexWord(view.getUint16(12))}` };
    case "arp":
      return { ...NOTHING, kind: "ARPv4", ...arpColumns(frame, view, at) };
    case "ipv4":
    case "ipv6": {
      const [from, bytes] = found.layer3 === "ipv4" ? [at + 12, 4] : [at + 8, 16];
      return {
        ...NOTHING,
        ...packetColumns(frame, view, found, found.layer3 === "ipv4" ? "v4" : "v6"),
        fromIp: formatAddress(frame.subarray(from, from + bytes)),
        toIp: formatAddress(frame.subarray(from + bytes, from + 2 * bytes)),
      };
    }
  }
}

function arpColumns(frame: Uint8Array, view: DataView, at: number): Partial<FrameColumns> {
  const operation = view.getUint16(at + 6);
  if (operation !== 1 && operation !== 2) return {};
  const subKind = operation === 1 ? "Request" : "Response";
  // Ethernet and IPv4 with addresses of 6 and 4 bytes (RFC 826).
  if (view.getUint32(at) !== 0x00010800 || view.getUint16(at + 4) !== 0x0604) return { subKind };
  const sender = macDigits(frame, at + 8);
  const senderIp = formatAddress(frame.subarray(at + 14, at + 18));
  const targetIp = formatAddress(frame.subarray(at + 24, at + 28));
  const note =
    operation === 1
      ? `Who has ${targetIp}? Please Tell ${sender}(${senderIp})`
      : `${sender} has ${senderIp}`;
  return { subKind, note };
}

function packetColumns(
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
  version: "v4" | "v6",
): Partial<FrameColumns> {
  const at = found.layer4At;
  const protocol = `0x${found.protocol.toString(16).toUpperCase().padStart(2, "0")}`;
  switch (found.layer4) {
    case "none":
      return { kind: `IP${version}(${protocol})` };
    case "fragment":
      return { kind: `IP${version}_Fragment(${protocol})` };
    case "icmp": {
      if (version === "v4") return { kind: "ICMPv4", subKind: ECHO.get(frame[at]!) ?? "" };
      const note = icmpv6Note(frame.subarray(at, found.end));
      return note === undefined ? { kind: `IPv6(${protocol})` } : { kind: "ICMPv6", ...note };
    }
    case "tcp":
      return tcpColumns(frame, view, found, version);
    case "udp":
      return {
        transport: "udp",
        fromPort: view.getUint16(at),
        toPort: view.getUint16(at + 2),
        ...udpColumns(frame, view, found, version),
      };
  }
}

/** Types of RFC 792. */
const ECHO = new Map([
  [8, "Echo Request"],
  [0, "Echo Reply"],
]);

function tcpColumns(
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
  version: "v4" | "v6",
): Partial<FrameColumns> {
  const at = found.layer4At;
  const flags = view.getUint8(at + 13);
  const names = Object.entries(TCP_FLAG).filter(([, bit]) => (flags & bit) !== 0);
  const request = requestOf(frame, view, found);
  return {
    kind: `${(flags & CONNECT_FLAGS) === 0 ? "TCP_DATA" : "TCP_CONNECT"}${version}`,
    subKind: names.map(([name]) => name).join("+"),
    transport: "tcp",
    fromPort: view.getUint16(at),
    toPort: view.getUint16(at + 2),
    sequence: view.getUint32(at + 4),
    acknowledgement: view.getUint32(at + 8),
    note: `WindowSize=${view.getUint16(at + 14)}${request === undefined ? "" : ` ${request}`}`,
  };
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

function udpColumns(
  frame: Uint8Array,
  view: DataView,
  found: Dissection,
  version: "v4" | "v6",
): Partial<FrameColumns> {
  const at = found.payloadAt;
  switch (found.layer7) {
    case "dns":
      return { kind: `DNS${version}`, subKind: "DNS_Query", note: questionOf(frame, at + 12) };
    case "openvpn":
      return { kind: `OPENVPN_CONNECT${version}` };
    case "ike": {
      const isMain = view.getUint8(at + 18) === IKE_EXCHANGE.MAIN;
      return {
        kind: `IKE_CONNECT${version}`,
        subKind: isMain ? "MainMode" : "AggressiveMode",
        note:
          `InitiatorCookie=${view.getBigUint64(at)} ResponderCookie=${view.getBigUint64(at + 8)} ` +
          `Version=0x${view.getUint8(at + 17).toString(16)} ` +
          `ExchangeType=0x${view.getUint8(at + 18).toString(16)} ` +
          `Flag=0x${view.getUint8(at + 19).toString(16)} ` +
          `MessageId=${view.getUint32(at + 20)} MessageSize=${view.getUint32(at + 24)}`,
      };
    }
    case "dhcp": {
      const ip = (offset: number) => formatAddress(frame.subarray(at + offset, at + offset + 4));
      return {
        kind: "DHCPv4",
        subKind: view.getUint8(at) === 1 ? "Request" : "Response",
        note:
          `TransactionId=${view.getUint32(at + 4)} ClientIP=${ip(12)} YourIP=${ip(16)} ` +
          `ServerIP=${ip(20)} RelayIP=${ip(24)}`,
      };
    }
    default:
      return { kind: `UDP${version}` };
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
