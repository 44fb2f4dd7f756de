import type { Session } from "./session.ts";
import type { Compression } from "./stream-options.ts";

/** How a session travels now, for status and lists. */
export interface StreamStatus {
  /** TCP connections that there are, and how many there may be. */
  readonly connections: number;
  readonly maxConnections: number;
  /** False: the stream goes in clear. */
  readonly encrypted: boolean;
  readonly compression: Compression;
  readonly halfDuplex: boolean;
  readonly qos: boolean;
}

export function streamStatus({
  connections,
  welcome: { stream },
}: Pick<Session, "connections" | "welcome">): StreamStatus {
  return {
    connections: connections.length,
    maxConnections: stream.connections,
    encrypted: stream.isEncrypted,
    compression: stream.compression,
    halfDuplex: stream.isHalfDuplex,
    qos: stream.hasQos,
  };
}
