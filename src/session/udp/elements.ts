import { tryParseAddress } from "../../base/ip.ts";
import type { Pack } from "../../wire/pack.ts";
import { LEGACY_BYTES } from "./legacy-codec.ts";

// The elements of login and welcome that agree upon UDP acceleration (protocol.md 17.2, 17.3).

/* Specification constants. */
export const LEGACY_KEY_BYTES = LEGACY_BYTES;
export const KEY_BYTES = 128;
const HIGHEST_VERSION = 2;

/** The key of each version, for one direction. */
export interface DirectionKeys {
  readonly legacy: Uint8Array;
  readonly sealed: Uint8Array | undefined;
}

/** What a client says of its end. */
export interface UdpWish {
  readonly version: 1 | 2;
  readonly ip: string;
  readonly port: number;
  readonly keys: DirectionKeys;
  readonly isFast: boolean;
}

/** What a server says of its end, and how the way is to be used. */
export interface UdpGrant extends UdpWish {
  /** Of datagrams to the server, and of those to the client. */
  readonly serverCookie: number;
  readonly clientCookie: number;
  readonly isEncrypted: boolean;
}

const ZERO_IP = "0.0.0.0";

/** True for an address that means nothing to another machine; in its place zeros are sent. */
function isLoopback(ip: string): boolean {
  const address = tryParseAddress(ip);
  if (address === undefined) return false;
  return address.family === 4 ? address.bytes[0] === 127 : ip === "::1";
}

function reportedIp(ip: string): string {
  if (!isLoopback(ip)) return ip;
  return ip.includes(":") ? "::" : ZERO_IP;
}

export function writeWish(pack: Pack, wish: UdpWish): Pack {
  pack
    .setBool("use_udp_acceleration", true)
    .setInt("udp_acceleration_version", 1)
    .setInt("udp_acceleration_max_version", wish.version)
    .setAddress("udp_acceleration_client_ip", reportedIp(wish.ip))
    .setInt("udp_acceleration_client_port", wish.port)
    .setData("udp_acceleration_client_key", wish.keys.legacy)
    .setBool("support_hmac_on_udp_acceleration", true)
    .setBool("support_udp_accel_fast_disconnect_detect", wish.isFast);
  if (wish.keys.sealed !== undefined) {
    pack.setData("udp_acceleration_client_key_v2", wish.keys.sealed);
  }
  return pack;
}

/** Undefined for a login that does not wish for it, or not in a form that it could be granted in. */
export function readWish(pack: Pack): UdpWish | undefined {
  if (!pack.bool("use_udp_acceleration")) return undefined;
  const port = pack.int("udp_acceleration_client_port") ?? 0;
  const highest = pack.int("udp_acceleration_max_version") ?? 1;
  const keys = readKeys(pack, "udp_acceleration_client_key");
  const version = highest >= HIGHEST_VERSION && keys?.sealed !== undefined ? 2 : 1;
  if (keys === undefined || port < 1 || port > 65_535) return undefined;
  return {
    version,
    ip: pack.address("udp_acceleration_client_ip") ?? ZERO_IP,
    port,
    keys,
    isFast: pack.bool("support_udp_accel_fast_disconnect_detect"),
  };
}

export function writeGrant(pack: Pack, grant: UdpGrant): Pack {
  pack
    .setBool("use_udp_acceleration", true)
    .setInt("udp_acceleration_version", grant.version)
    .setAddress("udp_acceleration_server_ip", reportedIp(grant.ip))
    .setInt("udp_acceleration_server_port", grant.port)
    .setData("udp_acceleration_server_key", grant.keys.legacy)
    .setInt("udp_acceleration_server_cookie", grant.serverCookie)
    .setInt("udp_acceleration_client_cookie", grant.clientCookie)
    .setBool("udp_acceleration_use_encryption", grant.isEncrypted)
    .setBool("use_hmac_on_udp_acceleration", true)
    .setBool("udp_accel_fast_disconnect_detect", grant.isFast);
  if (grant.keys.sealed !== undefined) {
    pack.setData("udp_acceleration_server_key_v2", grant.keys.sealed);
  }
  return pack;
}

/** Undefined for a welcome that does not grant it, or not in a form that it could be used in. */
export function readGrant(pack: Pack): UdpGrant | undefined {
  if (!pack.bool("use_udp_acceleration")) return undefined;
  const port = pack.int("udp_acceleration_server_port") ?? 0;
  const keys = readKeys(pack, "udp_acceleration_server_key");
  const version = (pack.int("udp_acceleration_version") ?? 1) >= HIGHEST_VERSION ? 2 : 1;
  const serverCookie = pack.int("udp_acceleration_server_cookie") ?? 0;
  const clientCookie = pack.int("udp_acceleration_client_cookie") ?? 0;
  if (keys === undefined || (version === 2 && keys.sealed === undefined)) return undefined;
  if (port < 1 || port > 65_535 || serverCookie === 0 || clientCookie === 0) return undefined;
  return {
    version,
    ip: pack.address("udp_acceleration_server_ip") ?? ZERO_IP,
    port,
    keys,
    isFast: pack.bool("udp_accel_fast_disconnect_detect"),
    serverCookie,
    clientCookie,
    isEncrypted: pack.bool("udp_acceleration_use_encryption"),
  };
}

function readKeys(pack: Pack, name: string): DirectionKeys | undefined {
  const legacy = pack.data(name);
  const sealed = pack.data(`${name}_v2`);
  if (legacy?.length !== LEGACY_KEY_BYTES) return undefined;
  return {
    legacy: legacy.slice(),
    sealed: sealed?.length === KEY_BYTES ? sealed.slice() : undefined,
  };
}
