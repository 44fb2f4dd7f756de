import { Database, SQLiteError } from "bun:sqlite";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { EXIT, ExitError, messageOf, VpnError } from "../base/errors.ts";
import type { Random } from "../base/random.ts";
import { COUNTER_TABLE, CounterStore } from "./counter-store.ts";
import { LEASE_TABLE, LeaseStore } from "./lease-store.ts";
import { BOX_KEY_BYTES, seal, tryUnseal } from "./secret-box.ts";
import { isWorldReadable } from "./source-files.ts";
import { OBJECT_TABLES, StateObjects } from "./state-objects.ts";

/** Version of the tables. A database of a higher one is not touched (CF-20). */
const STATE_VERSION = 1;
/** How long a write waits for that of another process, in milliseconds. */
const BUSY_MS = 5_000;

/** The secrets of state.db, encrypted with `secret.key` beside it. */
export interface SecretStore {
  /**
   * The secret kept for an item of the effective configuration, named as `hub.office.user.alice.password`.
   * @throws ExitError 65 if it cannot be decrypted, as when `secret.key` was lost
   */
  secret(path: string): Uint8Array | undefined;
  /** Durable when this returns. @throws VpnError `state_write`; then the old value stands */
  setSecret(path: string, value: Uint8Array): void;
}

/** state.db: what the program keeps from one run to the next. */
export interface StateStore extends SecretStore {
  /** Forgets it, if it is there. */
  removeSecret(path: string): void;
  readonly objects: StateObjects;
  readonly counters: CounterStore;
  readonly leases: LeaseStore;
  /** All that `change` writes, or nothing. */
  transaction(change: () => void): void;
  /** May be called twice. */
  close(): void;
}

/**
 * Opens or makes the database and the key in a directory that `lockStateDir()` has taken.
 * @throws ExitError 78 for a database of a newer program, 65 for files that are damaged, 77 for a key that everybody
 * can read, 73 for what cannot be made
 */
export function openStateStore(dir: string, deps: { readonly random: Random }): StateStore {
  const path = join(dir, "state.db");
  const key = openKey(join(dir, "secret.key"), deps.random);
  const database = openDatabase(path);
  const objects = new StateObjects(database);
  const counters = new CounterStore(database);
  const leases = new LeaseStore(database);
  const select = database.query<{ value: Uint8Array }, [string]>(
    "SELECT value FROM secret WHERE path = ?",
  );
  const replace = database.query<unknown, [string, Uint8Array]>(
    "INSERT INTO secret (path, value) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET value = excluded.value",
  );
  const remove = database.query<unknown, [string]>("DELETE FROM secret WHERE path = ?");
  const write = (change: () => void) => {
    try {
      change();
    } catch (error) {
      if (error instanceof VpnError) throw error;
      throw new VpnError("state_write", `Cannot write ${path}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  };
  return {
    secret(item) {
      const box = select.get(item)?.value;
      if (box === undefined) return undefined;
      const value = tryUnseal(key, item, box);
      if (value !== undefined) return value;
      throw new ExitError(
        EXIT.data,
        `Cannot decrypt ${item} in ${path}: secret.key is another one`,
      );
    },
    setSecret(item, value) {
      write(() => replace.run(item, seal(key, item, value, deps.random)));
    },
    removeSecret: (item) => write(() => remove.run(item)),
    objects,
    counters,
    leases,
    transaction: (change) => write(() => database.transaction(change).immediate()),
    close: () => database.close(),
  };
}

function openDatabase(path: string): Database {
  let database: Database | undefined;
  try {
    // Made by us first, because the library would leave its mode to the umask; -wal and -shm take that of the file.
    closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600));
    database = new Database(path, { readwrite: true });
    // Commands write beside a program that runs.
    database.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    database.run("PRAGMA journal_mode = WAL");
    // In WAL mode only FULL survives a power cut after the commit (CF-17).
    database.run("PRAGMA synchronous = FULL");
    createTables(database, path);
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof ExitError) throw error;
    const code = error instanceof SQLiteError ? EXIT.data : EXIT.cannotCreate;
    throw new ExitError(code, `Cannot open ${path}: ${messageOf(error)}`, { cause: error });
  }
}

function createTables(database: Database, path: string): void {
  database
    .transaction(() => {
      database.run(
        "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
      );
      database.run("INSERT OR IGNORE INTO meta VALUES ('version', ?)", [String(STATE_VERSION)]);
      const row = database
        .query<{ value: string }, []>("SELECT value FROM meta WHERE key = 'version'")
        .get();
      const version = Number(row?.value);
      if (version !== STATE_VERSION) {
        const text = `Cannot use ${path}: it is of version ${row?.value}, this program knows ${STATE_VERSION}`;
        throw new ExitError(EXIT.config, text);
      }
      database.run(
        "CREATE TABLE IF NOT EXISTS secret (path TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
      );
      for (const table of [...OBJECT_TABLES, COUNTER_TABLE, LEASE_TABLE]) database.run(table);
    })
    // Another process may be making them: a transaction that only becomes a writer would not wait for it.
    .immediate();
}

/**
 * The key of this directory, made on the first start. It appears whole: another process may make one at the same
 * time, and then the first stands.
 */
function openKey(path: string, random: Random): Uint8Array {
  let fd: number | undefined;
  try {
    if (!existsSync(path)) makeKey(path, random);
    fd = openSync(path, constants.O_RDWR);
    const stats = fstatSync(fd);
    if (isWorldReadable(stats.mode)) {
      throw new ExitError(EXIT.noPermission, `The key ${path} can be read by everybody: chmod 600`);
    }
    const key = new Uint8Array(BOX_KEY_BYTES);
    if (stats.size !== key.length || readSync(fd, key, 0, key.length, 0) !== key.length) {
      throw new ExitError(EXIT.data, `Cannot use ${path}: it has not ${BOX_KEY_BYTES} bytes`);
    }
    return key;
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError(EXIT.cannotCreate, `Cannot open ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function makeKey(path: string, random: Random): void {
  const fresh = `${path}.${random.bytes(8).toHex()}`;
  const fd = openSync(fresh, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    writeSync(fd, random.bytes(BOX_KEY_BYTES));
    fsyncSync(fd);
    // Unlike a renaming this does not replace the key of somebody who was faster.
    linkSync(fresh, path);
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error;
  } finally {
    closeSync(fd);
    unlinkSync(fresh);
  }
}
