// Names of log files as the reference has them (hub.md 10): vpn_20261122.log, vpn_20261122~01.log.

export const LOG_ROTATIONS = ["none", "second", "minute", "hour", "day", "month"] as const;
export type LogRotation = (typeof LOG_ROTATIONS)[number];

/** Digits of `YYYYMMDDhhmmss` that a suffix shows. */
const DIGITS: Readonly<Record<LogRotation, number>> = {
  none: 0,
  month: 6,
  day: 8,
  hour: 10,
  minute: 12,
  second: 14,
};
const DATE_DIGITS = 8;
/** Longest name of a folder, in bytes: file systems have 255. */
const MAX_FOLDER_BYTES = 200;

/** `""`, `_202611`, `_20261122`, `_20261122_1345` and so on: what is in the name of the file for this moment, local time. */
export function rotationSuffix(rotation: LogRotation, wall: number): string {
  const d = new Date(wall);
  const two = (n: number) => String(n).padStart(2, "0");
  const date = `${String(d.getFullYear()).padStart(4, "0")}${two(d.getMonth() + 1)}${two(d.getDate())}`;
  const digits = `${date}${two(d.getHours())}${two(d.getMinutes())}${two(d.getSeconds())}`;
  const shown = digits.slice(0, DIGITS[rotation]);
  if (shown === "") return "";
  const time = shown.slice(DATE_DIGITS);
  return `_${shown.slice(0, DATE_DIGITS)}${time === "" ? "" : `_${time}`}`;
}

/** `part` counts the files of one moment, each full but the last. */
export function logFileName(prefix: string, suffix: string, part: number): string {
  return `${prefix}${suffix}${part === 0 ? "" : `~${String(part).padStart(2, "0")}`}.log`;
}

/** True for names that logFileName() gives: only such files are ever removed. */
export function isLogFileName(name: string, prefix: string): boolean {
  if (!name.startsWith(prefix)) return false;
  return /^(?:_\d{6}|_\d{8}(?:_(?:\d\d|\d{4}|\d{6}))?)?(?:~\d{2,6})?\.log$/.test(
    name.slice(prefix.length),
  );
}

/**
 * The folder of a hub: its name, with everything escaped that a path or a terminal could take for something else
 * (robustness.md HS-04), so that two hubs never share one.
 */
export function folderNameOf(hub: string): string {
  const safe = hub.replace(/^\.|[^A-Za-z0-9 ()_#&.-]/gu, (found) =>
    [...new TextEncoder().encode(found)]
      .map((octet) => `%${octet.toString(16).padStart(2, "0")}`)
      .join(""),
  );
  if (safe.length <= MAX_FOLDER_BYTES) return safe;
  const digest = new Bun.CryptoHasher("sha256").update(hub).digest("hex").slice(0, 16);
  return `${safe.slice(0, MAX_FOLDER_BYTES - digest.length - 1)}%${digest}`;
}
