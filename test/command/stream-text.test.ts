import { expect, test } from "bun:test";
import { connectionsText, streamText } from "../../src/command/stream-text.ts";
import type { StreamStatus } from "../../src/session/stream-status.ts";
import { PLAIN_STREAM } from "../support/stream-options.ts";

test.each([
  [{}, "TLS"],
  [{ encrypted: false }, "NOT ENCRYPTED"],
  [{ halfDuplex: true, qos: true, compression: "lz4" }, "TLS, half duplex, QoS, lz4"],
  [{ udp: "active" }, "TLS, UDP"],
  [{ udp: "waiting", compression: "deflate" }, "TLS, deflate, UDP waiting"],
] satisfies [Partial<StreamStatus>, string][])("streamText() of %j is %s", (change, text) => {
  expect(streamText({ ...PLAIN_STREAM, ...change })).toBe(text);
});

test("connectionsText() tells how many there are, and how many there may be", () => {
  expect(connectionsText({ ...PLAIN_STREAM, connections: 2, maxConnections: 8 })).toBe("2/8");
});
