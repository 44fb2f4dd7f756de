import type { Clock, Timer } from "../base/clock.ts";
import { messageOf, VpnError } from "../base/errors.ts";
import { tryParseAddress } from "../base/ip.ts";
import { MAX_DIAL_ADDRESSES } from "../base/limits.ts";

export type AddressFamily = "any" | "ipv4" | "ipv6";

/** Asks the system's resolver for the addresses of one family. */
export type Lookup = (host: string, family: 4 | 6) => Promise<readonly string[]>;

/** RFC 8305 3: what the answer about IPv6 may come later than the one about IPv4, in milliseconds. */
const RESOLUTION_DELAY_MS = 50;
/** A resolver that says nothing for this long is taken for dead. */
const RESOLVE_MS = 10_000;

/**
 * The addresses of a host as they become known, given out with the families in turn, IPv6 first (RFC 8305 3, 4).
 * A family whose question fails costs nothing while the other has an answer.
 */
export class HostAddresses {
  /** Told when `take` may give more than before, or when there will never be more. */
  onChange: () => void = () => {};
  readonly #host: string;
  readonly #waiting: Record<4 | 6, string[]> = { 4: [], 6: [] };
  readonly #known = new Set<string>();
  readonly #asked = new Set<4 | 6>();
  readonly #failures: string[] = [];
  readonly #timers = new Set<Timer>();
  #isHeld = false;
  #next: 4 | 6 = 6;

  constructor(
    host: string,
    family: AddressFamily,
    deps: { clock: Clock; lookup?: Lookup | undefined },
  ) {
    this.#host = host;
    const literal = tryParseAddress(host.split("%")[0]!);
    if (literal !== undefined) {
      this.#add(literal.family, [host]);
      return;
    }
    if (family !== "ipv4") this.#asked.add(6);
    if (family !== "ipv6") this.#asked.add(4);
    this.#isHeld = this.#asked.size === 2;
    for (const asked of this.#asked) this.#ask(asked, deps.clock, deps.lookup ?? systemLookup);
  }

  /** The next address to try; undefined where none is known at present. */
  take(): string | undefined {
    if (this.#isHeld) return undefined;
    const other = this.#next === 6 ? 4 : 6;
    const family = this.#waiting[this.#next].length > 0 ? this.#next : other;
    const address = this.#waiting[family].shift();
    if (address !== undefined) this.#next = family === 6 ? 4 : 6;
    return address;
  }

  /** Puts an address back that was cut short by another's success: it may be the only good one yet. */
  giveBack(address: string): void {
    this.#waiting[address.includes(":") ? 6 : 4].unshift(address);
  }

  /** True when all questions are answered: what `take` does not give now it never will. */
  get isComplete(): boolean {
    return this.#asked.size === 0;
  }

  /** Why there is no address at all, or undefined where there was one. */
  get failure(): VpnError | undefined {
    return this.#known.size > 0 ? undefined : noAddress(this.#host, this.#failures);
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#asked.clear();
    this.onChange = () => {};
  }

  #ask(family: 4 | 6, clock: Clock, lookup: Lookup): void {
    const timer = clock.after(RESOLVE_MS, () =>
      answered(() => void this.#failures.push("the name server does not answer")),
    );
    this.#timers.add(timer);
    const answered = (take: () => void) => {
      timer.cancel();
      this.#timers.delete(timer);
      if (!this.#asked.delete(family)) return;
      take();
      if (family === 6 || this.#asked.size === 0) this.#unhold();
      else if (this.#isHeld) {
        this.#timers.add(clock.after(RESOLUTION_DELAY_MS, () => this.#unhold()));
      } else this.onChange();
    };
    lookup(this.#host, family).then(
      (addresses) => answered(() => this.#add(family, addresses)),
      (error: unknown) => answered(() => void this.#failures.push(messageOf(error))),
    );
  }

  #unhold(): void {
    this.#isHeld = false;
    this.onChange();
  }

  /** Drops what is no address of the family that was asked for (robustness.md FI-11). */
  #add(family: 4 | 6, addresses: readonly string[]): void {
    for (const address of addresses) {
      if (this.#known.size === MAX_DIAL_ADDRESSES) return;
      if (tryParseAddress(address.split("%")[0]!)?.family !== family) continue;
      if (this.#known.has(address)) continue;
      this.#known.add(address);
      this.#waiting[family].push(address);
    }
  }
}

/** The resolver of this machine. */
export const systemLookup: Lookup = async (host, family) => {
  // Loaded for names only: an address, which scripts and tests give, needs no resolver.
  const { lookup } = await import("node:dns/promises");
  return (await lookup(host, { all: true, family })).map((entry) => entry.address);
};

/** All addresses of a host, those of IPv6 first. @throws VpnError `resolve_failed`. */
export async function resolveHost(host: string, family: AddressFamily): Promise<string[]> {
  if (tryParseAddress(host.split("%")[0]!) !== undefined) return [host];
  const families: (4 | 6)[] = family === "any" ? [6, 4] : [family === "ipv4" ? 4 : 6];
  const answers = await Promise.allSettled(families.map((one) => systemLookup(host, one)));
  const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  if (found.length > 0) return found;
  const why = answers.map((answer) =>
    answer.status === "rejected" ? messageOf(answer.reason) : "",
  );
  throw noAddress(host, why);
}

function noAddress(host: string, why: readonly string[]): VpnError {
  const text = [...new Set(why)].filter((one) => one !== "").join("; ");
  return new VpnError(
    "resolve_failed",
    `Cannot find the address of ${host}: ${text || "it has none of this family"}`,
  );
}
