import { sourceKey } from "../base/ip.ts";
import { MAX_PENDING } from "../base/limits.ts";
import type { Random } from "../base/random.ts";

export interface AdmissionConfig {
  readonly connectionsPerSource: number;
  readonly connections: number;
}

/** Why a connection is turned away at accept; the names are those of the counters. */
export type Refusal = "source_limit" | "shed";

/**
 * Counts connections that are not logged in, from accept to login or end. Beyond a share of the whole bound
 * newcomers are refused at random, ever more of them, so that an honest one gets in within a few tries
 * while an attack lasts (robustness.md 2, TL-11, TL-12).
 */
export class Admission {
  #config: AdmissionConfig;
  readonly #random: Random;
  readonly #bySource = new Map<string, number>();
  #pending = 0;

  constructor(config: AdmissionConfig, random: Random) {
    this.#config = config;
    this.#random = random;
  }

  get pending(): number {
    return this.#pending;
  }

  reconfigure(next: AdmissionConfig): void {
    this.#config = next;
  }

  /** Admits a connection of this address, to be given back by `leave`, or says why not. */
  enter(address: string): Refusal | undefined {
    const source = sourceKey(address);
    const present = this.#bySource.get(source) ?? 0;
    if (present >= this.#config.connectionsPerSource) return "source_limit";
    if (this.#random.fraction() < this.#shedShare()) return "shed";
    this.#bySource.set(source, present + 1);
    this.#pending++;
    return undefined;
  }

  leave(address: string): void {
    const source = sourceKey(address);
    const present = this.#bySource.get(source);
    if (present === undefined) return;
    this.#pending--;
    if (present === 1) this.#bySource.delete(source);
    else this.#bySource.set(source, present - 1);
  }

  /** 0 below a fifth of the bound, then from 0.3 in a straight line to 1 at the bound. */
  #shedShare(): number {
    const all = this.#config.connections;
    const from = (all * MAX_PENDING.shedFrom) / MAX_PENDING.all;
    if (this.#pending < from) return 0;
    const share = (this.#pending - from) / Math.max(1, all - from);
    return MAX_PENDING.shedShare + (1 - MAX_PENDING.shedShare) * share;
  }
}
