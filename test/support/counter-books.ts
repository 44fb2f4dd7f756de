import type { CounterRow } from "../../src/config/counter-store.ts";
import type { CounterBooks } from "../../src/server/ledger.ts";

/** Books in memory. `fault` makes writing fail. */
export function memoryBooks(): CounterBooks & { rows: Map<string, CounterRow>; fault?: Error } {
  const rows = new Map<string, CounterRow>();
  return {
    rows,
    read: (hub) => [...rows.values()].filter((row) => row.hub === hub),
    write(next) {
      if (this.fault !== undefined) throw this.fault;
      for (const row of next)
        rows.set(`${row.kind}/${row.name}`, { ...row, traffic: [...row.traffic] });
    },
  };
}
