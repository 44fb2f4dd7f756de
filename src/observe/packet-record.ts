// One line of a packet log: what a frame was, in the columns of hub.md 10.
import { escapeForLog, type LogFormat, localTime } from "./log.ts";

/** Of what packet logs may keep lines (hub.md 10). */
export const PACKET_KINDS = [
  "tcpconn",
  "tcpdata",
  "dhcp",
  "udp",
  "icmp",
  "ip",
  "arp",
  "ether",
] as const;
export type PacketKind = (typeof PACKET_KINDS)[number];

/** 0: nothing, 1: a line about the headers, 2: the whole frame as well. */
export type PacketLevel = 0 | 1 | 2;
export type PacketLevels = Readonly<Record<PacketKind, PacketLevel>>;

export const NO_PACKETS: PacketLevels = Object.freeze({
  tcpconn: 0,
  tcpdata: 0,
  dhcp: 0,
  udp: 0,
  icmp: 0,
  ip: 0,
  arp: 0,
  ether: 0,
});
export const DEFAULT_PACKET_LEVELS: PacketLevels = Object.freeze({
  ...NO_PACKETS,
  tcpconn: 1,
  dhcp: 1,
});

/** Text that is empty, and numbers that are undefined, have a dash for a column. */
export interface PacketRecord {
  /** Wall-clock milliseconds since 1970. */
  readonly wall: number;
  /** Names of sessions; `to` is empty where the frame went to many. */
  readonly from: string;
  readonly to: string;
  /** Twelve digits in upper case. */
  readonly fromMac: string;
  readonly toMac: string;
  readonly etherType: number;
  readonly size: number;
  readonly kind: string;
  readonly subKind: string;
  readonly fromIp: string;
  readonly toIp: string;
  readonly transport: "tcp" | "udp" | undefined;
  readonly fromPort: number | undefined;
  readonly toPort: number | undefined;
  readonly sequence: number | undefined;
  readonly acknowledgement: number | undefined;
  readonly note: string;
  /** The frame in hexadecimal, in upper case. */
  readonly data: string;
  /** Where the two ends of the tunnel are; undefined where the hub keeps that to itself. */
  readonly places: { readonly from: string; readonly to: string } | undefined;
}

/** A record that is being made. */
export type PacketDraft = { -readonly [K in keyof PacketRecord]: PacketRecord[K] };

/** Name of a port in the list of services of this machine. */
export type ServiceName = (port: number, transport: "tcp" | "udp") => string | undefined;

/** Takes what a hub's packet log has to say, and never waits. */
export interface PacketSink {
  /** False while nobody would read it. */
  readonly isOpen: boolean;
  put(record: PacketRecord): void;
  /** So many frames left no line, because there were too many at once. */
  lose(count: number): void;
}

/** A line of the packet log of `hub`, which text does not name since each hub has a file of its own. */
export function formatPacket(
  record: PacketRecord,
  hub: string,
  format: LogFormat,
  serviceName: ServiceName,
): string {
  return format === "json" ? jsonOf(record, hub) : csvOf(record, serviceName);
}

function csvOf(record: PacketRecord, serviceName: ServiceName): string {
  const { transport, places } = record;
  const line =
    `${localTime(record.wall).replace(" ", ",")},${column(record.from)},${column(record.to)},` +
    `${record.fromMac},${record.toMac},0x${hexWord(record.etherType)},${record.size},` +
    `${column(record.kind)},${column(record.subKind)},` +
    `${column(record.fromIp)},${portText(record.fromPort, transport, serviceName)},` +
    `${column(record.toIp)},${portText(record.toPort, transport, serviceName)},` +
    // Names that passed by may hold anything, line ends included.
    `${record.sequence ?? "-"},${record.acknowledgement ?? "-"},${column(escapeForLog(record.note))},` +
    `${record.data || "-"}`;
  return places === undefined ? line : `${line},${column(places.from)},${column(places.to)}`;
}

function column(text: string): string {
  if (text === "") return "-";
  return text.includes(",") ? text.replaceAll(",", "_") : text;
}

function portText(
  port: number | undefined,
  transport: "tcp" | "udp" | undefined,
  serviceName: ServiceName,
): string {
  if (port === undefined || transport === undefined) return "-";
  const name = serviceName(port, transport);
  return name === undefined ? String(port) : column(`${name}(${port})`);
}

function jsonOf(record: PacketRecord, hub: string): string {
  const { places, etherType, wall, ...rest } = record;
  return JSON.stringify({
    time: new Date(wall).toISOString(),
    event: "packet",
    hub,
    from: rest.from,
    to: rest.to || undefined,
    from_mac: rest.fromMac,
    to_mac: rest.toMac,
    type: `0x${hexWord(etherType)}`,
    size: rest.size,
    kind: rest.kind || undefined,
    sub_kind: rest.subKind || undefined,
    from_ip: rest.fromIp || undefined,
    from_port: rest.fromPort,
    to_ip: rest.toIp || undefined,
    to_port: rest.toPort,
    seq: rest.sequence,
    ack: rest.acknowledgement,
    note: rest.note.trim() || undefined,
    data: rest.data || undefined,
    from_address: places?.from || undefined,
    to_address: places?.to || undefined,
  });
}

/** Four digits in upper case. */
export function hexWord(value: number): string {
  return value.toString(16).toUpperCase().padStart(4, "0");
}
