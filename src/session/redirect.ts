import { VpnError } from "../base/errors.ts";
import type { Pack } from "../wire/pack.ts";

/* Specification constants: protocol.md 10. */
export const TICKET_BYTES = 20;
const MAX_PORTS = 128;
/** Members that a client lets itself be sent on to, one after the other (robustness.md HS-19). */
export const MAX_REDIRECTS = 5;

/** Where a cluster's controller sends a client on to. */
export interface Redirect {
  readonly address: string;
  readonly port: number;
  /** Opens the session at the member in place of a proof. */
  readonly ticket: Uint8Array;
  /** DER of the certificate that the member must show. */
  readonly certificate: Uint8Array;
}

/**
 * Reads the redirect in a reply to a login; undefined if it is none.
 * @param at where the reply came from: its port is preferred, and a way back to it is a loop
 * @throws VpnError `redirect`: it leads nowhere, or to where it came from
 */
export function parseRedirect(
  pack: Pack,
  at: { readonly address: string; readonly port: number },
): Redirect | undefined {
  if (!pack.bool("Redirect")) return undefined;
  const address = pack.address("Ip");
  const ports: number[] = [];
  for (let i = 0; i < MAX_PORTS; i++) {
    const port = pack.int("Port", i);
    if (port === undefined) break;
    if (port > 0 && port <= 65_535) ports.push(port);
  }
  const port = ports.includes(at.port) ? at.port : ports[0];
  const ticket = pack.data("Ticket");
  const certificate = pack.data("Cert");
  if (
    address === undefined ||
    address === "0.0.0.0" ||
    port === undefined ||
    ticket?.length !== TICKET_BYTES ||
    certificate === undefined ||
    certificate.length === 0
  ) {
    throw new VpnError("redirect", "The server sends us on without telling where to");
  }
  if (address === at.address && port === at.port) {
    throw new VpnError("redirect", "The server sends us on to itself");
  }
  return { address, port, ticket: ticket.slice(), certificate: certificate.slice() };
}
