import { expect, test } from "bun:test";
import { hashArgon2, isArgon2Text, verifyArgon2 } from "../../src/crypto/argon2.ts";

const text = (value: string) => new TextEncoder().encode(value);

test("verifyArgon2() takes the password of hashArgon2() and no other", async () => {
  const encoded = await hashArgon2(text("wonderland"));
  expect(isArgon2Text(encoded)).toBe(true);
  expect(await verifyArgon2(text("wonderland"), encoded)).toBe(true);
  expect(await verifyArgon2(text("Wonderland"), encoded)).toBe(false);
  expect(await verifyArgon2(new Uint8Array(0), encoded)).toBe(false);
});

test("verifyArgon2() agrees with the reference implementation", async () => {
  // "password", "somesalt", 64 MiB, 2 passes, 1 lane: test.c of phc-winner-argon2, version 0x13.
  const encoded =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
  expect(isArgon2Text(encoded)).toBe(true);
  expect(await verifyArgon2(text("password"), encoded)).toBe(true);
});

test.each([
  "",
  "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
  "$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
  "$argon2id$v=19$m=65536,t=99,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
  "$argon2id$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
])("isArgon2Text() refuses %j", (encoded) => {
  expect(isArgon2Text(encoded)).toBe(false);
});
