import { expect, test } from "bun:test";
import { connectionsText, streamText } from "../../src/command/stream-text.ts";
import type { StreamStatus } from "../../src/session/stream-status.ts";

const PLAIN: StreamStatus = {
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

test.each([
  [{}, "TLS"],
  [{ encrypted: false }, "NOT ENCRYPTED"],
  [{ halfDuplex: true, qos: true, compression: "lz4" }, "TLS, half duplex, QoS, lz4"],
  [{ udp: "active" }, "TLS, UDP"],
  [{ udp: "waiting", compression: "deflate" }, "TLS, deflate, UDP waiting"],
] satisfies [Partial<StreamStatus>, string][])("streamText() of %j is %s", (change, text) => {
  expect(streamText({ ...PLAIN, ...change })).toBe(text);
});

test("connectionsText() tells how many there are, and how many there may be", () => {
  expect(connectionsText({ ...PLAIN, connections: 2, maxConnections: 8 })).toBe("2/8");
});
