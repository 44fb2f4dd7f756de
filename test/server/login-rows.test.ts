import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { MAX_CONNECTIONS_PER_SESSION } from "../../src/base/limits.ts";
import { createLog } from "../../src/observe/log.ts";
import { Pack } from "../../src/wire/pack.ts";
import { loginPack, packHead, type Peer, type PeerLogin } from "../support/peer.ts";
import { until } from "../support/process.ts";
import { hub, policy, row, user, USERS, type TestServer } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

/** The error number that a login ends with, 0 for a welcome. A refused connection must close. */
async function loginError(at: TestServer, login: PeerLogin, from?: string): Promise<number> {
  const peer = await at.connect(from === undefined ? {} : { from });
  const answer = await peer.login(login);
  const error = answer.int("error") ?? 0;
  if (error === 0) return 0;
  expect(answer.valueCount("no_save_password")).toBe(1);
  await peer.ended();
  expect(at.outcome(`refused_${error}`)).toBeGreaterThan(0);
  return error;
}

async function join(at: TestServer, key: Uint8Array, from?: string) {
  const peer = await at.connect(from === undefined ? {} : { from });
  await peer.greet();
  const ask = new Pack().setStr("method", "additional_connect").setData("session_key", key);
  const answer = await peer.ask(ask);
  return { peer, error: answer.int("error"), direction: answer.int("direction") };
}

const sessions = (at: TestServer) => at.server.snapshot().hubs.flatMap((one) => one.sessions);
const sessionOf = (at: TestServer, name: string) =>
  sessions(at).find((session) => session.user === name);

describe("login", () => {
  test("HS-01 a login before the greeting closes the connection", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      peer.request(packHead, loginPack({}, new Uint8Array(20)).encode());
      await at.waitOutcome("no_signature");
      await peer.ended();
    }));

  const METHODS: readonly [string, (pack: Pack) => void][] = [
    ["missing", (pack) => pack.setStr("method")],
    ["empty", (pack) => pack.setStr("method", "")],
    ["unknown", (pack) => pack.setStr("method", "logon")],
    ["10 KB long", (pack) => pack.setStr("method", "l".repeat(10_240))],
    ["a number", (pack) => pack.setInt("method", 1)],
    ["one that is not offered", (pack) => pack.setStr("method", "admin")],
  ];
  test.each(METHODS)("HS-02 a method that is %s gets error 4", (_, change) =>
    row({}, async (at) => {
      const peer = await at.connect();
      expect((await peer.login({ change })).int("error")).toBe(4);
      await peer.ended();
      expect(at.outcome("unsupported_method")).toBe(1);
    }),
  );

  test("HS-02 a login without a hub or a user name gets error 4", () =>
    row({}, async (at) => {
      expect(await closedWith(at, (pack) => pack.setStr("hubname"))).toBe(4);
      expect(await closedWith(at, (pack) => pack.setInt("username", 1))).toBe(4);
      expect(at.outcome("login_form")).toBe(2);
    }));

  const UNKNOWN: readonly [string, PeerLogin, number][] = [
    ["unknown hub", { hub: "NONE" }, 8],
    ["unknown user", { user: "nobody" }, 9],
    ["wrong password", { password: "looking-glass" }, 9],
  ];
  test.each(UNKNOWN)("HS-03 %s is error 9 and one penalty", (_, login) =>
    row({}, async (at) => {
      for (let tries = 0; tries < 3; tries++) {
        expect(await loginError(at, login, "127.0.0.9")).toBe(9);
      }
      const locked = await at.connectRaw("127.0.0.9");
      await locked.ended();
      expect(at.outcome("locked_out")).toBe(1);
      at.clock.advance(1);
      expect(await loginError(at, login, "127.0.0.9")).toBe(9);
    }),
  );

  test.each(UNKNOWN)("HS-03 with reveal_hubs %s tells more", (_, login, error) =>
    row({ settings: { revealHubs: true } }, async (at) => {
      expect(await loginError(at, login)).toBe(error);
    }),
  );

  test("HS-03 unknown hub, unknown user and wrong password take the same time", () =>
    row({ lockout: { enable: false } }, async (at) => {
      const medians: number[] = [];
      for (const [, login] of UNKNOWN) {
        const times: number[] = [];
        for (let i = 0; i < 15; i++) {
          const peer = await at.connect();
          const hello = await peer.greet();
          const pack = loginPack(login, hello.random);
          const start = performance.now();
          await peer.ask(pack);
          times.push(performance.now() - start);
          await peer.close();
        }
        medians.push(times.sort((a, b) => a - b)[7]!);
      }
      expect(Math.max(...medians) - Math.min(...medians)).toBeLessThan(10);
    }));

  const NAMES: readonly [string, string, number][] = [
    ["other case", "vpn", 0],
    ["blanks around it", " VPN ", 0],
    ["a NUL behind it", "VPN\0/../x", 0],
    ["a slash", "VPN/../VPN", 9],
    ["a line end", "VPN\nforged line", 9],
    ["256 bytes", "V".repeat(256), 9],
    ["an emoji", "VPN\u{1f600}", 9],
    ["nothing", "", 9],
    ["__proto__", "__proto__", 9],
  ];
  test.each(NAMES)("HS-04 a hub name with %s is normalised or refused", (_, name, error) =>
    row({ lockout: { enable: false } }, async (at) => {
      expect(await loginError(at, { hub: name })).toBe(error);
      const lines: string[] = [];
      const write = (line: string) => void lines.push(line);
      const log = createLog({ clock: at.clock, write, level: "debug", format: "text" });
      for (const { level, event, text, fields } of at.log.lines) log[level](event, text, fields);
      expect(lines.join("")).not.toMatch(/[\0\n]/);
    }),
  );

  const PROOFS = [19, 21, 0, undefined];
  test.each(PROOFS)("HS-05 a proof of %p bytes is a wrong password", (size) =>
    row({}, async (at) => {
      const change = (pack: Pack) => {
        if (size === undefined) pack.setData("secure_password");
        else pack.setData("secure_password", new Uint8Array(size));
      };
      expect(await loginError(at, { change })).toBe(9);
    }),
  );

  test("HS-06 a proof from another connection is a wrong password", () =>
    row({}, async (at) => {
      const first = await at.connect();
      const proof = loginPack({}, (await first.greet()).random);
      const second = await at.connect();
      await second.greet();
      expect((await second.ask(proof)).int("error")).toBe(9);
      expect((await first.ask(proof)).str("session_name")).toMatch(/^SID-ALICE-/);
    }));

  test("HS-06 after a refusal the connection takes no second try", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      const { random } = await peer.greet();
      const wrong = loginPack({ password: "wrong" }, random).encode();
      const right = loginPack({}, random).encode();
      peer.request(packHead, wrong);
      peer.request(packHead, right);
      expect((await peer.pack()).int("error")).toBe(9);
      await peer.ended();
      expect(await peer.reply()).toBeUndefined();
      expect(sessionOf(at, "alice")).toBeUndefined();
    }));

  test("HS-07 an anonymous login is refused where the user has a password", () =>
    row({}, async (at) => {
      const anonymous = (pack: Pack) => void pack.setInt("authtype", 0);
      expect(await loginError(at, { change: anonymous })).toBe(9);
      expect(await loginError(at, { user: "", change: anonymous })).toBe(9);
      expect(await loginError(at, { user: "guest", change: anonymous })).toBe(0);
    }));

  test("HS-08 the administrator with an empty password is refused", () =>
    row({ lockout: { enable: false } }, async (at) => {
      for (const authType of [0, 1, 2]) {
        const change = (pack: Pack) =>
          void pack.setInt("authtype", authType).setStr("plain_password", "");
        const login = { user: "administrator", password: "", change };
        expect(await loginError(at, login)).toBe(9);
        expect(await loginError(at, login, "127.0.0.3")).toBe(9);
      }
    }));

  test.each([4, 5, 96, 97, 98, 99, 0xffff_ffff])(
    "HS-09 authentication type %d gets error 7 and no penalty",
    (authType) =>
      row({}, async (at) => {
        const change = (pack: Pack) => void pack.setInt("authtype", authType);
        for (let i = 0; i < 5; i++) expect(await loginError(at, { change })).toBe(7);
        expect(await loginError(at, { user: "guest", change })).toBe(7);
      }),
  );

  const WISHES = [
    [33, 32],
    [0, 1],
    [4_294_967_295, 32],
    [8, 8],
  ] as const;
  test.each(WISHES)("HS-10 a wish of %d connections becomes %d", (wish, granted) =>
    row({}, async (at) => {
      const peer = await at.connect();
      const change = (pack: Pack) => void pack.setInt("max_connection", wish);
      expect((await peer.login({ change })).int("max_connection")).toBe(granted);
    }),
  );

  test("HS-10 the policy's number of connections is the most", () =>
    row({ hubs: [hub("VPN", [...USERS, user("few", "f", LIMITED)])] }, async (at) => {
      const peer = await at.connect();
      const change = (pack: Pack) => void pack.setInt("max_connection", 32);
      const welcome = await peer.login({ user: "few", password: "f", change });
      expect(welcome.int("max_connection")).toBe(3);
      expect(welcome.int("timeout")).toBe(5_000);
    }));

  test("HS-11 the 33rd additional connection gets error 15", () =>
    row({ limits: { connectionsPerSource: 64 } }, async (at) => {
      const peer = await at.connect();
      const change = (pack: Pack) => void pack.setInt("max_connection", 32);
      const key = (await peer.login({ change })).data("session_key")!;
      for (let i = 0; i < MAX_CONNECTIONS_PER_SESSION; i++) {
        expect(await join(at, key)).toMatchObject({ error: 0, direction: 0 });
      }
      const { error, peer: refused } = await join(at, key);
      expect(error).toBe(15);
      await refused.ended();
      expect(sessionOf(at, "alice")?.connections).toBe(MAX_CONNECTIONS_PER_SESSION + 1);
    }));

  test("HS-11 the key of an ended session, and a guessed one, get error 13 and no penalty", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      const key = (await peer.login({})).data("session_key")!.slice();
      await peer.close();
      await until("the end of its connection", () => sessionOf(at, "alice")?.connections === 0);
      at.clock.advance(20_500);
      at.clock.advance(1_000);
      expect(sessionOf(at, "alice")).toBeUndefined();
      const guessed = key.map((octet) => octet ^ 1);
      for (const wrong of [key, guessed, key.subarray(0, 19), new Uint8Array(0), guessed]) {
        const { error, peer: refused } = await join(at, wrong);
        expect(error).toBe(13);
        await refused.ended();
      }
      expect(at.outcome("refused_13")).toBe(5);
      expect(at.outcome("locked_out")).toBe(0);
    }));

  test("HS-12 an additional connection from another address is taken and told in the log", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      const key = (await peer.login({})).data("session_key")!;
      expect((await join(at, key, "127.0.0.7")).error).toBe(0);
      const told = at.log.lines.filter(({ event }) => event === "connection_moved");
      expect(told.map(({ level }) => level)).toEqual(["warn"]);
      expect(told[0]?.fields).toEqual({
        hub: "VPN",
        session: "SID-ALICE-3",
        address: "127.0.0.7",
        before: "127.0.0.1",
      });
    }));

  test("HS-13 half duplex and QoS with one connection get four; plaintext is for who allows it", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      const wishes = (pack: Pack) =>
        void pack
          .setInt("half_connection", 1)
          .setInt("use_compress", 1)
          .setInt("use_encrypt", 0)
          .setBool("qos", true);
      const welcome = await peer.login({ change: wishes });
      const names = ["half_connection", "use_compress", "use_encrypt", "qos", "max_connection"];
      expect(names.map((name) => welcome.int(name))).toEqual([1, 1, 1, 1, 4]);
    }));

  test("HS-14 nonsense versions and endless names do not stop a login; names are cut at 255", () =>
    row({}, async (at) => {
      const change = (pack: Pack) =>
        void pack
          .setInt("client_ver", 0)
          .setInt("client_build", 4_294_967_295)
          .setStr("client_str", "c".repeat(60 * 1024))
          .setStr("ClientHostname", "h".repeat(1_000))
          .setStr("ClientOsName", "o".repeat(1_000));
      expect(await loginError(at, { change })).toBe(0);
      const { client, host, os, clientVersion, clientBuild } = sessionOf(at, "alice")!;
      expect([client.length, host.length, os.length]).toEqual([255, 255, 255]);
      expect([clientVersion, clientBuild]).toEqual([0, 4_294_967_295]);
    }));

  const PAST = Date.UTC(2020, 0, 1);
  const BARRED: readonly [string, number, Parameters<typeof hub>[2], Parameters<typeof user>[2]][] =
    [
      ["a hub offline", 10, { online: false }, {}],
      ["an expired user", 12, {}, { expires: PAST }],
      ["a disabled user", 12, {}, { enable: false }],
      ["a user whose policy forbids access", 12, {}, { policy: policy({ access: false }) }],
      ["bridge mode where both policies forbid it", 108, {}, { policy: policy(NO_NETWORK) }],
    ];
  test.each(BARRED)("HS-15 %s is error %d, and 9 with a wrong password", (_, error, hubs, users) =>
    row(
      { hubs: [hub("VPN", USERS), hub("OTHER", [user("alice", "wonderland", users)], hubs)] },
      async (at) => {
        expect(await loginError(at, { hub: "OTHER" })).toBe(error);
        expect(await loginError(at, { hub: "OTHER", password: "wrong" })).toBe(9);
      },
    ),
  );

  test("HS-15 monitoring mode is error 107, and 9 with a wrong password", () =>
    row({}, async (at) => {
      const change = (pack: Pack) => void pack.setBool("require_monitor_mode", true);
      expect(await loginError(at, { change })).toBe(107);
      expect(await loginError(at, { change, password: "wrong" })).toBe(9);
    }));

  test("HS-15 a user over the limit of sessions is error 20, the same installation is not", () =>
    row({ hubs: [hub("VPN", [...USERS, user("one", "o", ONCE)])] }, async (at) => {
      const of = (installation: number) => ({
        user: "one",
        password: "o",
        change: (pack: Pack) =>
          void pack.setData("UniqueId", new Uint8Array(16).fill(installation)),
      });
      expect(await loginError(at, of(1))).toBe(0);
      expect(await loginError(at, of(2))).toBe(20);
      expect(await loginError(at, { ...of(2), password: "wrong" })).toBe(9);
      expect(await loginError(at, of(1))).toBe(0);
    }));

  test("HS-15 clients that name no installation count one by one", () =>
    row({ hubs: [hub("VPN", [...USERS, user("one", "o", ONCE)])] }, async (at) => {
      expect(await loginError(at, { user: "one", password: "o" })).toBe(0);
      expect(await loginError(at, { user: "one", password: "o" })).toBe(20);
    }));

  test("HS-15 a hub and a server at their limits are error 16", () =>
    row({ hubs: [hub("VPN", USERS, { maxSessions: 3 })] }, async (at) => {
      expect(await loginError(at, {})).toBe(0);
      expect(await loginError(at, {})).toBe(16);
      expect(await loginError(at, { password: "wrong" })).toBe(9);
    }).then(() =>
      row({ settings: { maxSessions: 2 } }, async (at) => {
        expect(await loginError(at, {})).toBe(16);
      }),
    ));

  test("HS-16 100 logins with a wrong password lock their source out and nobody else", () =>
    row({}, async (at) => {
      for (let i = 0; i < 100; i++) {
        const peer = await at.connect({ from: "127.0.0.5" });
        if (peer.end === undefined) {
          const answer = await peer.login({ password: `guess-${i}` });
          expect(answer.int("error")).toBe(9);
        }
        await peer.close();
      }
      expect(at.outcome("refused_9")).toBe(3);
      expect(at.outcome("locked_out")).toBe(97);
      expect(await loginError(at, {}, "127.0.0.6")).toBe(0);
      // The penalty runs off, so that a mistyped password costs no more than a short wait.
      at.clock.advance(1);
      expect(await loginError(at, {}, "127.0.0.5")).toBe(0);
    }));

  test("HS-17 a second login in the stream closes the connection with stream_block", () =>
    row({}, async (at) => {
      const peer = await at.session();
      peer.request(packHead, loginPack({}, new Uint8Array(20)).encode());
      await until("stream_block", () => at.server.ends.get("stream_block") === 1, { everyMs: 1 });
      await peer.ended();
      expect(sessionOf(at, "alice")?.connections).toBe(0);
    }));

  test("HS-18 of two logins at the same moment for the last slot exactly one wins", () =>
    row({ hubs: [hub("VPN", USERS, { maxSessions: 3 })] }, async (at) => {
      expect(await race(at, {})).toEqual([0, 16]);
    }));

  test("HS-18 of two logins at the same moment of a user who may log in once exactly one wins", () =>
    row({ hubs: [hub("VPN", [...USERS, user("one", "o", ONCE)])] }, async (at) => {
      expect(await race(at, { user: "one", password: "o" })).toEqual([0, 20]);
    }));
});

const ONCE = { policy: policy({ multi_logins: 1 }) };
const LIMITED = { policy: policy({ max_connection: 3, timeout: 5 }) };
const NO_NETWORK = { no_bridge: true, no_routing: true };

async function closedWith(at: TestServer, change: (pack: Pack) => void) {
  const peer = await at.connect();
  const error = (await peer.login({ change })).int("error");
  await peer.ended();
  return error;
}

/** Errors of two logins whose requests leave in one turn, the smaller first. */
async function race(at: TestServer, login: PeerLogin): Promise<number[]> {
  const peers: Peer[] = [await at.connect(), await at.connect()];
  const packs = [];
  for (const peer of peers) packs.push(loginPack(login, (await peer.greet()).random).encode());
  for (const [i, peer] of peers.entries()) peer.request(packHead, packs[i]);
  const answers = await Promise.all(peers.map((peer) => peer.pack()));
  return answers.map((answer) => answer.int("error") ?? 0).sort((a, b) => a - b);
}
