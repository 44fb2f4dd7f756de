import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isWireless } from "../../src/platform/wireless.ts";

test("isWireless() goes by what the kernel shows of an interface", () => {
  const root = mkdtempSync(join(tmpdir(), "patchbay-net-"));
  try {
    for (const path of ["wlan0/wireless", "wlan1/phy80211", "eth0/queues"])
      mkdirSync(join(root, path), { recursive: true });
    const asked = ["wlan0", "wlan1", "eth0", "eth1"].map((name) => isWireless(name, root));
    expect(asked).toEqual([true, true, false, false]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
