const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;
const RATE_UNITS = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"] as const;

/** `1.4 GB`: powers of 1000, three digits. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, UNITS);
}

/** `2.41 Gbit/s`. */
export function formatRate(bitsPerSecond: number): string {
  return scaled(bitsPerSecond, RATE_UNITS);
}

function scaled(value: number, units: readonly string[]): string {
  let at = 0;
  let rest = value;
  // 999.5 would be rounded to a fourth digit.
  while (rest >= 999.5 && at < units.length - 1) {
    rest /= 1000;
    at++;
  }
  const digits = at === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)} ${units[at]}`;
}

/** `3d 04:05:06`, `04:05:06`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const days = Math.floor(seconds / 86_400);
  const clock = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return days === 0 ? clock : `${days}d ${clock}`;
}

/** `2026-11-22 13:45:00`, local time. */
export function formatMoment(wallMs: number): string {
  const d = new Date(wallMs);
  const two = (n: number) => String(n).padStart(2, "0");
  return (
    `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
    `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
  );
}
