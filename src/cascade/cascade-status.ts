import type { CascadeConfig } from "../config/cascade-shape.ts";
import { formatServerAddress } from "../config/remote.ts";
import type { CounterRecord } from "../hub/port-counters.ts";
import type { DialPhase } from "../session/dial-target.ts";
import { sessionStatus, type SessionStatus } from "../session/session-status.ts";
import type { SupervisorState } from "../session/supervisor.ts";
import type { LinkPort } from "./cascade.ts";
import { describeLinkError, type LinkError } from "./link-error.ts";

/** How a cascade stands, as plain JSON. Times are ISO 8601. */
export interface CascadeStatus {
  readonly name: string;
  /** Meant to be up. */
  readonly online: boolean;
  readonly state: "offline" | DialPhase | "connected" | "retrying";
  /** The same in the words of the reference (hub.md 13), for lists. */
  readonly status: string;
  readonly server: string;
  readonly hub: string;
  readonly user: string;
  readonly verify: string;
  /** The server's certificate is not looked at. */
  readonly insecure: boolean;
  /** Sessions that stood since the cascade was put online. */
  readonly established: number;
  /** Since when the present session stands; null without one. */
  readonly since: string | null;
  /** The session at this side, SID-LINK-7; null without one. */
  readonly port: string | null;
  /** The session as the far server has it. */
  readonly session: Omit<SessionStatus, "connectedAt"> | null;
  /** What passed between the hub here and the link. */
  readonly traffic: CounterRecord | null;
  /** The last failure since the last session stood. */
  readonly error: LinkError | null;
  readonly retry: { readonly failures: number; readonly at: string } | null;
}

export interface CascadeFacts {
  readonly state: SupervisorState;
  readonly established: number;
  readonly lastError: Error | undefined;
  readonly port: LinkPort | undefined;
}

/** @param facts undefined while the cascade is offline */
export function cascadeStatus(
  config: CascadeConfig,
  facts: CascadeFacts | undefined,
): CascadeStatus {
  const state = facts?.state ?? { kind: "ended" };
  const error = facts?.lastError === undefined ? null : describeLinkError(facts.lastError);
  return {
    name: config.name,
    online: facts !== undefined,
    state: stateName(state),
    status: statusText(state, error),
    server: formatServerAddress(config),
    hub: config.hub,
    user: config.user,
    verify: config.verify.kind,
    insecure: config.verify.kind === "off",
    established: facts?.established ?? 0,
    since: state.kind === "connected" ? new Date(state.since).toISOString() : null,
    port: facts?.port?.name ?? null,
    session: state.kind === "connected" ? farSession(state) : null,
    traffic: facts?.port?.traffic() ?? null,
    error,
    retry:
      state.kind === "retrying"
        ? { failures: state.failures, at: new Date(state.at).toISOString() }
        : null,
  };
}

function farSession({ open, since }: Extract<SupervisorState, { kind: "connected" }>) {
  const { connectedAt: _, ...session } = sessionStatus(open, since);
  return session;
}

function stateName(state: SupervisorState): CascadeStatus["state"] {
  switch (state.kind) {
    case "dialing":
      return state.phase;
    case "connected":
    case "retrying":
      return state.kind;
    case "ended":
      return "offline";
  }
}

/** A failure shows until a session stands again. */
function statusText(state: SupervisorState, error: LinkError | null): string {
  if (state.kind === "connected") return "Online (Established)";
  if (error !== null) return `Error ${error.number}: ${error.message}`;
  return state.kind === "ended" ? "Offline (Stopped)" : "Connecting";
}
