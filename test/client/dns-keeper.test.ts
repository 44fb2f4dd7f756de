import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DnsKeeper } from "../../src/client/dns-keeper.ts";
import { UndoFile, undoPath } from "../../src/client/undo-file.ts";
import { ManualClock } from "../support/manual-clock.ts";

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
});
afterEach(() => rmSync(stateDir, { recursive: true }));

test("DnsKeeper goes on after an order that failed, and puts back what stood there", async () => {
  const warnings: string[] = [];
  const path = join(stateDir, "etc", "resolv.conf");
  const keeper = new DnsKeeper({
    path,
    device: "tap0",
    account: "hq",
    searchPath: "",
    clock: new ManualClock(),
    undo: new UndoFile(stateDir, "hq", process.pid),
    onWarning: (code) => void warnings.push(code),
  });
  const settings = { servers: ["192.0.2.53"], domain: undefined };
  await keeper.set(settings);
  expect(warnings).toEqual(["dns_failed"]);
  mkdirSync(join(stateDir, "etc"));
  writeFileSync(path, "nameserver 198.51.100.1\n");
  await keeper.set(settings);
  expect(readFileSync(path, "utf8")).toContain("nameserver 192.0.2.53\n");
  expect(keeper.servers).toEqual(["192.0.2.53"]);
  await keeper.close();
  expect(readFileSync(path, "utf8")).toBe("nameserver 198.51.100.1\n");
  expect([warnings, existsSync(undoPath(stateDir, "hq"))]).toEqual([["dns_failed"], false]);
});
