import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runApplication } from "../../src/command/application.ts";
import { forgetKeptPassword } from "../../src/command/forget-password.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-test-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const place = () => ({ config: join(dir, "client.toml"), stateDir: join(dir, "state") });
const forget = (name: string) => forgetKeptPassword(new FakeEnvironment(), place(), name);

async function client(...args: string[]): Promise<string> {
  const environment = new FakeEnvironment();
  const { config, stateDir } = place();
  const flags = ["--config", config, "--state-dir", stateDir];
  const code = await runApplication(["client", ...args, ...flags], environment);
  expect([code, environment.err]).toEqual([0, ""]);
  return environment.out;
}

const passwordOf = async (name: string) =>
  (JSON.parse(await client("account", "show", name, "--json")) as { password: unknown }).password;

describe("forgetKeptPassword()", () => {
  test("takes a password out of the state directory, and says that it will be asked for", async () => {
    writeFileSync(join(dir, "client.toml"), "");
    const secret = join(dir, "pw");
    writeFileSync(secret, "wonder-land", { mode: 0o600 });
    for (const name of ["one", "two"]) {
      const to = ["--server", "h:992", "--hub", "x", "--user", "bob"];
      await client("account", "add", name, ...to, "--password-file", secret);
    }
    expect(forget("one")).toContain("it is forgotten, and asked for at the next login");
    expect(await passwordOf("one")).toBeNull();
    expect(await passwordOf("two")).toEqual({ stored: true });
    expect(forget("one")).toBeUndefined();
  });

  test("leaves what stands in client.toml, and says that it does", () => {
    const text =
      '[account.hq]\nto = "vpn.example.com/office"\nuser = "alice"\npassword = "wonder-land"\n';
    writeFileSync(join(dir, "client.toml"), text, { mode: 0o600 });
    expect(forget("hq")).toContain("take it out of client.toml");
    expect(readFileSync(join(dir, "client.toml"), "utf8")).toBe(text);
  });

  test("has nothing to say of who has none", () => {
    const text = '[account.hq]\nto = "vpn.example.com/office"\nuser = "alice"\nanonymous = true\n';
    writeFileSync(join(dir, "client.toml"), text);
    expect(forget("hq")).toBeUndefined();
    expect(forget("nobody")).toBeUndefined();
  });
});
