import type { Session } from "./session.ts";
import type { Compression } from "./stream-options.ts";
import type { UdpPath } from "./udp/udp-path.ts";

/** How a session travels now, for status and lists. */
export interface StreamStatus {
  /** TCP connections that there are, and how many there may be. */
  readonly connections: number;
  readonly maxConnections: number;
  /** False: the stream goes in clear. */
  readonly encrypted: boolean;
  readonly compression: Compression;
  /** Blocks that were left out because they hold no whole compressed frame. */
  readonly badBlocks: number;
  readonly halfDuplex: boolean;
  readonly qos: boolean;
  /** UDP acceleration: `active` while frames go that way, `waiting` while they go by TCP though it was agreed upon. */
  readonly udp: "off" | "waiting" | "active";
  readonly udpPath: UdpPathStatus | null;
}

export interface UdpPathStatus {
  readonly version: 1 | 2;
  /** False: datagrams go in clear, as the stream does. */
  readonly encrypted: boolean;
  /** The peer is heard, though perhaps not for long enough yet. */
  readonly alive: boolean;
  readonly peer: string;
  readonly sentDatagrams: number;
  readonly receivedDatagrams: number;
  /** Datagrams that were not taken, or did not go, by reason; those that there were. */
  readonly drops: Readonly<Record<string, number>>;
}

export function streamStatus({
  connections,
  welcome: { stream },
  codec,
  udp,
}: Pick<Session, "connections" | "welcome" | "codec" | "udp">): StreamStatus {
  return {
    connections: connections.length,
    maxConnections: stream.connections,
    encrypted: stream.isEncrypted,
    compression: stream.compression,
    badBlocks: codec?.badBlocks ?? 0,
    halfDuplex: stream.isHalfDuplex,
    qos: stream.hasQos,
    udp: udp === undefined ? "off" : udp.isReady ? "active" : "waiting",
    udpPath: udp === undefined ? null : pathStatus(udp),
  };
}

function pathStatus({ version, isEncrypted, isAlive, peer, stats }: UdpPath): UdpPathStatus {
  const drops = Object.entries(stats.drops).filter(([, count]) => count > 0);
  return {
    version,
    encrypted: isEncrypted,
    alive: isAlive,
    peer,
    sentDatagrams: stats.sentDatagrams,
    receivedDatagrams: stats.receivedDatagrams,
    drops: Object.fromEntries(drops),
  };
}
