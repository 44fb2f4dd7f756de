import { MAX_SYSLOG_BYTES } from "../base/limits.ts";

/** The receiver of `log.syslog`. */
export interface SyslogTarget {
  readonly protocol: "udp" | "tcp";
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

const SYSLOG_PORT = 514;

/** `udp://HOST[:PORT]` or `tcp://HOST[:PORT]`. */
export function tryParseSyslogTarget(text: string): SyslogTarget | undefined {
  const found =
    /^(udp|tcp):\/\/(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(text);
  if (found === null) return undefined;
  const port = found[4] === undefined ? SYSLOG_PORT : Number(found[4]);
  if (port < 1 || port > 65_535) return undefined;
  return { protocol: found[1] as "udp" | "tcp", host: (found[2] ?? found[3])!, port };
}

/** Longest message that the receiver is sent. */
export function maxMessageBytes({ protocol }: SyslogTarget): number {
  return MAX_SYSLOG_BYTES[protocol];
}
