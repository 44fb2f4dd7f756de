import { expect, test } from "bun:test";
import { onInterrupt } from "../../src/command/interrupt.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

test("CL-15 onInterrupt() stops in order at the first signal and at once at the second", () => {
  const environment = new FakeEnvironment();
  const stops: string[] = [];
  const interrupts = onInterrupt(environment, ["SIGINT", "SIGTERM"], (name) => stops.push(name));
  environment.signal("SIGTERM");
  expect([stops, environment.exits, interrupts.first]).toEqual([["SIGTERM"], [], "SIGTERM"]);
  environment.signal("SIGINT");
  expect([stops, environment.exits, interrupts.first]).toEqual([["SIGTERM"], [130], "SIGTERM"]);
  interrupts.release();
  expect(environment.listeners).toBe(0);
});
