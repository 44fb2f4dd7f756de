const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `"90s"`, `"2h"`: what `tryParseDuration` reads back, in the largest unit that fits. */
export function durationText(ms: number): string {
  const units = Object.entries(UNIT_MS).reverse();
  const [unit, size] = units.find(([, length]) => ms % length === 0) ?? ["ms", 1];
  return ms === 0 ? "0" : `${ms / size}${unit}`;
}

/** Milliseconds of "100ms", "30s", "2h", "90d"; undefined for anything else. */
export function tryParseDuration(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,10})(ms|s|m|h|d)$/.exec(text) ?? [];
  return count === undefined || unit === undefined ? undefined : Number(count) * UNIT_MS[unit]!;
}
