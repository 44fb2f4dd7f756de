import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryParseNet } from "../../src/base/ip.ts";
import { systemClock } from "../../src/base/clock.ts";
import type { UserConfig, UserCredential } from "../../src/config/server-config.ts";
import { Pack } from "../../src/wire/pack.ts";
import { loginPack, type Peer } from "../support/peer.ts";
import { DAY_MS, issue, revoke, signChallenge, type Entity } from "../support/pki.ts";
import { until } from "../support/process.ts";
import { hub, row, serverConfig, TestServer, user, USERS } from "../support/test-server.ts";

setDefaultTimeout(30_000);

const LONG = { notBefore: 0, notAfter: Date.now() + 3650 * DAY_MS };
const root = await issue({ subject: "CN=Root", isAuthority: true, ...LONG });
const alice = await issue({ subject: "CN=alice", issuer: root, serial: "0a1b", ...LONG });
const stranger = await issue({ subject: "CN=alice", key: "stranger", ...LONG });

function certified(name: string, credential: UserCredential): UserConfig {
  return user(name, "", { credential });
}
const SIGNED: UserCredential = {
  kind: "signed-certificate",
  commonName: "alice",
  serial: undefined,
};
const WITH_CA = hub("VPN", [...USERS, certified("carol", SIGNED)], { trustedCa: [root.der] });

/** A login with a certificate; `change` comes last. */
async function present(
  at: TestServer,
  name: string,
  entity: Entity,
  change: (pack: Pack) => void = () => undefined,
): Promise<{ peer: Peer; error: number }> {
  const peer = await at.connect();
  const { random } = await peer.greet();
  const pack = loginPack({ user: name }, random)
    .setInt("authtype", 3)
    .setData("cert", entity.der)
    .setData("sign", signChallenge(entity, random));
  change(pack);
  const answer = await peer.ask(pack);
  return { peer, error: answer.int("error") ?? 0 };
}
const users = (at: TestServer) =>
  at.server.snapshot().hubs.flatMap(({ sessions }) => sessions.map((session) => session.user));

describe("certificates", () => {
  test("TL-13 HS-09 the right one is let in, every other is a wrong credential", () =>
    row({ hubs: [WITH_CA], lockout: { enable: false } }, async (at) => {
      const { peer, error } = await present(at, "carol", alice);
      expect(error).toBe(0);
      await peer.close();
      await at.pass(25_000);
      expect((await present(at, "carol", stranger)).error).toBe(9);
      expect((await present(at, "bob", alice)).error).toBe(9);
      expect((await present(at, "nobody", alice)).error).toBe(9);
      const wrong: [string, Uint8Array][] = [
        ["cert", new Uint8Array(50_000).fill(0x30)],
        ["cert", new Uint8Array(0)],
        ["sign", new Uint8Array(513)],
        ["sign", new Uint8Array(256)],
      ];
      for (const [name, value] of wrong) {
        const change = (pack: Pack) => void pack.setData(name, value);
        expect((await present(at, "carol", alice, change)).error).toBe(9);
      }
    }));

  test("AU-08 a session ends when its certificate is revoked by a reload, others stay", async () => {
    await using at = await TestServer.start({ hubs: [WITH_CA] });
    await present(at, "carol", alice);
    await at.session({ user: "bob", password: "builder" });
    expect(users(at).toSorted()).toEqual(["bob", "carol"]);
    const der = await revoke(root, ["0a1b"]);
    // Its folder is gone by now, which stops nothing.
    const crl = [{ kind: "list", path: "/nowhere/x", der }] as const;
    await at.server.reload(serverConfig({ hubs: [{ ...WITH_CA, crl }] }));
    expect(users(at)).toEqual(["bob"]);
  });

  test("AU-08 a session ends within 5 s of a change to the file of revoked ones", async () => {
    const folder = mkdtempSync(join(tmpdir(), "patchbay-crl-"));
    const path = join(folder, "ca.crl");
    const write = async (...serials: string[]) => {
      const der = await revoke(root, serials, { nextUpdate: Date.now() + DAY_MS });
      writeFileSync(path, der);
      return der;
    };
    try {
      const crl = [{ kind: "list", path, der: await write() }] as const;
      await using at = await TestServer.start({
        hubs: [{ ...WITH_CA, crl }],
        clock: systemClock,
      });
      await present(at, "carol", alice);
      writeFileSync(path, "no list");
      await until("the complaint", () => at.log.lines.some(({ event }) => event === "crl_bad"), {
        deadlineMs: 5_000,
      });
      expect(users(at)).toEqual(["carol"]);
      await write("0a1b");
      await until("the end of the session", () => users(at).length === 0, { deadlineMs: 5_000 });
      expect((await present(at, "carol", alice)).error).toBe(9);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("source rules of a hub", () => {
  const source = [
    { from: tryParseNet("127.0.0.9")!, action: "pass", priority: 1 },
    { from: tryParseNet("127.0.0.0/29")!, action: "pass", priority: 2 },
    { from: tryParseNet("127.0.0.0/8")!, action: "drop", priority: 3 },
  ] as const;
  const errorFrom = async (at: TestServer, from: string, login = {}) =>
    (await (await at.connect({ from })).login(login)).int("error") ?? 0;

  test("HS-03 who is dropped hears what a wrong password hears, and is marked for it", () =>
    row({ hubs: [hub("VPN", USERS, { source })] }, async (at) => {
      expect(await errorFrom(at, "127.0.0.3")).toBe(0);
      expect(await errorFrom(at, "127.0.0.9")).toBe(0);
      expect(await errorFrom(at, "127.0.0.10")).toBe(9);
      expect(await errorFrom(at, "127.0.0.10", { user: "guest" })).toBe(9);
    }));

  test("HS-03 with reveal_hubs he hears 109, before the proof is looked at, and is not marked", () =>
    row({ hubs: [hub("VPN", USERS, { source })], settings: { revealHubs: true } }, async (at) => {
      for (let i = 0; i < 5; i++) {
        expect(await errorFrom(at, "127.0.0.10", { password: "wrong" })).toBe(109);
      }
      expect(await errorFrom(at, "127.0.0.3", { password: "wrong" })).toBe(9);
    }));
});

test("hashed_login of a hub counts for that hub alone", () =>
  row({ hubs: [hub("VPN", USERS), hub("PLAIN", USERS, { hashedLogin: false })] }, async (at) => {
    const error = async (change: (pack: Pack) => void) =>
      (await (await at.connect()).login({ hub: "PLAIN", change })).int("error") ?? 0;
    expect(await error(() => undefined)).toBe(9);
    const plain = (pack: Pack) =>
      void pack.setInt("authtype", 2).setStr("plain_password", "wonderland");
    expect(await error(plain)).toBe(0);
    await at.session();
    await at.closePeers();
    // The session of the second hub times out, and its books are closed with the next look at them.
    at.clock.advance(35_000);
  }));

test("AU-09 a session ends when its user is disabled, gets a code, or another way of login", async () => {
  const users = (change: Partial<UserConfig>) => [
    user("alice", "wonderland", change),
    user("bob", "builder"),
  ];
  const changes: Partial<UserConfig>[] = [
    { enable: false },
    { totp: new Uint8Array(20) },
    { credential: { kind: "anonymous" } },
  ];
  for (const change of changes) {
    await using at = await TestServer.start({ hubs: [hub("VPN", users({}))] });
    await at.session();
    await at.session({ user: "bob", password: "builder" });
    await at.server.reload(serverConfig({ hubs: [hub("VPN", users(change))] }));
    const names = at.server.snapshot().hubs.flatMap(({ sessions }) => sessions.map((s) => s.user));
    expect(names).toEqual(["bob"]);
  }
});

test("auto_disconnect ends a session, counted from its beginning, also when it comes later", async () => {
  const withPolicy = (seconds: number) => {
    const policy = { ...hub("x", []).policy, timeout: 60, auto_disconnect: seconds };
    return hub("VPN", [user("alice", "wonderland", { policy })]);
  };
  await using at = await TestServer.start({ hubs: [withPolicy(0)] });
  await at.session();
  at.clock.advance(10_000);
  await at.server.reload(serverConfig({ hubs: [withPolicy(20)] }));
  at.clock.advance(9_999);
  expect(at.server.snapshot().hubs[0]?.sessions).toHaveLength(1);
  at.clock.advance(1);
  expect(at.server.snapshot().hubs[0]?.sessions).toHaveLength(0);
});
