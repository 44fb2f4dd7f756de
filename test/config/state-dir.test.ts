import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT, ExitError } from "../../src/base/errors.ts";
import { createStateDir, lockStateDir, resolveStateDir } from "../../src/config/state-dir.ts";

let base = "";
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "vpn-state-dir-"));
});
afterAll(() => rmSync(base, { recursive: true }));

describe("resolveStateDir()", () => {
  const none = { flag: undefined, configured: undefined, env: {}, isRoot: true };
  const env = { STATE_DIRECTORY: "/var/lib/a:/var/lib/b", HOME: "/home/alice" };
  test.each([
    ["the flag wins", { ...none, flag: "/flag", configured: "/file", env }, "/flag"],
    ["then the file", { ...none, configured: "/file", env }, "/file"],
    ["then the first of systemd's", { ...none, env }, "/var/lib/a"],
    ["root has that of the system", none, "/var/lib/vpn/server"],
    [
      "others that of their home",
      { ...none, isRoot: false, env: { HOME: "/home/a" } },
      "/home/a/.local/state/vpn/server",
    ],
    [
      "or of XDG",
      { ...none, isRoot: false, env: { HOME: "/home/a", XDG_STATE_HOME: "/x" } },
      "/x/vpn/server",
    ],
  ])("%s", (_, from, expected) => {
    expect(resolveStateDir("server", from)).toBe(expected);
  });

  test("says what to do where there is no home", () => {
    expect(() => resolveStateDir("client", { ...none, isRoot: false })).toThrow("use --state-dir");
  });
});

test("createStateDir() makes it for its owner alone, and may be called again", () => {
  const dir = join(base, "new/inner");
  createStateDir(dir);
  createStateDir(dir);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

test("createStateDir() ends with 73 where there is a file", () => {
  writeFileSync(join(base, "file"), "");
  const create = () => createStateDir(join(base, "file/dir"));
  expect(create).toThrow(ExitError);
  expect(create).toThrow(expect.objectContaining({ exitCode: EXIT.cannotCreate }));
});

describe("lockStateDir()", () => {
  const dirOf = (name: string) => {
    const dir = join(base, name);
    createStateDir(dir);
    return dir;
  };

  test("names the process that holds it, and ends with 75", () => {
    const dir = dirOf("held");
    const lock = lockStateDir(dir, 4711);
    const second = () => lockStateDir(dir, 4712);
    expect(second).toThrow(expect.objectContaining({ exitCode: EXIT.temporary }));
    expect(second).toThrow(`Cannot use ${dir}: process 4711 runs on it`);
    expect(statSync(join(dir, "lock")).mode & 0o777).toBe(0o600);
    lock.release();
    lock.release();
    const next = lockStateDir(dir, 4712);
    expect(readFileSync(join(dir, "lock"), "utf8")).toBe("4712\n");
    next.release();
  });

  test("takes over what a process left behind when it was killed", async () => {
    const dir = dirOf("stale");
    const module = join(import.meta.dir, "../../src/config/state-dir.ts");
    const script = `import { lockStateDir } from ${JSON.stringify(module)};
lockStateDir(${JSON.stringify(dir)}, process.pid); console.log("held"); setInterval(() => {}, 1000);`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const reader = child.stdout.getReader();
    await reader.read();
    expect(() => lockStateDir(dir, 1)).toThrow(`process ${child.pid} runs on it`);
    child.kill("SIGKILL");
    await child.exited;
    lockStateDir(dir, 4713).release();
    await reader.cancel();
  });
});
