import { describe, expect, test } from "bun:test";
import { ExitError } from "../../src/base/errors.ts";
import { findNft, killSwitchScript, killSwitchTable } from "../../src/client/kill-switch.ts";
import { tryFindProgram } from "../../src/client/system-program.ts";
import { describeSystem, World } from "../support/namespace.ts";

describe("killSwitchTable()", () => {
  test("makes a name that nft takes of any account's, and never the same of two", () => {
    expect(killSwitchTable("hq")).toBe("patchbay_hq");
    expect(killSwitchTable("a b")).toBe("patchbay_a.20b");
    expect(killSwitchTable("a.20b")).toBe("patchbay_a.2e20b");
    expect(killSwitchTable("x; flush ruleset")).toMatch(/^patchbay_[\w.]+$/);
    const long = [killSwitchTable("é".repeat(255)), killSwitchTable("é".repeat(254))];
    expect(new Set(long).size).toBe(2);
    for (const name of long) expect(name.length).toBeLessThan(255);
  });
});

test("findNft() says what is missing", () => {
  const installed = tryFindProgram("nft", "") !== undefined;
  if (installed) expect(findNft("")).toEndWith("/nft");
  else expect(() => findNft("")).toThrow(ExitError);
});

describeSystem("killSwitchScript()", ["nft"], () => {
  test("is taken by nft for any peers, and again in the place of itself", async () => {
    await using world = new World();
    const at = await world.namespace("nft");
    const nft = async (script: string) => {
      await at.check(["nft", "-f", "-"], { stdin: script });
      return (await at.check(["nft", "list", "ruleset"])).stdout;
    };
    const none = await nft(killSwitchScript("patchbay_a.20b", "vpn 0".replace(" ", "."), []));
    expect(none).not.toContain("elements");
    const peers = [
      { address: "203.0.113.7", port: 443 },
      { address: "203.0.113.7", port: 8443 },
      { address: "2001:db8::7", port: 443 },
    ];
    const some = await nft(killSwitchScript("patchbay_a.20b", "vpn0", peers));
    expect(some.match(/^table/gm)).toHaveLength(1);
    expect(some).toContain("203.0.113.7 . 8443");
    expect(some).toContain("elements = { 2001:db8::7 . 443 }");
    expect(some.match(/policy drop/g)).toHaveLength(2);
  });
});
