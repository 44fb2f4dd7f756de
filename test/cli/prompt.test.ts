import { describe, expect, test } from "bun:test";
import type { ExitError } from "../../src/base/errors.ts";
import { askSecret } from "../../src/cli/prompt.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Asks, types each piece, and gives the answer or the exit code. */
async function ask(...pieces: (string | undefined)[]) {
  const environment = new FakeEnvironment();
  const asked = askSecret("Secret: ", { write: environment.stderr, ...environment.stdin });
  const wasRaw = environment.isRaw;
  for (const piece of pieces) environment.type(piece);
  const answer = await asked.then(text, (error: ExitError) => error.exitCode);
  expect([wasRaw, environment.isRaw, environment.listeners]).toEqual([true, false, 0]);
  return { answer, shown: environment.err };
}

describe("askSecret()", () => {
  test("takes what is typed up to the line end and shows none of it", async () => {
    expect(await ask("geh", "eim\r")).toEqual({ answer: "geheim", shown: "Secret: \n" });
  });

  test("takes letters back whole, and the line with Ctrl-U", async () => {
    expect((await ask("ab\u007f\u00fc\u{1f600}\u007f\u0008c\n")).answer).toBe("ac");
    expect((await ask("wrong\u0015right\n")).answer).toBe("right");
    expect((await ask("\u007f\u007fx\n")).answer).toBe("x");
  });

  test("CL-05 the end of the input ends it with 65", async () => {
    expect((await ask("half", undefined)).answer).toBe(65);
    expect((await ask("\u0004")).answer).toBe(65);
  });

  test("CL-07 Ctrl-C ends it with 130", async () => {
    expect((await ask("half\u0003")).answer).toBe(130);
  });

  test("takes no more bytes than a password may have", async () => {
    expect((await ask("x".repeat(5000), "\n")).answer).toBe("x".repeat(1024));
  });
});
