import { clamp } from "../base/clamp.ts";
import { VpnError } from "../base/errors.ts";
import { MAX_CONNECTIONS_PER_SESSION } from "../base/limits.ts";
import type { Pack } from "../wire/pack.ts";

/** `lz4` is spoken between two of ours only; the reference knows `deflate`. */
export type Compression = "none" | "deflate" | "lz4";

/** How the bytes of a session travel: as wished in a login, or as granted in a welcome (protocol.md 7.4, 9). */
export interface StreamOptions {
  /** TCP connections at most. */
  readonly connections: number;
  /** False: the stream leaves TLS (protocol.md 16). */
  readonly isEncrypted: boolean;
  readonly compression: Compression;
  /** Each connection carries one direction (protocol.md 12.3). */
  readonly isHalfDuplex: boolean;
  /** Frames that must not wait have a connection of their own (protocol.md 15.1). */
  readonly hasQos: boolean;
}

/** What a server's configuration and a user's policy allow. */
export interface StreamLimits {
  readonly connections: number;
  readonly allowsPlaintext: boolean;
  readonly allowsQos: boolean;
}

/** A further element of login and welcome, which the reference passes over. */
const COMPRESSION_ELEMENT = "patchbay_compression";

/** Fewest connections that serve the directions and the lanes (protocol.md 12.4). */
export function fewestConnections({
  isHalfDuplex,
  hasQos,
}: Pick<StreamOptions, "isHalfDuplex" | "hasQos">): number {
  return (isHalfDuplex ? 2 : 1) * (hasQos ? 2 : 1);
}

/** What a server grants of a wish. Too few connections for what else is wished are raised, as the reference does. */
export function grantStream(wish: StreamOptions, limits: StreamLimits): StreamOptions {
  const hasQos = wish.hasQos && limits.allowsQos;
  const { isHalfDuplex, compression } = wish;
  const most = Math.min(wish.connections, limits.connections, MAX_CONNECTIONS_PER_SESSION);
  return {
    connections: Math.max(most, fewestConnections({ isHalfDuplex, hasQos })),
    isEncrypted: wish.isEncrypted || !limits.allowsPlaintext,
    compression,
    isHalfDuplex,
    hasQos,
  };
}

export function writeStream(pack: Pack, stream: StreamOptions): Pack {
  pack
    .setInt("max_connection", stream.connections)
    .setInt("use_encrypt", Number(stream.isEncrypted))
    .setInt("use_compress", Number(stream.compression !== "none"))
    .setInt("half_connection", Number(stream.isHalfDuplex))
    .setInt("qos", Number(stream.hasQos));
  if (stream.compression === "lz4") pack.setStr(COMPRESSION_ELEMENT, stream.compression);
  return pack;
}

/** Reads a login's wishes; whatever is absent is not wished, but for one connection. */
export function readStream(pack: Pack): StreamOptions {
  return {
    connections: clamp(pack.int("max_connection") ?? 1, 1, MAX_CONNECTIONS_PER_SESSION),
    isEncrypted: pack.bool("use_encrypt"),
    compression: readCompression(pack),
    isHalfDuplex: pack.bool("half_connection"),
    hasQos: pack.bool("qos"),
  };
}

/**
 * Reads what a welcome grants, which the client obeys within its own wish (protocol.md 9).
 * @throws VpnError `protocol_error` when the stream would be readable for all though nobody wished for it, or
 * compressed in a form that was not offered
 */
export function readGrant(pack: Pack, wish: StreamOptions): StreamOptions {
  const granted = { ...readStream(pack), isEncrypted: pack.int("use_encrypt") !== 0 };
  if (wish.isEncrypted && !granted.isEncrypted) {
    throw new VpnError("protocol_error", "The server wants to send everything in clear");
  }
  if (granted.compression === "lz4" && wish.compression !== "lz4") {
    throw new VpnError("protocol_error", "The server wants to compress as nobody asked it to");
  }
  const wished = Math.max(wish.connections, fewestConnections(granted));
  return { ...granted, connections: Math.min(granted.connections, wished) };
}

function readCompression(pack: Pack): Compression {
  if (!pack.bool("use_compress")) return "none";
  return pack.str(COMPRESSION_ELEMENT) === "lz4" ? "lz4" : "deflate";
}
