import { formatServerAddress } from "../config/remote.ts";
import { streamStatus, type StreamStatus } from "./stream-status.ts";
import type { OpenSession } from "./supervisor.ts";

/** What the end that dialled tells of its session. */
export interface SessionStatus extends StreamStatus {
  readonly name: string;
  readonly connectionName: string;
  readonly connectedAt: number;
  readonly serverProduct: string;
  readonly serverVersion: number;
  readonly serverBuild: number;
  readonly serverAddress: string;
  /** `TLSv1.3 TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string;
  readonly inFrames: number;
  readonly inBytes: number;
  readonly outFrames: number;
  readonly outBytes: number;
  readonly droppedFrames: number;
}

/** @param since wall-clock milliseconds since 1970 */
export function sessionStatus(open: OpenSession, since: number): SessionStatus {
  const { session, server } = open;
  return {
    name: session.name,
    connectionName: session.welcome.connectionName,
    connectedAt: since,
    serverProduct: server.product,
    serverVersion: server.version,
    serverBuild: server.build,
    serverAddress: formatServerAddress({ host: server.address, port: server.port }),
    cipher: server.cipher,
    ...streamStatus(session),
    ...session.stats,
  };
}
