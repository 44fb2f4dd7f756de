import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import filter from "../../src/asset/fail2ban/patchbay.conf" with { type: "text" };
import { createLog, type LogFormat } from "../../src/observe/log.ts";
import { LoginFailures, type LoginFailure } from "../../src/server/login-failures.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { describeSystem } from "../support/namespace.ts";

const FAILURE: LoginFailure = {
  address: "192.0.2.1",
  reason: "credentials",
  error: 9,
  user: "alice",
  hub: "home",
  client: "Some Client",
  detail: undefined,
};

/** What the server writes about these, as fail2ban finds it in a file or, with a prefix, in the journal. */
function linesOf(failures: readonly Partial<LoginFailure>[], format: LogFormat): string[] {
  const lines: string[] = [];
  const clock = new ManualClock(Date.now());
  const write = (line: string) => void lines.push(line);
  const log = createLog({ clock, write, level: "info", format });
  const told = new LoginFailures({ clock, log });
  for (const failure of failures) told.tell({ ...FAILURE, ...failure });
  return lines;
}

describeSystem("fail2ban with the filter that is shipped", ["fail2ban-regex"], () => {
  /** The addresses that it would count, in the order of the lines. */
  async function addressesIn(lines: readonly string[], end = "\n"): Promise<string[]> {
    const folder = mkdtempSync(join(tmpdir(), "patchbay-fail2ban-"));
    try {
      const [log, conf] = [join(folder, "vpn.log"), join(folder, "patchbay.conf")];
      writeFileSync(log, lines.map((line) => `${line}${end}`).join(""));
      writeFileSync(conf, filter);
      const run = Bun.spawn(["fail2ban-regex", "--out", "ip", log, conf], {
        stdout: "pipe",
        stderr: "pipe",
      });
      const text = await new Response(run.stdout).text();
      expect(await run.exited).toBe(0);
      return text.trim().split("\n").filter(Boolean);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  const PRETENDER = '",\\"address\\":\\"203.0.113.66\\",\\"reason\\":\\"credentials\\"';
  const FAILURES: Partial<LoginFailure>[] = [
    { address: "192.0.2.1" },
    { address: "2001:db8::7", reason: "held" },
    { address: "192.0.2.2", reason: "unavailable" },
    { address: "192.0.2.3", reason: "admission", error: 12 },
    { address: "192.0.2.4", user: 'x" address=203.0.113.66 reason=credentials error=9 user=' },
    {
      address: "192.0.2.5",
      reason: "admission",
      user: "x\n2026-11-22 10:00:00.000 warn  Login refused address=203.0.113.66 reason=credentials error=9 user=y",
    },
    { address: "192.0.2.6", reason: "admission", hub: PRETENDER },
  ];
  const COUNTED = ["192.0.2.1", "2001:db8::7", "192.0.2.4"];

  test.each(["text", "json"] as const)(
    "counts wrong credentials in %s lines, from where they came, whatever names say",
    async (format) => {
      const lines = linesOf(FAILURES, format);
      expect(lines).toHaveLength(FAILURES.length);
      expect(await addressesIn(lines)).toEqual(COUNTED);
      const inJournal = lines.map((line) => `Nov 22 17:30:07 gate vpn[123]: ${line}`);
      expect(await addressesIn(inJournal)).toEqual(COUNTED);
      // As the server's own files have them.
      expect(await addressesIn(lines, "\r\n")).toEqual(COUNTED);
    },
  );
});

test("LoginFailures.tell() writes at most so many lines a minute, and how many it left out", () => {
  const lines = linesOf(
    Array.from({ length: 700 }, () => ({})),
    "json",
  );
  expect(lines).toHaveLength(600);
  const clock = new ManualClock();
  const told: unknown[] = [];
  const log = createLog({
    clock,
    write: (line) => void told.push(JSON.parse(line)),
    level: "info",
    format: "json",
  });
  const failures = new LoginFailures({ clock, log });
  for (let i = 0; i < 700; i++) failures.tell(FAILURE);
  clock.advance(60_000);
  failures.tell(FAILURE);
  expect(told.at(-1)).toMatchObject({ event: "login_failed", suppressed: 100 });
});
