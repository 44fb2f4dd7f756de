import { MapLinkMemory } from "../support/link-memory.ts";
import { MapStartMemory } from "../support/start-memory.ts";
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, ExitError, VpnError } from "../../src/base/errors.ts";
import type { HubConfig, RadiusSettings, ServerConfig } from "../../src/config/server-config.ts";
import { controlRequests } from "../../src/server/control-requests.ts";
import { CONTROL_SOCKET, serveControl } from "../../src/server/control-socket.ts";
import { startServer } from "../../src/server/server.ts";
import { Pack } from "../../src/wire/pack.ts";
import type { Peer } from "../support/peer.ts";
import { until } from "../support/process.ts";
import { MAC_ZERO } from "../../src/base/mac.ts";
import { seededRandom } from "../support/seeded-random.ts";
import {
  hub,
  openFiles,
  policy,
  recordingLog,
  serverConfig,
  TestServer,
  user,
  USERS,
  type TestServerOptions,
} from "../support/test-server.ts";
import { memoryBooks } from "../support/counter-books.ts";
import { FAKE_NAT_MEMORY } from "../support/nat-memory.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

/** An accounting server that hears all and answers nothing. */
class Books {
  readonly heard: Uint8Array[] = [];
  settings: RadiusSettings = {
    servers: [],
    secret: new Uint8Array(8),
    retryMs: 1_000,
    timeoutMs: 5_000,
    nasId: "here",
    realm: "",
    suffixFilter: "",
    groupFrom: "off",
    accounting: [],
    accountingIntervalMs: 300_000,
    requireMessageAuthenticator: true,
  };

  static async open(): Promise<Books> {
    const books = new Books();
    const socket = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_socket, bytes) => void books.heard.push(new Uint8Array(bytes)) },
    });
    closers.push(() => socket.close());
    books.settings = { ...books.settings, accounting: [{ host: "127.0.0.1", port: socket.port }] };
    return books;
  }
}

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: TestServerOptions = {}): Promise<TestServer> {
  const at = await TestServer.start(options);
  closers.push(() => at.close());
  return at;
}

const sessions = (at: TestServer) =>
  at.server.snapshot().hubs.flatMap((one) => one.sessions.map(({ name }) => name));
const reasons = (at: TestServer) =>
  at.log.lines.filter(({ event }) => event === "logout").map(({ fields }) => fields?.["reason"]);

/** The configuration with its hub VPN changed. */
function withHub(at: TestServer, change: Partial<HubConfig>): ServerConfig {
  const [first, ...others] = at.config.hubs;
  return { ...at.config, hubs: [{ ...first!, ...change }, ...others] };
}

const without = (name: string) => USERS.filter((one) => one.name !== name);

describe("Server.reload()", () => {
  test("keeps sessions of users and hubs that stay as they are", async () => {
    const at = await start();
    const peer = await at.session();
    const next = withHub(at, {
      message: "Maintenance on Sunday",
      users: [...without("bob"), user("carol", "c")],
    });
    expect(await at.server.reload(next)).toEqual([
      "hub.VPN changed: message",
      "hub.VPN.user.carol added",
      "hub.VPN.user.bob removed",
    ]);
    expect(sessions(at)).toEqual(["SID-ALICE-1"]);
    expect(peer.end).toBeUndefined();
    await at.session({ user: "carol", password: "c" });
    expect(await at.server.reload(next)).toEqual([]);
  });

  const CHANGES: readonly [string, Partial<HubConfig>, string][] = [
    ["AU-09 a user is gone", { users: without("alice") }, "user_removed"],
    [
      "AU-09 a user is disabled",
      { users: [...without("alice"), user("alice", "wonderland", { enable: false })] },
      "user_removed",
    ],
    [
      "a password is another",
      { users: [...without("alice"), user("alice", "looking-glass")] },
      "credential_changed",
    ],
    ["a hub goes offline", { online: false }, "hub_offline"],
  ];
  test.each(CHANGES)(
    "%s: its sessions end, in order and with a reason",
    async (_, change, reason) => {
      const at = await start();
      const alice = await at.session();
      await at.server.reload(withHub(at, change));
      expect(await alice.ended()).toBe("closed");
      expect(reasons(at)).toEqual([reason]);
    },
  );

  test("sessions of other users live on when one user is gone", async () => {
    const at = await start();
    const [alice, bob] = [
      await at.session(),
      await at.session({ user: "bob", password: "builder" }),
    ];
    await at.server.reload(withHub(at, { users: without("alice") }));
    await alice.ended();
    expect(bob.end).toBeUndefined();
    expect(sessions(at)).toEqual(["SID-BOB-2"]);
  });

  test("a new policy holds for sessions that stand", async () => {
    const at = await start();
    await at.session();
    const limited = user("alice", "wonderland", { policy: policy({ max_mac: 7 }) });
    await at.server.reload(withHub(at, { users: [...without("alice"), limited] }));
    const [open] = at.server.hubs.get("vpn")!.sessions.values();
    expect(open!.port.macLimit).toBe(7);
    expect(sessions(at)).toEqual(["SID-ALICE-1"]);
  });

  test("a name in another case is the same user and hub", async () => {
    const at = await start();
    const alice = await at.session();
    const next = withHub(at, {
      name: "Vpn",
      users: [...without("alice"), user("ALICE", "wonderland")],
    });
    await at.server.reload(next);
    expect(alice.end).toBeUndefined();
  });

  test("AU-09 is not held up by the accounting servers of a hub that is removed, nor is the stop", async () => {
    const books = await Books.open();
    const at = await start({
      hubs: [hub("VPN", USERS), hub("LAB", USERS, { radius: books.settings })],
    });
    const alice = await at.session();
    const next = withHub(at, { users: without("alice") });
    const reloaded = at.server.reload({ ...next, hubs: next.hubs.slice(0, 1) });
    // The clock stands still, so the accounting server is waited for until it is moved.
    expect(await alice.ended()).toBe("closed");
    expect(await Promise.race([reloaded, Bun.sleep(1)])).toBeUndefined();
    await at.close();
    expect(await reloaded).toHaveLength(2);
    expect(at.server.snapshot().listeners).toEqual([]);
  });

  test("changes nothing where a password that must be made cannot be kept", async () => {
    const at = await start();
    await at.session();
    const made = user("carol", "", { credential: { kind: "generated" } });
    const next = withHub(at, { users: [...without("alice"), made] });
    at.onPassword = () => {
      throw new VpnError("state_write", "Cannot write state.db: the disk is full");
    };
    await expect(at.server.reload(next)).rejects.toThrow("the disk is full");
    expect(sessions(at)).toEqual(["SID-ALICE-1"]);
    at.onPassword = () => {};
    expect(await at.server.reload(next)).toHaveLength(2);
    expect(sessions(at)).toEqual([]);
  });

  test("CF-16 a hub that is removed ends its sessions; those of other hubs notice nothing", async () => {
    const at = await start({ hubs: [hub("VPN", USERS), hub("LAB", USERS)] });
    const [here, there] = [await at.session(), await at.session({ hub: "LAB" })];
    const { port } = at;
    await at.server.reload({ ...at.config, hubs: at.config.hubs.slice(0, 1) });
    await there.ended();
    expect(here.end).toBeUndefined();
    expect(reasons(at)).toEqual(["hub_removed"]);
    expect(at.port).toBe(port);
    expect(at.server.snapshot().hubs.map(({ name }) => name)).toEqual(["VPN"]);
  });

  test("leases of a hub that is removed are forgotten; a state.db that takes nothing stops no reload", async () => {
    const forgotten: string[] = [];
    let isBroken = false;
    const forget = (name: string) => {
      if (isBroken) throw new VpnError("state_write", "Cannot write state.db: the disk is full");
      forgotten.push(name);
    };
    const hubs = [hub("VPN", USERS), hub("LAB", USERS), hub("Old", USERS)];
    const at = await start({ hubs, natMemory: { ...FAKE_NAT_MEMORY, forget } });
    await at.server.reload({ ...at.config, hubs: hubs.slice(0, 2) });
    expect(forgotten).toEqual(["Old"]);
    isBroken = true;
    await at.server.reload({ ...at.config, hubs: hubs.slice(0, 1) });
    expect(at.log.lines.map(({ event }) => event)).toContain("leases_not_forgotten");
    await at.server.stop();
    expect(forgotten).toEqual(["Old"]);
  });

  test("a hub that is added takes logins at once", async () => {
    const at = await start();
    await at.server.reload({ ...at.config, hubs: [...at.config.hubs, hub("LAB", USERS)] });
    await at.session({ hub: "lab" });
  });

  test("listeners come and go, those that stay are not touched", async () => {
    const at = await start();
    const peer = await at.session();
    const [first] = at.config.server.listen;
    const second = { address: "127.0.0.2", port: 0, enable: true };
    const listen = [first!, second];
    await at.server.reload({ ...at.config, server: { ...at.config.server, listen } });
    const states = at.server.snapshot().listeners;
    expect(states.map(({ address, status }) => [address, status])).toEqual([
      ["127.0.0.1", "listening"],
      ["127.0.0.2", "listening"],
    ]);
    await at.server.reload({ ...at.config, server: { ...at.config.server, listen: [second] } });
    expect(at.server.snapshot().listeners.length).toBe(1);
    expect(peer.end).toBeUndefined();
    await at.server.reload(at.config);
  });

  test("limits and lock-out hold for newcomers at once", async () => {
    const at = await start();
    const idle = await at.connect();
    const limits = { ...at.config.limits, connectionsPerSource: 1 };
    await at.server.reload({ ...at.config, limits });
    await (await at.connectRaw()).ended();
    expect(at.outcome("source_limit")).toBe(1);
    expect((await idle.greet()).version).toBe(502);
  });

  test("two at once take turns: the later one has the last word", async () => {
    const at = await start();
    const tls = { ...at.config.tls, max: "1.2" as const };
    const [one, two] = [
      { ...at.config, tls, hubs: [...at.config.hubs, hub("ONE", USERS)] },
      { ...at.config, hubs: [...at.config.hubs, hub("TWO", USERS)] },
    ];
    await Promise.all([at.server.reload(one), at.server.reload(two)]);
    expect(at.server.snapshot().hubs.map(({ name }) => name)).toEqual(["VPN", "TWO"]);
  });

  test("CF-15 one that fails changes nothing, and the next one works", async () => {
    const at = await start();
    const bad = { ...at.config, hubs: [], tls: { ...at.config.tls, cert: "/nothing" } };
    const failed = at.server.reload(bad).catch((error: unknown) => error);
    const good = at.server.reload(withHub(at, { message: "hello" }));
    expect(await failed).toBeInstanceOf(ConfigError);
    expect(await good).toEqual(["hub.VPN changed: message"]);
    await at.session();
  });
});

describe("sessions of the server", () => {
  test("end within 5 s after their user's account has expired", async () => {
    const soon = Date.UTC(2026, 10, 22) + 10_000;
    const users = [...USERS, user("temp", "t", { expires: soon })];
    const at = await start({ hubs: [hub("VPN", users)] });
    const [temp, alice] = [await at.session({ user: "temp", password: "t" }), await at.session()];
    await at.pass(9_999);
    expect(temp.end).toBeUndefined();
    at.clock.advance(5_001);
    await temp.ended();
    expect(reasons(at)).toEqual(["user_expired"]);
    expect(alice.end).toBeUndefined();
    expect((await refused(at, { user: "temp", password: "t" })) === 12).toBe(true);
  });

  test("have a name of the hub's own counter, in upper case, that never comes back", async () => {
    const at = await start({ hubs: [hub("VPN", USERS), hub("LAB", USERS)] });
    const first = await at.session();
    await at.session({ hub: "LAB", user: "Bob", password: "builder" });
    expect(sessions(at)).toEqual(["SID-ALICE-1", "SID-BOB-1"]);
    await first.close();
    await at.pass(30_000);
    expect(reasons(at)).toEqual(["timeout"]);
    await at.session();
    expect(sessions(at)).toEqual(["SID-ALICE-2", "SID-BOB-1"]);
  });

  test("in client mode get its policy; on this very machine they are not restricted", async () => {
    const at = await start();
    const change = (pack: Pack) => void pack.setBool("require_bridge_routing_mode", false);
    const policyOf = async (from: string) => {
      const peer = await at.connect({ from });
      const welcome = await peer.login({ change });
      return ["NoBridge", "NoRouting", "NoRoutingV6"].map((name) => welcome.int(`policy:${name}`));
    };
    expect(await policyOf("127.0.0.1")).toEqual([0, 0, 0]);
    expect(await policyOf("127.0.0.8")).toEqual([1, 1, 1]);
  });

  test("carry the message of their hub, and are counted and listed", async () => {
    const at = await start({ hubs: [hub("VPN", USERS, { message: "Grüezi" })] });
    const peer = await at.connect();
    const welcome = await peer.login({});
    expect(new TextDecoder().decode(welcome.data("Msg"))).toBe("Grüezi");
    const { hubs, connections } = at.server.snapshot();
    expect(hubs[0]).toMatchObject({ name: "VPN", logins: 1, users: USERS.length, online: true });
    expect(connections.outcomes).toEqual({ data: 1 });
    await peer.close();
    await until("its end", () => at.server.snapshot().connections.ends["peer_closed"] === 1, {
      everyMs: 1,
    });
    expect(JSON.stringify(at.server.snapshot())).not.toContain("session_key");
  });

  test("enum_hub names the hubs that are announced, to anybody", async () => {
    const hubs = [
      hub("A", USERS, { announce: true }),
      hub("B", USERS),
      hub("C", USERS, { announce: true }),
    ];
    for (const some of [hubs, hubs.slice(1, 2)]) {
      const at = await start({ hubs: some });
      const peer = await at.connect();
      await peer.greet();
      const answer = await peer.ask(new Pack().setStr("method", "enum_hub"));
      const names = [0, 1, 2].flatMap((i) => answer.str("HubName", i) ?? []);
      expect(names).toEqual(some.length === 3 ? ["A", "C"] : []);
      expect(answer.int("NumHub")).toBe(names.length);
      await peer.ended();
    }
  });
});

async function refused(at: TestServer, login: Parameters<Peer["login"]>[0]): Promise<number> {
  const peer = await at.connect();
  return (await peer.login(login)).int("error") ?? 0;
}

describe("startServer()", () => {
  async function occupied(): Promise<number> {
    const server = createServer().listen(0, "127.0.0.1");
    await until("a listener", () => server.listening, { everyMs: 1 });
    closers.push(async () => {
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    });
    return (server.address() as { port: number }).port;
  }
  const listenOn = (...ports: number[]) => ({
    listen: ports.map((port) => ({ address: "127.0.0.1", port, enable: true })),
  });

  test("CF-13 with no port at all ends with 73, names them and leaves nothing", async () => {
    const port = await occupied();
    const files = openFiles();
    const error = await TestServer.start({ settings: listenOn(port) }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ExitError);
    expect((error as ExitError).exitCode).toBe(73);
    expect((error as ExitError).message).toBe(
      `Cannot listen on any port: ${port} (another program listens there)`,
    );
    await until("descriptors", () => openFiles() <= files, { everyMs: 1 });
  });

  test("with no port at all tells accounting servers nothing, who may keep the books of whoever is there", async () => {
    const books = await Books.open();
    const hubs = [hub("VPN", USERS, { radius: books.settings })];
    const settings = listenOn(await occupied());
    await expect(TestServer.start({ settings, hubs })).rejects.toThrow("Cannot listen");
    await start({ hubs });
    await until("the record of the one that started", () => books.heard.length > 0, { everyMs: 1 });
    expect(books.heard).toHaveLength(1);
  });

  test("CF-13 a port in use is reported and tried again, the others serve", async () => {
    const port = await occupied();
    const at = await start({ settings: listenOn(0, port) });
    await at.session();
    const states = () => at.server.snapshot().listeners.map(({ status }) => status);
    expect(states()).toEqual(["listening", "failed"]);
    at.clock.advance(5_000);
    expect(states()).toEqual(["listening", "failed"]);
    const told = at.log.lines.filter(({ event }) => event === "listen_failed");
    expect(told.length).toBe(1);
    await closers.splice(0, 1)[0]!();
    at.clock.advance(5_000);
    expect(states()).toEqual(["listening", "listening"]);
    const listening = () => at.log.lines.filter(({ event }) => event === "listening").length;
    const before = listening();
    at.clock.advance(10_000);
    expect(listening()).toBe(before);
  });

  test("with a certificate that is none ends with its fault and leaves nothing", async () => {
    const files = openFiles();
    const config = serverConfig({ tls: { cert: "/nothing", key: "/nothing" } });
    const stateDir = mkdtempSync(join(tmpdir(), "patchbay-server-"));
    closers.push(() => rmSync(stateDir, { recursive: true }));
    const at = await start();
    const failed = startServer({
      config,
      stateDir,
      clock: at.clock,
      random: seededRandom(1),
      log: recordingLog(),
      books: memoryBooks(),
      linkMemory: new MapLinkMemory(),
      startMemory: new MapStartMemory(),
      tapMac: () => MAC_ZERO,
      natMemory: FAKE_NAT_MEMORY,
      generatedVerifier: () => ({ kind: "sha0", hash: new Uint8Array(20) }),
    }).catch((error: unknown) => error);
    expect(await failed).toBeInstanceOf(ConfigError);
    expect(at.clock.pending).toBe(0);
    await at.close();
    await until("descriptors", () => openFiles() <= files, { everyMs: 1 });
  });

  test("a user without a way to log in has the password that was made for him", async () => {
    const credential = { credential: { kind: "generated" as const } };
    const at = await start({ hubs: [hub("VPN", [user("new", "", credential)])] });
    // The test server's hash is twenty zeros, which no password gives.
    const peer = await at.connect();
    expect((await peer.login({ user: "new", password: "guess" })).int("error")).toBe(9);
  });
});

describe("serveControl()", () => {
  async function serve(reload: () => Promise<string[]> = async () => ["tls changed"]) {
    const at = await start();
    const path = join(at.stateDir, CONTROL_SOCKET);
    writeFileSync(path, "left by a process that is gone");
    const close = serveControl(at.stateDir, controlRequests(at.server, reload));
    closers.push(close);
    const ask = async (target: string, method = "GET") => {
      const answer = await fetch(`http://localhost${target}`, { unix: path, method });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    return { at, path, ask, close };
  }

  test("tells the state, to its owner alone", async () => {
    const { at, path, ask } = await serve();
    await at.session();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { status, body } = await ask("/status");
    expect(status).toBe(200);
    const told = body as unknown as ReturnType<typeof at.server.snapshot>;
    const { listeners, hubs } = at.server.snapshot();
    expect([told.listeners, told.hubs]).toEqual(JSON.parse(JSON.stringify([listeners, hubs])));
    expect(told.pid).toBe(process.pid);
  });

  test("reloads, and tells what changed or what is wrong", async () => {
    expect(await (await serve()).ask("/reload", "POST")).toEqual({
      status: 200,
      body: { changes: ["tls changed"] },
    });
    const fault = () => Promise.reject(new ConfigError("config.toml:7:12: expected a value"));
    expect(await (await serve(fault)).ask("/reload", "POST")).toEqual({
      status: 422,
      body: { error: { code: "config", message: "config.toml:7:12: expected a value" } },
    });
    const crash = () => Promise.reject(new TypeError("undefined is not an object"));
    expect((await (await serve(crash)).ask("/reload", "POST")).body).toMatchObject({
      error: { code: "internal_error" },
    });
  });

  test("knows no other path and no other method", async () => {
    const { ask } = await serve();
    for (const [target, method] of [
      ["/", "GET"],
      ["/status/../reload", "GET"],
      ["/reload", "GET"],
      ["/status", "POST"],
    ] as const) {
      expect((await ask(target, method)).status).toBe(404);
    }
  });

  test("closing takes the socket's file away", async () => {
    const { path, close } = await serve();
    close();
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
    close();
  });
});
