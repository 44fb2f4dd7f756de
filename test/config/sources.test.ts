import { describe, expect, test } from "bun:test";
import { faultsOf, readServer } from "./fixture.ts";

const INCLUDE = 'include = ["conf.d/*.toml"]\n';

describe("include", () => {
  test("merges further files in the order of their names", () => {
    const { config, files } = readServer(`${INCLUDE}[server]\nwatch = true\n[hub.a.user.x]\n`, {
      files: {
        "/etc/vpn/conf.d/20.toml": "[hub.c.user.x]\n",
        "/etc/vpn/conf.d/10.toml": "[hub.b.user.x]\n[hub.a.user.y]\n[log]\nformat = 'json'\n",
        "/etc/vpn/conf.d/not.txt": "?",
      },
    });
    expect(files).toEqual([
      "/etc/vpn/config.toml",
      "/etc/vpn/conf.d/10.toml",
      "/etc/vpn/conf.d/20.toml",
    ]);
    expect(config.log.format).toBe("json");
    expect(config.hubs.map(({ name, users }) => [name, users.map((user) => user.name)])).toEqual([
      ["a", ["x", "y"]],
      ["b", ["x"]],
      ["c", ["x"]],
    ]);
  });

  test("paths are relative to the file that names them, and faults carry its name", () => {
    const files = {
      "/etc/vpn/conf.d/a.toml": "[hub.a.user.x]\npassword = 'file:x.pw'\n",
      "/etc/vpn/conf.d/x.pw": "pw",
    };
    expect(readServer(INCLUDE, { files }).config.hubs[0]?.users[0]?.credential.kind).toBe(
      "password",
    );
    expect(
      faultsOf(() =>
        readServer(INCLUDE, { files: { "/etc/vpn/conf.d/a.toml": "[hub.a]\nonlin = 1\n" } }),
      ),
    ).toEqual(['conf.d/a.toml:2:1: hub.a.onlin: unknown key (did you mean "online"?)']);
  });

  test.each([
    [
      "[hub.a]\n",
      "[hub.a]\nonline = true\n",
      "conf.d/a.toml:1:6: hub.a: defined a second time, first in config.toml, line 2",
    ],
    [
      "[server]\n",
      "server.watch = true\n",
      "conf.d/a.toml:1:1: server: defined a second time, first in config.toml, line 2",
    ],
    [
      "[hub.a]\n",
      "hub = 3\n",
      "conf.d/a.toml:1:1: hub: defined a second time, first in config.toml, line 2",
    ],
    ["", "include = ['x']\n", "conf.d/a.toml:1:1: include: belongs in the main file"],
    ["", "schema = 1\n", "conf.d/a.toml:1:1: schema: belongs in the main file"],
    [
      "[hub.A]\n",
      "[hub.a]\n",
      'conf.d/a.toml:1:6: hub.a: the same hub as "A" in config.toml line 2, case is ignored',
    ],
  ])("CF-07 %j beside %j is refused", (main, part, fault) => {
    const files = { "/etc/vpn/conf.d/a.toml": part };
    expect(faultsOf(() => readServer(`${INCLUDE}${main}`, { files }))).toEqual([fault]);
  });

  test("a name must exist, a pattern need not match", () => {
    expect(faultsOf(() => readServer("include = ['a.toml']\n"))).toEqual([
      'config.toml:1:12: "a.toml" does not exist',
    ]);
    expect(readServer(`${INCLUDE}[hub.a.user.x]\n`).files).toEqual(["/etc/vpn/config.toml"]);
  });

  test("a list of other things is refused by its type", () => {
    expect(faultsOf(() => readServer("include = 'a.toml'\n"))[0]).toContain(
      "include: expected a list",
    );
    expect(faultsOf(() => readServer("include = [1]\n"))[0]).toContain("include[0]: expected text");
  });

  test("CF-09 all files together have the limit of one", () => {
    const half = `# ${"x".repeat(60_000)}\n`.repeat(40);
    const files = { "/etc/vpn/conf.d/a.toml": half, "/etc/vpn/conf.d/b.toml": half };
    expect(faultsOf(() => readServer(INCLUDE, { files }))).toEqual([
      "conf.d/b.toml:1:1: the file is too large",
    ]);
  });
});
