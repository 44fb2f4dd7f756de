// An answer in the name of a web server that tells to go elsewhere (hub.md 7.4).
import { createHash } from "node:crypto";
import type { FrameView } from "../frame-view.ts";
import { IP_PROTOCOL, TCP_FLAG } from "../frame-view.ts";
import { finishChecksum, internetChecksum, sumWords } from "../../wire/checksum.ts";

/** Who is redirected. */
export interface Redirected {
  readonly user: string;
  readonly session: string;
  /** The other end of his tunnel. */
  readonly address: string;
}

const INFO = /<INFO>/gi;
const URGENT = 0x20;
const PUSH = 0x08;
const TCP_BYTES = 20;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
/** What fits into one segment on every way that a frame may go. */
const MAX_PAYLOAD_BYTES = 1360;

/** Bytes of data in a TCP segment that can be answered; 0 for all other frames. Needs parse(). */
export function requestBytes(frame: FrameView): number {
  const flags = frame.tcpFlags;
  const wanted = TCP_FLAG.ACK | TCP_FLAG.SYN | TCP_FLAG.RST | URGENT;
  if (flags < 0 || (flags & wanted) !== TCP_FLAG.ACK) return 0;
  const { view, layer4At: at, layer4End } = frame;
  return Math.max(0, layer4End - at - (view.getUint8(at + 12) >>> 4) * 4);
}

/** The URL of a rule for one who meets it, at a time in milliseconds since 1970. */
export function redirectUrl(pattern: string, who: Redirected, wall: number): string {
  if (!new RegExp(INFO, "i").test(pattern)) return pattern;
  const bar = pattern.lastIndexOf("|");
  const url = bar < 0 ? pattern : pattern.slice(0, bar);
  const secret = bar < 0 ? "" : pattern.slice(bar + 1);
  // 2026-11-22T20:15:59.000Z to 20261122201559.
  const time = new Date(wall).toISOString().replace(/\D/g, "").slice(0, 14);
  const values = [who.user, who.session, who.address, time];
  if (secret !== "") {
    const digest = createHash("sha1")
      .update(`${values.join("|")}|${secret}`)
      .digest("hex");
    values.push(digest.toUpperCase());
  }
  const info = values.map(encodeURIComponent).join("|");
  return url.replace(INFO, () => info);
}

/** The answer to a request, a whole frame; undefined where there can be none. Needs parse(). */
export function redirectFrame(frame: FrameView, url: string): Uint8Array | undefined {
  const { view, start, layer3, layer3At, layer4At } = frame;
  const payload = httpAnswer(url);
  // Nobody can answer from a group address.
  if (payload === undefined || frame.isGroup || (layer3 !== "ipv4" && layer3 !== "ipv6"))
    return undefined;
  const request = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const ethernetBytes = layer3At - start;
  const ipBytes = layer3 === "ipv4" ? IPV4_BYTES : IPV6_BYTES;
  const answer = new Uint8Array(ethernetBytes + ipBytes + TCP_BYTES + payload.length);
  const out = new DataView(answer.buffer);
  answer.set(request.subarray(start + 6, start + 12), 0);
  answer.set(request.subarray(start, start + 6), 6);
  // The type, and tags before it.
  answer.set(request.subarray(start + 12, layer3At), 12);

  const at = ethernetBytes;
  const tcpLength = TCP_BYTES + payload.length;
  const [addressAt, addressBytes] = layer3 === "ipv4" ? [12, 4] : [8, 16];
  const source = layer3At + addressAt;
  const destination = source + addressBytes;
  answer.set(request.subarray(destination, destination + addressBytes), at + addressAt);
  answer.set(request.subarray(source, destination), at + addressAt + addressBytes);
  if (layer3 === "ipv4") {
    out.setUint8(at, 0x45);
    out.setUint16(at + 2, IPV4_BYTES + tcpLength);
    // Never fragmented, so it needs no identification (RFC 6864 4.1).
    out.setUint16(at + 6, 0x4000);
    out.setUint8(at + 8, 128);
    out.setUint8(at + 9, IP_PROTOCOL.TCP);
    out.setUint16(at + 10, internetChecksum(answer, at, at + IPV4_BYTES));
  } else {
    out.setUint8(at, 0x60);
    out.setUint16(at + 4, tcpLength);
    out.setUint8(at + 6, IP_PROTOCOL.TCP);
    out.setUint8(at + 7, 64);
  }

  const tcp = at + ipBytes;
  out.setUint16(tcp, view.getUint16(layer4At + 2));
  out.setUint16(tcp + 2, view.getUint16(layer4At));
  out.setUint32(tcp + 4, view.getUint32(layer4At + 8));
  const isLast = (frame.tcpFlags & TCP_FLAG.FIN) !== 0 ? 1 : 0;
  out.setUint32(tcp + 8, view.getUint32(layer4At + 4) + requestBytes(frame) + isLast);
  out.setUint8(tcp + 12, (TCP_BYTES / 4) << 4);
  out.setUint8(tcp + 13, TCP_FLAG.ACK | PUSH | TCP_FLAG.FIN);
  out.setUint16(tcp + 14, 0xffff);
  answer.set(payload, tcp + TCP_BYTES);
  const addresses = sumWords(answer, at + addressAt, at + addressAt + 2 * addressBytes);
  const sum = sumWords(answer, tcp, answer.length, addresses + IP_PROTOCOL.TCP + tcpLength);
  out.setUint16(tcp + 16, finishChecksum(sum));
  return answer;
}

/** Without the link in its page if that would be too long; undefined if it is too long even so. */
function httpAnswer(url: string): Uint8Array | undefined {
  const link = `<a href="${escapeHtml(url)}">here</a>`;
  for (const place of [link, "another address"]) {
    const page =
      "<!DOCTYPE html><html><head><title>Found elsewhere</title></head>" +
      `<body><p>This page is found ${place}.</p></body></html>\r\n`;
    const answer = new TextEncoder().encode(
      `HTTP/1.1 302 Found\r\nLocation: ${url}\r\nCache-Control: no-store\r\nConnection: close\r\n` +
        `Content-Type: text/html; charset=utf-8\r\nContent-Length: ${page.length}\r\n\r\n${page}`,
    );
    if (answer.length <= MAX_PAYLOAD_BYTES) return answer;
  }
  return undefined;
}

function escapeHtml(text: string): string {
  return text.replace(/[&"'<>]/g, (found) => `&#${found.charCodeAt(0)};`);
}
