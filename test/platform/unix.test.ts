import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SystemError } from "../../src/base/errors.ts";
import { cString, libc } from "../../src/platform/libc.ts";
import { peerCredentials, raiseOpenFilesLimit, tryLockFile } from "../../src/platform/unix.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

/** Runs code in a process of its own: what it changes cannot be taken back. Its output is a line of JSON. */
function inChild(code: string): unknown {
  const source = (name: string) =>
    JSON.stringify(join(import.meta.dir, `../../src/platform/${name}`));
  const imports =
    `import * as unix from ${source("unix.ts")}; import { libc } from ${source("libc.ts")};` +
    'import { readFileSync } from "node:fs";';
  const script = imports + code;
  const child = Bun.spawnSync([process.execPath, "-e", script], { timeout: 20_000 });
  expect(child.stderr.toString()).toBe("");
  return JSON.parse(child.stdout.toString());
}

describe("peerCredentials()", () => {
  test("tells process, user and group behind a Unix socket", () => {
    const pair = new Int32Array(2);
    expect(libc.socketpair(1, 1, 0, pair)).toBe(0);
    closers.push(() => pair.forEach((fd) => libc.close(fd)));
    expect(peerCredentials(pair[0]!)).toEqual({
      pid: process.pid,
      uid: process.getuid!(),
      gid: process.getgid!(),
    });
  });

  test("FI-05 throws for what is no socket", () => {
    const fd = libc.open(cString("/dev/null"), 0, 0);
    closers.push(() => libc.close(fd));
    expect(() => peerCredentials(fd)).toThrow(SystemError);
  });
});

describe("raiseOpenFilesLimit()", () => {
  test("raises the soft limit to the hard one and tells it", () => {
    const shown = inChild(
      'const most = unix.raiseOpenFilesLimit(); const line = readFileSync("/proc/self/limits", "utf8")' +
        '.split("\\n").find((each) => each.startsWith("Max open files")); console.log(JSON.stringify({ most, line }));',
    ) as { most: number; line: string };
    const [soft, hard] = shown.line.match(/\d+/g)!.map(Number);
    expect([soft, shown.most]).toEqual([hard!, hard!]);
  });

  test("may be called when nothing is left to raise", () => {
    expect(raiseOpenFilesLimit()).toBe(raiseOpenFilesLimit());
  });
});

describe("denyDumps() and denyNewPrivileges()", () => {
  test("set the flags of the process", () => {
    const shown = inChild(
      "unix.denyDumps(); unix.denyNewPrivileges();" +
        "const flags = [3, 39].map((option) => libc.prctl(option, 0, 0, 0, 0));" +
        "console.log(JSON.stringify(flags));",
    );
    // PR_GET_DUMPABLE and PR_GET_NO_NEW_PRIVS.
    expect(shown).toEqual([0, 1]);
    expect([3, 39].map((option) => libc.prctl(option, 0, 0, 0, 0))).toEqual([1, 0]);
  });
});

describe("tryLockFile()", () => {
  test("gives a file to one opening at a time, until that is closed", () => {
    const folder = mkdtempSync(join(tmpdir(), "c-lock-"));
    closers.push(() => rmSync(folder, { recursive: true }));
    const open = () => libc.open(cString(join(folder, "lock")), 0x80042, 0o600);
    const [first, second] = [open(), open()];
    closers.push(() => libc.close(second));
    expect(tryLockFile(first)).toBeTrue();
    expect(tryLockFile(second)).toBeFalse();
    libc.close(first);
    expect(tryLockFile(second)).toBeTrue();
  });

  test("FI-05 throws with the number of the error for a closed descriptor", () => {
    expect(() => tryLockFile(-1)).toThrow("flock failed with EBADF");
  });
});
