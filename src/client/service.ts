import type { Clock } from "../base/clock.ts";
import { EXIT, ExitError, messageOf, VpnError } from "../base/errors.ts";
import { encodeAccount, encodeNic } from "../config/account-keys.ts";
import type { ClientConfig } from "../config/client-config.ts";
import type { Log } from "../observe/log.ts";
import { findAccount, resolveAccount, type ResolvedAccount } from "./account.ts";
import type { Client } from "./client.ts";
import { askStatus, controlPath } from "./control-call.ts";

/** What a service uses of a client. */
export type ServiceClient = Pick<Client, "run" | "stop" | "status">;

export interface ServiceDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly stateDir: string;
  /** Reads accounts and NICs as they are now. @throws what is wrong with them */
  readonly load: () => ClientConfig;
  /** Makes the adapter and the socket of an account. */
  readonly open: (resolved: ResolvedAccount) => Promise<ServiceClient>;
  /** The number of accounts that it holds has changed, or the state of one. */
  readonly onChange: () => void;
}

interface Held {
  readonly name: string;
  /** Of the settings that it runs with. */
  readonly settings: string;
  readonly client: ServiceClient;
  readonly ended: Promise<void>;
}

/** Holds any number of accounts connected: those with autostart, and those it is asked for. */
export class AccountService {
  readonly #deps: ServiceDeps;
  readonly #held = new Map<string, Held>();
  /** One change after the other: a start waits for the end of what is in its way. */
  #turn: Promise<unknown> = Promise.resolve();
  #isClosing = false;

  constructor(deps: ServiceDeps) {
    this.#deps = deps;
  }

  /** Names of the accounts that it holds. */
  get names(): string[] {
    return [...this.#held.values()].map(({ name }) => name);
  }

  /** How it stands, in a few words. */
  get summary(): string {
    const states = [...this.#held.values()].map(({ client }) => client.status().state);
    const connected = states.filter((state) => state === "connected").length;
    return states.length === 0
      ? "No account is up"
      : `${connected} of ${states.length} accounts connected`;
  }

  /**
   * Starts the accounts of these names, or those with autostart; answers those that were not up before.
   * @throws the fault of the first that cannot be started; the others are
   */
  up(names: readonly string[] = []): Promise<string[]> {
    return this.#inTurn(async () => {
      const config = this.#deps.load();
      const wanted =
        names.length > 0
          ? names.map((name) => findAccount(config, name).name)
          : config.accounts.filter(({ autostart }) => autostart).map(({ name }) => name);
      return this.#startAll(config, wanted);
    });
  }

  /** Ends the accounts of these names, or all; answers those that were up. */
  down(names: readonly string[] = []): Promise<string[]> {
    return this.#inTurn(async () => {
      const ended = names.length > 0 ? names : this.names;
      const found = ended.flatMap((name) => this.#held.get(name.toLowerCase()) ?? []);
      await Promise.all(found.map((held) => this.#stop(held)));
      return found.map(({ name }) => name);
    });
  }

  /**
   * Reads the accounts anew: ends those that are gone, starts those whose autostart is new, and starts those anew
   * whose settings have changed. Answers what it did, a line each.
   */
  reload(): Promise<string[]> {
    return this.#inTurn(async () => {
      const config = this.#deps.load();
      const known = new Set(config.accounts.map(({ name }) => name));
      const held = [...this.#held.values()];
      const gone = held.filter(({ name }) => !known.has(name));
      const changed = held.filter(
        ({ name, settings }) => known.has(name) && settingsOf(resolve(config, name)) !== settings,
      );
      const again = changed.map(({ name }) => name);
      const changes = gone.map(({ name }) => `${name} is gone`);
      // Nothing has been done so far: what cannot be read changes nothing.
      await Promise.all([...gone, ...changed].map((each) => this.#stop(each)));
      const fresh = config.accounts.filter(
        ({ name, autostart }) => autostart && !this.#held.has(name.toLowerCase()),
      );
      const wanted = new Set([...again, ...fresh.map(({ name }) => name)]);
      for (const name of wanted) {
        changes.push(`${name} is ${again.includes(name) ? "started anew" : "started"}`);
      }
      await this.#startAll(config, [...wanted]);
      return changes;
    });
  }

  /** Ends all accounts in order; nothing starts any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#turn.catch(() => undefined);
    await Promise.all([...this.#held.values()].map((held) => this.#stop(held)));
  }

  async #startAll(config: ClientConfig, names: readonly string[]): Promise<string[]> {
    const started: string[] = [];
    let failure: unknown;
    for (const name of names) {
      try {
        if (await this.#start(resolve(config, name))) started.push(name);
      } catch (error) {
        failure ??= error;
        this.#deps.log.error("account_failed", `${name}: ${messageOf(error)}`, { account: name });
      }
    }
    if (failure !== undefined) throw failure;
    return started;
  }

  /** False where it is up already. */
  async #start(resolved: ResolvedAccount): Promise<boolean> {
    const { clock, stateDir, log, open, onChange } = this.#deps;
    const { name, nic } = resolved;
    const key = name.toLowerCase();
    if (this.#isClosing || this.#held.has(key)) return false;
    const twin = [...this.#held.values()].find(({ client }) => client.status().nic === nic.device);
    if (twin !== undefined) {
      // hub.md 15.2: one account per NIC at a time.
      const text = `Its NIC ${nic.name} is in use by the account ${twin.name}: give it another by --nic`;
      throw new ExitError(EXIT.temporary, text);
    }
    // Connected by a command: that is what was wanted.
    if ((await askStatus(controlPath(stateDir, name), clock)) !== undefined) return false;
    const client = await open(resolved);
    const ended = client.run().then(
      () => log.info("account_ended", `${name} is down`, { account: name }),
      (error: unknown) => {
        const code = error instanceof VpnError ? error.code : "internal";
        log.error("account_failed", `${name}: ${messageOf(error)}`, { account: name, code });
      },
    );
    const held = {
      name,
      settings: settingsOf(resolved),
      client,
      ended: ended.then(() => {
        this.#held.delete(key);
        onChange();
      }),
    };
    this.#held.set(key, held);
    onChange();
    return true;
  }

  /** One that cannot be stopped in order ends all the same, and keeps none of the others. */
  async #stop({ name, client, ended }: Held): Promise<void> {
    try {
      await client.stop();
    } catch (error) {
      this.#deps.log.error("account_failed", `${name}: ${messageOf(error)}`, { account: name });
    }
    await ended;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.catch(() => undefined).then(work);
    this.#turn = done;
    return done;
  }
}

function resolve(config: ClientConfig, name: string): ResolvedAccount {
  return resolveAccount(config, name, {});
}

/** Equal for settings that are equal. */
function settingsOf({ account, nic }: ResolvedAccount): string {
  const { keys, secrets } = encodeAccount(account);
  const hidden = Object.entries(secrets).map(([key, bytes]) => [
    key,
    new Bun.CryptoHasher("sha256").update(bytes).digest("hex"),
  ]);
  return JSON.stringify([keys, hidden, encodeNic(nic)]);
}
