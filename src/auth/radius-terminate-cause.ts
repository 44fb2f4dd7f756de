import { numberAttribute, RADIUS_ATTRIBUTE } from "../wire/radius-attribute.ts";
import type { RadiusAttribute } from "../wire/radius.ts";

/** Values of Acct-Terminate-Cause (RFC 2866 5.10) by the codes that sessions close with. */
const CAUSES: Readonly<Record<string, number>> = {
  peer_left: 1,
  client_gone: 1,
  connection_lost: 2,
  timeout: 2,
  no_progress: 2,
  idle_timeout: 4,
  session_timeout: 5,
  auto_disconnect: 5,
  user_expired: 5,
  certificate_expired: 5,
  user_removed: 6,
  credential_changed: 6,
  certificate_revoked: 6,
  monitor_mode_denied: 6,
  hub_offline: 6,
  hub_removed: 6,
  hub_closed: 6,
  server_stopping: 7,
};
const USER_ERROR = 17;

/** Acct-Terminate-Cause; all that is not in the table is something that the client did wrong. */
export function terminateCause(code: string): RadiusAttribute {
  return numberAttribute(RADIUS_ATTRIBUTE.ACCT_TERMINATE_CAUSE, CAUSES[code] ?? USER_ERROR);
}
