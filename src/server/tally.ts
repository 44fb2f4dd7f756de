/** How often something happened, by a reason out of a fixed set. */
export type Tally = Map<string, number>;

export function count(into: Tally, reason: string): void {
  into.set(reason, (into.get(reason) ?? 0) + 1);
}
