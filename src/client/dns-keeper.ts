import { messageOf } from "../base/errors.ts";
import type { DnsSettings } from "./dns-file.ts";
import { applyDns, chooseDnsMethod, dnsStep, type DnsMethod } from "./dns-method.ts";
import { undoSteps } from "./undo.ts";
import type { UndoFile } from "./undo-file.ts";
import type { UndoStep } from "./undo-step.ts";

export interface DnsKeeperOptions {
  /** resolv.conf(5). */
  readonly path: string;
  readonly device: string;
  readonly account: string;
  readonly searchPath: string;
  readonly undo: UndoFile;
  readonly onWarning: (code: string, message: string) => void;
}

/** Keeps the machine asking the tunnel's name servers, from the first lease that names some until the end. */
export class DnsKeeper {
  readonly #options: DnsKeeperOptions;
  #method: DnsMethod | undefined;
  #step: UndoStep | undefined;
  #settings = "";

  constructor(options: DnsKeeperOptions) {
    this.#options = options;
  }

  /** Without servers, what was set stays: a lease that is lost comes back. */
  async set(settings: DnsSettings): Promise<void> {
    const text = JSON.stringify(settings);
    if (settings.servers.length === 0 || text === this.#settings) return;
    const { path, searchPath, undo, onWarning } = this.#options;
    try {
      const method = (this.#method ??= await chooseDnsMethod(path, searchPath));
      const was = this.#step;
      const step = dnsStep(method, this.#options, settings, was);
      undo.record(step);
      this.#step = step;
      await applyDns(method, step, settings);
      // While one file takes the other's place both records stand.
      if (was !== undefined) undo.forget(was);
      this.#settings = text;
    } catch (error) {
      onWarning("dns_failed", `Cannot set the name servers: ${messageOf(error)}`);
    }
  }

  async close(): Promise<void> {
    const { undo, searchPath, onWarning } = this.#options;
    const step = this.#step;
    if (step === undefined) return;
    this.#step = undefined;
    const failed = await undoSteps([step], { searchPath, onWarning });
    if (failed.length === 0) undo.forget(step);
  }
}
