import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatMac } from "../../src/base/mac.ts";
import { openStateStore } from "../../src/config/state-store.ts";
import { tapMac } from "../../src/config/tap-mac.ts";
import { seededRandom } from "../support/seeded-random.ts";

test("tapMac() makes an address once for each interface and keeps it in state.db", () => {
  const dir = mkdtempSync(join(tmpdir(), "patchbay-tap-mac-"));
  try {
    const ask = (device: string, seed: number) => {
      const random = seededRandom(seed);
      const store = openStateStore(dir, { random });
      try {
        return tapMac(store.objects, device, { random, now: 1000 });
      } finally {
        store.close();
      }
    };
    const first = ask("tap_lan", 1);
    expect(formatMac(first)).toStartWith("5e:");
    expect(ask("tap_lan", 2)).toBe(first);
    const other = ask("tap_other", 3);
    expect(other).not.toBe(first);
    expect(ask("tap_lan", 4)).toBe(first);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
