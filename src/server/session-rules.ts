// What a hub demands of a session beside the proof of its user: hub.md 5.1 steps 3, 4, 7, 8 and 16.
import type { Admitted } from "../auth/verdict.ts";
import { WIRE_ERROR } from "../base/errors.ts";
import type { AdminLimits } from "../config/admin-limits.ts";
import type { HubOptions } from "../config/hub-options.ts";
import { hashUserPassword } from "../crypto/password.ts";
import type { Policy } from "../config/policy.ts";
import type { LoginRequest, SessionMode } from "../session/login.ts";

/** The policy that is left of a user's own within the limits of his hub (steps 4, 7 and 18). */
export function withinLimits(
  policy: Policy,
  { grants }: Admitted,
  { limits, options }: { readonly limits: AdminLimits; readonly options: HubOptions },
): Policy {
  const grantedVlan = options.AssignVLanIdByRadiusAttribute === 1 ? (grants?.vlanId ?? 0) : 0;
  return {
    ...policy,
    max_upload: lower(policy.max_upload, limits.max_bitrates_upload),
    max_download: lower(policy.max_download, limits.max_bitrates_download),
    multi_logins: lower(policy.multi_logins, limits.max_multilogins_per_user),
    no_bridge: policy.no_bridge || limits.deny_bridge === 1,
    no_routing: policy.no_routing || limits.deny_routing === 1,
    no_routing_v6: policy.no_routing_v6 || limits.deny_routing === 1,
    no_qos: policy.no_qos || limits.deny_qos === 1,
    vlan_id: policy.vlan_id || grantedVlan,
  };
}

/** The lower of two limits of which 0 is none. */
function lower(a: number, b: number): number {
  return a === 0 || b === 0 ? a + b : Math.min(a, b);
}

/** Whether anybody could have logged in so: without a password, or with an empty one (step 3). */
export function hasEmptyPassword({ account }: Admitted, { proof, user }: LoginRequest): boolean {
  if (account.verifier.kind === "anonymous") return true;
  if (proof.kind === "plain-password") return proof.password.length === 0;
  if (account.verifier.kind !== "password") return false;
  const empty = hashUserPassword(user, new Uint8Array(0));
  return Buffer.compare(account.verifier.hash, empty) === 0;
}

/** Error number for a client that this hub does not take, whoever its user is. */
export function barClient(
  request: LoginRequest,
  { grants, account }: Admitted,
  options: HubOptions,
): number | undefined {
  const isAskedOutside =
    account.verifier.kind === "outside" && account.verifier.authority === "radius";
  if (
    options.DenyAllRadiusLoginWithNoVlanAssign === 1 &&
    isAskedOutside &&
    grants?.vlanId === undefined
  ) {
    return WIRE_ERROR.ACCESS_DENIED;
  }
  // Servers and bridges have builds of their own.
  if (!/client/i.test(request.clientProduct)) return undefined;
  if (request.clientBuild < options.ClientMinimumRequiredBuild) return WIRE_ERROR.VERSION_INVALID;
  const isWanted = options.RequiredClientId === 0 || request.clientId === options.RequiredClientId;
  return isWanted ? undefined : WIRE_ERROR.CLIENT_ID_REQUIRED;
}

/** Sessions as the limits of a hub count them. */
export interface CountedSession {
  readonly mode: SessionMode;
  /** From this very machine: it counts as neither. */
  readonly isLocal: boolean;
}

/** Error number when no further session of this kind fits into the hub (step 16). */
export function checkRoom(
  sessions: Iterable<CountedSession>,
  next: CountedSession,
  { maxSessions, limits }: { readonly maxSessions: number; readonly limits: AdminLimits },
): number | undefined {
  const most = {
    all: lower(maxSessions, limits.max_sessions),
    client: limits.max_sessions_client_bridge_apply === 1 ? limits.max_sessions_client : 0,
    bridge: limits.max_sessions_client_bridge_apply === 1 ? limits.max_sessions_bridge : 0,
  };
  if (most.all === 0 && most.client === 0 && most.bridge === 0) return undefined;
  const count = { all: 0, client: 0, bridge: 0 };
  for (const session of sessions) {
    count.all += 1;
    if (!session.isLocal) count[sideOf(session)] += 1;
  }
  const isFull = (side: keyof typeof most) => most[side] > 0 && count[side] >= most[side];
  return isFull("all") || (!next.isLocal && isFull(sideOf(next)))
    ? WIRE_ERROR.HUB_IS_BUSY
    : undefined;
}

function sideOf({ mode }: CountedSession): "client" | "bridge" {
  return mode === "bridge" ? "bridge" : "client";
}
