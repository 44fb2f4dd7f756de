import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";

// Frames by hand between sessions of one hub, of either kind of server: who sends what, and who gets it.

const PEER = join(import.meta.dir, "frame-peer.ts");

export interface FramePlan {
  readonly host: string;
  readonly port: number;
  readonly hub: string;
  readonly password: string;
  readonly users: readonly string[];
  /** Source addresses that frames of the plan have, twelve hexadecimal digits: all others are passed over. */
  readonly stations: readonly string[];
  readonly rounds: readonly {
    readonly from: string;
    /** Hexadecimal. */
    readonly frames: readonly string[];
    /** Frames that all users together are to get. */
    readonly expected: number;
  }[];
}

export interface FrameReport {
  /** What each user got in each round, hexadecimal, in order. */
  readonly rounds: Record<string, string[]>[];
}

/** Opens the sessions from a namespace and lets them send. */
export async function exchange(at: Namespace, plan: FramePlan): Promise<FrameReport> {
  const file = join(at.world.directory, `${at.name}-plan.json`);
  writeFileSync(file, JSON.stringify(plan));
  const finished = await at.check([process.execPath, "run", PEER, file], { deadlineMs: 50_000 });
  return JSON.parse(finished.stdout) as FrameReport;
}
