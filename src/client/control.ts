import { chmodSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { EXIT, ExitError } from "../base/errors.ts";
import { prepareSocketPath } from "../platform/socket-path.ts";
import { askStatus, CONTROL_CALLS, controlPath, type ControlCall } from "./control-call.ts";
import type { ClientStatus } from "./status.ts";

// The socket of a running client: one JSON request a line, one JSON answer a line. A caller of `disconnect` waits
// for the end of the connection, which comes when everything is put away.

/** A request has 30 bytes. */
const MAX_REQUEST_BYTES = 4096;
/** People, scripts and monitoring at once. */
const MAX_CALLERS = 16;

export interface ControlHandlers {
  status(): ClientStatus;
  disconnect(): void;
}

export interface ControlSocket {
  /** Ends callers that wait for the end, and removes the socket. May be called twice. */
  close(): void;
}

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
  const place = prepareSocketPath(wanted, options.tempDir);
  const callers = new Set<Bun.Socket<Caller>>();
  const listener = Bun.listen<Caller>({
    unix: place.path,
    socket: {
      open(socket) {
        if (callers.size >= MAX_CALLERS) return void socket.terminate();
        socket.data = { line: "" };
        callers.add(socket);
      },
      data(socket, chunk) {
        socket.data.line += chunk.toString("utf8");
        for (let end; (end = socket.data.line.indexOf("\n")) >= 0;) {
          const line = socket.data.line.slice(0, end);
          socket.data.line = socket.data.line.slice(end + 1);
          const call = tryParseCall(line);
          socket.write(`${JSON.stringify(answer(call, handlers))}\n`);
          // Behind the answer: it may close the connection.
          if (call === "disconnect") handlers.disconnect();
        }
        if (socket.data.line.length > MAX_REQUEST_BYTES) socket.terminate();
      },
      close: (socket) => void callers.delete(socket),
      error: (socket) => void socket.terminate(),
    },
  });
  chmodSync(place.path, 0o600);
  return {
    close() {
      listener.stop();
      for (const socket of callers) socket.end();
      callers.clear();
      place.release();
    },
  };
}

interface Caller {
  /** What came of a line that has no end yet. */
  line: string;
}

function tryParseCall(line: string): ControlCall | undefined {
  try {
    const { call } = JSON.parse(line) as { call?: unknown };
    return CONTROL_CALLS.find((known) => known === call);
  } catch {
    return undefined;
  }
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
