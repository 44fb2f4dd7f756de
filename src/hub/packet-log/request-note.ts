// What a packet log says of a request of HTTP and of the greeting of TLS, as far as one segment shows it.
import { MAX_REQUEST_FIELD_CHARS } from "../../base/limits.ts";

/** `HttpMethod=GET HttpUrl=http://host/path ... `, or undefined if it is no request with a host. `text` is latin1. */
export function requestNote(text: string, port: number): string | undefined {
  const lines = text.split("\n");
  const words = (lines[0] ?? "")
    .replace(/\r$/, "")
    .split(/[ \t]+/)
    .filter(Boolean);
  const [method, path, protocol] = words;
  if (words.length !== 3 || path === undefined) return undefined;
  const headers = new Map<string, string>();
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(":");
    if (colon >= 0)
      headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  const host = headers.get("host") ?? "";
  if (host === "") return undefined;
  return fields({
    HttpMethod: method?.toUpperCase(),
    HttpUrl: urlOf(host, path, port),
    HttpProtocol: protocol,
    HttpReferer: headers.get("referer"),
    HttpUserAgent: headers.get("user-agent"),
  });
}

/** Likewise of a TLS greeting with a server name. */
export function helloNote(bytes: Uint8Array, port: number): string | undefined {
  const name = serverNameOf(bytes)?.trim();
  if (name === undefined || name === "") return undefined;
  const url = port === 443 ? `https://${name}/` : `https://${name}:${port}/`;
  return fields({ HttpMethod: "SSL_Connect", HttpUrl: url });
}

function urlOf(host: string, path: string, port: number): string {
  if (/^https?:\/\//i.test(path)) return path;
  return port === 80 ? `http://${host}${path}` : `http://${host}:${port}${path}`;
}

function fields(values: Readonly<Record<string, string | undefined>>): string {
  let note = "";
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== "") note += `${name}=${harmless(value)} `;
  }
  return note;
}

/** Printable, without commas, and without spaces but in URLs. */
function harmless(value: string): string {
  const shown = value
    .slice(0, MAX_REQUEST_FIELD_CHARS)
    .replace(/[^\x20-\x7e]/g, "?")
    .replaceAll(",", ".");
  return /^https?:/.test(value) ? shown : shown.replaceAll(" ", "_");
}

/** The server name of a ClientHello (RFC 8446 4.1.2, RFC 6066 3), even of one that goes on in the next segment. */
function serverNameOf(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = bytes.length;
  // Record header, handshake header, version and random, behind which the session id stands.
  let at = 43;
  if (end < at + 1 || bytes[5] !== 1 || bytes[6] !== 0 || bytes[9]! < 3) return undefined;
  at += 1 + bytes[at]!;
  if (at + 2 > end) return undefined;
  at += 2 + view.getUint16(at);
  if (at + 1 > end) return undefined;
  at += 1 + bytes[at]! + 2;
  while (at + 4 <= end) {
    const type = view.getUint16(at);
    const next = at + 4 + view.getUint16(at + 2);
    // List length, name type 0, name length.
    if (type === 0 && at + 9 <= end && bytes[at + 6] === 0) {
      const from = at + 9;
      const to = from + view.getUint16(at + 7);
      return to > end || to > next
        ? undefined
        : Buffer.from(bytes.subarray(from, to)).toString("latin1");
    }
    at = next;
  }
  return undefined;
}
