import type { Clock } from "../base/clock.ts";
import { VpnError } from "../base/errors.ts";
import { MAX_SERVER_ADDRESSES } from "../base/limits.ts";
import type { Lookup } from "../transport/host-addresses.ts";

/** A resolver that cannot be reached answers after half a minute or not at all; what is remembered is as good. */
const LOOKUP_MS = 5_000;

export interface ServerNamesOptions {
  readonly clock: Clock;
  /**
   * The account takes the machine's name servers or its way to them: while there is no session, questions go unanswered
   * or must not be asked. So the addresses of before are dialled first, and names are looked up if that failed.
   */
  readonly rememberFirst: boolean;
  readonly lookup: Lookup;
}

interface Known {
  readonly host: string;
  readonly family: 4 | 6;
  readonly addresses: readonly string[];
  /** Given out since a session stood last. */
  isTried: boolean;
}

/** Addresses of the hosts that an account dials, remembered for when no name server can be asked (FI-11). */
export class ServerNames {
  readonly #options: ServerNamesOptions;
  readonly #known = new Map<string, Known>();
  #inherited: readonly string[] = [];

  constructor(options: ServerNamesOptions) {
    this.#options = options;
  }

  /** What a process before this one dialled, whatever its name was then: good until names can be asked for. */
  inherit(addresses: readonly string[]): void {
    this.#inherited = addresses;
  }

  /** A session stands: the addresses are good to be dialled again. */
  confirm(): void {
    for (const known of this.#known.values()) known.isTried = false;
  }

  /** Addresses to be dialled, the best first. @throws where none is known and none is found */
  async find(host: string, family: 4 | 6): Promise<readonly string[]> {
    const known = this.#known.get(keyOf(host, family)) ?? this.#inherit(host, family);
    if (known !== undefined && this.#options.rememberFirst && !known.isTried) {
      known.isTried = true;
      return known.addresses;
    }
    try {
      return await this.#learn(host, family, true);
    } catch (error) {
      if (known === undefined) throw error;
      return known.addresses;
    }
  }

  #inherit(host: string, family: 4 | 6): Known | undefined {
    if (this.#inherited.length === 0) return undefined;
    const isOf = (address: string) => address.includes(":") === (family === 6);
    const known = { host, family, addresses: this.#inherited.filter(isOf), isTried: false };
    this.#known.set(keyOf(host, family), known);
    return known;
  }

  /**
   * Asks for all hosts anew while the tunnel stands, and so name servers can be asked: a server that moves is known by
   * its new addresses when the old ones end. What cannot be found stays as it is.
   */
  async refresh(): Promise<void> {
    const all = [...this.#known.values()];
    await Promise.allSettled(
      all.map(({ host, family, isTried }) => this.#learn(host, family, isTried)),
    );
  }

  async #learn(host: string, family: 4 | 6, isTried: boolean): Promise<readonly string[]> {
    const found = await this.#ask(host, family);
    // What was known stays behind it: the answer may be one for another network.
    const before = this.#known.get(keyOf(host, family))?.addresses ?? [];
    const addresses = [...new Set([...found, ...before])].slice(0, MAX_SERVER_ADDRESSES);
    this.#known.set(keyOf(host, family), { host, family, addresses, isTried });
    return addresses;
  }

  async #ask(host: string, family: 4 | 6): Promise<readonly string[]> {
    const { clock, lookup } = this.#options;
    const late = Promise.withResolvers<never>();
    const timer = clock.after(LOOKUP_MS, () =>
      late.reject(new VpnError("resolve_failed", "the name server does not answer")),
    );
    try {
      return await Promise.race([lookup(host, family), late.promise]);
    } finally {
      timer.cancel();
    }
  }
}

function keyOf(host: string, family: 4 | 6): string {
  return `${family} ${host}`;
}
