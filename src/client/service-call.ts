import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { callSocket } from "./control-call.ts";

// How commands talk to the service of their user: `vpn client service`.

export const SERVICE_CALLS = ["up", "down"] as const;
export type ServiceCall = (typeof SERVICE_CALLS)[number];

/** Making and ending adapters takes some seconds each where the machine is busy. */
const ANSWER_MS = 60_000;

/** No account has this socket: a dot never stands for itself in theirs. */
export function servicePath(stateDir: string): string {
  return join(stateDir, ".service.sock");
}

/**
 * Names of the accounts that were started or ended. Undefined where no service runs. @throws VpnError `control_failed` with what the service answered
 */
export async function askService(
  stateDir: string,
  call: ServiceCall,
  names: readonly string[],
  clock: Clock,
): Promise<string[] | undefined> {
  const limits = { limitMs: ANSWER_MS, clock };
  const found = await callSocket(servicePath(stateDir), { call, names }, limits);
  return Array.isArray(found) ? found.map(String) : undefined;
}
