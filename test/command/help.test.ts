import { describe, expect, test } from "bun:test";
import manifest from "../../package.json" with { type: "json" };
import { runApplication } from "../../src/command/application.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

const run = async (...args: string[]) => {
  const environment = new FakeEnvironment();
  return {
    code: await runApplication(args, environment),
    out: environment.out,
    err: environment.err,
  };
};

describe("vpn help", () => {
  test("lists chapters, and prints each", async () => {
    const { code, out } = await run("help");
    expect(code).toBe(0);
    const topics = [...out.matchAll(/^ {2}vpn help (\S+)/gm)].map((found) => found[1]!);
    expect(topics.length).toBeGreaterThan(3);
    for (const topic of topics) {
      const chapter = await run("help", topic);
      expect(chapter.code).toBe(0);
      expect(chapter.out).toStartWith("# ");
    }
  });

  test("licences has the text of every package that the program is built from", async () => {
    const { code, out } = await run("help", "licences");
    expect(code).toBe(0);
    const named = [...out.matchAll(/(\S+) \d+\.\d+\.\d+\S* \([^)]/g)].map((found) => found[1]!);
    for (const name of Object.keys(manifest.dependencies)) expect(named).toContain(name);
    // What those need, and what is compiled in.
    const others = ["@noble/hashes", "@peculiar/asn1-schema", "tsyringe", "assemblyscript"];
    expect(named).toEqual(expect.arrayContaining(others));
    expect(out).toContain("Copyright (c)");
    expect(out).toContain("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION");
    expect(out).not.toContain("node_modules");
  });

  test.each(["securty", "constructor"])("ends with 64 for the topic %j", async (topic) => {
    const { code, err } = await run("help", topic);
    expect(code).toBe(64);
    expect(err).toStartWith(`vpn: Unknown topic "${topic}"`);
  });
});
