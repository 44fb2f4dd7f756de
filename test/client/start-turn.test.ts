import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inTurn } from "../../src/client/start-turn.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
});
afterEach(() => rmSync(stateDir, { recursive: true }));

describe("inTurn()", () => {
  test("does one thing after the other, also where the first fails", async () => {
    const { clock } = new FakeEnvironment();
    const steps: string[] = [];
    const { promise, reject } = Promise.withResolvers<never>();
    const first = inTurn(stateDir, clock, () => promise);
    const second = inTurn(stateDir, clock, () => void steps.push("second"));
    clock.advance(1000);
    await Promise.resolve();
    expect(steps).toEqual([]);
    reject(new Error("first"));
    await expect(first).rejects.toThrow("first");
    clock.advance(1000);
    await second;
    expect([steps, clock.pending]).toEqual([["second"], 0]);
  });

  test("is refused with 75 where the one before comes to no end", async () => {
    const { clock } = new FakeEnvironment();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const first = inTurn(stateDir, clock, () => promise);
    const second = inTurn(stateDir, clock, () => undefined);
    const refusal = second.catch((error: unknown) => error);
    for (let step = 0; step < 2001; step++) {
      clock.advance(20);
      await Promise.resolve();
      await Promise.resolve();
    }
    expect(await refusal).toMatchObject({ exitCode: 75 });
    resolve(undefined);
    await first;
  });
});
