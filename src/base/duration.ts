const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds of "100ms", "30s", "2h", "90d"; undefined for anything else. */
export function tryParseDuration(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,10})(ms|s|m|h|d)$/.exec(text) ?? [];
  return count === undefined || unit === undefined ? undefined : Number(count) * UNIT_MS[unit]!;
}
