import { describe, expect, test } from "bun:test";
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

  test.each(["securty", "constructor"])("ends with 64 for the topic %j", async (topic) => {
    const { code, err } = await run("help", topic);
    expect(code).toBe(64);
    expect(err).toStartWith(`vpn: Unknown topic "${topic}"`);
  });
});
