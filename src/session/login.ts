import {
  MAX_CERTIFICATE_BYTES,
  MAX_NAME_CHARS,
  MAX_SIGNATURE_OF_LOGIN_BYTES,
} from "../base/limits.ts";
import { Pack } from "../wire/pack.ts";
import { WIRE_BUILD, WIRE_VERSION } from "./handshake.ts";
import { readStream, writeStream, type StreamOptions } from "./stream-options.ts";
import { readWish, writeWish, type UdpWish } from "./udp/elements.ts";
import { nodeInformation, type NodeInformation } from "./node-information.ts";

/* Specification constants: protocol.md 7.2. */
const AUTH_ANONYMOUS = 0;
const AUTH_HASHED_PASSWORD = 1;
const AUTH_PLAIN_PASSWORD = 2;
const AUTH_CERTIFICATE = 3;
const AUTH_TICKET = 99;

/** What a session asks to be (hub.md 5): a computer, a network behind it, or a witness of all frames. */
export type SessionMode = "client" | "bridge" | "monitor";

/** How a peer proves who it is. */
export type Proof =
  | { readonly kind: "anonymous" }
  /** SHA0(hashed password + challenge), 20 bytes unless somebody sends nonsense. */
  | { readonly kind: "hashed-password"; readonly secure: Uint8Array }
  | { readonly kind: "plain-password"; readonly password: Uint8Array }
  /** An X.509 certificate in DER, and its key's signature over the challenge (protocol.md 7.3). */
  | { readonly kind: "certificate"; readonly der: Uint8Array; readonly signature: Uint8Array }
  /** A type that we do not know or that is never good on the network: 96 to 99 among them. */
  | { readonly kind: "unsupported"; readonly authType: number };

/** The wishes and claims of a login (protocol.md 7), checked for form only. */
export interface LoginRequest {
  readonly hub: string;
  readonly user: string;
  readonly proof: Proof;
  readonly clientProduct: string;
  readonly clientVersion: number;
  readonly clientBuild: number;
  /** A number that an administrator may have given to the clients of his people; 0 for none. */
  readonly clientId: number;
  readonly stream: StreamOptions;
  readonly udp?: UdpWish | undefined;
  readonly wantsBridge: boolean;
  readonly wantsMonitor: boolean;
  /** Of the client's installation: sessions of one installation count once for the multi-login limit. */
  readonly installation: Uint8Array;
  readonly hostName: string;
  readonly osName: string;
}

/** Reads a login PACK; undefined when hub or user name is missing (error 4). */
export function parseLogin(pack: Pack): LoginRequest | undefined {
  const hub = pack.str("hubname");
  const user = pack.str("username");
  if (hub === undefined || user === undefined) return undefined;
  const clientProduct = cut(pack.str("client_str") ?? "");
  return {
    hub: cut(hub),
    user: cut(user),
    proof: parseProof(pack),
    clientProduct,
    clientVersion: pack.int("client_ver") ?? 0,
    clientBuild: pack.int("client_build") ?? 0,
    clientId: pack.int("client_id") ?? 0,
    stream: readStream(pack),
    udp: readWish(pack),
    // A server or bridge that logs in does so for the network behind it (protocol.md 7.1).
    wantsBridge: pack.bool("require_bridge_routing_mode") || /server|bridge/i.test(clientProduct),
    wantsMonitor: pack.bool("require_monitor_mode"),
    installation: pack.data("UniqueId")?.slice(0, 16) ?? new Uint8Array(16),
    hostName: cut(pack.str("ClientHostname") ?? ""),
    osName: cut(`${pack.str("ClientOsName") ?? ""} ${pack.str("ClientOsVer") ?? ""}`.trim()),
  };
}

function parseProof(pack: Pack): Proof {
  const authType = pack.int("authtype");
  switch (authType) {
    case undefined:
    case AUTH_ANONYMOUS:
      return { kind: "anonymous" };
    case AUTH_HASHED_PASSWORD:
      return { kind: "hashed-password", secure: pack.data("secure_password") ?? new Uint8Array(0) };
    case AUTH_PLAIN_PASSWORD:
      return {
        kind: "plain-password",
        password: pack.strBytes("plain_password")?.slice() ?? new Uint8Array(0),
      };
    case AUTH_CERTIFICATE:
      return {
        kind: "certificate",
        der: dataUpTo(pack, "cert", MAX_CERTIFICATE_BYTES),
        signature: dataUpTo(pack, "sign", MAX_SIGNATURE_OF_LOGIN_BYTES),
      };
    default:
      return { kind: "unsupported", authType };
  }
}

/** Empty, which proves nothing, when the element is missing or longer than anything good. */
function dataUpTo(pack: Pack, name: string, most: number): Uint8Array {
  const value = pack.data(name);
  return value === undefined || value.length > most ? new Uint8Array(0) : value.slice();
}

function cut(text: string): string {
  return text.length > MAX_NAME_CHARS ? text.slice(0, MAX_NAME_CHARS) : text;
}

/** A proof as a client gives it; a ticket is what a cluster's controller handed out (protocol.md 10). */
export type OutgoingProof =
  | Exclude<Proof, { kind: "unsupported" }>
  | { readonly kind: "ticket"; readonly ticket: Uint8Array };

/** A login as a client sends it. */
export interface OutgoingLogin {
  readonly hub: string;
  readonly user: string;
  readonly proof: OutgoingProof;
  readonly clientProduct: string;
  readonly stream: StreamOptions;
  readonly udp?: UdpWish | undefined;
  readonly mode: SessionMode;
  /** 20 bytes that stay the same for this host. */
  readonly hostKey: Uint8Array;
  readonly node: NodeInformation;
}

export function encodeLogin(login: OutgoingLogin): Pack {
  const pack = new Pack()
    .setStr("method", "login")
    .setStr("hubname", login.hub)
    .setStr("username", login.user);
  switch (login.proof.kind) {
    case "anonymous":
      pack.setInt("authtype", AUTH_ANONYMOUS);
      break;
    case "hashed-password":
      pack.setInt("authtype", AUTH_HASHED_PASSWORD).setData("secure_password", login.proof.secure);
      break;
    case "plain-password":
      pack
        .setInt("authtype", AUTH_PLAIN_PASSWORD)
        .setStrBytes("plain_password", login.proof.password);
      break;
    case "certificate":
      pack
        .setInt("authtype", AUTH_CERTIFICATE)
        .setData("cert", login.proof.der)
        .setData("sign", login.proof.signature);
      break;
    case "ticket":
      pack.setInt("authtype", AUTH_TICKET).setData("ticket", login.proof.ticket);
      break;
  }
  pack
    .setStr("client_str", login.clientProduct)
    .setInt("client_ver", WIRE_VERSION)
    .setInt("client_build", WIRE_BUILD)
    .setInt("protocol", 0)
    .setStr("hello", login.clientProduct)
    .setInt("version", WIRE_VERSION)
    .setInt("build", WIRE_BUILD)
    .setInt("client_id", 0)
    .setBool("require_bridge_routing_mode", login.mode === "bridge")
    .setBool("require_monitor_mode", login.mode === "monitor")
    .setData("unique_id", login.hostKey);
  if (login.udp !== undefined) writeWish(pack, login.udp);
  return nodeInformation(writeStream(pack, login.stream), login.node);
}
