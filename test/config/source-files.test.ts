import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadServerConfig } from "../../src/config/load.ts";
import { systemFiles } from "../../src/config/source-files.ts";
import { faultsOf } from "./fixture.ts";

let dir = "";
const at = (name: string) => join(dir, name);

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-source-"));
  mkdirSync(at("folder"));
  writeFileSync(at("real"), "text");
  chmodSync(at("real"), 0o640);
  symlinkSync("real", at("link"));
  symlinkSync("loop", at("loop"));
  expect(Bun.spawnSync(["mkfifo", at("fifo")]).exitCode).toBe(0);
});
afterAll(() => rmSync(dir, { recursive: true }));

describe("CF-12 systemFiles.read()", () => {
  test.each([
    ["a FIFO", () => at("fifo"), "is a FIFO, not a file"],
    ["a directory", () => at("folder"), "is a directory, not a file"],
    ["/dev/zero", () => "/dev/zero", "is a device, not a file"],
    ["a link to itself", () => at("loop"), "cannot be read (ELOOP)"],
    ["a file over the limit", () => at("real"), "has 4 bytes, at most 3 are allowed"],
  ])("refuses %s without waiting for it", (_, path, reason) => {
    expect(systemFiles.read(path(), 3)).toEqual({ kind: "refused", reason });
  });

  test("follows links and .., and gives the mode of the file itself", () => {
    const found = { kind: "file", bytes: new TextEncoder().encode("text"), mode: 0o640 } as const;
    expect(systemFiles.read(at("link"), 4)).toEqual(found);
    expect(systemFiles.read(at("folder/../real"), 4)).toEqual(found);
  });

  test("follows a link anew at each read", () => {
    writeFileSync(at("next"), "new");
    symlinkSync("real", at("moved"));
    expect(systemFiles.read(at("moved"), 4)).toMatchObject({
      bytes: new TextEncoder().encode("text"),
    });
    unlinkSync(at("moved"));
    symlinkSync("next", at("moved"));
    expect(systemFiles.read(at("moved"), 4)).toMatchObject({
      bytes: new TextEncoder().encode("new"),
    });
  });

  test("tells what is missing", () => {
    expect(systemFiles.read(at("none"), 4)).toEqual({ kind: "missing" });
    expect(systemFiles.read(at("real/none"), 4)).toEqual({ kind: "missing" });
  });
});

test("CF-12 a setting or a configuration that is no regular file is refused with its place", () => {
  const load = (path: string) =>
    loadServerConfig({ path, env: {}, isRoot: false, hostName: "h", warn: () => undefined });
  for (const name of ["fifo", "folder"]) {
    writeFileSync(at("c.toml"), `[tls]\ncert = "${name}"\nkey = "real"\n`);
    expect(faultsOf(() => load(at("c.toml")))[0]).toMatch(
      new RegExp(`c\\.toml:2:8: tls\\.cert: .*/${name} is a .*, not a file$`),
    );
    expect(faultsOf(() => load(at(name)))[0]).toEndWith(", not a file");
  }
  expect(faultsOf(() => load("/dev/zero"))).toEqual([
    "/dev/zero:1:1: the file is a device, not a file",
  ]);
});

test("systemFiles.glob() gives the matches in the order of their names", () => {
  mkdirSync(at("conf.d"));
  for (const name of ["20-b.toml", "10-a.toml", "x.txt", ".hidden.toml"]) {
    writeFileSync(join(at("conf.d"), name), "");
  }
  expect(systemFiles.glob("conf.d/*.toml", dir)).toEqual([
    at("conf.d/10-a.toml"),
    at("conf.d/20-b.toml"),
  ]);
  expect(systemFiles.glob(at("conf.d/10-a.toml"), dir)).toEqual([at("conf.d/10-a.toml")]);
  expect(systemFiles.glob("conf.d/10-a.toml", dir)).toEqual([at("conf.d/10-a.toml")]);
  expect(systemFiles.glob(at("conf.d/1?-*.toml"), "/")).toEqual([at("conf.d/10-a.toml")]);
  expect(systemFiles.glob("../conf.d/2*", at("folder"))).toEqual([at("conf.d/20-b.toml")]);
  expect(systemFiles.glob("none/*.toml", dir)).toEqual([]);
  expect(systemFiles.glob("none.toml", dir)).toEqual([]);
});
