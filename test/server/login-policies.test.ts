import { expect, setDefaultTimeout, test } from "bun:test";
import type { Policy } from "../../src/config/policy.ts";
import { Pack } from "../../src/wire/pack.ts";
import { until } from "../support/process.ts";
import { hub, policy, serverConfig, TestServer, user } from "../support/test-server.ts";

// Policy items that act on logins and sessions as a whole (hub.md 6); those about frames are under test with the hub.
// Alice has the item, bob has not.

setDefaultTimeout(30_000);

const hubOf = (item: Partial<Policy>) =>
  hub("VPN", [user("alice", "wonderland", { policy: policy(item) }), user("bob", "builder")]);
const PASSWORDS = { alice: "wonderland", bob: "builder" } as const;
type Name = keyof typeof PASSWORDS;

async function world(of: ReturnType<typeof hub>, body: (at: TestServer) => Promise<void>) {
  await using at = await TestServer.start({ hubs: [of] });
  await body(at);
}

async function login(at: TestServer, name: Name, change?: (pack: Pack) => void) {
  const peer = await at.connect();
  const wish = {
    user: name,
    password: PASSWORDS[name],
    ...(change === undefined ? {} : { change }),
  };
  return { peer, answer: await peer.login(wish) };
}

const usersOf = (at: TestServer) =>
  at.server.snapshot().hubs.flatMap(({ sessions }) => sessions.map((session) => session.user));

test("no_qos takes the lane for urgent frames, and its connections, from the session", () =>
  world(hubOf({ no_qos: true }), async (at) => {
    const grants = async (name: Name) => {
      const wish = (pack: Pack) => void pack.setBool("qos", true).setInt("max_connection", 1);
      const { answer } = await login(at, name, wish);
      return [answer.int("qos"), answer.int("max_connection")];
    };
    expect(await grants("alice")).toEqual([0, 1]);
    expect(await grants("bob")).toEqual([1, 2]);
  }));

test("timeout is how long a session without a word stays", () =>
  world(hubOf({ timeout: 5 }), async (at) => {
    const peers = [(await login(at, "alice")).peer, (await login(at, "bob")).peer];
    for (const peer of peers) await peer.close();
    const sessions = () => at.server.snapshot().hubs.flatMap((one) => one.sessions);
    await until("the end of both connections", () =>
      sessions().every(({ connections }) => connections === 0),
    );
    at.clock.advance(4_500);
    expect(usersOf(at)).toEqual(["alice", "bob"]);
    at.clock.advance(1_500);
    expect(usersOf(at)).toEqual(["bob"]);
    at.clock.advance(15_000);
    expect(usersOf(at)).toEqual([]);
  }));

test("max_connection is how many connections a session may have", () =>
  world(hubOf({ max_connection: 2 }), async (at) => {
    const most = async (name: Name) => {
      const { answer } = await login(at, name, (pack) => void pack.setInt("max_connection", 8));
      return answer.int("max_connection");
    };
    expect([await most("alice"), await most("bob")]).toEqual([2, 8]);
  }));

test("multi_logins is how many machines a user may be at, of which a removed one makes room", () =>
  world(hubOf({ multi_logins: 2 }), async (at) => {
    const errors = async (name: Name) => {
      const found: number[] = [];
      for (const machine of [1, 2, 3]) {
        const id = new Uint8Array(16).fill(machine);
        const { answer } = await login(at, name, (pack) => void pack.setData("UniqueId", id));
        found.push(answer.int("error") ?? 0);
      }
      return found;
    };
    expect(await errors("alice")).toEqual([0, 0, 20]);
    expect(await errors("bob")).toEqual([0, 0, 0]);
    at.server.hubs.get("vpn")!.closeSessions({ code: "admin" });
    expect(await errors("alice")).toEqual([0, 0, 20]);
  }));

test("access keeps a user out, and ends the session that he has", () =>
  world(hubOf({}), async (at) => {
    await login(at, "alice");
    await login(at, "bob");
    await at.server.reload(serverConfig({ hubs: [hubOf({ access: false })] }));
    expect(usersOf(at)).toEqual(["bob"]);
    expect((await login(at, "alice")).answer.int("error")).toBe(12);
    await at.server.reload(serverConfig({ hubs: [hubOf({})] }));
    expect((await login(at, "alice")).answer.int("error") ?? 0).toBe(0);
  }));

test("auto_disconnect ends a session that is old enough", () =>
  world(hubOf({ auto_disconnect: 10 }), async (at) => {
    await login(at, "alice");
    await login(at, "bob");
    at.clock.advance(9_999);
    expect(usersOf(at)).toEqual(["alice", "bob"]);
    at.clock.advance(1);
    expect(usersOf(at)).toEqual(["bob"]);
  }));

test("no_save_password and fix_password are told to clients, who carry them out", () =>
  world(hubOf({ no_save_password: true, fix_password: true }), async (at) => {
    const told = async (name: Name) => {
      const { answer } = await login(at, name);
      return [answer.int("policy:NoSavePassword"), answer.int("policy:FixPassword")];
    };
    expect(await told("alice")).toEqual([1, 1]);
    expect(await told("bob")).toEqual([0, 0]);
  }));

test.each(["alice", "bob"])("nobody changes a password by the protocol: %s gets error 52", (name) =>
  world(hubOf({ fix_password: true }), async (at) => {
    const peer = await at.connect();
    await peer.greet();
    const change = new Pack()
      .setStr("method", "password")
      .setStr("hubname", "VPN")
      .setStr("username", name)
      .setData("secure_old_password", new Uint8Array(20))
      .setData("new_password", new Uint8Array(20));
    expect((await peer.ask(change)).int("error")).toBe(52);
    await peer.ended();
    expect(at.outcome("password_fixed")).toBe(1);
    expect((await login(at, name as Name)).answer.int("error") ?? 0).toBe(0);
  }),
);
