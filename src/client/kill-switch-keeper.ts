import { messageOf } from "../base/errors.ts";
import type { HostWatch } from "./host-watch.ts";
import { killSwitchScript, killSwitchTable, runNft, type TunnelPeer } from "./kill-switch.ts";
import { undoSteps, type UndoDeps } from "./undo.ts";
import type { UndoFile } from "./undo-file.ts";
import type { UndoStep } from "./undo-step.ts";

export interface KillSwitchOptions {
  /** The program. */
  readonly nft: string;
  readonly account: string;
  readonly device: string;
  readonly undo: UndoFile;
  readonly watch: HostWatch;
  readonly deps: UndoDeps;
}

/** Keeps the kill switch of an account up, from before its first connection until it ends. */
export class KillSwitch {
  readonly #options: KillSwitchOptions;
  readonly #table: string;
  /** One of a process that crashed may stand already. */
  #step: UndoStep | undefined;
  #peers: readonly TunnelPeer[] = [];
  #isWatched = false;

  constructor(options: KillSwitchOptions) {
    this.#options = options;
    this.#table = killSwitchTable(options.account.toLowerCase());
    this.#step = options.undo.steps.find(({ kind }) => kind === "kill-switch");
  }

  get isUp(): boolean {
    return this.#step !== undefined;
  }

  /** Lets these be reached, and nobody else. @throws VpnError `program_failed`: then do not connect */
  raise(peers: readonly TunnelPeer[]): void {
    const { undo } = this.#options;
    const was = this.#step;
    const step: UndoStep = { kind: "kill-switch", table: this.#table, peers };
    if (was === undefined) undo.record(step);
    else undo.exchange(was, step);
    this.#step = step;
    this.#peers = peers;
    this.#install();
    this.#watch();
  }

  async close(): Promise<void> {
    const { undo, deps } = this.#options;
    const step = this.#step;
    this.#step = undefined;
    if (step === undefined) return;
    const failed = await undoSteps([step], deps);
    if (failed.length === 0) undo.forget(step);
  }

  #install(): void {
    const { nft, device } = this.#options;
    runNft(nft, killSwitchScript(this.#table, device, this.#peers));
  }

  /** Who loads the machine's own rules anew, as nftables.service and its like do, flushes all tables. */
  #watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    const { watch, deps } = this.#options;
    watch.onFilterGone(this.#table, () => {
      if (this.#step === undefined) return;
      try {
        this.#install();
        deps.onWarning(
          "kill_switch_back",
          "The kill switch was deleted by somebody and is up again",
        );
      } catch (error) {
        deps.onWarning("kill_switch_failed", `The kill switch is down: ${messageOf(error)}`);
      }
    });
  }
}
