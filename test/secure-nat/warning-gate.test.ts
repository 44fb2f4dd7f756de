import { expect, test } from "bun:test";
import { WarningGate } from "../../src/secure-nat/warning-gate.ts";
import { ManualClock } from "../support/manual-clock.ts";

test("WarningGate.warn() tells the first of each kind, then one in a while with how many were left out", () => {
  const clock = new ManualClock();
  const told: unknown[] = [];
  const nothing = () => undefined;
  const warn = (event: string, _text: string, fields = {}) => void told.push([event, fields]);
  const log = { debug: nothing, info: nothing, warn, error: nothing };
  const gate = new WarningGate("H", { clock, log }, 1_000);
  for (let n = 0; n < 3; n += 1) gate.warn("full", "It is full", { n });
  gate.warn("odd", "It is odd");
  clock.advance(999);
  gate.warn("full", "It is full");
  expect(told).toEqual([
    ["full", { hub: "H", n: 0, suppressed: undefined }],
    ["odd", { hub: "H", suppressed: undefined }],
  ]);
  clock.advance(1);
  gate.warn("full", "It is full");
  expect(told[2]).toEqual(["full", { hub: "H", suppressed: 3 }]);
});
