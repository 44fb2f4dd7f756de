import { chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf, VpnError } from "../base/errors.ts";
import { tryParseAddress, tryParseIpv4 } from "../base/ip.ts";
import { tryParseMac } from "../base/mac.ts";
import { prepareSocketPath } from "../platform/socket-path.ts";
import type { CascadeStatus } from "../cascade/cascade-status.ts";
import type { L3SwitchDetail, L3SwitchStatus } from "../l3-switch/l3-status.ts";
import type { LeaseSnapshot, NatEntrySnapshot, NatTarget } from "./nat-snapshot.ts";
import type { TableEntry } from "./hub-tables.ts";
import type { UserSnapshot } from "./hub-users.ts";
import type { ServerSnapshot } from "./snapshot.ts";

/** What the commands of this machine can ask a running server, by its Unix socket. */
export interface ControlRequests {
  snapshot(): ServerSnapshot;
  /** Reads the configuration anew and applies it; the changes, or an error and no change at all. */
  reload(): Promise<string[]>;
  /** How the cascade stands then; an error where there is none of these names. */
  setCascadeOnline(hub: string, name: string, online: boolean): CascadeStatus;
  /** A layer 3 switch with its neighbours; an error where there is none of this name. */
  l3Switch(name: string): L3SwitchDetail;
  /** How the layer 3 switch stands then; an error where there is none of this name. */
  setL3SwitchRunning(name: string, running: boolean): L3SwitchStatus;
  /** Takes an entry out of a table of a hub; an error where either is not there. */
  removeEntry(hub: string, entry: TableEntry): void;
  /** The users of a hub; an error where that is not there. */
  users(hub: string): UserSnapshot[];
  /** Of the SecureNAT of a hub; an error where there is none. */
  readonly nat: NatRequests;
}

export interface NatRequests {
  table(hub: string): readonly NatEntrySnapshot[];
  leases(hub: string): readonly LeaseSnapshot[];
  /** An error where the entry is not there. */
  remove(hub: string, target: NatTarget): void;
}

/** Name of the socket in the state directory (config-proposal.md 2.1). */
export const CONTROL_SOCKET = "admin.sock";

/**
 * Serves `GET /status`, `POST /reload` and the like as JSON. Only the server's own user and root can open the socket.
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
        POST: () => answer(async () => ({ changes: await requests.reload() })),
      },
      "/cascade": {
        POST: (request: Request) => answer(() => setCascadeOnline(request, requests)),
      },
      "/l3": {
        GET: (request: Request) => answer(() => requests.l3Switch(nameOf(request))),
        POST: (request: Request) => answer(() => setL3SwitchRunning(request, requests)),
      },
      "/users": {
        GET: (request: Request) => answer(() => requests.users(hubOf(request))),
      },
      "/nat/table": {
        GET: (request: Request) => answer(() => requests.nat.table(hubOf(request))),
      },
      "/nat/leases": {
        GET: (request: Request) => answer(() => requests.nat.leases(hubOf(request))),
      },
      "/nat": {
        DELETE: (request: Request) => answer(() => removeOfNat(request, requests.nat)),
      },
      "/table": {
        DELETE: (request: Request) => answer(() => removeEntry(request, requests)),
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

async function answer(work: () => unknown): Promise<Response> {
  try {
    return Response.json(await work());
  } catch (error) {
    const code = error instanceof VpnError ? error.code : "internal_error";
    return Response.json({ error: { code, message: messageOf(error) } }, { status: 422 });
  }
}

function hubOf(request: Request): string {
  return new URL(request.url).searchParams.get("hub") ?? "";
}

function nameOf(request: Request): string {
  return new URL(request.url).searchParams.get("name") ?? "";
}

/** `/nat?hub=HUB&id=N` and `/nat?hub=HUB&address=ADDRESS`. */
function removeOfNat(request: Request, requests: NatRequests): object {
  const { searchParams: asked } = new URL(request.url);
  const id = Number(asked.get("id"));
  const address = tryParseIpv4(asked.get("address") ?? "");
  if (id > 0) requests.remove(hubOf(request), { kind: "entry", id });
  else if (address !== undefined) requests.remove(hubOf(request), { kind: "lease", address });
  else throw new VpnError("invalid_request", "Neither a NAT entry nor a lease is named");
  return {};
}

/** `/table?hub=HUB&mac=MAC&vlan=N` and `/table?hub=HUB&ip=ADDRESS`. */
function removeEntry(request: Request, requests: ControlRequests): object {
  const { searchParams: asked } = new URL(request.url);
  const mac = tryParseMac(asked.get("mac") ?? "");
  const address = tryParseAddress(asked.get("ip") ?? "");
  const hub = asked.get("hub") ?? "";
  if (mac !== undefined)
    requests.removeEntry(hub, { kind: "mac", mac, vlan: Number(asked.get("vlan")) });
  else if (address !== undefined) requests.removeEntry(hub, { kind: "ip", address });
  else throw new VpnError("invalid_request", "Neither a MAC nor an IP address is named");
  return {};
}

/** `/l3?name=NAME&running=true`. */
function setL3SwitchRunning(request: Request, requests: ControlRequests): L3SwitchStatus {
  const { searchParams: asked } = new URL(request.url);
  return requests.setL3SwitchRunning(nameOf(request), asked.get("running") === "true");
}

/** `/cascade?hub=HUB&name=NAME&online=true`. */
function setCascadeOnline(request: Request, requests: ControlRequests): CascadeStatus {
  const { searchParams: asked } = new URL(request.url);
  const online = asked.get("online") === "true";
  return requests.setCascadeOnline(asked.get("hub") ?? "", asked.get("name") ?? "", online);
}
