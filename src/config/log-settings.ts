import type { LogFormat, LogLevel } from "../observe/log.ts";
import type { LogRotation } from "../observe/log-name.ts";
import { DEFAULT_PACKET_LEVELS, type PacketLevels } from "../observe/packet-record.ts";
import type { SyslogTarget } from "../observe/syslog-target.ts";

/** `log.*` of clients, and the beginning of that of servers. */
export interface LogSettings {
  readonly format: LogFormat;
  readonly level: LogLevel;
}

/** What a receiver is sent; each holds those before it (config-proposal.md 7.2). */
export const SYSLOG_LEVELS = ["server", "security", "packet"] as const;
export type SyslogLevel = (typeof SYSLOG_LEVELS)[number];

/** `log.*` of servers. */
export interface ServerLogSettings extends LogSettings {
  /** Absolute; `-` is standard error alone, undefined is the usual folder. */
  readonly dir: string | undefined;
  readonly rotation: LogRotation;
  readonly maxBytes: number;
  /** 0: for ever. */
  readonly keepMs: number;
  readonly minFreeBytes: number;
  readonly syslog: SyslogTarget | undefined;
  readonly syslogLevel: SyslogLevel;
}

/** `hub.NAME.log` (config-proposal.md 7.3). */
export interface HubLogSettings {
  readonly security: LogRotation | "off";
  readonly packetRotation: LogRotation | "off";
  readonly packet: PacketLevels;
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const DAY_MS = 86_400_000;

export const DEFAULT_SERVER_LOG: ServerLogSettings = Object.freeze({
  format: "text",
  level: "info",
  dir: undefined,
  rotation: "day",
  maxBytes: GIB,
  keepMs: 90 * DAY_MS,
  minFreeBytes: 100 * MIB,
  syslog: undefined,
  syslogLevel: "server",
});

export const DEFAULT_HUB_LOG: HubLogSettings = Object.freeze({
  security: "day",
  packetRotation: "day",
  packet: DEFAULT_PACKET_LEVELS,
});
