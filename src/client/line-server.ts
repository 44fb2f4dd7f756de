import { chmodSync } from "node:fs";
import { messageOf, VpnError } from "../base/errors.ts";
import { prepareSocketPath } from "../platform/socket-path.ts";

// A socket of this machine that answers requests of its owner: one JSON object a line, one JSON answer a line.

/** A request names a call and at most some accounts. */
const MAX_REQUEST_BYTES = 65_536;
/** People, scripts and monitoring at once. */
const MAX_CALLERS = 16;

export interface LineServer {
  /** Resolves when every request that came so far is answered. */
  answered(): Promise<void>;
  /** Ends callers that wait for the end, and removes the socket. May be called twice. */
  close(): void;
}

/** An answer, and what is done once it is on its way: that may close the server. */
export interface LineAnswer {
  readonly reply: object;
  readonly after?: () => void;
}

export type LineHandler = (
  request: Readonly<Record<string, unknown>>,
) => LineAnswer | Promise<LineAnswer>;

/** Listens at `wanted`, see `prepareSocketPath`; nobody else may listen there. */
export function openLineServer(wanted: string, tempDir: string, handle: LineHandler): LineServer {
  const place = prepareSocketPath(wanted, tempDir);
  const callers = new Set<Bun.Socket<Caller>>();
  const pending = new Set<Promise<void>>();
  const serve = async (socket: Bun.Socket<Caller>, line: string) => {
    const { reply, after } = await answer(line, handle);
    socket.write(`${JSON.stringify(reply)}\n`);
    after?.();
  };
  const take = (socket: Bun.Socket<Caller>, line: string) => {
    const served = serve(socket, line);
    pending.add(served);
    void served.finally(() => pending.delete(served));
  };
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
          take(socket, line);
        }
        if (socket.data.line.length > MAX_REQUEST_BYTES) socket.terminate();
      },
      close: (socket) => void callers.delete(socket),
      error: (socket) => void socket.terminate(),
    },
  });
  chmodSync(place.path, 0o600);
  return {
    answered: async () => void (await Promise.allSettled(pending)),
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

async function answer(line: string, handle: LineHandler): Promise<LineAnswer> {
  try {
    return await handle(parseRequest(line));
  } catch (error) {
    return { reply: errorReply(error) };
  }
}

/** What a caller is told of something that went wrong. */
export function errorReply(error: unknown): object {
  const code = error instanceof VpnError ? error.code : "internal";
  return { ok: false, error: { code, message: messageOf(error) } };
}

function parseRequest(line: string): Readonly<Record<string, unknown>> {
  try {
    const request: unknown = JSON.parse(line);
    if (typeof request === "object" && request !== null) return request as Record<string, unknown>;
  } catch {
    // No JSON is a request without a call, which is answered as such.
  }
  return {};
}
