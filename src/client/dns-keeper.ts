import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { MAX_DNS_CONTESTS } from "../base/limits.ts";
import { readBefore, type DnsSettings } from "./dns-file.ts";
import { applyDns, chooseDnsMethod, dnsStep, type DnsMethod } from "./dns-method.ts";
import { FileWatch } from "./dns-watch.ts";
import { undoSteps } from "./undo.ts";
import type { UndoFile } from "./undo-file.ts";
import type { UndoStep } from "./undo-step.ts";

export interface DnsKeeperOptions {
  /** resolv.conf(5). */
  readonly path: string;
  readonly device: string;
  readonly account: string;
  readonly searchPath: string;
  readonly clock: Clock;
  readonly undo: UndoFile;
  readonly onWarning: (code: string, message: string) => void;
}

/** Keeps the machine asking the tunnel's name servers, from the first lease that names some until the end. */
export class DnsKeeper {
  readonly #options: DnsKeeperOptions;
  readonly #watch: FileWatch;
  #method: DnsMethod | undefined;
  #step: UndoStep | undefined;
  #settings: DnsSettings | undefined;
  #contests = 0;
  /** Orders to other programs, one after the other. */
  #orders: Promise<void> = Promise.resolve();

  constructor(options: DnsKeeperOptions) {
    this.#options = options;
    this.#watch = new FileWatch(options.path, options.clock, () => this.#contest());
  }

  /** The servers that the machine asks because of us. */
  get servers(): readonly string[] {
    return this.#step === undefined ? [] : (this.#settings?.servers ?? []);
  }

  /** Without servers, what was set stays: a lease that is lost comes back. */
  set(settings: DnsSettings): Promise<void> {
    return this.#enqueue(async () => {
      if (settings.servers.length === 0) return;
      if (JSON.stringify(settings) !== JSON.stringify(this.#settings)) await this.#apply(settings);
    });
  }

  close(): Promise<void> {
    this.#watch.stop();
    return this.#enqueue(async () => {
      const { undo, searchPath, onWarning } = this.#options;
      const step = this.#step;
      if (step === undefined) return;
      this.#step = undefined;
      const failed = await undoSteps([step], { searchPath, onWarning });
      if (failed.length === 0) undo.forget(step);
    });
  }

  async #apply(settings: DnsSettings): Promise<void> {
    const { path, searchPath, undo } = this.#options;
    const method = (this.#method ??= await chooseDnsMethod(path, searchPath));
    const was = this.#step;
    const step = dnsStep(method, this.#options, settings, was);
    undo.record(step);
    this.#step = step;
    this.#watch.stop();
    await applyDns(method, step, settings);
    // While one file takes the other's place both records stand.
    if (was !== undefined) undo.forget(was);
    this.#settings = settings;
    if (step.kind === "resolv.conf") this.#watch.start();
  }

  /**
   * The uplink's DHCP client writes its servers with every renewal, and questions would leave beside the tunnel. So ours
   * are put back, and what it wrote is what comes back in the end. Somebody who insists has his way.
   */
  #contest(): void {
    void this.#enqueue(async () => {
      const step = this.#step;
      const settings = this.#settings;
      if (step?.kind !== "resolv.conf" || settings === undefined) return;
      const now = readBefore(step.path);
      if (now.kind === "file" && now.text === step.written) return;
      if (++this.#contests <= MAX_DNS_CONTESTS) return this.#apply(settings);
      this.#watch.stop();
      const message = `${step.path} is written by another program again and again: its servers stay`;
      this.#options.onWarning("dns_contested", message);
    });
  }

  /** An order that fails is warned of, and the next one is carried out all the same. */
  #enqueue(order: () => Promise<void>): Promise<void> {
    this.#orders = this.#orders.then(order).catch((error: unknown) => {
      const message = `Cannot set the name servers: ${messageOf(error)}`;
      this.#options.onWarning("dns_failed", message);
    });
    return this.#orders;
  }
}
