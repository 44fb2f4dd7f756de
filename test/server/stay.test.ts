import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import { sessionPolicy } from "../../src/server/stay.ts";

const NEW = new Set<never>();
const REFERENCE = new Set(["ip-rules"] as const);

function restrictions({ no_bridge, no_routing, no_routing_v6 }: Policy): boolean[] {
  return [no_bridge, no_routing, no_routing_v6];
}

describe("sessionPolicy()", () => {
  const strict = { ...DEFAULT_POLICY, no_bridge: true, no_routing: true, no_routing_v6: true };

  test.each([
    ["client mode", "client", false, DEFAULT_POLICY, [true, true, true], [true, true, false]],
    ["bridge mode", "bridge", false, DEFAULT_POLICY, [false, false, false], [false, false, false]],
    ["a strict policy", "bridge", false, strict, [true, true, true], [true, true, true]],
    ["this machine", "client", true, strict, [false, false, false], [false, false, true]],
    [
      "a bridge of this machine",
      "bridge",
      true,
      strict,
      [false, false, false],
      [false, false, true],
    ],
  ] as const)(
    "of %s restricts what is to be restricted, and as the reference with ip-rules",
    (_name, mode, isLocal, policy, now, then) => {
      expect(restrictions(sessionPolicy(policy, { mode, isLocal }, NEW))).toEqual([...now]);
      expect(restrictions(sessionPolicy(policy, { mode, isLocal }, REFERENCE))).toEqual([...then]);
    },
  );

  test("monitoring is in force only for a session that asked for it and may", () => {
    const may = { ...DEFAULT_POLICY, monitor_port: true };
    const of = (policy: Policy, mode: "client" | "monitor") =>
      sessionPolicy(policy, { mode, isLocal: false }, NEW).monitor_port;
    expect([of(may, "monitor"), of(may, "client"), of(DEFAULT_POLICY, "monitor")]).toEqual([
      true,
      false,
      false,
    ]);
  });
});
