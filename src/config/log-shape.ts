import { LOG_LEVELS } from "../observe/log.ts";
import { LOG_ROTATIONS } from "../observe/log-name.ts";
import { NO_PACKETS, PACKET_KINDS, type PacketLevels } from "../observe/packet-record.ts";
import { tryParseSyslogTarget } from "../observe/syslog-target.ts";
import {
  DEFAULT_HUB_LOG,
  DEFAULT_SERVER_LOG,
  type HubLogSettings,
  type ServerLogSettings,
  SYSLOG_LEVELS,
} from "./log-settings.ts";
import { choice, durationOrNever, path, textOf } from "./scalar-shapes.ts";
import { list, optional, refine, setting, type Shape, table } from "./shape.ts";

const SIZE_UNITS = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** `"64MiB"`, in bytes. Both bounds are written as a file would. */
function size(min: string, max: string): Shape<number> {
  const [least, most] = [tryParseSize(min) ?? 0, tryParseSize(max) ?? 0];
  return textOf(`a size from "${min}" to "${max}" (units B, KiB, MiB, GiB, TiB)`, (found) => {
    const value = tryParseSize(found);
    return value !== undefined && value >= least && value <= most ? value : undefined;
  });
}

function tryParseSize(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,6})(B|KiB|MiB|GiB|TiB)$/.exec(text) ?? [];
  return count === undefined
    ? undefined
    : Number(count) * SIZE_UNITS[unit as keyof typeof SIZE_UNITS];
}

const logKeys = {
  format: setting(choice("text", "json"), DEFAULT_SERVER_LOG.format),
  level: setting(choice(...LOG_LEVELS), DEFAULT_SERVER_LOG.level),
};

/** `log.*` of clients. */
export const log = table(logKeys);

/** A path, or `-`, which no folder is called. */
const dir: Shape<string> = {
  expects: 'a path, or "-"',
  read: (node, place) =>
    node.kind === "string" && node.value === "-" ? "-" : path.read(node, place),
};

/** `log.*` of servers. */
export const serverLog: Shape<ServerLogSettings> = refine(
  table({
    ...logKeys,
    dir: optional(dir),
    rotate: setting(choice(...LOG_ROTATIONS), DEFAULT_SERVER_LOG.rotation),
    max_size: setting(size("1KiB", "16TiB"), DEFAULT_SERVER_LOG.maxBytes),
    keep: setting(durationOrNever("1m", "36500d"), DEFAULT_SERVER_LOG.keepMs),
    min_free: setting(size("0B", "999999TiB"), DEFAULT_SERVER_LOG.minFreeBytes),
    syslog: optional(
      textOf('a receiver such as "udp://192.0.2.5:514" or "tcp://..."', tryParseSyslogTarget),
    ),
    syslog_level: setting(choice(...SYSLOG_LEVELS), DEFAULT_SERVER_LOG.syslogLevel),
  }),
  ({ rotate, max_size, keep, min_free, syslog_level, ...rest }) => ({
    ...rest,
    rotation: rotate,
    maxBytes: max_size,
    keepMs: keep,
    minFreeBytes: min_free,
    syslogLevel: syslog_level,
  }),
);

/** Words such as `tcpconn` and `dhcp:all`. */
const packet: Shape<PacketLevels> = refine(
  list(choice(...PACKET_KINDS, ...PACKET_KINDS.map((kind) => `${kind}:all` as const))),
  (words) => {
    const levels: Record<string, number> = { ...NO_PACKETS };
    for (const word of words) {
      const [kind, all] = word.split(":");
      levels[kind!] = Math.max(levels[kind!] ?? 0, all === undefined ? 1 : 2);
    }
    return Object.freeze(levels) as PacketLevels;
  },
);

const rotationOrOff = choice(...LOG_ROTATIONS, "off");

/** `hub.NAME.log`. */
export const hubLog: Shape<HubLogSettings> = refine(
  table({
    security: setting(rotationOrOff, DEFAULT_HUB_LOG.security),
    packet_rotate: setting(rotationOrOff, DEFAULT_HUB_LOG.packetRotation),
    packet: setting(packet, DEFAULT_HUB_LOG.packet),
  }),
  ({ packet_rotate, ...rest }) => ({ ...rest, packetRotation: packet_rotate }),
);
