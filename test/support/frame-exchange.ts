import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { until } from "./process.ts";

// Frames by hand between sessions of one hub, of either kind of server: who sends what, and who gets it.

const PEER = join(import.meta.dir, "frame-peer.ts");

export interface FramePlan {
  readonly host: string;
  readonly port: number;
  readonly hub: string;
  readonly password: string;
  readonly users: readonly string[];
  /** Those of them who ask for client mode; the others for bridge mode. */
  readonly clients?: readonly string[];
  /** Those of them whom the server asks somebody else about: their password goes as it is. */
  readonly plain?: readonly string[];
  /** Source addresses that frames of the plan have, twelve hexadecimal digits: all others are passed over. */
  readonly stations: readonly string[];
  /** A frame that the first user sends until all others have heard it: a session may be open before its port is there. */
  readonly hello?: string;
  readonly rounds: readonly {
    readonly from: string;
    /** Hexadecimal. */
    readonly frames: readonly string[];
    /** Frames that all users together are to get. */
    readonly expected: number;
  }[];
  /** A file: the sessions stay until it is there. */
  readonly stayUntil?: string;
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

/** As exchange(), and then looks at the server while the sessions are still there. */
export async function exchangeAndLook<T>(
  at: Namespace,
  plan: FramePlan,
  look: () => Promise<T>,
): Promise<{ readonly report: FrameReport; readonly seen: T }> {
  const file = join(at.world.directory, `${at.name}-plan.json`);
  const stayUntil = join(at.world.directory, `${at.name}-done`);
  writeFileSync(file, JSON.stringify({ ...plan, stayUntil }));
  const running = at.spawn([process.execPath, "run", PEER, file]);
  const line = await until("the frames to be exchanged", () => running.lines.stdout[0], {
    deadlineMs: 50_000,
    explain: () => running.output(),
  });
  const seen = await look();
  writeFileSync(stayUntil, "");
  await running.ended(10_000);
  return { report: JSON.parse(line) as FrameReport, seen };
}
