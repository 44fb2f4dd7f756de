import { inTurn } from "../client/start-turn.ts";
import { findLeftovers, undoLeftover } from "../client/undo.ts";
import type { CommandEnvironment } from "./environment.ts";

/**
 * Takes back what a client that crashed left of routes, name servers and filters: of one account, or of all. False
 * where nothing was left. The next client that starts would do the same.
 */
export async function undoLeftovers(
  environment: CommandEnvironment,
  options: { readonly stateDir: string; readonly name: string | undefined; readonly json: boolean },
): Promise<boolean> {
  const { stateDir, name, json } = options;
  if (findLeftovers(stateDir, name).length === 0) return false;
  const deps = {
    searchPath: environment.variables["PATH"] ?? "",
    onWarning: (_code: string, message: string) => environment.stderr(`${message}\n`),
  };
  return inTurn(stateDir, environment.clock, async () => {
    const leftovers = findLeftovers(stateDir, name);
    for (const leftover of leftovers) {
      await undoLeftover(leftover, deps);
      const text = json
        ? JSON.stringify({ undone: leftover.name })
        : `${leftover.name} had ended without order; what it left is undone`;
      environment.stdout(`${text}\n`);
    }
    return leftovers.length > 0;
  });
}
