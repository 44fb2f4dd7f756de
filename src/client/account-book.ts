import { EXIT, ExitError } from "../base/errors.ts";
import type { Clock } from "../base/clock.ts";
import { faultOfAccount } from "../config/account-fault.ts";
import {
  differences,
  encodeAccount,
  encodeNic,
  trimAccount,
  trimNic,
  type EncodedObject,
} from "../config/account-keys.ts";
import type { AccountConfig, ClientConfig, NicConfig } from "../config/client-config.ts";
import { ACCOUNT_NAMES, NIC_NAMES } from "../config/name-rules.ts";
import { forgetChange, removeSecrets, type OwnedObject } from "../config/ownership.ts";
import type { ResolvedSecret } from "../config/secret.ts";
import { objectPath, type ObjectKind, type StoredKeys } from "../config/state-objects.ts";
import type { StateStore } from "../config/state-store.ts";
import { hashUserPassword } from "../crypto/password.ts";
import { findAccount } from "./account.ts";

/** Where a book looks things up and keeps them. */
export interface BookDeps {
  readonly config: ClientConfig;
  readonly objects: readonly OwnedObject[];
  readonly store: StateStore;
  readonly clock: Clock;
}

/**
 * Accounts and NICs as commands make, change and remove them (hub.md 15.2, 15.3). What client.toml declares is never
 * written: its changes are kept in state.db and hold as long as the declared text stays (config-proposal.md 1).
 */
export class AccountBook {
  readonly #deps: BookDeps;

  constructor(deps: BookDeps) {
    this.#deps = deps;
  }

  /** @throws ExitError 64 where there is none of this name */
  account(name: string): AccountConfig {
    return findAccount(this.#deps.config, name);
  }

  /** @throws ExitError 64 for a name that is none, 73 for one that is taken */
  addAccount(account: AccountConfig): void {
    this.#refuseName("account", account.name, ACCOUNT_NAMES);
    const encoded = encodeAccount(asKept(account));
    refuseFaults(encoded);
    this.#write("account", account.name, trimAccount(encoded.keys), encoded.secrets);
  }

  /** @throws ExitError 64 where there is none of this name */
  changeAccount(next: AccountConfig): void {
    const before = this.account(next.name);
    // A password that stays as it is stays where it is: in a file, perhaps.
    const kept = isSameSecret(next, before) ? next : asKept(next);
    const [from, to] = [encodeAccount(before), encodeAccount(kept)];
    refuseFaults(to);
    this.#change("account", next.name, from, to, trimAccount);
  }

  /** @throws ExitError 64 for a name that is none and for a declared account, 73 for a name that is taken */
  renameAccount(from: string, to: string): void {
    const account = this.account(from);
    if (this.#find("account", account.name)?.origin !== "dynamic") {
      throw usage(`The account "${account.name}" is declared in client.toml: rename it there`);
    }
    this.#deps.store.transaction(() => {
      this.#remove("account", account.name);
      if (to.toLowerCase() !== account.name.toLowerCase()) {
        this.#refuseName("account", to, ACCOUNT_NAMES);
      }
      const { keys, secrets } = encodeAccount(account);
      this.#write("account", to, trimAccount(keys), secrets);
    });
  }

  /**
   * A declared one stays away until its text in the file changes or `reset` is called. Gives the name as it is
   * spelt. @throws ExitError 64
   */
  removeAccount(name: string): string {
    // One that is passed over because of a fault is there to be removed, too.
    const known = this.#find("account", name)?.name ?? this.account(name).name;
    this.#remove("account", known);
    return known;
  }

  /** Takes back what commands changed of a declared account. @throws ExitError 64 where nothing was changed */
  reset(kind: ObjectKind, name: string): void {
    const owned = this.#find(kind, name);
    if (owned === undefined || owned.origin === "dynamic" || owned.origin === "declared") {
      const why = owned?.origin === "dynamic" ? "no file declares it" : "nothing of it was changed";
      throw usage(`Cannot reset the ${kind} "${name}": ${why}`);
    }
    forgetChange(this.#deps.store, kind, owned.name);
  }

  /** `NAME`, or `NAME (2)` and so on where that is taken (hub.md 15.5). */
  freeAccountName(wanted: string): string {
    for (let number = 1; ; number++) {
      const name = number === 1 ? wanted : `${wanted} (${number})`;
      if (this.#find("account", name) === undefined) return name;
    }
  }

  /** The secret is gone after this; it is asked for at the next login. True where there was one. */
  forgetPassword(name: string): boolean {
    const account = this.account(name);
    const { credential } = account;
    if (credential.kind !== "password" || credential.secret === undefined) return false;
    this.changeAccount({ ...account, credential: { ...credential, secret: undefined } });
    return true;
  }

  /** @throws ExitError 64 where there is none of this name */
  nic(name: string): NicConfig {
    const { nics } = this.#deps.config;
    const found = nics.find((nic) => nic.name.toLowerCase() === name.toLowerCase());
    if (found !== undefined) return found;
    const known = nics.map((nic) => nic.name).join(", ");
    throw usage(`There is no NIC "${name}"${known === "" ? "" : ` (${known})`}`);
  }

  /** @throws ExitError 64 for a name that is none, 73 for a name or device that is taken */
  addNic(nic: NicConfig): void {
    this.#refuseName("nic", nic.name, NIC_NAMES);
    const twin = this.#deps.config.nics.find((other) => other.device === nic.device);
    if (twin !== undefined) {
      const text = `Cannot make the NIC "${nic.name}": its device ${nic.device} is that of "${twin.name}"`;
      throw new ExitError(EXIT.cannotCreate, `${text}, choose another by --device`);
    }
    this.#write("nic", nic.name, trimNic(encodeNic(nic)), {});
  }

  /** @throws ExitError 64 where there is none of this name */
  changeNic(next: NicConfig): void {
    const before = { keys: encodeNic(this.nic(next.name)), secrets: {} };
    this.#change("nic", next.name, before, { keys: encodeNic(next), secrets: {} }, trimNic);
  }

  /** The accounts of it get one that remains, or none. Gives their names. @throws ExitError 64 */
  removeNic(name: string): string[] {
    const { nics, accounts } = this.#deps.config;
    const nic = this.nic(name);
    const heir = nics.find((other) => other !== nic)?.name;
    const orphans = accounts.filter((account) => account.nic === nic.name);
    this.#deps.store.transaction(() => {
      for (const account of orphans) this.changeAccount({ ...account, nic: heir });
      this.#remove("nic", nic.name);
    });
    return orphans.map((account) => account.name);
  }

  #find(kind: ObjectKind, name: string): OwnedObject | undefined {
    return this.#deps.objects.find(
      (owned) => owned.kind === kind && owned.name.toLowerCase() === name.toLowerCase(),
    );
  }

  #refuseName(
    kind: ObjectKind,
    name: string,
    rule: { noun: string; max: number; refuse: (name: string) => string | undefined },
  ): void {
    const why = rule.refuse(name);
    if (why !== undefined)
      throw usage(`Cannot call the ${rule.noun} ${JSON.stringify(name)}: ${why}`);
    const taken = this.#find(kind, name);
    if (taken?.origin === "removed") {
      const text = `The ${rule.noun} "${name}" is declared in client.toml and was removed by a command`;
      throw new ExitError(EXIT.cannotCreate, `${text}: vpn client ${kind} reset brings it back`);
    }
    if (taken !== undefined) {
      throw new ExitError(EXIT.cannotCreate, `The ${rule.noun} "${taken.name}" exists already`);
    }
    if (this.#deps.objects.filter((owned) => owned.kind === kind).length >= rule.max) {
      throw new ExitError(EXIT.cannotCreate, `There are ${rule.max} ${rule.noun}s, the most`);
    }
  }

  #change(
    kind: ObjectKind,
    name: string,
    before: EncodedObject,
    next: EncodedObject,
    trim: (keys: StoredKeys) => StoredKeys,
  ): void {
    const owned = this.#find(kind, name);
    if (owned === undefined) throw new Error(`${kind} ${name} has no owner`);
    const sameSecret = (key: string) => {
      const [a, b] = [before.secrets[key], next.secrets[key]];
      return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
    };
    const touched = differences(next.keys, before.keys, sameSecret);
    if (Object.keys(touched).length === 0) return;
    const { store, clock } = this.#deps;
    store.transaction(() => {
      for (const key of Object.keys(touched)) store.removeSecret(objectPath(kind, name, key));
      if (owned.origin === "dynamic") {
        this.#write(kind, owned.name, trim(next.keys), next.secrets);
        return;
      }
      const changed = store.objects
        .overrides(kind)
        .find((entry) => entry.name.toLowerCase() === name.toLowerCase());
      const { baseHash } = owned;
      const keys = { ...changed?.keys, ...touched };
      store.objects.override(kind, { name: owned.name, keys, baseHash }, clock.wall());
      this.#writeSecrets(kind, name, touched, next.secrets);
    });
  }

  #write(
    kind: ObjectKind,
    name: string,
    keys: StoredKeys,
    secrets: EncodedObject["secrets"],
  ): void {
    const { store, clock } = this.#deps;
    store.transaction(() => {
      store.objects.put(kind, name, keys, clock.wall());
      this.#writeSecrets(kind, name, keys, secrets);
    });
  }

  #writeSecrets(
    kind: ObjectKind,
    name: string,
    keys: StoredKeys,
    secrets: EncodedObject["secrets"],
  ): void {
    for (const [key, bytes] of Object.entries(secrets)) {
      if (key in keys) this.#deps.store.setSecret(objectPath(kind, name, key), bytes);
    }
  }

  #remove(kind: ObjectKind, name: string): void {
    const { store, clock } = this.#deps;
    const owned = this.#find(kind, name);
    if (owned === undefined) throw new Error(`${kind} ${name} has no owner`);
    store.transaction(() => {
      if (owned.origin === "dynamic") {
        const kept = store.objects.dynamic(kind).find((object) => object.name === owned.name);
        removeSecrets(store, kind, owned.name, kept?.keys);
        store.objects.remove(kind, owned.name);
        return;
      }
      forgetChange(store, kind, owned.name);
      const { baseHash } = owned;
      const tombstone = { name: owned.name, keys: undefined, baseHash };
      store.objects.override(kind, tombstone, clock.wall());
    });
  }
}

/** What is kept must be read again by the next command. */
function refuseFaults(encoded: EncodedObject): void {
  const fault = faultOfAccount(encoded);
  if (fault !== undefined) throw new ExitError(EXIT.data, `Cannot keep the account: ${fault}`);
}

function isSameSecret(a: AccountConfig, b: AccountConfig): boolean {
  return Bun.deepEquals(secretOf(a), secretOf(b));
}

function secretOf({ credential }: AccountConfig): ResolvedSecret | undefined {
  return credential.kind === "password" ? credential.secret : undefined;
}

/** Only what a login needs is kept: the password itself where it is sent, its hash elsewhere. */
function asKept(account: AccountConfig): AccountConfig {
  const { credential, user } = account;
  if (credential.kind !== "password" || credential.plain) return account;
  if (credential.secret?.kind !== "plain") return account;
  const hash = hashUserPassword(user, credential.secret.bytes);
  return { ...account, credential: { ...credential, secret: { kind: "sha0", hash } } };
}

function usage(text: string): ExitError {
  return new ExitError(EXIT.usage, text);
}
