import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  isOurs,
  readBefore,
  replaceFile,
  resolvConfText,
  restoreResolvConf,
  type ResolvConfStep,
} from "../../src/client/dns-file.ts";

const TEXT = resolvConfText("hq", { servers: ["192.0.2.1"], domain: "corp.example" });

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
  path = join(folder, "resolv.conf");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** As the client does it: look, record, replace. */
function take(): ResolvConfStep {
  const step: ResolvConfStep = {
    kind: "resolv.conf",
    path,
    before: readBefore(path),
    written: TEXT,
  };
  replaceFile(path, TEXT, 0o644);
  return step;
}

test("resolvConfText() names three servers at most, and lets no account's name break a line", () => {
  const servers = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
  const text = resolvConfText("a\nnameserver 6.6.6.6", { servers, domain: undefined });
  expect(text.split("\n").slice(1)).toEqual([
    ...servers.slice(0, 3).map((each) => `nameserver ${each}`),
    "",
  ]);
  expect(isOurs(text)).toBe(true);
  expect(TEXT).toContain("\nsearch corp.example\nnameserver 192.0.2.1\n");
});

test("restoreResolvConf() puts a file back with its text and mode", () => {
  writeFileSync(path, "nameserver 10.0.0.1\n");
  chmodSync(path, 0o640);
  const step = take();
  expect(readFileSync(path, "utf8")).toBe(TEXT);
  expect(restoreResolvConf(step)).toBe(true);
  expect(readFileSync(path, "utf8")).toBe("nameserver 10.0.0.1\n");
  expect(statSync(path).mode & 0o777).toBe(0o640);
  expect(readdirSync(folder)).toEqual(["resolv.conf"]);
});

test("replaceFile() gives the mode that is asked for under any mask", () => {
  const mask = process.umask(0o077);
  try {
    replaceFile(path, TEXT, 0o644);
  } finally {
    process.umask(mask);
  }
  expect(statSync(path).mode & 0o777).toBe(0o644);
});

test("restoreResolvConf() puts a link back, and what it points to was never written", () => {
  const target = join(folder, "stub");
  writeFileSync(target, "nameserver 127.0.0.53\n");
  symlinkSync("stub", path);
  const step = take();
  expect(lstatSync(path).isFile()).toBe(true);
  expect(readFileSync(target, "utf8")).toBe("nameserver 127.0.0.53\n");
  expect(restoreResolvConf(step)).toBe(true);
  expect(readlinkSync(path)).toBe("stub");
});

test("restoreResolvConf() removes the file where there was none", () => {
  const step = take();
  expect(restoreResolvConf(step)).toBe(true);
  expect(readdirSync(folder)).toEqual([]);
});

test("restoreResolvConf() leaves what somebody else wrote or linked meanwhile", () => {
  writeFileSync(path, "nameserver 10.0.0.1\n");
  const step = take();
  writeFileSync(path, "nameserver 10.0.0.2\n");
  expect(restoreResolvConf(step)).toBe(false);
  expect(readFileSync(path, "utf8")).toBe("nameserver 10.0.0.2\n");
  rmSync(path);
  symlinkSync("elsewhere", path);
  expect(restoreResolvConf(step)).toBe(false);
  expect(readlinkSync(path)).toBe("elsewhere");
});

test("restoreResolvConf() is content where a crash came before the deed", () => {
  writeFileSync(path, "nameserver 10.0.0.1\n");
  const step: ResolvConfStep = {
    kind: "resolv.conf",
    path,
    before: readBefore(path),
    written: TEXT,
  };
  expect(restoreResolvConf(step)).toBe(true);
  expect(readFileSync(path, "utf8")).toBe("nameserver 10.0.0.1\n");
});
