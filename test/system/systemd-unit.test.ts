import { describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAX_NAT_ENTRIES, OPEN_FILES_BESIDES_NAT } from "../../src/base/limits.ts";
import { describeSystem } from "../support/namespace.ts";
import { run } from "../support/process.ts";

const UNITS = ["vpn-bridge.service", "vpn-client.service", "vpn-server.service"] as const;
const FOLDER = join(import.meta.dir, "../../src/asset/systemd");
/** robustness.md 7. */
const MOST_EXPOSED = 2.5;

describeSystem("systemd units", ["systemd-analyze"], () => {
  describe.each(UNITS)("%s", (unit) => {
    test("leaves little to whoever takes the process over", async () => {
      const path = join(FOLDER, unit);
      const shown = await run([
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        path,
      ]);
      const score = /Overall exposure level for [^:]+: ([0-9.]+)/.exec(shown.stdout)?.[1];
      expect(Number(score)).toBeLessThan(MOST_EXPOSED);
    });

    test("is understood whole", async () => {
      const text = await Bun.file(join(FOLDER, unit)).text();
      // The program need not be installed here for its unit to be right.
      const copy = text.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true");
      const path = join(tmpdir(), `patchbay-${process.pid}-${unit}`);
      await Bun.write(path, copy);
      try {
        const shown = await run(["systemd-analyze", "verify", "--man=no", path]);
        const about = `${shown.stdout}${shown.stderr}`
          .split("\n")
          .filter((line) => line.includes(unit));
        expect(about).toEqual([]);
      } finally {
        await Bun.file(path).delete();
      }
    });
  });
});

test.each(["vpn-bridge.service", "vpn-server.service"])(
  "%s has open files for all NAT entries of a hub",
  async (unit) => {
    const text = await Bun.file(join(FOLDER, unit)).text();
    const limit = Number(/^LimitNOFILE=([0-9]+)$/m.exec(text)?.[1]);
    expect(limit).toBeGreaterThanOrEqual(MAX_NAT_ENTRIES + OPEN_FILES_BESIDES_NAT);
  },
);
