import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT } from "../../src/base/errors.ts";
import { runApplication } from "../../src/command/application.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";
import { until } from "../support/process.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
  writeFileSync(join(folder, "client.toml"), "");
});
afterEach(() => rmSync(folder, { recursive: true }));

async function run(flags: readonly string[], environment = new FakeEnvironment()) {
  const account = ["--server", "127.0.0.1:1", "--hub", "h", "--user", "u", "--anonymous"];
  const place = ["--state-dir", folder, "--config", join(folder, "client.toml")];
  const args = ["client", "monitor", ...account, ...place, ...flags];
  const code = await runApplication(args, environment);
  expect(environment.listeners).toBe(0);
  expect(environment.clock.pending).toBe(0);
  return { code, environment };
}

describe("vpn client monitor", () => {
  test.each([
    [[], "--write is missing"],
    [["--write", "x", "--ring-files", "3"], "--ring-files needs --ring-size or --ring-time"],
    [["--write", "-", "--ring-size", "1MB"], "no ring"],
    [["--write", "x", "--ring-size", "1kB"], "expected a size from 10kB to 1024GB"],
    [["--write", "x", "--ring-size", "10"], "such as 100MB or 64MiB"],
    [["--write", "x", "--snaplen", "13"], "from 14 to 65535"],
    [["--write", "x", "--ring-time", "1s", "--ring-files", "1"], "from 2 to 100000"],
  ])("CL-03 refuses %p", async (flags, words) => {
    const { code, environment } = await run(flags);
    expect(code).toBe(EXIT.usage);
    expect(environment.err).toContain(words);
    expect(environment.out).toBe("");
  });

  test("writes no frames on a terminal", async () => {
    const { code, environment } = await run(
      ["--write", "-"],
      Object.assign(new FakeEnvironment(), { stdoutIsTerminal: true }),
    );
    expect(code).toBe(EXIT.usage);
    expect(environment.err).toContain("is a terminal");
    expect(environment.outBytes).toEqual([]);
  });

  test("CL-09 shows where a filter is wrong, before anything is connected or written", async () => {
    const write = join(folder, "x.pcapng");
    const flags = ["--write", write, "--filter", "tcp port http"];
    const { code, environment } = await run(flags);
    expect(code).toBe(EXIT.usage);
    expect(environment.err).toBe(
      "  tcp port http\n           ^\n" +
        'vpn: Cannot use --filter, column 10: expected a port from 0 to 65535, found "http"\n',
    );
    expect(await Bun.file(write).exists()).toBe(false);
    const json = await run([...flags, "--json"]);
    expect(JSON.parse(json.environment.err).error.exitCode).toBe(EXIT.usage);
  });

  test("a folder that is not there ends it before it connects", async () => {
    const { code, environment } = await run(["--write", join(folder, "none", "x.pcapng")]);
    expect(code).toBe(EXIT.noInput);
    expect(environment.err).toContain("ENOENT");
  });

  test("a server that is not there ends it with 69, and standard output has a whole capture", async () => {
    const { code, environment } = await run(["--write", "-", "--retry", "0"]);
    expect(code).toBe(EXIT.unavailable);
    expect(environment.out).toBe("");
    expect(environment.outBytes.length).toBeGreaterThan(0);
    expect(environment.outBytes[0]!.subarray(0, 4).toHex()).toBe("0a0d0d0a");
  });

  test("a reader that takes nothing does not keep the process for ever", async () => {
    const writeBytes = () => new Promise<void>(() => undefined);
    const environment = Object.assign(new FakeEnvironment(), { writeBytes });
    const ended = run(["--write", "-", "--retry", "0"], environment);
    // First the dial fails, then what waits to be written has its time.
    await until("the end", () => {
      environment.clock.advance(1000);
      return environment.exits.length > 0;
    });
    await ended;
    expect(environment.exits).toEqual([EXIT.temporary]);
    expect(environment.err).toContain("Cannot finish the capture");
  });
});
