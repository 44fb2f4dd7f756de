import "reflect-metadata";
import { describe, expect, test } from "bun:test";
import type { Account } from "../../src/auth/account.ts";
import { barAccount } from "../../src/auth/account.ts";
import { Authenticator } from "../../src/auth/authenticator.ts";
import type { Authority, OutsideRequest, OutsideVerdict } from "../../src/auth/authority.ts";
import { MAX_PASSWORD_HASHES } from "../../src/base/limits.ts";
import { tryParseNet } from "../../src/base/ip.ts";
import { Lockout } from "../../src/auth/lockout.ts";
import { TrustStore } from "../../src/auth/trust.ts";
import type { Attempt, Directory, Presented, Verdict } from "../../src/auth/verdict.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { hashArgon2 } from "../../src/crypto/argon2.ts";
import { hashUserPassword, securePassword } from "../../src/crypto/password.ts";
import { fromHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { issue, revoke, signChallenge } from "../support/pki.ts";
import { seededRandom } from "../support/seeded-random.ts";
import vectors from "../vectors/password.json" with { type: "json" };

const text = (value: string) => new TextEncoder().encode(value);
const challenge = seededRandom(1).bytes(20);

function account(
  name: string,
  verifier: Account["verifier"],
  change: Partial<Account> = {},
): Account {
  return {
    name,
    isEnabled: true,
    expires: undefined,
    group: undefined,
    policy: DEFAULT_POLICY,
    verifier,
    totp: undefined,
    ...change,
  };
}
const hashOf = (user: string, password: string) => hashUserPassword(user, text(password));
const password = (name: string, secret: string, change: Partial<Account> = {}) =>
  account(name, { kind: "password", hash: hashOf(name, secret) }, change);
const outside = (alias?: string): Account["verifier"] => ({
  kind: "outside",
  authority: "radius",
  alias,
});
const NO_TRUST = new TrustStore({ trustedCa: [], crl: [] });
const LOCKOUT = {
  enable: true,
  penaltyMs: 5_000,
  enforceAtMs: 5_000,
  maxMs: 600_000,
  userFailures: 20,
  userWindowMs: 600_000,
  exempt: [],
};

/** Somebody outside who answers as told, and remembers what was asked. */
class Oracle implements Authority {
  readonly asked: OutsideRequest[] = [];
  verdict: OutsideVerdict = { kind: "accepted" };

  ask(request: OutsideRequest): Promise<OutsideVerdict> {
    this.asked.push(request);
    return Promise.resolve(this.verdict);
  }
}

class Door {
  readonly clock = new ManualClock();
  readonly oracle = new Oracle();
  readonly lockout = new Lockout(LOCKOUT, this.clock);
  readonly judge: Authenticator;
  readonly directory: Directory;
  /** `begin` and `end` as they were called. */
  readonly waits: string[] = [];

  constructor(
    accounts: readonly Account[],
    change: Partial<Directory> = {},
    hashes: { atOnce: number; waiting: number } = MAX_PASSWORD_HASHES,
  ) {
    this.judge = new Authenticator(LOCKOUT, {
      clock: this.clock,
      lockout: this.lockout,
      hashes,
    });
    this.directory = {
      hubName: "VPN",
      accounts: new Map(accounts.map((one) => [one.name.toLowerCase(), one])),
      hashedLogin: true,
      trust: NO_TRUST,
      authority: () => this.oracle,
      ...change,
    };
    this.judge.prepareFor([this.directory]);
  }

  try(user: string, presented: Presented, change: Partial<Attempt> = {}): Promise<Verdict> {
    return this.tryIn(this.directory, user, presented, change);
  }

  tryIn(
    directory: Directory | undefined,
    user: string,
    presented: Presented,
    change: Partial<Attempt> = {},
  ): Promise<Verdict> {
    const attempt = { hub: "VPN", user, presented, address: "192.0.2.1", sessionInfo: "t 1.2" };
    return this.judge.authenticate(
      directory,
      { ...attempt, ...change },
      {
        signal: new AbortController().signal,
        begin: () => void this.waits.push("begin"),
        end: () => void this.waits.push("end"),
      },
    );
  }

  /** The name that was let in, or why nobody was. */
  async who(user: string, presented: Presented): Promise<string> {
    const verdict = await this.try(user, presented);
    return verdict.kind === "admitted" ? verdict.name : `-${verdict.reason}`;
  }
}

const proof = (hash: Uint8Array): Presented => ({
  kind: "hashed-password",
  secure: securePassword(hash, challenge),
  challenge,
});
const plain = (typed: string): Presented => ({ kind: "plain-password", password: text(typed) });
const ANONYMOUS: Presented = { kind: "anonymous" };
const WRONG = "-credentials";

describe("Authenticator with passwords", () => {
  const users = [password("Alice", "wonderland"), account("guest", { kind: "anonymous" })];

  test("takes the right one, hashed or plain, and the name in any case", async () => {
    const door = new Door(users);
    for (const user of ["alice", "Alice", "ALICE"]) {
      expect(await door.who(user, proof(hashOf(user, "wonderland")))).toBe("Alice");
      expect(await door.who(user, plain("wonderland"))).toBe("Alice");
    }
  });

  test("takes a proof that the real client sent", async () => {
    const recorded = vectors.secure_password[0]!;
    const door = new Door([account("alice", { kind: "password", hash: fromHex(recorded.hashed) })]);
    const presented: Presented = {
      kind: "hashed-password",
      secure: fromHex(recorded.secure),
      challenge: fromHex(recorded.random),
    };
    expect(await door.who("alice", presented)).toBe("alice");
  });

  test("HS-03 HS-05 HS-06 HS-07 takes nothing else, with one answer to all", async () => {
    const secure = securePassword(hashOf("alice", "wonderland"), challenge);
    const hashed = (change: object) =>
      ({ kind: "hashed-password", secure, challenge, ...change }) as Presented;
    const refused: [string, Presented][] = [
      ["alice", proof(hashOf("alice", "Wonderland"))],
      ["alice", proof(hashOf("bob", "wonderland"))],
      ["alice", hashed({ challenge: seededRandom(2).bytes(20) })],
      ["alice", hashed({ secure: new Uint8Array(0) })],
      ["alice", hashed({ secure: secure.subarray(1) })],
      ["alice", hashed({ secure: new Uint8Array([...secure, 0]) })],
      ["alice", plain("")],
      ["alice", plain("wonderland ")],
      ["alice", plain("wonderland\0")],
      ["alice", ANONYMOUS],
      ["bob", plain("wonderland")],
      ["", ANONYMOUS],
      ["*", ANONYMOUS],
      ["__proto__", ANONYMOUS],
    ];
    for (const [user, presented] of refused) {
      const door = new Door(users);
      expect([user, await door.who(user, presented)]).toEqual([user, WRONG]);
      const nowhere = await door.tryIn(undefined, user, presented);
      expect(nowhere).toEqual({ kind: "refused", reason: "credentials" });
    }
  });

  test("lets a user without one in, whatever is presented", async () => {
    const door = new Door(users);
    for (const presented of [ANONYMOUS, plain("x"), proof(hashOf("guest", "x"))]) {
      expect(await door.who("guest", presented)).toBe("guest");
    }
  });

  test("without hashed logins takes plain ones only", async () => {
    const door = new Door(users, { hashedLogin: false });
    expect(await door.who("alice", proof(hashOf("alice", "wonderland")))).toBe(WRONG);
    expect(await door.who("alice", plain("wonderland"))).toBe("Alice");
    expect(await door.who("guest", proof(hashOf("guest", "x")))).toBe("guest");
  });

  test("AU-10 1,024 bytes are taken, 1,025 are not, in the form of Unicode that was typed", async () => {
    const long = "p".repeat(1_024);
    const door = new Door([
      password("u", long),
      password("w", `${long}p`),
      password("v", "Zoe\u0308"),
    ]);
    expect(await door.who("u", plain(long))).toBe("u");
    expect(await door.who("w", plain(`${long}p`))).toBe(WRONG);
    expect(await door.who("v", plain("Zoe\u0308"))).toBe("v");
    expect(await door.who("v", plain("Zo\u00eb"))).toBe(WRONG);
  });
});

describe("Authenticator with argon2id", () => {
  test("takes the plain password; a hashed one proves nothing; others still log in", async () => {
    const encoded = await hashArgon2(text("wonderland"));
    const door = new Door([account("alice", { kind: "argon2id", encoded }), password("bob", "b")]);
    expect(await door.who("alice", plain("wonderland"))).toBe("alice");
    expect(await door.who("alice", plain("Wonderland"))).toBe(WRONG);
    expect(await door.who("alice", proof(hashOf("alice", "wonderland")))).toBe(WRONG);
    expect(await door.who("bob", plain("b"))).toBe("bob");
    expect(await door.who("nobody", plain("b"))).toBe(WRONG);
  });

  test("HS-16 two hashes at once, 64 wait, more are turned away without a mark", async () => {
    const encoded = await Bun.password.hash("x", {
      algorithm: "argon2id",
      memoryCost: 64,
      timeCost: 1,
    });
    const many = Array.from({ length: 70 }, (_, at) =>
      account(`u${at}`, { kind: "argon2id", encoded }),
    );
    const door = new Door(many);
    const reasons: Record<string, number> = {};
    const tries = Array.from({ length: 70 }, async (_, at) => {
      const verdict = await door.try(`u${at}`, plain("y"), { address: `192.0.2.${at}` });
      const reason = verdict.kind === "refused" ? verdict.reason : "admitted";
      reasons[reason] = (reasons[reason] ?? 0) + 1;
    });
    await Promise.all(tries);
    expect(reasons).toEqual({ busy: 4, credentials: 66 });
    expect(door.lockout.sources).toBe(66);
  });
});

describe("AU-11 HS-03 what is told by time", () => {
  test("unknown hub, unknown user and wrong password take one time, hashed or plain", async () => {
    const door = new Door([password("alice", "wonderland")]);
    door.judge.reconfigure({ ...LOCKOUT, enable: false });
    const secure = new Uint8Array(20);
    for (const presented of [
      plain("wrong"),
      { kind: "hashed-password", secure, challenge } satisfies Presented,
    ]) {
      const cases: [Directory | undefined, string][] = [
        [door.directory, "alice"],
        [door.directory, "alicf"],
        [undefined, "alice"],
      ];
      const times = cases.map((): number[] => []);
      for (let round = 0; round < 9_000; round++) {
        const at = round % cases.length;
        const [directory, user] = cases[at]!;
        const from = performance.now();
        await door.tryIn(directory, user, presented);
        times[at]!.push(performance.now() - from);
      }
      const medians = times.map((all) => all.toSorted((a, b) => a - b)[all.length >> 1]!);
      expect(Math.max(...medians) / Math.min(...medians)).toBeLessThan(1.5);
    }
  });

  test("where one user has a slow hash, nobody is faster for having none, or for not being there", async () => {
    const encoded = await hashArgon2(text("x"));
    const users = [account("slow", { kind: "argon2id", encoded }), password("alice", "w")];
    const door = new Door(users, {}, { atOnce: 1, waiting: 1 });
    await door.who("nobody", plain("x"));
    const busy = [door.try("u1", plain("x")), door.try("u2", plain("x"))];
    // All places are taken, so who is turned away now would have had to wait for one.
    const later = await Promise.all([
      door.who("slow", plain("x")),
      door.who("alice", plain("w")),
      door.who("nobody", plain("w")),
      door.tryIn(undefined, "alice", plain("w")).then((verdict) => verdict.kind),
    ]);
    expect(later).toEqual(["-busy", "-busy", "-busy", "refused"]);
    await Promise.all(busy);
  });
});

describe("Authenticator with one-time codes", () => {
  const totp = text("12345678901234567890");
  /** The code of the step that the clock of the door starts in. */
  const codeAt = async (wall: number) => {
    const { Secret, TOTP } = await import("otpauth");
    return new TOTP({ secret: new Secret({ buffer: totp.buffer }) }).generate({ timestamp: wall });
  };

  test("AU-06 the code stands behind the password, and is good once", async () => {
    const door = new Door([password("alice", "wonderland", { totp })]);
    const code = await codeAt(door.clock.wall());
    expect(await door.who("alice", plain(`wonderland${code}`))).toBe("alice");
    expect(await door.who("alice", plain(`wonderland${code}`))).toBe(WRONG);
    door.clock.advance(30_000);
    const next = await codeAt(door.clock.wall());
    expect(await door.who("alice", plain(`wonderland${next}`))).toBe("alice");
  });

  test("AU-06 a code of two minutes ago, seven digits, none, or a wrong password are refused", async () => {
    const door = new Door([password("alice", "wonderland", { totp })]);
    door.clock.advance(600_000);
    const code = await codeAt(door.clock.wall());
    const old = await codeAt(door.clock.wall() - 120_000);
    for (const typed of [
      `wonderland${old}`,
      `wonderland${code}0`,
      `wonderland0${code}`,
      "wonderland",
      code,
      `Wonderland${code}`,
    ]) {
      expect([typed, await door.who("alice", plain(typed))]).toEqual([typed, WRONG]);
    }
    // A wrong password has used up nothing.
    expect(await door.who("alice", plain(`wonderland${code}`))).toBe("alice");
  });

  test("AU-06 wrong codes are a mark against the source", async () => {
    const door = new Door([password("alice", "wonderland", { totp })]);
    await door.who("alice", plain("wonderland000000"));
    expect(door.lockout.isLocked("192.0.2.1")).toBe(true);
  });

  test("AU-07 no hash gets round the code", async () => {
    const door = new Door([password("alice", "wonderland", { totp })]);
    expect(await door.who("alice", proof(hashOf("alice", "wonderland")))).toBe(WRONG);
    const code = await codeAt(door.clock.wall());
    expect(await door.who("alice", proof(hashOf("alice", `wonderland${code}`)))).toBe(WRONG);
  });

  test("of two logins with one code at once, one is let in", async () => {
    const encoded = await hashArgon2(text("w"));
    const door = new Door([account("alice", { kind: "argon2id", encoded }, { totp })]);
    const code = await codeAt(door.clock.wall());
    const both = [door.who("alice", plain(`w${code}`)), door.who("alice", plain(`w${code}`))];
    expect((await Promise.all(both)).toSorted()).toEqual([WRONG, "alice"]);
  });

  test("somebody outside hears the password without the code", async () => {
    const door = new Door([account("alice", outside(), { totp })]);
    const code = await codeAt(door.clock.wall());
    expect(await door.who("alice", plain(`wonderland${code}`))).toBe("alice");
    expect(await door.who("alice", plain(`wonderland${code}`))).toBe(WRONG);
    expect(door.oracle.asked.map(({ password: asked }) => asked)).toEqual([
      text("wonderland"),
      text("wonderland"),
    ]);
  });
});

describe("Authenticator with somebody outside", () => {
  test("asks under the typed name or its alias, and brings the grants along", async () => {
    const door = new Door([
      account("alice", outside()),
      account("bob", outside("b@example"), { group: "staff" }),
    ]);
    door.oracle.verdict = { kind: "accepted", group: "vip", sessionTimeoutS: 60 };
    expect(await door.try("ALICE", plain("pw"))).toMatchObject({
      kind: "admitted",
      name: "alice",
      grants: { group: "vip", sessionTimeoutS: 60 },
    });
    await door.try("bob", plain("pw"));
    expect(door.oracle.asked).toEqual([
      {
        hub: "VPN",
        user: "ALICE",
        typedUser: "ALICE",
        password: text("pw"),
        address: "192.0.2.1",
        sessionInfo: "t 1.2",
      },
      {
        hub: "VPN",
        user: "b@example",
        typedUser: "bob",
        password: text("pw"),
        address: "192.0.2.1",
        sessionInfo: "t 1.2",
        group: "staff",
      },
    ]);
    expect(door.waits).toEqual(["begin", "end", "begin", "end"]);
  });

  test("is asked nothing for an empty password, a hash or a certificate", async () => {
    const door = new Door([account("alice", outside())]);
    for (const presented of [plain(""), proof(hashOf("alice", "pw")), ANONYMOUS]) {
      expect(await door.who("alice", presented)).toBe(WRONG);
    }
    expect(door.oracle.asked).toEqual([]);
  });

  test("a no is a wrong password; no answer is nobody's fault", async () => {
    const door = new Door([account("alice", outside())]);
    door.oracle.verdict = { kind: "unavailable", reason: "no server answered" };
    expect(await door.try("alice", plain("pw"))).toEqual({
      kind: "refused",
      reason: "unavailable",
      detail: "no server answered",
    });
    expect(door.lockout.sources).toBe(0);
    door.oracle.verdict = { kind: "rejected" };
    expect(await door.who("alice", plain("pw"))).toBe(WRONG);
    expect(door.lockout.sources).toBe(1);
    const nobody = new Door([account("alice", outside())], { authority: () => undefined });
    expect(await nobody.who("alice", plain("pw"))).toBe("-unavailable");
  });

  test("who leaves after he has waited like a stock client is not marked: the server did not answer", async () => {
    const door = new Door([account("alice", outside())]);
    const leaving = new AbortController();
    door.oracle.ask = async () => {
      door.clock.advance(10_000);
      leaving.abort();
      return { kind: "unavailable", reason: "given up" };
    };
    const wait = { signal: leaving.signal, begin() {}, end() {} };
    const attempt = { hub: "VPN", user: "alice", address: "192.0.2.1", sessionInfo: "t" };
    const presented = plain("pw");
    const verdict = await door.judge.authenticate(door.directory, { ...attempt, presented }, wait);
    expect(verdict).toEqual({ kind: "refused", reason: "gone" });
    expect(door.lockout.sources).toBe(0);
  });

  test("who leaves before the answer is marked for it, and the user is not; no hash is made for him", async () => {
    const encoded = await hashArgon2(text("w"));
    const door = new Door([
      account("alice", outside()),
      account("bob", { kind: "argon2id", encoded }),
    ]);
    const leaving = new AbortController();
    const wait = { signal: leaving.signal, begin() {}, end() {} };
    const attempt = { hub: "VPN", address: "192.0.2.1", sessionInfo: "t" };
    door.oracle.ask = async () => {
      leaving.abort();
      return { kind: "accepted" };
    };
    for (const [user, typed] of [
      ["alice", "pw"],
      ["bob", "w"],
    ] as const) {
      const presented = plain(typed);
      const verdict = door.judge.authenticate(
        door.directory,
        { ...attempt, user, presented },
        wait,
      );
      expect(await verdict).toEqual({ kind: "refused", reason: "gone" });
    }
    for (let left = 0; left < 30; left++) {
      const presented = plain("pw");
      await door.judge.authenticate(door.directory, { ...attempt, user: "alice", presented }, wait);
    }
    expect(door.lockout.isLocked("192.0.2.1")).toBe(true);
    expect(await door.who("bob", plain("w"))).toBe("bob");
    expect(await door.who("alice", plain("pw"))).toBe("alice");
  });

  test("the user * stands for names that no user has, as they were typed", async () => {
    const door = new Door([
      account("*", outside(), { group: "guests" }),
      password("alice", "wonderland"),
    ]);
    expect(await door.try("Carol", plain("pw"))).toMatchObject({
      kind: "admitted",
      name: "Carol",
      account: { name: "*", group: "guests" },
    });
    expect(await door.who("EXAMPLE\\carol", plain("pw"))).toBe("EXAMPLE\\carol");
    expect(door.oracle.asked.map(({ user }) => user)).toEqual(["Carol", "EXAMPLE\\carol"]);
    expect(await door.who("alice", plain("pw"))).toBe(WRONG);
    const reserved = ["*", "administrator", "SecureNAT", "a\nb", "", "a/b", "x".repeat(300)];
    for (const name of reserved) expect(await door.who(name, plain("pw"))).toBe(WRONG);
    expect(door.oracle.asked).toHaveLength(2);
  });
});

describe("Authenticator with certificates", async () => {
  const root = await issue({ subject: "CN=Root", isAuthority: true });
  const alice = await issue({ subject: "CN=alice", issuer: root, serial: "0a1b" });
  const bob = await issue({ subject: "CN=bob", issuer: root, serial: "0c" });
  const present = (entity: typeof alice): Presented => ({
    kind: "certificate",
    der: entity.der,
    signature: signChallenge(entity, challenge),
    challenge,
  });
  const trust = new TrustStore({ trustedCa: [root.der], crl: [] });
  const signed = (commonName?: string, serial?: string): Account["verifier"] => ({
    kind: "signed-certificate",
    commonName,
    serial,
  });
  const users = [
    account("own", { kind: "certificate", der: alice.der }),
    account("any", signed()),
    account("cn", signed("alice")),
    account("serial", signed(undefined, "a1b")),
    account("both", signed("alice", "c")),
    password("pw", "x"),
  ];

  test("takes the very one of a user, or one of an authority with the name and number asked for", async () => {
    const door = new Door(users, { trust });
    const found = async (entity: typeof alice) =>
      Promise.all(users.map(({ name }) => door.who(name, present(entity))));
    expect(await found(alice)).toEqual(["own", "any", "cn", "serial", WRONG, WRONG]);
    expect(await found(bob)).toEqual([WRONG, "any", WRONG, WRONG, WRONG, WRONG]);
  });

  test("HS-09 refuses a right one with a signature over another challenge", async () => {
    const door = new Door(users, { trust });
    const other = { ...present(alice), challenge: seededRandom(5).bytes(20) } as Presented;
    expect(await door.who("own", other)).toBe(WRONG);
    expect(await door.who("own", plain("x"))).toBe(WRONG);
  });

  test("AU-08 refuses one that was revoked, the user's own as well", async () => {
    const crl = [{ kind: "list", path: "x", der: await revoke(root, ["0a1b"]) }] as const;
    const door = new Door(users, { trust: new TrustStore({ trustedCa: [root.der], crl }) });
    expect(await door.who("own", present(alice))).toBe(WRONG);
    expect(await door.who("any", present(alice))).toBe(WRONG);
    expect(await door.who("any", present(bob))).toBe("any");
  });
});

describe("Authenticator and the lock-out", () => {
  test("a held user is refused unseen, but for where he is known", async () => {
    const door = new Door([password("alice", "wonderland")]);
    await door.try("alice", plain("wonderland"), { address: "198.51.100.1" });
    for (let at = 0; at < 20; at++) {
      await door.try("alice", plain("no"), { address: `192.0.2.${at}` });
    }
    const good = plain("wonderland");
    expect(await door.try("alice", good, { address: "203.0.113.1" })).toEqual({
      kind: "refused",
      reason: "held",
    });
    expect(await door.try("alice", good, { address: "198.51.100.1" })).toMatchObject({
      kind: "admitted",
    });
    door.clock.advance(5_000);
    expect(await door.try("alice", good, { address: "203.0.113.1" })).toMatchObject({
      kind: "admitted",
    });
  });

  test("a source that is exempt neither counts against a user nor is held", async () => {
    const door = new Door([password("alice", "wonderland")]);
    door.judge.reconfigure({ ...LOCKOUT, exempt: [tryParseNet("192.0.2.0/24")!] });
    for (let at = 0; at < 40; at++) await door.who("alice", plain("no"));
    const good = plain("wonderland");
    expect(await door.try("alice", good, { address: "203.0.113.1" })).toMatchObject({
      kind: "admitted",
    });
    for (let at = 0; at < 20; at++) {
      await door.try("alice", plain("no"), { address: `198.51.100.${at}` });
    }
    expect(await door.who("alice", good)).toBe("alice");
    expect(door.lockout.isLocked("192.0.2.1")).toBe(false);
  });
});

describe("barAccount()", () => {
  const WALL = Date.UTC(2026, 10, 22);
  const of = (change: Partial<Account>) =>
    barAccount(account("a", { kind: "anonymous" }, change), WALL);

  test("bars who is disabled, expired or without access, with error 12", () => {
    expect(of({})).toBeUndefined();
    expect(of({ isEnabled: false })).toBe(12);
    expect(of({ policy: { ...DEFAULT_POLICY, access: false } })).toBe(12);
    expect(of({ expires: WALL })).toBe(12);
    expect(of({ expires: WALL + 1 })).toBeUndefined();
  });
});
