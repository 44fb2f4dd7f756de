import type { Clock } from "../base/clock.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = "text" | "json";
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** The one logger: an event with a stable name, a sentence for people, and fields for machines. */
export interface Log {
  debug(event: string, text: string, fields?: LogFields): void;
  info(event: string, text: string, fields?: LogFields): void;
  warn(event: string, text: string, fields?: LogFields): void;
  error(event: string, text: string, fields?: LogFields): void;
}

/** Text that came from outside, with control characters and escapes made visible. */
export function escapeForLog(text: string): string {
  // Most texts are plain, which is quickly seen.
  if (/^[\x20-\x5b\x5d-\x7e]*$/.test(text)) return text;
  return text.replace(/[\p{Cc}\u2028\u2029\\]/gu, (c) =>
    c === "\\" ? "\\\\" : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** One event as it happened; `wall` is milliseconds since 1970. */
export interface LogEntry {
  readonly wall: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly text: string;
  readonly fields: LogFields;
}

export function isAtLeast(level: LogLevel, least: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}

/**
 * One event as a line: `2026-11-22 13:45:00.123 info  text key=value` in local time, or one JSON object with `time`
 * (RFC 3339, UTC), `level`, `event`, `text` and the fields.
 */
export function formatEntry(entry: LogEntry, format: LogFormat): string {
  const { wall, level, event, text, fields } = entry;
  return format === "json"
    ? JSON.stringify({ time: new Date(wall).toISOString(), level, event, text, ...fields })
    : `${localTime(wall)} ${level.padEnd(5)} ${escapeForLog(text)}${formatFields(fields)}`;
}

/** A log that hands each event to one place. */
export function logInto(clock: Clock, put: (entry: LogEntry) => void): Log {
  const at =
    (level: LogLevel) =>
    (event: string, text: string, fields: LogFields = {}) =>
      put({ wall: clock.wall(), level, event, text, fields });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Makes a log that writes one line per event, see formatEntry(). */
export function createLog(options: {
  clock: Clock;
  write: (line: string) => void;
  level: LogLevel;
  format: LogFormat;
}): Log & { reconfigure(next: { level: LogLevel; format: LogFormat }): void } {
  let { level, format } = options;
  const log = logInto(options.clock, (entry) => {
    if (isAtLeast(entry.level, level)) options.write(formatEntry(entry, format));
  });
  return { ...log, reconfigure: (next) => ({ level, format } = next) };
}

function formatFields(fields: LogFields): string {
  let text = "";
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const shown = escapeForLog(String(value));
    text += ` ${key}=${/[\s"=]/.test(shown) || shown === "" ? JSON.stringify(shown) : shown}`;
  }
  return text;
}

let lastSecond = NaN;
let lastText = "";

/** `2026-11-22 13:45:00.123` in local time. */
export function localTime(wall: number): string {
  const second = Math.floor(wall / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastText = secondText(new Date(wall));
  }
  return `${lastText}.${String(Math.floor(wall - second * 1000)).padStart(3, "0")}`;
}

function secondText(d: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return (
    `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
    `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
  );
}
