import { describe, expect, test } from "bun:test";
import {
  ConfigError,
  ExitError,
  RefusedError,
  SystemError,
  VpnError,
} from "../../src/base/errors.ts";
import { exitCodeOf, reportFailure } from "../../src/command/failure.ts";
import { ConfigProblemsError } from "../../src/config/problem.ts";

const file = (code: string) => Object.assign(new Error("no"), { code });
const position = { file: "config.toml", line: 3, column: 7 };

describe("exitCodeOf()", () => {
  test.each<[string, unknown, number]>([
    ["what says its own code", new ExitError(73, "x"), 73],
    [
      "the first of several",
      new AggregateError([new ExitError(78, "x"), new ExitError(64, "y")]),
      78,
    ],
    ["a wrong configuration", new ConfigError("x"), 78],
    ["CL-12 a server that is not there", new VpnError("connect_failed", "x"), 69],
    ["CL-12 a wrong certificate", new VpnError("certificate_changed", "x"), 77],
    ["CL-12 a session that was lost", new VpnError("session_ended", "x"), 75],
    ["a proxy that is not there", new VpnError("proxy_connect_failed", "x"), 69],
    ["a proxy that does not reach the server", new VpnError("proxy_error", "x"), 69],
    ["a wrong password for a proxy", new VpnError("proxy_auth_failed", "x"), 77],
    ["an environment that names no proxy", new VpnError("proxy_invalid", "x"), 78],
    ["a wrong password", new RefusedError(9, "x"), 77],
    ["a hub that is offline", new RefusedError(10, "x"), 75],
    ["HS-20 a refusal with a number of its own", new RefusedError(4_000_000_000, "x"), 69],
    ["a right that the system does not give", new SystemError("ioctl", 1, "x"), 77],
    ["another fault of the system", new SystemError("ioctl", 16, "x"), 71],
    ["a file that is not there", file("ENOENT"), 66],
    ["a full disk", file("ENOSPC"), 73],
    ["a fault of ours", new TypeError("x"), 70],
    ["what is no error", "x", 70],
  ])("%s", (_what, thrown, code) => {
    expect(exitCodeOf(thrown)).toBe(code as never);
  });
});

describe("reportFailure()", () => {
  const report = (thrown: unknown, how: { json?: boolean; debug?: boolean } = {}) => {
    let text = "";
    const write = (line: string) => void (text += line);
    reportFailure(thrown, { write, json: how.json ?? false, debug: how.debug ?? false });
    return text;
  };

  test("writes a line for every fault of a configuration, as editors read them", () => {
    const problems = new ConfigProblemsError([
      { position, key: "server.lisen", text: "unknown key" },
      { position: { ...position, line: 9 }, key: "", text: "too long" },
    ]);
    expect(report(problems)).toBe(
      "config.toml:3:7: server.lisen: unknown key\nconfig.toml:9:7: too long\n",
    );
    const lines = report(problems, { json: true }).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).error)).toEqual([
      {
        code: "config",
        message: "server.lisen: unknown key",
        exitCode: 78,
        key: "server.lisen",
        ...position,
      },
      { code: "config", message: "too long", exitCode: 78, key: "", ...position, line: 9 },
    ]);
  });

  test("CL-14 shows escape sequences of names escaped, on one line", () => {
    expect(report(new ExitError(69, 'No "\u001b[2J\n"'))).toBe('vpn: No "\\u001b[2J\\u000a"\n');
  });

  test("calls faults of ours by their name, with a trace only for those who ask", () => {
    const fault = new TypeError("x is not a function");
    expect(report(fault)).toBe(
      "vpn: Internal error: x is not a function (VPN_DEBUG=1 shows where)\n",
    );
    expect(report(fault, { debug: true })).toContain("\n    at ");
    expect(JSON.parse(report(fault, { debug: true, json: true })).error.stack).toContain("    at ");
    expect(JSON.parse(report(fault, { json: true })).error).toEqual({
      code: "internal",
      message: "x is not a function",
      exitCode: 70,
    });
  });
});
