import { describe, expect, test } from "bun:test";
import { systemRandom } from "../../src/base/random.ts";
import {
  generatedVerifier,
  generatePassword,
  type MadePassword,
} from "../../src/config/generated-password.ts";
import type { SecretStore } from "../../src/config/state-store.ts";
import { verifyArgon2 } from "../../src/crypto/argon2.ts";
import { hashUserPassword } from "../../src/crypto/password.ts";

function memoryStore(): SecretStore & { values: Map<string, Uint8Array> } {
  const values = new Map<string, Uint8Array>();
  return {
    values,
    secret: (path) => values.get(path),
    setSecret: (path, value) => void values.set(path, value),
  };
}

describe("generatePassword()", () => {
  test("has 25 letters of 32 in five groups, another each time", () => {
    const made = Array.from({ length: 200 }, () => generatePassword(systemRandom));
    for (const password of made) {
      expect(password).toMatch(/^[0-9a-hjkmnp-tv-z]{5}(?:-[0-9a-hjkmnp-tv-z]{5}){4}$/);
    }
    expect(new Set(made).size).toBe(200);
    expect(new Set(made.join("").replaceAll("-", "")).size).toBe(32);
  });

  test("uses five bits of each byte that it is given", () => {
    const random = {
      ...systemRandom,
      bytes: (count: number) => Uint8Array.from({ length: count }, (_, i) => i + 224),
    };
    expect(generatePassword(random)).toBe("01234-56789-abcde-fghjk-mnpqr");
  });
});

describe("generatedVerifier()", () => {
  test("makes and tells a password once, and finds its verifier again whatever the case", () => {
    const store = memoryStore();
    const made: MadePassword[] = [];
    const deps = { random: systemRandom, announce: (one: MadePassword) => void made.push(one) };
    const first = generatedVerifier(store, deps, { hub: "Home", user: "Alice", hashedLogin: true });
    expect(made).toHaveLength(1);
    expect(made[0]).toMatchObject({ hub: "Home", user: "Alice" });
    expect(first).toEqual({
      kind: "sha0",
      hash: hashUserPassword("alice", new TextEncoder().encode(made[0]!.password)),
    });
    expect(
      generatedVerifier(store, deps, { hub: "home", user: "ALICE", hashedLogin: true }),
    ).toEqual(first);
    expect(made).toHaveLength(1);
    expect([...store.values.keys()]).toEqual(["hub.home.user.alice.password"]);
  });

  test("tells users of different hubs apart, dots in names included", () => {
    const store = memoryStore();
    const deps = { random: systemRandom, announce: () => undefined };
    generatedVerifier(store, deps, { hub: "a", user: "b.user.c", hashedLogin: true });
    generatedVerifier(store, deps, { hub: "a.user.b", user: "c", hashedLogin: true });
    expect([...store.values.keys()]).toEqual([
      'hub.a.user."b.user.c".password',
      'hub."a.user.b".user.c.password',
    ]);
  });

  test("keeps nothing that was not told", () => {
    const store = memoryStore();
    const announce = () => {
      throw new Error("standard error is closed");
    };
    const of = { hub: "a", user: "b", hashedLogin: true };
    expect(() => generatedVerifier(store, { random: systemRandom, announce }, of)).toThrow();
    expect(store.values.size).toBe(0);
  });

  test("keeps argon2id alone where nobody logs in by hash", async () => {
    const store = memoryStore();
    const made: string[] = [];
    const deps = {
      random: systemRandom,
      announce: ({ password }: MadePassword) => void made.push(password),
    };
    const of = { hub: "a", user: "b", hashedLogin: false };
    const first = generatedVerifier(store, deps, of);
    if (first.kind !== "argon2id") throw new Error(`kept ${first.kind}`);
    expect(await verifyArgon2(new TextEncoder().encode(made[0]), first.encoded)).toBe(true);
    expect(generatedVerifier(store, deps, { ...of, hashedLogin: true })).toEqual(first);
    expect(made).toHaveLength(1);
  });
});
