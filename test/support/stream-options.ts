import type { StreamOptions } from "../../src/session/stream-options.ts";
import type { StreamStatus } from "../../src/session/stream-status.ts";

/** One connection in both directions, encrypted and nothing more, but for the changes. */
export function streamOf(change: Partial<StreamOptions> = {}): StreamOptions {
  return {
    connections: 1,
    isEncrypted: true,
    compression: "none",
    isHalfDuplex: false,
    hasQos: false,
    ...change,
  };
}

/** What the status says of such a stream. */
export const PLAIN_STREAM: StreamStatus = {
  connections: 1,
  maxConnections: 1,
  encrypted: true,
  compression: "none",
  badBlocks: 0,
  halfDuplex: false,
  qos: false,
  udp: "off",
  udpPath: null,
};
