import { createHash } from "node:crypto";
import { VpnError } from "../base/errors.ts";
import { MAX_SIGNATURE_BYTES, WATERMARK_BYTES } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import { encodeHttp, type HttpHead } from "../transport/http-message.ts";
import { Pack } from "../wire/pack.ts";

/* Specification constants: protocol.md 2.4, 3, 6. */

export const SIGNATURE_PATH = "/vpnsvc/connect.cgi";
export const PACK_PATH = "/vpnsvc/vpn.cgi";
const SIGNATURE_TYPE = "image/jpeg";
const PACK_TYPE = "application/octet-stream";
const SHORT_SIGNATURE = new TextEncoder().encode("VPNCONNECT");
/** The long signature is a picture; its hash recognises it without carrying it. */
const WATERMARK_SHA256 = "96a706bbab378ec37dfef21e02b1a3c177fbebeffa039eb0efac918630df12a0";
export const CHALLENGE_BYTES = 20;
/** Values of the int `noop`, which is no message of the conversation: a wish for an answer, and an answer (3.6). */
export const NOOP = { ASKING: 1, ANSWERING: 2 } as const;

/** Who we are on the wire. Peers judge by words in the names and by the numbers (config-proposal.md 8). */
export const SERVER_PRODUCT = "Patchbay VPN Server";
export const CLIENT_PRODUCT = "Patchbay VPN Client";
/** Of a hub that dials out: a server's, and that of a bridge. The words in them ask for bridge mode (protocol.md 7.1). */
export const CASCADE_PRODUCT = "Patchbay VPN Server (Cascade Mode)";
export const BRIDGE_CASCADE_PRODUCT = "Patchbay VPN Bridge (Cascade Mode)";
export const WIRE_VERSION = 502;
export const WIRE_BUILD = 9700;

export type SignatureVerdict = "good" | "wrong_length" | "wrong_content";

/** Judges the body of the signature request. */
export function checkSignature(body: Uint8Array): SignatureVerdict {
  if (body.length === SHORT_SIGNATURE.length) {
    return Buffer.compare(body, SHORT_SIGNATURE) === 0 ? "good" : "wrong_content";
  }
  if (body.length < WATERMARK_BYTES || body.length > MAX_SIGNATURE_BYTES) return "wrong_length";
  const hash = createHash("sha256").update(body.subarray(0, WATERMARK_BYTES)).digest("hex");
  return hash === WATERMARK_SHA256 ? "good" : "wrong_content";
}

export interface Hello {
  readonly product: string;
  readonly version: number;
  readonly build: number;
  /** The challenge of this connection, CHALLENGE_BYTES long. */
  readonly random: Uint8Array;
}

export function encodeHello(hello: Hello): Pack {
  return new Pack()
    .setStr("hello", hello.product)
    .setInt("version", hello.version)
    .setInt("build", hello.build)
    .setData("random", hello.random);
}

/** @throws VpnError `not_vpn_server` when the answer is no hello. */
export function parseHello(pack: Pack): Hello {
  const product = pack.str("hello");
  const random = pack.data("random");
  if (product === undefined || random?.length !== CHALLENGE_BYTES) {
    throw new VpnError("not_vpn_server", "The server did not greet as a VPN server does");
  }
  return { product, version: pack.int("version") ?? 0, build: pack.int("build") ?? 0, random };
}

/** The signature request, in its short form. */
export function signatureRequest(host: string): Uint8Array {
  return encodeHttp(
    `POST ${SIGNATURE_PATH} HTTP/1.1`,
    { Host: host, "Content-Type": SIGNATURE_TYPE, Connection: "Keep-Alive" },
    SHORT_SIGNATURE,
  );
}

/** A PACK in a request; filler blurs its size (protocol.md 3.3, 3.5). */
export function packRequest(
  host: string,
  pack: Pack,
  deps: { random: Random; wall: number },
): Uint8Array {
  return encodeHttp(
    `POST ${PACK_PATH} HTTP/1.1`,
    {
      Date: new Date(deps.wall).toUTCString(),
      Host: host,
      "Keep-Alive": "timeout=15; max=19",
      Connection: "Keep-Alive",
      "Content-Type": PACK_TYPE,
    },
    pack.addFiller(deps.random).encode(),
  );
}

/** A PACK in a reply (protocol.md 3.4). */
export function packReply(pack: Pack, deps: { random: Random; wall: number }): Uint8Array {
  return encodeHttp(
    "HTTP/1.1 200 OK",
    {
      Date: new Date(deps.wall).toUTCString(),
      "Keep-Alive": "timeout=15; max=19",
      Connection: "Keep-Alive",
      "Content-Type": PACK_TYPE,
    },
    pack.addFiller(deps.random).encode(),
  );
}

/** True for the head of a request that carries a PACK in the form that servers demand (protocol.md 3.3). */
export function isPackRequest(head: HttpHead): boolean {
  return (
    head.first.toUpperCase() === "POST" &&
    head.second.toLowerCase() === PACK_PATH &&
    head.third === "HTTP/1.1" &&
    (head.fields.get("content-type") ?? "").toLowerCase() === PACK_TYPE
  );
}

/** True for a PACK that only says that its sender is there; kind 1 wants an answer from a server. */
export function isNoop(pack: Pack): boolean {
  const noop = pack.int("noop");
  return noop === NOOP.ASKING || noop === NOOP.ANSWERING;
}

/** True for the head of a reply that carries a PACK (protocol.md 3.4). */
export function isPackReply(head: HttpHead): boolean {
  return (
    head.first === "HTTP/1.1" &&
    head.second === "200" &&
    (head.fields.get("content-type") ?? "").toLowerCase() === PACK_TYPE
  );
}
