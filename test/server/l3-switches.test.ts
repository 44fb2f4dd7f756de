import { afterEach, describe, expect, test } from "bun:test";
import type { ServerConfig } from "../../src/config/server-config.ts";
import { readServer } from "../config/fixture.ts";
import { hub, serverConfig, TestServer } from "../support/test-server.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const CORE = '[l3switch.core]\ninterface = { a = "10.1.0.1/24", B = "10.2.0.1/24" }\n';

/** Hubs with these switches; a name with "!" is that of a hub that is offline. */
function config(text: string, ...hubs: string[]): ServerConfig {
  return serverConfig({
    hubs: hubs.map((name) => hub(name.replace("!", ""), [], { online: !name.endsWith("!") })),
    l3Switches: readServer(text).config.l3Switches,
  });
}

async function start(text: string, ...hubs: string[]) {
  const at = await TestServer.start(config(text, ...hubs));
  closers.push(() => at.close());
  const { server } = at;
  return {
    at,
    server,
    reload: (next: string, ...names: string[]) => server.reload(config(next, ...names)),
    states: () => server.snapshot().l3Switches.map(({ state, problem }) => [state, problem]),
    sessions: () =>
      server
        .snapshot()
        .hubs.flatMap(({ innerSessions }) =>
          innerSessions.map(({ name, user, host }) => [name, user, host]),
        ),
  };
}

describe("L3Switches", () => {
  test("are sessions of their hubs, as the reference lists them", async () => {
    const { sessions, states } = await start(CORE, "a", "b");
    expect(states()).toEqual([["online", null]]);
    expect(sessions()).toEqual([
      ["SID-L3-CORE-1", "L3SW_core", "Virtual Layer 3 Switch"],
      ["SID-L3-CORE-1", "L3SW_core", "Virtual Layer 3 Switch"],
    ]);
  });

  test("wait for hubs that are missing or offline, and are online when these are", async () => {
    const { at, reload, sessions, states } = await start(CORE, "a");
    expect(states()).toEqual([["waiting", "there is no hub B"]]);
    const told = () => at.log.lines.filter(({ event }) => event.startsWith("l3_switch")).length;
    expect(told()).toBe(1);
    await reload(CORE, "a");
    expect(told()).toBe(1);
    await reload(CORE, "a", "b!");
    expect(states()).toEqual([["waiting", "hub B is offline"]]);
    await reload(CORE, "a", "b");
    expect([states(), sessions().length]).toEqual([[["online", null]], 2]);
    await reload(CORE, "a!", "b");
    expect([states(), sessions()]).toEqual([[["waiting", "hub a is offline"]], []]);
    await reload(CORE, "a", "b");
    expect(sessions().map(([name]) => name)).toEqual(["SID-L3-CORE-2", "SID-L3-CORE-2"]);
    await reload(CORE, "b");
    expect([states(), sessions()]).toEqual([[["waiting", "there is no hub a"]], []]);
  });

  test("a reload that does not touch them leaves their sessions", async () => {
    const { reload, sessions, server } = await start(CORE, "a", "b");
    const route = `${CORE}route = [{ to = "10.9.0.0/16", via = "10.2.0.9" }]`;
    expect(await reload(route, "a", "b", "c")).toEqual(["hub.c added", "l3switch.core changed"]);
    expect(sessions().map(([name]) => name)).toEqual(["SID-L3-CORE-1", "SID-L3-CORE-1"]);
    expect(server.snapshot().l3Switches[0]!.routes).toEqual([
      { to: "10.9.0.0/16", via: "10.2.0.9", metric: 1, hub: "B" },
    ]);
    const third = route.replace(" }\n", ', c = "10.3.0.1/24" }\n');
    await reload(third, "a", "b", "c");
    expect(sessions().map(([name]) => name)).toEqual([
      "SID-L3-CORE-1",
      "SID-L3-CORE-1",
      "SID-L3-CORE-1",
    ]);
    await reload(third.replace("10.2.0.1", "10.2.0.7"), "a", "b", "c");
    expect(sessions().map(([name]) => name)).toEqual([
      "SID-L3-CORE-1",
      "SID-L3-CORE-2",
      "SID-L3-CORE-1",
    ]);
    expect(await reload("", "a", "b", "c")).toEqual(["l3switch.core removed"]);
    expect(sessions()).toEqual([]);
  });

  test("are stopped and started by their owner, whatever the case of their names", async () => {
    const { server, states, sessions, reload } = await start(CORE, "a", "b");
    expect(server.setL3SwitchRunning("CORE", false)).toMatchObject({
      state: "stopped",
      problem: null,
    });
    expect(sessions()).toEqual([]);
    await reload(CORE, "a", "b");
    expect(states()).toEqual([["stopped", null]]);
    expect(server.setL3SwitchRunning("core", true)).toMatchObject({
      state: "online",
      interfaces: [
        { session: "SID-L3-CORE-2", hub: "a" },
        { session: "SID-L3-CORE-2", hub: "B" },
      ],
    });
    expect(() => server.setL3SwitchRunning("east", true)).toThrow(
      'no layer 3 switch "east" (it has core)',
    );
  });

  test("one that the file does not enable is started by command, unless it has no interface", async () => {
    const { server, states } = await start(
      `${CORE}enable = false\n[l3switch.bare]\nenable = false\ninterface = {}`,
      "a",
      "b",
    );
    expect(states()).toEqual([
      ["stopped", null],
      ["stopped", null],
    ]);
    expect(server.setL3SwitchRunning("core", true).state).toBe("online");
    expect(() => server.setL3SwitchRunning("bare", true)).toThrow("has no interfaces");
  });

  test("compat l3-errors holds from a reload on, and sessions stay", async () => {
    const { server, sessions } = await start(CORE, "a", "b");
    const next = config(CORE, "a", "b");
    await server.reload({ ...next, server: { ...next.server, compat: ["l3-errors"] } });
    expect(sessions().map(([name]) => name)).toEqual(["SID-L3-CORE-1", "SID-L3-CORE-1"]);
  });

  test("leave nothing when the server stops", async () => {
    const { at } = await start(`${CORE}ra = true`, "a", "b");
    await closers.pop()!();
    expect(at.clock.pending).toBe(0);
  });
});
