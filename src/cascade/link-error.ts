import { RefusedError, VpnError, WIRE_ERROR } from "../base/errors.ts";
import { refusalMeaning } from "../session/refusal.ts";

/** Why a cascade is not up: the number that tools know it by, our own code, and text for people. */
export interface LinkError {
  readonly number: number;
  readonly code: string;
  readonly message: string;
}

/** Numbers of protocol.md 8 for what this side finds out itself. */
const NUMBERS: Readonly<Record<string, number>> = {
  certificate: WIRE_ERROR.CERT_NOT_TRUSTED,
  certificate_changed: WIRE_ERROR.CERT_NOT_TRUSTED,
  not_vpn_server: WIRE_ERROR.SERVER_IS_NOT_VPN,
  protocol_error: WIRE_ERROR.PROTOCOL_ERROR,
  session_ended: WIRE_ERROR.DISCONNECTED,
  disconnected: WIRE_ERROR.DISCONNECTED,
  resolve_failed: WIRE_ERROR.CONNECT_FAILED,
  connect_failed: WIRE_ERROR.CONNECT_FAILED,
  tls_failed: WIRE_ERROR.CONNECT_FAILED,
  timeout: WIRE_ERROR.CONNECT_FAILED,
  self_loop: WIRE_ERROR.ACCESS_DENIED,
  proxy_connect_failed: WIRE_ERROR.PROXY_CONNECT_FAILED,
  proxy_error: WIRE_ERROR.PROXY_ERROR,
  proxy_auth_failed: WIRE_ERROR.PROXY_AUTH_FAILED,
};

export function describeLinkError(error: Error): LinkError {
  if (error instanceof RefusedError) {
    const { wireError, code } = error;
    return { number: wireError, code, message: refusalMeaning(wireError) };
  }
  const code = error instanceof VpnError ? error.code : "internal";
  return { number: NUMBERS[code] ?? WIRE_ERROR.INTERNAL_ERROR, code, message: error.message };
}
