import { formatAddress, unmapV4 } from "../../base/ip.ts";

/* Specification constants: protocol.md 17.6. */
const PORT_MARK = new TextEncoder().encode("NATT_MY_PORT");
const IP_MARK = new TextEncoder().encode("NATT_MY_IP");

/** How the peer's UDP socket looks from the Internet, as far as it knows. */
export interface NattNote {
  readonly port: number | undefined;
  readonly ip: string | undefined;
}

/** Reads what a peer says of itself at the beginning of a keep-alive; both absent where it says nothing. */
export function readNattNote(body: Uint8Array): NattNote {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  let port: number | undefined;
  let ip: string | undefined;
  if (startsWith(body, at, PORT_MARK) && body.length >= PORT_MARK.length + 2) {
    port = view.getUint16(PORT_MARK.length);
    at = PORT_MARK.length + 2;
  }
  if (startsWith(body, at, IP_MARK) && body.length >= at + IP_MARK.length + 16) {
    at += IP_MARK.length;
    ip = formatAddress(unmapV4({ family: 6, bytes: body.subarray(at, at + 16) }).bytes);
  }
  return { port, ip };
}

function startsWith(body: Uint8Array, at: number, mark: Uint8Array): boolean {
  return body.length >= at + mark.length && mark.every((octet, n) => body[at + n] === octet);
}
