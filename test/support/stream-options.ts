import type { StreamOptions } from "../../src/session/stream-options.ts";

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
