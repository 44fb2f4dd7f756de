import { chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf, VpnError } from "../base/errors.ts";
import { prepareSocketPath } from "../platform/socket-path.ts";
import type { ServerSnapshot } from "./snapshot.ts";

/** What the commands of this machine can ask a running server, by its Unix socket. */
export interface ControlRequests {
  snapshot(): ServerSnapshot;
  /** Reads the configuration anew and applies it; the changes, or an error and no change at all. */
  reload(): Promise<string[]>;
}

/** Name of the socket in the state directory (config-proposal.md 2.1). */
export const CONTROL_SOCKET = "admin.sock";

/**
 * Serves `GET /status` and `POST /reload` as JSON. Only the server's own user and root can open the socket.
 * Returns the function that closes it and removes its file.
 */
export function serveControl(stateDir: string, requests: ControlRequests): () => void {
  // The state directory is locked by us, so a socket file in it is a dead one's.
  const socket = prepareSocketPath(join(stateDir, CONTROL_SOCKET), tmpdir());
  const previous = process.umask(0o177);
  const serve = Bun.serve({
    unix: socket.path,
    maxRequestBodySize: 1024,
    routes: {
      "/status": { GET: () => Response.json(requests.snapshot()) },
      "/reload": {
        POST: async () => {
          try {
            return Response.json({ changes: await requests.reload() });
          } catch (error) {
            const code = error instanceof VpnError ? error.code : "internal_error";
            return Response.json({ error: { code, message: messageOf(error) } }, { status: 422 });
          }
        },
      },
    },
    fetch: () =>
      Response.json({ error: { code: "not_found", message: "No such path" } }, { status: 404 }),
  });
  process.umask(previous);
  chmodSync(socket.path, 0o600);
  return () => {
    void serve.stop(true);
    socket.release();
  };
}
