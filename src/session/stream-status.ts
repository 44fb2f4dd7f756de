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
  readonly halfDuplex: boolean;
  readonly qos: boolean;
  /** UDP acceleration where it was agreed upon, else null. */
  readonly udp: UdpStatus | null;
}

export interface UdpStatus {
  readonly version: 1 | 2;
  /** False: datagrams go in clear, as the stream does. */
  readonly encrypted: boolean;
  /** Frames go this way now; without it they go by TCP. */
  readonly active: boolean;
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
  udp,
}: Pick<Session, "connections" | "welcome" | "udp">): StreamStatus {
  return {
    connections: connections.length,
    maxConnections: stream.connections,
    encrypted: stream.isEncrypted,
    compression: stream.compression,
    halfDuplex: stream.isHalfDuplex,
    qos: stream.hasQos,
    udp: udp === undefined ? null : udpStatus(udp),
  };
}

function udpStatus({ version, isEncrypted, isReady, isAlive, peer, stats }: UdpPath): UdpStatus {
  const drops = Object.entries(stats.drops).filter(([, count]) => count > 0);
  return {
    version,
    encrypted: isEncrypted,
    active: isReady,
    alive: isAlive,
    peer,
    sentDatagrams: stats.sentDatagrams,
    receivedDatagrams: stats.receivedDatagrams,
    drops: Object.fromEntries(drops),
  };
}

/** `v2, in use`: for people. */
export function udpText(udp: UdpStatus | null): string {
  if (udp === null) return "no";
  const way = udp.active ? "in use" : udp.alive ? "not yet in use" : "does not get through";
  return `v${udp.version}${udp.encrypted ? "" : " in clear"}, ${way}`;
}
