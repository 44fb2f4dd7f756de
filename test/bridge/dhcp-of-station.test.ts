import { expect, test } from "bun:test";
import { type MacAddress, tryParseMac } from "../../src/base/mac.ts";
import { isDhcpOf } from "../../src/bridge/dhcp-of-station.ts";
import { SEGMENT, tcpFrame } from "../wasm/random-frames.ts";
import { dhcpFrame, type DhcpFrame } from "./dhcp-frame.ts";

const OWN = "02:00:5e:00:53:01";
const OTHER = "02:00:5e:00:53:02";
const ALL = "ff:ff:ff:ff:ff:ff";
const STATION = tryParseMac(OWN) as MacAddress;

const says = (frame: Uint8Array, length = frame.length) => {
  // Behind others, as frames lie in memory.
  const memory = new Uint8Array(2000);
  memory.set(frame, 100);
  return isDhcpOf(STATION, new DataView(memory.buffer), 100, length);
};

test.each<[string, DhcpFrame, boolean]>([
  ["sent by it", { from: OWN, to: ALL, client: OTHER }, true],
  ["sent to it", { from: OTHER, to: OWN, client: OTHER, isReply: true }, true],
  ["about it", { from: OTHER, to: ALL, client: OWN, isReply: true }, true],
  ["of others", { from: OTHER, to: ALL, client: OTHER }, false],
  ["on other ports", { from: OWN, to: ALL, client: OWN, port: 6767 }, false],
])("isDhcpOf() knows a message %s", (_, frame, expected) => {
  expect(says(dhcpFrame(frame))).toBe(expected);
});

test("isDhcpOf() says no to fragments, to other protocols and to what is too short", () => {
  const message = dhcpFrame({ from: OWN, to: ALL, client: OWN });
  for (const length of [14, 24, 33, 34, 42, 70, 75]) expect(says(message, length)).toBeFalse();
  expect(says(message, 76)).toBeTrue();
  message[21] = 1;
  expect(says(message)).toBeFalse();
  expect(says(tcpFrame(SEGMENT))).toBeFalse();
});
