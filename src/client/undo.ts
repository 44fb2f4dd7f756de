import { existsSync } from "node:fs";
import { messageOf, SystemError, VpnError } from "../base/errors.ts";
import { removeRule } from "../platform/ip-rule.ts";
import { isRunning } from "../platform/process-life.ts";
import { tryGetLink } from "../platform/link.ts";
import { restoreResolvConf } from "./dns-file.ts";
import { findNft, killSwitchRemoval, runNft, type TunnelPeer } from "./kill-switch.ts";
import { runProgram, tryFindProgram } from "./system-program.ts";
import type { UndoStep } from "./undo-step.ts";
import {
  keepLeftover,
  listUndoFiles,
  tryReadLeftover,
  undoPath,
  type Leftover,
} from "./undo-file.ts";

const ENOENT = 2;
const ESRCH = 3;

export interface UndoDeps {
  /** PATH of the environment. */
  readonly searchPath: string;
  /** Something could not be put back as it was. */
  readonly onWarning: (code: string, message: string) => void;
}

/** Takes steps back, the last one first. Gives those that failed, in their order; each has been warned of. */
export async function undoSteps(steps: readonly UndoStep[], deps: UndoDeps): Promise<UndoStep[]> {
  const failed: UndoStep[] = [];
  for (const step of steps.toReversed()) {
    try {
      await undo(step, deps);
    } catch (error) {
      deps.onWarning("undo_failed", `Cannot undo ${describe(step)}: ${messageOf(error)}`);
      failed.unshift(step);
    }
  }
  return failed;
}

/**
 * Takes back what processes left that ended without doing so, of all accounts in the state directory, and what this
 * account of `name` could not undo when it ended last. With `keepsKillSwitch` its switch stays up, since it is about to
 * be set again and nothing must slip out in between; the answer is whom that one lets us reach.
 */
export async function recover(
  stateDir: string,
  account: { readonly name: string; readonly keepsKillSwitch: boolean },
  deps: UndoDeps,
): Promise<readonly TunnelPeer[]> {
  const own = undoPath(stateDir, account.name);
  let peers: readonly TunnelPeer[] = [];
  for (const leftover of readAll(listUndoFiles(stateDir), deps)) {
    // Nobody else runs the account: its socket was free.
    if (leftover.path !== own && isRunning(leftover.owner)) continue;
    const isKept = (step: UndoStep) =>
      account.keepsKillSwitch && step.kind === "kill-switch" && leftover.path === own;
    const others = leftover.steps.filter((step) => !isKept(step));
    const switches = leftover.steps.filter(isKept);
    keepLeftover(leftover, [...(await undoSteps(others, deps)), ...switches]);
    for (const step of switches) if (step.kind === "kill-switch") peers = step.peers;
  }
  return peers;
}

/** What processes left that run no more, of one account or of all. */
export function findLeftovers(stateDir: string, name: string | undefined): Leftover[] {
  const paths = name === undefined ? listUndoFiles(stateDir) : [undoPath(stateDir, name)];
  return readAll(paths).filter((leftover) => !isRunning(leftover.owner));
}

function readAll(paths: readonly string[], deps?: Pick<UndoDeps, "onWarning">): Leftover[] {
  return paths
    .filter((path) => existsSync(path))
    .flatMap((path) => {
      const leftover = tryReadLeftover(path);
      if (leftover !== undefined) return [leftover];
      const message = `Cannot undo what a crash left: ${path} is not readable as a record of it`;
      deps?.onWarning("undo_unreadable", message);
      return [];
    });
}

/** Takes back all that was left; what fails is kept for the next try. */
export async function undoLeftover(leftover: Leftover, deps: UndoDeps): Promise<void> {
  keepLeftover(leftover, await undoSteps(leftover.steps, deps));
}

async function undo(step: UndoStep, { searchPath, onWarning }: UndoDeps): Promise<void> {
  switch (step.kind) {
    case "rule":
      return tolerate([ENOENT, ESRCH], () => removeRule(step.rule));
    case "kill-switch":
      return runNft(findNft(searchPath), killSwitchRemoval(step.table));
    case "resolved":
      // The settings of a link go with it.
      if (tryGetLink(step.device) === undefined) return;
      await runProgram([find("resolvectl", searchPath), "revert", step.device]);
      return;
    case "resolvconf":
      await runProgram([find("resolvconf", searchPath), "-d", step.record]);
      return;
    case "resolv.conf":
      if (restoreResolvConf(step)) return;
      onWarning("dns_changed", `${step.path} was changed by somebody else meanwhile: it stays so`);
  }
}

function find(program: string, searchPath: string): string {
  const found = tryFindProgram(program, searchPath);
  if (found !== undefined) return found;
  throw new VpnError("program_missing", `${program} is not installed`);
}

function tolerate(errnos: readonly number[], act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof SystemError) || !errnos.includes(error.errno)) throw error;
  }
}

function describe(step: UndoStep): string {
  switch (step.kind) {
    case "rule":
      return `routing rule ${step.rule.priority}`;
    case "kill-switch":
      return `the kill switch ${step.table}`;
    case "resolved":
    case "resolvconf":
      return "the name servers";
    case "resolv.conf":
      return `the change of ${step.path}`;
  }
}
