import type { Database } from "bun:sqlite";
import { EXIT, ExitError, messageOf, VpnError } from "../base/errors.ts";

/** Of whom counters are kept. A hub's own row has no name. */
export type CounterKind = "hub" | "user" | "group";

/** What somebody has carried and when he was here; numbers only grow. Times are milliseconds since 1970, 0 for never. */
export interface CounterRow {
  readonly kind: CounterKind;
  readonly hub: string;
  /** As lists show it; "" for the hub itself. */
  readonly name: string;
  readonly created: number;
  readonly logins: number;
  readonly lastLogin: number;
  readonly lastTraffic: number;
  /** Frames and bytes into the hub, unicast then group, and the same out of it. */
  readonly traffic: readonly number[];
}

/** The table that it works on, made with all others. */
export const COUNTER_TABLE = `CREATE TABLE IF NOT EXISTS counter (path TEXT PRIMARY KEY, kind TEXT NOT NULL, hub TEXT NOT NULL,
   name TEXT NOT NULL, value_json TEXT NOT NULL) STRICT`;

interface Stored {
  readonly kind: CounterKind;
  readonly name: string;
  readonly value_json: string;
}

function valuesOf(json: string): Omit<CounterRow, "kind" | "hub" | "name"> {
  try {
    return JSON.parse(json) as Omit<CounterRow, "kind" | "hub" | "name">;
  } catch (error) {
    throw new ExitError(EXIT.data, `Cannot read a counter of state.db: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The counters of state.db. */
export class CounterStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** All rows of a hub. @throws ExitError 65 for one that is damaged */
  read(hub: string): CounterRow[] {
    return this.#database
      .query<Stored, [string]>("SELECT kind, name, value_json FROM counter WHERE hub = ?")
      .all(hub.toLowerCase())
      .map(({ kind, name, value_json: json }) => ({ ...valuesOf(json), kind, name, hub }));
  }

  /** Replaces these rows, all or none. @throws VpnError `state_write` */
  write(rows: readonly CounterRow[]): void {
    const put = this.#database.query(
      `INSERT INTO counter VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET value_json = excluded.value_json`,
    );
    try {
      this.#database
        .transaction(() => {
          for (const { kind, hub, name, ...value } of rows) {
            const path = `${kind}/${hub.toLowerCase()}/${name.toLowerCase()}`;
            put.run(path, kind, hub.toLowerCase(), name, JSON.stringify(value));
          }
        })
        .immediate();
    } catch (error) {
      throw new VpnError("state_write", `Cannot write state.db: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}
