import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatNet } from "../../src/base/ip.ts";
import { formatMac } from "../../src/base/mac.ts";
import { secureNatIdentity } from "../../src/config/secure-nat-state.ts";
import { openStateStore } from "../../src/config/state-store.ts";
import { seededRandom } from "../support/seeded-random.ts";

test("secureNatIdentity() makes a MAC and a prefix once for each hub and keeps them in state.db", () => {
  const dir = mkdtempSync(join(tmpdir(), "patchbay-secure-nat-"));
  try {
    const ask = (hub: string, seed: number) => {
      const random = seededRandom(seed);
      const store = openStateStore(dir, { random });
      try {
        return secureNatIdentity(store.objects, hub, { random, now: 1000 });
      } finally {
        store.close();
      }
    };
    const first = ask("Guest", 1);
    expect(formatMac(first.mac)).toStartWith("5e:");
    expect(formatNet(first.ipv6Prefix)).toMatch(
      /^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::\/64$/,
    );
    expect(ask("guest", 2)).toEqual(first);
    const other = ask("office", 3);
    expect(other.mac).not.toBe(first.mac);
    expect(other.ipv6Prefix).not.toEqual(first.ipv6Prefix);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
