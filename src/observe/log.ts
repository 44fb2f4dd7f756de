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
  return text.replace(/[\p{Cc}\u2028\u2029\\]/gu, (c) =>
    c === "\\" ? "\\\\" : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Makes a log that writes one line per event: `2026-11-22 13:45:00.123 info  text key=value` in local time,
 * or one JSON object with `time` (RFC 3339, UTC), `level`, `event`, `text` and the fields.
 */
export function createLog(options: {
  clock: Clock;
  write: (line: string) => void;
  level: LogLevel;
  format: LogFormat;
}): Log & { reconfigure(next: { level: LogLevel; format: LogFormat }): void } {
  let { level, format } = options;
  const put = (at: LogLevel, event: string, text: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(at) < LOG_LEVELS.indexOf(level)) return;
    const wall = options.clock.wall();
    options.write(
      format === "json"
        ? JSON.stringify({ time: new Date(wall).toISOString(), level: at, event, text, ...fields })
        : `${localTime(wall)} ${at.padEnd(5)} ${escapeForLog(text)}${formatFields(fields)}`,
    );
  };
  return {
    debug: (event, text, fields) => put("debug", event, text, fields),
    info: (event, text, fields) => put("info", event, text, fields),
    warn: (event, text, fields) => put("warn", event, text, fields),
    error: (event, text, fields) => put("error", event, text, fields),
    reconfigure: (next) => ({ level, format } = next),
  };
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

function localTime(wall: number): string {
  const d = new Date(wall);
  const two = (n: number) => String(n).padStart(2, "0");
  return (
    `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
    `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.` +
    String(d.getMilliseconds()).padStart(3, "0")
  );
}
