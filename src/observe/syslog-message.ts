import type { LogFields, LogLevel } from "./log.ts";

/** Who sends, as every message tells it. */
export interface SyslogSender {
  readonly host: string;
  readonly app: string;
  readonly processId: number;
}

export interface SyslogMessage {
  readonly wall: number;
  readonly level: LogLevel;
  /** Name of the event, which stands in MSGID. */
  readonly event: string;
  readonly text: string;
  readonly fields: LogFields;
}

/** System daemons (RFC 5424 6.2.1). */
const FACILITY = 3;
const SEVERITY: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 };
/** RFC 5612: the enterprise number that stands for no enterprise. */
const SD_ID = "patchbay@32473";
const MAX_HOST_CHARS = 255;
const MAX_MSGID_CHARS = 32;
const BOM = "\u{feff}";

/** One message of RFC 5424 in at most `maxBytes`: its end goes where it is longer. */
export function encodeSyslog(
  { wall, level, event, text, fields }: SyslogMessage,
  { host, app, processId }: SyslogSender,
  maxBytes: number,
): Uint8Array {
  const header = [
    `<${FACILITY * 8 + SEVERITY[level]}>1`,
    new Date(wall).toISOString(),
    nameOf(host, MAX_HOST_CHARS),
    nameOf(app, 48),
    processId,
    nameOf(event, MAX_MSGID_CHARS),
  ].join(" ");
  // RFC 5424 6.4: what is not ASCII is announced as UTF-8.
  const message = oneLine(text);
  const mark = /^[\x20-\x7e]*$/.test(message) ? "" : BOM;
  return cut(new TextEncoder().encode(`${header} ${dataOf(fields)} ${mark}${message}`), maxBytes);
}

/** Structured data (RFC 5424 6.3), or the sign for none. */
function dataOf(fields: LogFields): string {
  let data = "";
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    data += ` ${nameOf(name, 32)}="${oneLine(String(value)).replace(/["\\\]]/g, "\\$&")}"`;
  }
  return data === "" ? "-" : `[${SD_ID}${data}]`;
}

/** Printable ASCII without what ends a name. */
function nameOf(text: string, maxChars: number): string {
  const name = text.replace(/[^\x21-\x7e]|[="\]]/g, "_").slice(0, maxChars);
  return name === "" ? "-" : name;
}

/** Control characters could end a line at the receiver. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, " ");
}

/** Not within a character: continuation bytes of UTF-8 are 10xxxxxx. */
function cut(bytes: Uint8Array, most: number): Uint8Array {
  if (bytes.length <= most) return bytes;
  let end = most;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}
