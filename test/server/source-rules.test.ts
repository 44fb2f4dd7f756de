import { expect, test } from "bun:test";
import { tryParseNet } from "../../src/base/ip.ts";
import type { SourceRule } from "../../src/config/server-config.ts";
import { isSourceAllowed } from "../../src/server/source-rules.ts";

const rule = (from: string, action: SourceRule["action"]): SourceRule => ({
  from: tryParseNet(from)!,
  action,
  priority: 1,
});
const RULES = [
  rule("192.0.2.7", "pass"),
  rule("192.0.2.0/24", "drop"),
  rule("2001:db8:1::/48", "pass"),
  rule("2001:db8::/32", "drop"),
];

test.each([
  ["192.0.2.7", true],
  ["192.0.2.8", false],
  ["::ffff:192.0.2.8", false],
  ["198.51.100.1", true],
  ["2001:db8:1::5", true],
  ["2001:db8:2::5", false],
  ["2001:db8:2::5%eth0", false],
  ["fe80::1%eth0", true],
  ["nonsense", false],
])("isSourceAllowed() decides about %s: %p", (address, allowed) => {
  expect(isSourceAllowed(RULES, address)).toBe(allowed);
  expect(isSourceAllowed([], address)).toBe(true);
});
