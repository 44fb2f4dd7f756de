import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MacAddress, tryParseMac } from "../../src/base/mac.ts";
import { LocalMacs } from "../../src/platform/local-macs.ts";
import { ManualClock } from "../support/manual-clock.ts";

const card = tryParseMac("02:00:00:00:00:01")!;
const tap = tryParseMac("02:00:00:00:00:02")!;

test("LocalMacs.has() knows the interfaces that are there, and looks again after a second", () => {
  const directory = mkdtempSync(join(tmpdir(), "local-macs-"));
  try {
    const device = (name: string, address: string) => {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, "address"), `${address}\n`);
    };
    device("lo", "00:00:00:00:00:00");
    device("eth0", "02:00:00:00:00:01");
    device("ib0", "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01");
    // A file among the devices, as of the bonding driver.
    writeFileSync(join(directory, "bonding_masters"), "");
    const clock = new ManualClock();
    const macs = new LocalMacs(clock, directory);
    expect([macs.has(card), macs.has(tap), macs.has(0 as MacAddress)]).toEqual([
      true,
      false,
      false,
    ]);
    device("tap0", "02:00:00:00:00:02");
    clock.advance(999);
    expect(macs.has(tap)).toBe(false);
    clock.advance(1);
    expect(macs.has(tap)).toBe(true);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("LocalMacs.has() is false where the system shows no interfaces", () => {
  expect(new LocalMacs(new ManualClock(), "/nowhere").has(card)).toBe(false);
});
