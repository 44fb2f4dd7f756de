import type { Database } from "bun:sqlite";
import { messageOf, VpnError } from "../base/errors.ts";
import { joinKeys } from "./shape.ts";
import type { StoredForm } from "./toml-tree.ts";

/**
 * A value as a configuration file would have it; of a secret only its form, the rest is in the table of secrets. Null
 * takes a key away that a file has.
 */
export type StoredValue =
  string | number | boolean | null | readonly StoredValue[] | { readonly stored: StoredForm };

/** The keys of one object with their values, as its table in the file would have them. */
export type StoredKeys = Readonly<Record<string, StoredValue>>;

/** An object that was made by a command and stands in no file. */
export interface DynamicObject {
  readonly name: string;
  readonly keys: StoredKeys;
}

/** What was changed of an object that a file declares, while its text had this hash. */
export interface ObjectOverride {
  readonly name: string;
  readonly baseHash: string;
  /** Undefined: the object was removed. */
  readonly keys: StoredKeys | undefined;
}

/**
 * The kinds of objects that own themselves (config-proposal.md 1). A cascade is named as `hub/name`, an L3 switch by its name; a known server, whose
 * certificate was pinned, a TAP, whose MAC was made, and what was made for the SecureNAT of a hub stand in no file.
 */
export type ObjectKind =
  "account" | "nic" | "cascade" | "known_server" | "tap" | "securenat" | "l3switch";

/** One path for each item, told apart from all others: `account.hq.password`. */
export function objectPath(kind: ObjectKind, name: string, key?: string): string {
  return joinKeys(kind, name.toLowerCase(), ...(key === undefined ? [] : [key]));
}

/** The tables that they stand in, made with all others. */
export const OBJECT_TABLES = [
  `CREATE TABLE IF NOT EXISTS object (path TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,
   value_json TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL) STRICT`,
  `CREATE TABLE IF NOT EXISTS override (path TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,
   value_json TEXT NOT NULL, base_hash TEXT NOT NULL, at INTEGER NOT NULL) STRICT`,
  `CREATE TABLE IF NOT EXISTS tombstone (path TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,
   base_hash TEXT NOT NULL, at INTEGER NOT NULL) STRICT`,
];

interface Row {
  readonly name: string;
  readonly value_json: string;
  readonly base_hash: string;
}

/** The objects of state.db, and what was changed of those that files declare. */
export class StateObjects {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** In the order in which they were made. */
  dynamic(kind: ObjectKind): DynamicObject[] {
    return this.#database
      .query<Row, [string]>(
        "SELECT name, value_json FROM object WHERE kind = ? ORDER BY created, rowid",
      )
      .all(kind)
      .map(({ name, value_json: json }) => ({ name, keys: JSON.parse(json) as StoredKeys }));
  }

  overrides(kind: ObjectKind): ObjectOverride[] {
    const changed = this.#database
      .query<Row, [string]>("SELECT name, value_json, base_hash FROM override WHERE kind = ?")
      .all(kind);
    const removed = this.#database
      .query<Row, [string]>("SELECT name, base_hash FROM tombstone WHERE kind = ?")
      .all(kind);
    return [
      ...changed.map((row) => ({
        name: row.name,
        baseHash: row.base_hash,
        keys: JSON.parse(row.value_json) as StoredKeys,
      })),
      ...removed.map((row) => ({ name: row.name, baseHash: row.base_hash, keys: undefined })),
    ];
  }

  /** Makes the object or replaces it. `now` is in milliseconds since 1970. */
  put(kind: ObjectKind, name: string, keys: StoredKeys, now: number): void {
    const path = objectPath(kind, name);
    this.#run(
      `INSERT INTO object VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (path)
       DO UPDATE SET value_json = excluded.value_json, updated = excluded.updated`,
      [path, kind, name, JSON.stringify(keys), now, now],
    );
  }

  /** Replaces what was changed of a declared object. */
  override(kind: ObjectKind, { name, keys, baseHash }: ObjectOverride, now: number): void {
    const path = objectPath(kind, name);
    this.forgetOverride(kind, name);
    if (keys === undefined) {
      const sql = "INSERT INTO tombstone VALUES (?, ?, ?, ?, ?)";
      this.#run(sql, [path, kind, name, baseHash, now]);
    } else {
      const sql = "INSERT INTO override VALUES (?, ?, ?, ?, ?, ?)";
      this.#run(sql, [path, kind, name, JSON.stringify(keys), baseHash, now]);
    }
  }

  /** The file alone decides again. */
  forgetOverride(kind: ObjectKind, name: string): void {
    const path = objectPath(kind, name);
    this.#run("DELETE FROM override WHERE path = ?", [path]);
    this.#run("DELETE FROM tombstone WHERE path = ?", [path]);
  }

  remove(kind: ObjectKind, name: string): void {
    this.#run("DELETE FROM object WHERE path = ?", [objectPath(kind, name)]);
  }

  #run(sql: string, values: (string | number)[]): void {
    try {
      this.#database.query(sql).run(...values);
    } catch (error) {
      throw new VpnError("state_write", `Cannot write state.db: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}
