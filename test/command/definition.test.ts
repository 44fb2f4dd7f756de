import { describe, expect, test } from "bun:test";
import { runApplication } from "../../src/command/application.ts";
import { command, ternary, toggle, type CommandTable } from "../../src/command/definition.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

/** Runs `go [WHERE...] --[no-]half-way --fast`; answers what the command got. */
async function go(...args: string[]) {
  const environment = new FakeEnvironment();
  let got: unknown[] = [];
  const table: CommandTable = {
    go: command("Go", {
      flags: { halfWay: ternary("half"), fast: toggle("fast") },
      args: [{ placeholder: "WHERE", brief: "where", isOptional: true, isRepeated: true }],
      examples: ["vpn go"],
      load:
        async () =>
        async (_environment, flags, ...where) => {
          got = [flags.halfWay, flags.fast, where];
          return 0;
        },
    }),
  };
  const code = await runApplication(["go", ...args], environment, table);
  return { code, got, out: environment.out, err: environment.err };
}

describe("ternary()", () => {
  test.each([
    [[], undefined],
    [["--half-way"], true],
    [["--no-half-way"], false],
    [["--half-way=false"], false],
  ] as const)("%j gives %p", async (args, expected) => {
    expect((await go(...args)).got[0]).toBe(expected);
  });

  test("CL-02 given twice, or denied where it is only on or off, ends with 64", async () => {
    expect((await go("--half-way", "--no-half-way")).code).toBe(64);
    expect((await go("--no-fast")).code).toBe(64);
  });
});

describe("a repeated argument", () => {
  test("is any number of words, between the flags, too", async () => {
    expect((await go()).got[2]).toEqual([]);
    expect((await go("a", "--fast", "b c", "--", "-d")).got).toEqual([
      undefined,
      true,
      ["a", "b c", "-d"],
    ]);
  });

  test("is shown as such", async () => {
    expect((await go("--help")).out).toContain("go [FLAGS] [WHERE...]");
  });
});
