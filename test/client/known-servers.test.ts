import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KnownServers } from "../../src/client/known-servers.ts";

const HEX = "ab".repeat(32);
const OTHER = "cd".repeat(32);

describe("KnownServers", () => {
  let folder: string;
  let servers: KnownServers;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    servers = new KnownServers(join(folder, "state", "known_servers"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("find() knows nobody where there is no file", () => {
    expect(servers.find("a:443")).toBeUndefined();
  });

  test("remember() makes folder and file for their owner alone", () => {
    servers.remember("a:443", { kind: "system" });
    expect(statSync(servers.path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "state")).mode & 0o777).toBe(0o700);
  });

  test("find() gives what remember() was told, host names in any case, ports apart", () => {
    servers.remember("Vpn.Example:443", { kind: "sha256", fingerprint: HEX });
    servers.remember("vpn.example:992", { kind: "system" });
    expect(servers.find("vpn.EXAMPLE:443")).toEqual({ kind: "sha256", fingerprint: HEX });
    expect(servers.find("vpn.example:992")).toEqual({ kind: "system" });
    expect(servers.find("vpn.example:44")).toBeUndefined();
  });

  test("remember() replaces the server's line and keeps the others", () => {
    servers.remember("a:443", { kind: "sha256", fingerprint: HEX });
    servers.remember("b:443", { kind: "sha256", fingerprint: HEX });
    servers.remember("a:443", { kind: "sha256", fingerprint: OTHER });
    expect(readFileSync(servers.path, "utf8")).toBe(`b:443 sha256:${HEX}\na:443 sha256:${OTHER}\n`);
  });

  test.each(["", "a:443", "a:443 sha256:12", "a:443 md5:aa", "\u0000\u0001"])(
    "find() takes the line %j for one that is not there",
    (line) => {
      servers.remember("x:1", { kind: "system" });
      writeFileSync(servers.path, `${line}\n`);
      expect(servers.find("a:443")).toBeUndefined();
    },
  );
});
