import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { DEFAULT_HUB_OPTIONS } from "../../src/config/hub-options.ts";
import type { OpenSession } from "../../src/server/stay.ts";
import type { Pack } from "../../src/wire/pack.ts";
import { BROADCAST, ipv4, lan, mac } from "../hub/frames.ts";
import { runOf } from "../support/array-port.ts";
import { hub, policy, TestServer, user, type TestServerOptions } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

const CHECKED = { policy: policy({ check_mac: true, check_ip: true }) };
const USERS = [user("alice", "a", CHECKED), user("bob", "b", CHECKED)];

let at: TestServer | undefined;
afterEach(async () => {
  await at?.close();
  at = undefined;
});

async function start(compat: "session-end"[] = []): Promise<TestServer> {
  const options: TestServerOptions = {
    hubs: [hub("VPN", USERS, { options: DEFAULT_HUB_OPTIONS })],
  };
  at = await TestServer.start({ ...options, settings: { compat } });
  return at;
}

/** Logs in and answers the session at the server's end. */
async function login(name: string, installation: number, as?: (pack: Pack) => void) {
  const { sessions } = at!.server.hubs.get("vpn")!;
  const before = new Set(sessions.keys());
  await at!.session({
    user: name,
    password: name[0]!,
    change: (pack) => {
      pack.setData("UniqueId", new Uint8Array(16).fill(installation));
      as?.(pack);
    },
  });
  return [...sessions.values()].find((open) => !before.has(open.session.name))!;
}

/** Whether a frame from this station is admitted to the hub. */
function sends(open: OpenSession, station = 1): boolean {
  const before = open.port.counters.record().ingress.group.frames;
  open.port.deliver(runOf([ipv4({ to: BROADCAST, from: mac(station), ip: lan(station) })]));
  return open.port.counters.record().ingress.group.frames > before;
}

describe("takeOver()", () => {
  test("the same user on the same machine has MAC and address at once, though the old session lingers", async () => {
    await start();
    const before = await login("alice", 7);
    expect(sends(before)).toBe(true);
    const after = await login("alice", 7);
    expect(after.session.name).not.toBe(before.session.name);
    expect(sends(after)).toBe(true);
    const { hub: inside } = at!.server.hubs.get("vpn")!;
    expect(inside.macTable().map((entry) => entry.port.name)).toEqual([after.session.name]);
    expect(inside.ipTable().map((entry) => entry.port.name)).toEqual([after.session.name]);
  });

  test("another user, another machine, and a client that names none wait for 13 s", async () => {
    await start();
    const before = await login("alice", 7);
    expect(sends(before)).toBe(true);
    for (const [name, installation] of [
      ["bob", 7],
      ["alice", 8],
      ["alice", 0],
    ] as const)
      expect(sends(await login(name, installation))).toBe(false);
    const unnamed = await login("alice", 0);
    expect(sends(before)).toBe(true);
    expect(sends(unnamed)).toBe(false);
  });

  test("a login that is refused frees nothing", async () => {
    await start();
    const before = await login("alice", 7);
    sends(before);
    const peer = await at!.connect();
    const change = (pack: Pack) => void pack.setData("UniqueId", new Uint8Array(16).fill(7));
    const answer = await peer.login({ user: "alice", password: "wrong", change });
    expect(answer.int("error")).toBe(9);
    expect(at!.server.hubs.get("vpn")!.hub.macTable().length).toBe(1);
  });

  test("session-end: the lingering session keeps its own for 13 s, as in the reference", async () => {
    await start(["session-end"]);
    sends(await login("alice", 7));
    expect(sends(await login("alice", 7))).toBe(false);
  });
});
