import { describe, expect, test } from "bun:test";
import { authenticate, barAccount, type Account } from "../../src/auth/authenticator.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { hashUserPassword, securePassword } from "../../src/crypto/password.ts";
import vectors from "../vectors/password.json" with { type: "json" };
import { fromHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

const text = (value: string) => new TextEncoder().encode(value);
const challenge = seededRandom(1).bytes(20);

function account(name: string, verifier: Account["verifier"], change: Partial<Account> = {}) {
  return { name, isEnabled: true, expires: undefined, policy: DEFAULT_POLICY, verifier, ...change };
}
const hashOf = (user: string, password: string) => hashUserPassword(user, text(password));
const accounts = new Map<string, Account>([
  ["alice", account("Alice", { kind: "password", hash: hashOf("Alice", "wonderland") })],
  ["guest", account("guest", { kind: "anonymous" })],
]);
const proof = (hash: Uint8Array) =>
  ({ kind: "hashed-password", secure: securePassword(hash, challenge), challenge }) as const;
const plain = (password: string) => ({ kind: "plain-password", password: text(password) }) as const;
const ANONYMOUS = { kind: "anonymous" } as const;

describe("authenticate()", () => {
  test("takes the right password, hashed or plain, and the name in any case", () => {
    for (const user of ["alice", "Alice", "ALICE"]) {
      expect(authenticate(accounts, user, proof(hashOf(user, "wonderland")), true)?.name).toBe(
        "Alice",
      );
      expect(authenticate(accounts, user, plain("wonderland"), true)?.name).toBe("Alice");
    }
  });

  test("takes a proof that the real client sent", () => {
    const recorded = vectors.secure_password[0]!;
    const known = new Map([
      ["alice", account("alice", { kind: "password", hash: fromHex(recorded.hashed) })],
    ]);
    const presented = {
      kind: "hashed-password",
      secure: fromHex(recorded.secure),
      challenge: fromHex(recorded.random),
    } as const;
    expect(authenticate(known, "alice", presented, true)?.name).toBe("alice");
  });

  test("takes nothing else", () => {
    const refused: [string, Parameters<typeof authenticate>[2]][] = [
      ["alice", proof(hashOf("alice", "Wonderland"))],
      ["alice", proof(hashOf("bob", "wonderland"))],
      ["alice", { ...proof(hashOf("alice", "wonderland")), challenge: seededRandom(2).bytes(20) }],
      ["alice", { ...proof(hashOf("alice", "wonderland")), secure: new Uint8Array(0) }],
      ["alice", plain("")],
      ["alice", plain("wonderland ")],
      ["alice", ANONYMOUS],
      ["bob", plain("wonderland")],
      ["", ANONYMOUS],
      ["*", ANONYMOUS],
      ["__proto__", ANONYMOUS],
    ];
    for (const [user, presented] of refused) {
      expect(authenticate(accounts, user, presented, true)).toBeUndefined();
      expect(authenticate(undefined, user, presented, true)).toBeUndefined();
    }
  });

  test("lets a user without a password in whatever is presented", () => {
    for (const presented of [ANONYMOUS, plain("x"), proof(hashOf("guest", "x"))]) {
      expect(authenticate(accounts, "guest", presented, true)?.name).toBe("guest");
    }
  });

  test("without hashed logins takes plain passwords only", () => {
    expect(
      authenticate(accounts, "alice", proof(hashOf("alice", "wonderland")), false),
    ).toBeUndefined();
    expect(authenticate(accounts, "alice", plain("wonderland"), false)?.name).toBe("Alice");
    expect(authenticate(accounts, "guest", proof(hashOf("guest", "x")), false)?.name).toBe("guest");
  });

  test("AU-10 a password of 1,024 bytes is taken, in the form of Unicode that was typed", () => {
    const long = "p".repeat(1_024);
    const known = new Map([
      ["u", account("u", { kind: "password", hash: hashOf("u", long) })],
      ["v", account("v", { kind: "password", hash: hashOf("v", "Zoe\u0308") })],
    ]);
    expect(authenticate(known, "u", plain(long), true)?.name).toBe("u");
    expect(authenticate(known, "v", plain("Zoe\u0308"), true)?.name).toBe("v");
    expect(authenticate(known, "v", plain("Zo\u00eb"), true)).toBeUndefined();
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
