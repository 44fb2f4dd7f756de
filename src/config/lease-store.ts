import type { Database } from "bun:sqlite";
import { EXIT, ExitError, messageOf, VpnError } from "../base/errors.ts";
import type { Ipv4 } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";

/** A lease of a virtual DHCP server, as it is kept. Times are milliseconds since 1970. */
export interface StoredLease {
  readonly address: Ipv4;
  readonly mac: MacAddress;
  readonly hostname: string;
  readonly leasedAt: number;
  /** When it was last granted: with `expires` this tells its length, whatever became of the clock since. */
  readonly renewedAt: number;
  /** Undefined: never. */
  readonly expires: number | undefined;
}

/** The table that it works on, made with all others. */
export const LEASE_TABLE = `CREATE TABLE IF NOT EXISTS lease (hub TEXT NOT NULL, address INTEGER NOT NULL, mac INTEGER NOT NULL,
   hostname TEXT NOT NULL, leased_at INTEGER NOT NULL, renewed_at INTEGER NOT NULL, expires INTEGER,
   PRIMARY KEY (hub, address)) STRICT, WITHOUT ROWID`;

interface Row {
  readonly address: number;
  readonly mac: number;
  readonly hostname: string;
  readonly leased_at: number;
  readonly renewed_at: number;
  readonly expires: number | null;
}

const MAX_MAC = 2 ** 48 - 1;
const MAX_IPV4 = 2 ** 32 - 1;

/** The leases of state.db. Hubs are named in any case. */
export class LeaseStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** All leases of a hub. @throws ExitError 65 where one is damaged */
  read(hub: string): StoredLease[] {
    return this.#database
      .query<Row, [string]>("SELECT * FROM lease WHERE hub = ? ORDER BY address")
      .all(hub.toLowerCase())
      .map(leaseOf);
  }

  /** All that is kept for a hub goes with it. @throws VpnError `state_write` */
  forget(hub: string): void {
    this.#change(() => {
      this.#database.query("DELETE FROM lease WHERE hub = ?").run(hub.toLowerCase());
    });
  }

  /** Puts leases in and takes those of `removed` addresses away, all or nothing. @throws VpnError `state_write` */
  write(hub: string, leases: readonly StoredLease[], removed: readonly Ipv4[]): void {
    const key = hub.toLowerCase();
    const drop = this.#database.query("DELETE FROM lease WHERE hub = ? AND address = ?");
    const put = this.#database.query("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?, ?, ?)");
    this.#change(() => {
      for (const address of removed) drop.run(key, address);
      for (const { address, mac, hostname, leasedAt, renewedAt, expires } of leases) {
        const end = expires === undefined ? null : Math.round(expires);
        put.run(key, address, mac, hostname, Math.round(leasedAt), Math.round(renewedAt), end);
      }
    });
  }

  #change(change: () => void): void {
    try {
      this.#database.transaction(change).immediate();
    } catch (error) {
      throw new VpnError("state_write", `Cannot write state.db: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

function leaseOf(row: Row): StoredLease {
  const { address, mac } = row;
  if (address < 0 || address > MAX_IPV4 || mac < 0 || mac > MAX_MAC) {
    throw new ExitError(EXIT.data, "Cannot read a lease of state.db: it has no such address");
  }
  return {
    address: address as Ipv4,
    mac: mac as MacAddress,
    hostname: row.hostname,
    leasedAt: row.leased_at,
    renewedAt: row.renewed_at,
    expires: row.expires ?? undefined,
  };
}
