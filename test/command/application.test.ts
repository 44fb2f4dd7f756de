import { describe, expect, test } from "bun:test";
import { EXIT, ExitError, type ExitCode } from "../../src/base/errors.ts";
import { runApplication, VERSION_LINE } from "../../src/command/application.ts";
import { COMMANDS } from "../../src/command/catalog.ts";
import { command, toggle, value, type CommandTable } from "../../src/command/definition.ts";
import { parseInteger } from "../../src/command/flag.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

async function run(...args: string[]) {
  const environment = new FakeEnvironment();
  const code = await runApplication(args, environment);
  expect(environment.listeners).toBe(0);
  return { code, out: environment.out, err: environment.err };
}

/** Runs against a table with one command, `go [WHERE] --fast --speed N --json`. */
async function go(args: string[], work: (...parts: unknown[]) => Promise<ExitCode>, debug = false) {
  const environment = new FakeEnvironment();
  if (debug) environment.variables["VPN_DEBUG"] = "1";
  const table: CommandTable = {
    go: command("Go", {
      flags: {
        fast: toggle("fast"),
        json: toggle("json"),
        speedLimit: value("N", "limit", parseInteger("a speed", 1, 9)),
      },
      args: [{ placeholder: "WHERE", brief: "where", isOptional: true }],
      examples: ["vpn go"],
      load: async () => work,
    }),
  };
  const code = await runApplication(args, environment, table);
  return { code, out: environment.out, err: environment.err };
}

describe("runApplication()", () => {
  test("CL-01 nothing at all is answered with the usage on standard error and 64", async () => {
    const { code, out, err } = await run();
    expect(code).toBe(EXIT.usage);
    expect(out).toBe("");
    expect(err).toStartWith("USAGE\n  vpn server\n");
  });

  test("CL-01 a group without its command is answered likewise", async () => {
    const { code, err } = await run("client");
    expect(code).toBe(EXIT.usage);
    expect(err).toContain("vpn client connect");
  });

  test("CL-01 --help and --version go to standard output and end with 0", async () => {
    const help = await run("--help");
    expect([help.code, help.err]).toEqual([EXIT.ok, ""]);
    expect(help.out).toContain("vpn client connect|monitor|status|disconnect");
    expect(await run("--version")).toEqual({ code: EXIT.ok, out: `${VERSION_LINE}\n`, err: "" });
  });

  test("every command has help with examples that begin with its own name", async () => {
    const visit = async (table: CommandTable, prefix: string[]) => {
      for (const [name, entry] of Object.entries(table)) {
        const path = [...prefix, name];
        if (entry.kind === "group") {
          await visit(entry.commands, path);
          continue;
        }
        const { code, out } = await run(...path, "--help");
        expect(code).toBe(EXIT.ok);
        expect(out).toContain(`EXAMPLES\n  vpn ${path.join(" ")}`);
        for (const example of entry.examples) expect(example).toStartWith(`vpn ${path.join(" ")}`);
      }
    };
    await visit(COMMANDS, []);
  });

  test.each([
    [["clinet"], 'vpn: Unknown command "clinet", did you mean client?\n'],
    [["client", "conect"], 'vpn: Unknown command "conect", did you mean connect?\n'],
    [["constructor"], 'vpn: Unknown command "constructor"\n'],
    [["--frobnicate"], "vpn: Unknown flag --frobnicate\n"],
    [["status", "--jason"], "vpn: Unknown flag --jason, did you mean --json?\n"],
    [["status", "--constructor", "x"], "vpn: Unknown flag --constructor\n"],
    [["status", "-x"], "vpn: Unknown flag -x\n"],
    [["status", "--state-dir", "a", "--state-dir", "b"], "vpn: Flag --state-dir is given twice\n"],
    [["status", "--state-dir"], "vpn: Flag --state-dir needs a value\n"],
    [["status", "--state-dir", "--json"], "vpn: Flag --state-dir needs a value\n"],
    [["passwd"], "vpn: USER is missing\n"],
    [["status", "a"], 'vpn: Unexpected argument "a"\n'],
    [
      ["client", "connect", "--mode", "both"],
      'vpn: Cannot use --mode "both": expected "client" or "bridge" or "monitor"\n',
    ],
    [
      ["client", "connect", "--proxy", "http://bob:geheim@p:3128"],
      'vpn: Cannot use --proxy "http://bob:...@p:3128": a password on the command line can be read by others: use --proxy-password-file\n',
    ],
  ])("CL-02 %j ends with 64 and one line", async (args, line) => {
    // Where --json is among the arguments the line is an object.
    const { code, err } = await run(...args);
    expect(code).toBe(EXIT.usage);
    const text = err.startsWith("{") ? `vpn: ${JSON.parse(err).error.message}\n` : err;
    expect(text).toBe(line);
  });

  test.each(["abc", "0", "65536", "-1", "4e3", ""])(
    "CL-03 port %j ends with 64 and names the range",
    async (port) => {
      const { code, err } = await run("client", "connect", "--server", `host:${port}`);
      expect(code).toBe(EXIT.usage);
      expect(err).toContain("expected a port from 1 to 65535");
    },
  );

  test.each([
    [["client", "connect", "--password", "geheim"]],
    [["client", "connect", "--password=geheim"]],
    [["--password", "geheim", "server"]],
    [["passwd", "alice", "--passwd=geheim"]],
  ])("CL-04 %j is refused without the secret and names --password-file", async (args) => {
    const { code, err, out } = await run(...args);
    expect(code).toBe(EXIT.usage);
    expect(err).toContain("--password-file");
    expect(err + out).not.toContain("geheim");
  });

  test("CL-11 with --json an error is one JSON object on standard error", async () => {
    const { code, out, err } = await run("client", "connect", "--json", "--retry", "often");
    expect(code).toBe(EXIT.usage);
    expect(out).toBe("");
    expect(JSON.parse(err)).toEqual({
      error: {
        code: "exit_64",
        message: expect.stringContaining('Cannot use --retry "often"'),
        exitCode: 64,
      },
    });
  });

  test("hands flags, switches and arguments to the command", async () => {
    let got: unknown[] = [];
    const { code } = await go(
      ["go", "home", "--speed-limit", "7", "--fast"],
      async (_, ...rest) => {
        got = rest;
        return EXIT.temporary;
      },
    );
    expect(code).toBe(EXIT.temporary);
    expect(got).toEqual([{ fast: true, json: false, speedLimit: 7 }, "home"]);
  });

  test("takes what stands behind -- for an argument", async () => {
    let got: unknown;
    await go(["go", "--", "--json"], async (_, _flags, where) => {
      got = where;
      return EXIT.ok;
    });
    expect(got).toBe("--json");
  });

  test("reports what a command throws in one line, without a trace", async () => {
    const thrown = new ExitError(EXIT.cannotCreate, "Cannot make it");
    const { code, err } = await go(["go"], () => Promise.reject(thrown));
    expect([code, err]).toEqual([EXIT.cannotCreate, "vpn: Cannot make it\n"]);
  });

  test("shows the trace where VPN_DEBUG asks for it", async () => {
    const { code, err } = await go(["go"], () => Promise.reject(new TypeError("oops")), true);
    expect(code).toBe(EXIT.software);
    expect(err).toMatch(/^vpn: Internal error: oops .*\nTypeError: oops\n +at /);
  });

  test("reports what nobody caught in one line and ends", async () => {
    const environment = new FakeEnvironment();
    const work = async () => {
      environment.fault(new TypeError("oops"));
      return EXIT.ok;
    };
    const table = { go: command("Go", { flags: {}, examples: [], load: async () => work }) };
    await runApplication(["go"], environment, table);
    expect(environment.exits).toEqual([EXIT.software]);
    expect(environment.err).toBe("vpn: Internal error: oops (VPN_DEBUG=1 shows where)\n");
  });

  test("reports an error that is thrown while the command's module is loaded", async () => {
    const environment = new FakeEnvironment();
    const load = () => Promise.reject(new TypeError("no module"));
    const table = { go: command("Go", { flags: {}, examples: [], load }) };
    expect(await runApplication(["go"], environment, table)).toBe(EXIT.software);
    expect(environment.err).toContain("no module");
  });
});
