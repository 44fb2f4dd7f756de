import { networkInterfaces } from "node:os";
import { messageOf, VpnError } from "../base/errors.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import { formatServerAddress } from "../config/remote.ts";
import { sessionStatus } from "../session/session-status.ts";
import type { SupervisorState } from "../session/supervisor.ts";
import type { ResolvedAccount } from "./account.ts";
import type { HostSettings } from "./host-settings.ts";
import type { ClientState, ClientStatus } from "./status.ts";

/** What a running client knows of itself. */
export interface ClientFacts {
  readonly resolved: ResolvedAccount;
  readonly processId: number;
  readonly startedAt: number;
  readonly mac: MacAddress;
  readonly isInsecure: boolean;
  readonly isStopping: boolean;
  readonly state: SupervisorState;
  readonly established: number;
  readonly host: HostSettings | undefined;
}

/** The same, for its socket and for those who look on. */
export function clientStatus(facts: ClientFacts): ClientStatus {
  const { resolved, state, host } = facts;
  const { account, nic } = resolved;
  return {
    account: resolved.name,
    pid: facts.processId,
    state: facts.isStopping ? "disconnecting" : stateName(state),
    startedAt: facts.startedAt,
    server: formatServerAddress(account),
    hub: account.hub,
    user: account.user,
    mode: account.mode,
    verify: account.verify.kind,
    insecure: facts.isInsecure,
    nic: nic.device,
    mac: formatMac(facts.mac),
    mtu: nic.mtu,
    addresses: addressesOf(nic.device),
    ...(host === undefined ? {} : { host: host.status() }),
    established: facts.established,
    ...(state.kind === "connected" ? { session: sessionStatus(state.open, state.since) } : {}),
    ...(state.kind === "retrying"
      ? { retry: { failures: state.failures, at: state.at, error: describeError(state.error) } }
      : {}),
  };
}

/** An error as events and statuses have it. */
export function describeError(error: unknown): { readonly code: string; readonly message: string } {
  return { code: error instanceof VpnError ? error.code : "internal", message: messageOf(error) };
}

function stateName(state: SupervisorState): ClientState {
  switch (state.kind) {
    case "dialing":
      return state.phase;
    case "connected":
    case "retrying":
      return state.kind;
    case "ended":
      return "disconnecting";
  }
}

/** What the kernel has for the interface, without link-local addresses: they tell nothing. */
function addressesOf(device: string): string[] {
  return (networkInterfaces()[device] ?? []).flatMap(({ cidr, address }) =>
    cidr === null || /^fe[89ab]/i.test(address) ? [] : [cidr],
  );
}
