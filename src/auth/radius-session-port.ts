import {
  numberAttribute,
  RADIUS_ATTRIBUTE,
  taggedNumberAttribute,
} from "../wire/radius-attribute.ts";
import type { RadiusAttribute } from "../wire/radius.ts";

const SERVICE_FRAMED = 2;
const PORT_VIRTUAL = 5;
const TUNNEL_PPTP = 1;
const TUNNEL_OVER_IPV4 = 1;

/**
 * How requests and records describe the port that a session stands on (RFC 2865 5.6, 5.41; RFC 2868 3.1, 3.2): a
 * framed service on a virtual port. The tunnel's values are those that RADIUS servers of existing installations
 * expect (hub.md 9.3); there is no number for this protocol.
 */
export const SESSION_PORT: readonly RadiusAttribute[] = [
  numberAttribute(RADIUS_ATTRIBUTE.SERVICE_TYPE, SERVICE_FRAMED),
  numberAttribute(RADIUS_ATTRIBUTE.NAS_PORT_TYPE, PORT_VIRTUAL),
  taggedNumberAttribute(RADIUS_ATTRIBUTE.TUNNEL_TYPE, TUNNEL_PPTP),
  taggedNumberAttribute(RADIUS_ATTRIBUTE.TUNNEL_MEDIUM_TYPE, TUNNEL_OVER_IPV4),
];
