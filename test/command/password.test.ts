import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExitError } from "../../src/base/errors.ts";
import { runApplication } from "../../src/command/application.ts";
import { readPassword } from "../../src/command/password.ts";
import { isArgon2Text, verifyArgon2 } from "../../src/crypto/argon2.ts";
import { hashUserPassword } from "../../src/crypto/password.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 0,
    (error: ExitError) => error.exitCode,
  );

describe("readPassword()", () => {
  let folder: string;
  let environment: FakeEnvironment;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    environment = new FakeEnvironment();
  });
  afterEach(() => {
    expect(environment.listeners).toBe(0);
    rmSync(folder, { recursive: true });
  });
  const file = (content: string, mode = 0o600) => {
    const path = join(folder, "pw");
    writeFileSync(path, content, { mode });
    chmodSync(path, mode);
    return path;
  };

  test.each([
    ["geheim", "geheim"],
    ["geheim\n", "geheim"],
    ["geheim\r\n", "geheim"],
    [" two words \n\n", " two words \n"],
  ])("cuts one line end of the file %j", async (content, password) => {
    expect(await readPassword(file(content), "?", environment)).toEqual(bytes(password));
    expect(environment.err).toBe("");
  });

  test("warns of a file that others can read", async () => {
    await readPassword(file("x", 0o644), "?", environment);
    expect(environment.err).toContain("chmod 600");
  });

  test("ends with 66 for a file that is not there or is no file, 65 for one of no use", async () => {
    expect(await codeOf(readPassword(join(folder, "no"), "?", environment))).toBe(66);
    expect(await codeOf(readPassword(folder, "?", environment))).toBe(66);
    expect(await codeOf(readPassword(file(""), "?", environment))).toBe(65);
    expect(await codeOf(readPassword(file("x".repeat(1025)), "?", environment))).toBe(65);
  });

  test("reads standard input for -", async () => {
    environment.input = bytes("geheim\n");
    expect(await readPassword("-", "?", environment)).toEqual(bytes("geheim"));
    environment.input = bytes("");
    expect(await codeOf(readPassword("-", "?", environment))).toBe(65);
  });

  test("CL-05 asks nobody where standard input is no terminal: 65", async () => {
    expect(await codeOf(readPassword(undefined, "?", environment))).toBe(65);
  });

  test("CL-07 a signal at the prompt gives the terminal its echo back", async () => {
    environment.stdinIsTerminal = true;
    const asked = readPassword(undefined, "?", environment);
    environment.signal("SIGTERM");
    expect([environment.isRaw, environment.exits]).toEqual([false, [143]]);
    environment.type("\u0003");
    expect(await codeOf(asked)).toBe(130);
  });
});

describe("vpn passwd", () => {
  const expected = `hash:sha0:${hashUserPassword("Alice", bytes("geheim")).toBase64()}`;

  test("prints the verifier of a password from standard input", async () => {
    const environment = new FakeEnvironment();
    environment.input = bytes("geheim\n");
    expect(await runApplication(["passwd", "Alice", "--password-file", "-"], environment)).toBe(0);
    expect(environment.out).toBe(`${expected}\n`);
  });

  test("--hash argon2id prints one that is slower to guess", async () => {
    const environment = new FakeEnvironment();
    environment.input = bytes("geheim\n");
    const args = ["passwd", "Alice", "--hash", "argon2id", "--password-file", "-"];
    expect(await runApplication(args, environment)).toBe(0);
    const [, encoded] = /^hash:argon2id:(.+)\n$/.exec(environment.out)!;
    expect(isArgon2Text(encoded!)).toBe(true);
    expect(await verifyArgon2(bytes("geheim"), encoded!)).toBe(true);
  });

  test("asks twice at a terminal", async () => {
    for (const [again, code] of [
      ["geheim", 0],
      ["other", 65],
    ] as const) {
      const environment = new FakeEnvironment();
      environment.stdinIsTerminal = true;
      const done = runApplication(["passwd", "Alice"], environment);
      while (!environment.err.endsWith("Alice: ")) await Promise.resolve();
      environment.type("geheim\n");
      while (!environment.err.endsWith("again: ")) await Promise.resolve();
      environment.type(`${again}\n`);
      expect(await done).toBe(code);
      expect(environment.out).toBe(code === 0 ? `${expected}\n` : "");
    }
  });
});
