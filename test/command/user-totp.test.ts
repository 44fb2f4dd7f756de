import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { URI } from "otpauth";
import { findCodeStep } from "../../src/auth/totp.ts";
import { runApplication } from "../../src/command/application.ts";
import { tryDecodeBase32 } from "../../src/crypto/base32.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

const SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

describe("vpn user totp", () => {
  let folder: string;
  let environment: FakeEnvironment;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    environment = new FakeEnvironment();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function run(config: string, ...args: string[]): Promise<number> {
    const path = join(folder, "config.toml");
    writeFileSync(path, config, { mode: 0o600 });
    return runApplication(["user", "totp", ...args, "--config", path], environment);
  }
  const HOME = '[server]\nname = "vpn.example.com"\n[hub.home.user.Alice]\n';

  test("makes a secret that the server takes codes of, for the user as written", async () => {
    expect(await run(HOME, "HOME", "alice", "--json")).toBe(0);
    const told = JSON.parse(environment.out) as Record<string, string>;
    expect(told).toMatchObject({ hub: "home", user: "Alice", isNew: true });
    const totp = URI.parse(told["uri"]!);
    expect(totp).toMatchObject({ issuer: "vpn.example.com home", label: "Alice" });
    const secret = tryDecodeBase32(told["secret"]!)!;
    expect(secret).toHaveLength(20);
    expect(totp.secret.base32).toBe(told["secret"]!);
    const wall = environment.clock.wall();
    const code = "generate" in totp ? totp.generate({ timestamp: wall } as never) : "";
    expect(await findCodeStep(secret, code, wall)).toBe(Math.floor(wall / 30_000));
  });

  test("another call makes another secret, but shows again the one that config.toml names", async () => {
    await run(HOME, "home", "alice", "--json");
    await run(HOME, "home", "alice", "--json");
    const secrets = environment.out
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { secret: string }).secret);
    expect(new Set(secrets).size).toBe(2);
    environment.out = "";
    writeFileSync(join(folder, "alice.totp"), SECRET, { mode: 0o600 });
    await run(`${HOME}totp = "file:alice.totp"\n`, "home", "alice");
    expect(environment.out).toContain(`\n  ${SECRET}\n`);
    expect(environment.out).toContain("another telephone");
  });

  test("says what to write, with a picture", async () => {
    await run(HOME, "home", "alice");
    expect(environment.out).toContain("█");
    expect(environment.out).toContain("otpauth://totp/vpn.example.com%20home:Alice?");
    expect(environment.out).toContain('[hub.home.user.Alice]\n  totp = "file:/etc/vpn/Alice.totp"');
  });

  test("ends with 65 for a hub or user that the configuration does not have", async () => {
    expect(await run(HOME, "work", "alice")).toBe(65);
    expect(environment.err).toContain("has no hub work");
    expect(await run(HOME, "home", "bob")).toBe(65);
    expect(environment.err).toContain("has no user bob");
    expect(await run(`${HOME}anonymous = true\n`, "home", "alice")).toBe(65);
    expect(environment.err).toContain("Alice has no password");
  });

  test("works while config.toml names the file that is not there yet", async () => {
    expect(await run(`${HOME}totp = "file:alice.totp"\n`, "home", "alice", "--json")).toBe(0);
    expect(environment.err).toContain("alice.totp does not exist");
    expect(environment.err).toContain("not checked");
  });
});
