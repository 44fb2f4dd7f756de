import type { Clock } from "../base/clock.ts";
import { EXIT, ExitError } from "../base/errors.ts";
import { askStatus, CONTROL_CALLS, controlPath, type ControlCall } from "./control-call.ts";
import { openLineServer, type LineServer } from "./line-server.ts";
import type { ClientStatus } from "./status.ts";

// The socket of a running client: one JSON request a line, one JSON answer a line. A caller of `disconnect` waits
// for the end of the connection, which comes when everything is put away.

export interface ControlHandlers {
  status(): ClientStatus;
  disconnect(): void;
}

export type ControlSocket = LineServer;

/**
 * Answers on the socket of `name` in the state directory.
 * @throws ExitError 75 where a client of that name runs already.
 */
export async function openControl(
  options: { stateDir: string; tempDir: string; name: string; clock: Clock },
  handlers: ControlHandlers,
): Promise<ControlSocket> {
  const wanted = controlPath(options.stateDir, options.name);
  const running = await askStatus(wanted, options.clock);
  if (running !== undefined) {
    throw new ExitError(
      EXIT.temporary,
      `"${options.name}" is connected already (process ${running.pid}); ` +
        `to end it: vpn client disconnect ${shellWord(options.name)}`,
    );
  }
  return openLineServer(wanted, options.tempDir, (request) => {
    const call = CONTROL_CALLS.find((known) => known === request["call"]);
    const reply = answer(call, handlers);
    return call === "disconnect" ? { reply, after: () => handlers.disconnect() } : { reply };
  });
}

function answer(call: ControlCall | undefined, handlers: ControlHandlers): object {
  switch (call) {
    case "status":
      return { ok: true, result: handlers.status() };
    case "disconnect":
      return { ok: true, result: null };
    case undefined: {
      const message = `A request is {"call": ...} with one of ${CONTROL_CALLS.join(", ")}`;
      return { ok: false, error: { code: "unknown_call", message } };
    }
  }
}

/** The text as one word of a shell. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
