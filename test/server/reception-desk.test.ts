import { afterEach, describe, expect, test } from "bun:test";
import { Authenticator } from "../../src/auth/authenticator.ts";
import type { OutsideVerdict } from "../../src/auth/authority.ts";
import { Lockout } from "../../src/auth/lockout.ts";
import { tryParseNet } from "../../src/base/ip.ts";
import type { HubConfig, ServerSettings, UserConfig } from "../../src/config/server-config.ts";
import { hashUserPassword, securePassword } from "../../src/crypto/password.ts";
import { HubHost } from "../../src/server/hub-host.ts";
import { ReceptionDesk } from "../../src/server/reception-desk.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import type { LoginRequest } from "../../src/session/login.ts";
import { DIRECTION } from "../../src/session/connection.ts";
import { Session } from "../../src/session/session.ts";
import { FakeLink } from "../support/fake-link.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { MAC_ZERO } from "../../src/base/mac.ts";
import { seededRandom } from "../support/seeded-random.ts";
import {
  ANONYMOUS,
  hub,
  policy,
  recordingLog,
  serverConfig,
  user,
  type LogLine,
} from "../support/test-server.ts";
import { streamOf } from "../support/stream-options.ts";
import { memoryBooks } from "../support/counter-books.ts";
import { FAKE_NAT_MEMORY } from "../support/nat-memory.ts";
import { NO_OWN_PLACES } from "../../src/secure-nat/destination-rule.ts";

const CHALLENGE = seededRandom(1).bytes(20);
const PAST = Date.UTC(2020, 0, 1);
const SETTINGS: ServerSettings = serverConfig().server;

class World {
  readonly clock = new ManualClock();
  readonly log = recordingLog();
  readonly hosts = new Map<string, HubHost>();
  readonly desk: ReceptionDesk;
  readonly link = new FakeLink();
  readonly lockout: Lockout;
  settings = SETTINGS;

  constructor(...hubs: HubConfig[]) {
    const deps = { clock: this.clock, log: this.log, random: seededRandom(2) };
    for (const one of hubs) this.hosts.set(one.name.toLowerCase(), this.host(one));
    const lockout = {
      enable: true,
      penaltyMs: 5_000,
      enforceAtMs: 5_000,
      maxMs: 60_000,
      userFailures: 20,
      userWindowMs: 600_000,
      exempt: [],
    };
    this.lockout = new Lockout(lockout, this.clock);
    this.desk = new ReceptionDesk({
      ...deps,
      authenticator: new Authenticator(lockout, { clock: this.clock, lockout: this.lockout }),
      heartbeat: new Heartbeat(this.clock),
      hubs: this.hosts,
      edition: "server",
      settings: () => this.settings,
      connectionEnded() {},
    });
    worlds.push(this);
  }

  host(config: HubConfig): HubHost {
    return new HubHost(config, {
      clock: this.clock,
      log: this.log,
      random: seededRandom(3),
      books: memoryBooks(),
      tapMac: () => MAC_ZERO,
      natMemory: FAKE_NAT_MEMORY,
      ownPlaces: NO_OWN_PLACES,
      serverId: "test",
      polls: true,
      generatedVerifier: () => ({ kind: "sha0", hash: new Uint8Array(20) }),
      ntlmAuth: () => "/usr/bin/ntlm_auth",
      compat: () => [],
    });
  }

  login(
    change: Partial<LoginRequest> = {},
    link = this.link,
    signal = new AbortController().signal,
  ): Promise<Session | number> {
    const wait = { signal, begin() {}, end() {} };
    return this.desk.login({ ...REQUEST, ...change }, CHALLENGE, link, wait);
  }

  /** A login that is let in; its session has its first connection. */
  async joined(change: Partial<LoginRequest> = {}): Promise<{ session: Session; link: FakeLink }> {
    const session = await this.login(change);
    if (typeof session === "number") throw new Error(`refused with ${session}`);
    const link = new FakeLink();
    session.join(link, DIRECTION.BOTH, new Uint8Array(0));
    return { session, link };
  }

  get lines(): LogLine[] {
    return this.log.lines;
  }
}

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) {
    for (const host of world.hosts.values()) await host.close();
    expect(world.desk.sessionCount).toBe(0);
    expect(world.clock.pending).toBe(0);
  }
});

function proof(name: string, password: string): LoginRequest["proof"] {
  const hash = hashUserPassword(name, new TextEncoder().encode(password));
  return { kind: "hashed-password", secure: securePassword(hash, CHALLENGE) };
}
const REQUEST: LoginRequest = {
  hub: "VPN",
  user: "alice",
  proof: proof("alice", "wonderland"),
  clientProduct: "Client",
  clientVersion: 502,
  clientBuild: 9700,
  clientId: 0,
  stream: streamOf({ connections: 4 }),
  wantsBridge: false,
  wantsMonitor: false,
  installation: new Uint8Array(16),
  hostName: "host",
  osName: "Linux",
};
const PLAIN = { kind: "plain-password", password: new TextEncoder().encode("pw") } as const;

function outsideUser(name: string, change: Partial<UserConfig> = {}): UserConfig {
  const credential = { kind: "outside", authority: "radius", alias: undefined } as const;
  return user(name, "", { credential, ...change });
}

/** A world whose hub asks somebody outside; each question waits in `answers` for what the test says. */
function outsideWorld(users: readonly UserConfig[], change: Partial<HubConfig> = {}) {
  const world = new World(hub("VPN", users, change));
  const host = world.hosts.get("vpn")!;
  const answers: ((verdict: OutsideVerdict) => void)[] = [];
  host.authority = () => ({ ask: () => new Promise((resolve) => void answers.push(resolve)) });
  return { world, host, answers };
}

async function settled(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 50 && !isSo(); turn++) await Promise.resolve();
  expect(isSo()).toBe(true);
}

const from = (installation: number) => new Uint8Array(16).fill(installation);

describe("ReceptionDesk.login()", () => {
  test("checks in the order of hub.md 5.1: the first that fails is told", async () => {
    // Everything is wrong; from step to step one thing less is.
    const full = policy({ access: false, no_bridge: true, no_routing: true, multi_logins: 1 });
    const world = new World();
    const host = world.host(
      hub("VPN", [user("alice", "wonderland", { policy: full, expires: PAST })], {
        online: false,
        maxSessions: 1,
      }),
    );
    const wrong: { -readonly [K in keyof LoginRequest]?: LoginRequest[K] } = {
      proof: { kind: "unsupported", authType: 3 },
      wantsMonitor: true,
      wantsBridge: true,
      installation: from(1),
    };
    const reconfigure = (change: Partial<HubConfig>) =>
      host.reconfigure({ ...host.config, ...change });
    const alice = (change: Parameters<typeof policy>[0], expires?: number) => [
      user("alice", "wonderland", { policy: policy(change), expires }),
    ];
    expect(await world.login(wrong)).toBe(7);
    wrong.proof = proof("alice", "wrong");
    expect(await world.login(wrong)).toBe(9);
    world.hosts.set("vpn", host);
    expect(await world.login(wrong)).toBe(9);
    world.settings = { ...SETTINGS, revealHubs: true };
    expect(await world.login({ ...wrong, hub: "none" })).toBe(8);
    expect(await world.login(wrong)).toBe(10);
    world.settings = SETTINGS;
    wrong.proof = REQUEST.proof;
    expect(await world.login(wrong)).toBe(10);
    reconfigure({ online: true });
    expect(await world.login(wrong)).toBe(12);
    const rest = { no_bridge: true, no_routing: true, multi_logins: 1 };
    reconfigure({ users: alice({ ...rest, access: false }) });
    expect(await world.login(wrong)).toBe(12);
    reconfigure({ users: alice(rest) });
    expect(await world.login(wrong)).toBe(107);
    wrong.wantsMonitor = false;
    expect(await world.login(wrong)).toBe(108);
    wrong.wantsBridge = false;
    await world.joined({ installation: from(2) });
    expect(await world.login(wrong)).toBe(20);
    wrong.installation = from(2);
    expect(await world.login(wrong)).toBe(16);
    reconfigure({ maxSessions: 0 });
    world.settings = { ...SETTINGS, maxSessions: 1 };
    expect(await world.login(wrong)).toBe(16);
    world.settings = SETTINGS;
    expect(await world.login(wrong)).toBeInstanceOf(Session);
  });

  test("either bridging or routing alone still lets a network in", async () => {
    for (const change of [{ no_bridge: true }, { no_routing: true }]) {
      const alice = user("alice", "wonderland", { policy: policy(change) });
      expect(await new World(hub("VPN", [alice])).login({ wantsBridge: true })).toBeInstanceOf(
        Session,
      );
    }
  });

  test("HS-18 of two logins before either has a connection one wins", async () => {
    const once = user("alice", "wonderland", { policy: policy({ multi_logins: 1 }) });
    const byUser = new World(hub("VPN", [once]));
    const byTwo = await Promise.all([1, 2].map((one) => byUser.login({ installation: from(one) })));
    expect(byTwo[0]).toBeInstanceOf(Session);
    expect(byTwo[1]).toBe(20);
    const byHub = new World(hub("VPN", [user("alice", "wonderland")], { maxSessions: 1 }));
    const both = await Promise.all([byHub.login(), byHub.login()]);
    expect(both[0]).toBeInstanceOf(Session);
    expect(both[1]).toBe(16);
  });

  test("HS-18 of two logins for the last place while somebody outside is asked one wins", async () => {
    const { world, answers } = outsideWorld([outsideUser("alice"), outsideUser("bob")], {
      maxSessions: 1,
    });
    const both = [
      world.login({ user: "alice", proof: PLAIN }),
      world.login({ user: "bob", proof: PLAIN }),
    ];
    await settled(() => answers.length === 2);
    for (const answer of answers) answer({ kind: "accepted" });
    const [first, second] = await Promise.all(both);
    expect(first).toBeInstanceOf(Session);
    expect(second).toBe(16);
  });

  type Change = (world: World, host: HubHost, leave: () => void) => void;
  const reload = (host: HubHost, change: Partial<HubConfig>) =>
    host.reconfigure({ ...host.config, ...change });
  const MEANWHILE: readonly [string, Change, number][] = [
    ["the user is removed", (_, host) => reload(host, { users: [] }), 9],
    [
      "the user is disabled",
      (_, host) => reload(host, { users: [outsideUser("alice", { enable: false })] }),
      12,
    ],
    ["the user gets a password", (_, host) => reload(host, { users: [user("alice", "x")] }), 9],
    [
      "the user gets a code",
      (_, host) => reload(host, { users: [outsideUser("alice", { totp: new Uint8Array(20) })] }),
      9,
    ],
    [
      "the source is dropped",
      (_, host) => {
        const from = tryParseNet("198.51.100.0/24")!;
        reload(host, { source: [{ from, action: "drop", priority: 1 }] });
      },
      9,
    ],
    ["the hub goes offline", (_, host) => reload(host, { online: false }), 10],
    ["the hub is removed", (world) => world.hosts.delete("vpn"), 9],
    ["the peer leaves", (_w, _h, leave) => leave(), 9],
  ];
  test.each(MEANWHILE)(
    "a login that is asked of somebody outside is refused where meanwhile %s",
    async (_, change, error) => {
      const { world, host, answers } = outsideWorld([outsideUser("alice")]);
      const leaving = new AbortController();
      const login = world.login({ proof: PLAIN }, world.link, leaving.signal);
      await settled(() => answers.length === 1);
      change(world, host, () => leaving.abort());
      answers[0]!({ kind: "accepted" });
      expect(await login).toBe(error);
      expect(world.desk.sessionCount).toBe(0);
      await host.close();
    },
  );

  test("AU-09 who came in as everybody does leaves when a user of his name is configured otherwise", async () => {
    const { world, host, answers } = outsideWorld([outsideUser("*")]);
    const login = async (name: string) => {
      const session = world.login({ user: name, proof: PLAIN });
      await settled(() => answers.length > 0);
      answers.pop()!({ kind: "accepted" });
      return (await session) as Session;
    };
    const [carol, dave] = [await login("Carol"), await login("dave")];
    reload(host, { users: [outsideUser("*"), outsideUser("carol")] });
    expect([carol.isClosed, dave.isClosed]).toEqual([false, false]);
    reload(host, { users: [outsideUser("*"), outsideUser("carol", { enable: false })] });
    expect([carol.isClosed, dave.isClosed]).toEqual([true, false]);
    reload(host, { users: [outsideUser("*"), user("dave", "x")] });
    expect(dave.isClosed).toBe(true);
  });

  test("a session that lost its connections does not count against its user", async () => {
    const once = user("alice", "wonderland", { policy: policy({ multi_logins: 1 }) });
    const world = new World(hub("VPN", [once]));
    const { link } = await world.joined({ installation: from(1) });
    expect(await world.login({ installation: from(2) })).toBe(20);
    link.handler.closed("peer_closed");
    expect(await world.login({ installation: from(2) })).toBeInstanceOf(Session);
  });

  test("a wrong password is the only refusal that counts against its source", async () => {
    const off = hub("OFF", [user("alice", "wonderland")], { online: false });
    const world = new World(hub("VPN", [user("alice", "wonderland")]), off);
    await world.login({ proof: { kind: "unsupported", authType: 99 } });
    await world.login({ wantsMonitor: true });
    await world.login({ hub: "OFF" });
    expect(world.lockout.isLocked("198.51.100.7")).toBe(false);
    await world.login({ proof: proof("alice", "wrong") });
    expect(world.lockout.isLocked("198.51.100.7")).toBe(true);
  });

  test("logs a refusal with who and why, and never a secret", async () => {
    const world = new World(hub("VPN", [user("alice", "wonderland")]));
    const plain = { kind: "plain-password", password: new TextEncoder().encode("s3cret") } as const;
    await world.login({ proof: plain, user: "al\nice" });
    expect(world.lines.at(-1)).toMatchObject({
      level: "warn",
      event: "login_failed",
      fields: { hub: "VPN", address: "198.51.100.7", error: 9 },
    });
    expect(JSON.stringify(world.lines)).not.toContain("s3cret");
  });

  test("what the welcome grants follows from wish, policy and mode", async () => {
    const strict = policy({ max_connection: 2, timeout: 60 });
    const users = [user("alice", "wonderland", { policy: strict }), user("guest", "", ANONYMOUS)];
    const world = new World(hub("VPN", users, { message: "hi" }));
    const { session } = await world.joined();
    expect(session.welcome).toMatchObject({
      sessionName: "SID-ALICE-1",
      connectionName: "CID-1",
      stream: { connections: 2, isEncrypted: true },
      timeoutMs: 60_000,
      message: "hi",
      policy: { no_bridge: true, no_routing: true, no_routing_v6: true, monitor_port: false },
    });
    expect(session.welcome.sessionKey.length).toBe(20);
    const { session: second } = await world.joined({
      user: "guest",
      wantsBridge: true,
      stream: streamOf({ connections: 9 }),
    });
    expect(second.welcome).toMatchObject({
      sessionName: "SID-GUEST-2",
      connectionName: "CID-2",
      stream: { connections: 9, isEncrypted: true },
      policy: { no_bridge: false, no_routing: false },
    });
    expect(Buffer.compare(second.welcome.sessionKey, session.welcome.sessionKey)).not.toBe(0);
  });

  test("monitoring is for those who may and ask for it, until they may no more", async () => {
    const watcher = (may: boolean) =>
      user("alice", "wonderland", { policy: policy({ monitor_port: may }) });
    const world = new World(hub("VPN", [watcher(true)]));
    const host = world.hosts.get("vpn")!;
    const stream = streamOf({ connections: 1, hasQos: true });
    const { session: watching } = await world.joined({ wantsMonitor: true, stream });
    expect(watching.welcome).toMatchObject({
      stream: { connections: 1, hasQos: false },
      policy: { monitor_port: true, no_bridge: true, no_routing: true },
    });
    const { session: plain } = await world.joined({ stream });
    expect(plain.welcome).toMatchObject({
      stream: { connections: 2, hasQos: true },
      policy: { monitor_port: false },
    });
    const kinds = [...host.sessions.values()].map(({ mode, port }) => [mode, port.kind]);
    expect(kinds).toEqual([
      ["monitor", "monitor"],
      ["client", "client"],
    ]);
    reload(host, { users: [watcher(true)] });
    expect([watching.isClosed, plain.isClosed]).toEqual([false, false]);
    reload(host, { users: [watcher(false)] });
    expect([watching.isClosed, plain.isClosed]).toEqual([true, false]);
    expect(await world.login({ wantsMonitor: true })).toBe(107);
  });
});

describe("HubHost.policyOf()", () => {
  test("takes the group that somebody outside names before the user's own, if the hub has it", () => {
    const group = (name: string, most: number) => ({
      name,
      fullName: "",
      note: "",
      policy: policy({ max_mac: most }),
    });
    const world = new World();
    const config = hub("VPN", [user("alice", "wonderland", { group: "staff" })], {
      groups: [group("staff", 1), group("VIP", 2)],
    });
    const host = world.host(config);
    world.hosts.set("vpn", host);
    const account = host.accounts.get("alice")!;
    const most = (named?: string) =>
      host.policyOf({
        kind: "admitted",
        name: "alice",
        account,
        ...(named === undefined ? {} : { grants: { group: named } }),
      }).max_mac;
    expect([most(), most("vip"), most("nowhere")]).toEqual([1, 2, 1]);
  });
});

describe("ReceptionDesk.join()", () => {
  test("finds a session by its key until it has ended", async () => {
    const world = new World(hub("VPN", [user("alice", "wonderland")]));
    const { session } = await world.joined();
    const key = session.welcome.sessionKey;
    expect(world.desk.join(key, world.link)).toBe(session);
    expect(world.desk.join(key.slice(0, 19), world.link)).toBe(13);
    session.close({ code: "test" });
    expect(world.desk.join(key, world.link)).toBe(13);
  });

  test("lets one connection more in than was granted", async () => {
    const alice = user("alice", "wonderland", { policy: policy({ max_connection: 1 }) });
    const world = new World(hub("VPN", [alice]));
    const { session } = await world.joined();
    const key = session.welcome.sessionKey;
    expect(world.desk.join(key, world.link)).toBe(session);
    session.join(new FakeLink(), DIRECTION.BOTH, new Uint8Array(0));
    expect(world.desk.join(key, world.link)).toBe(15);
  });
});
