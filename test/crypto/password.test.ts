import { expect, test } from "bun:test";
import {
  equalSecrets,
  hashAdminPassword,
  hashUserPassword,
  securePassword,
} from "../../src/crypto/password.ts";
import vectors from "../vectors/password.json" with { type: "json" };
import { fromHex, toHex } from "../support/hex.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

for (const { username, password, hashed } of vectors.hashed_password) {
  test(`hashUserPassword() gives the recorded hash of user "${username}"`, () => {
    expect(toHex(hashUserPassword(username, bytes(password)))).toBe(hashed);
  });
}

for (const { password, hashed } of vectors.admin_hashed) {
  test(`hashAdminPassword() gives the recorded hash of "${password}"`, () => {
    expect(toHex(hashAdminPassword(bytes(password)))).toBe(hashed);
  });
}

for (const { hashed, random, secure } of vectors.secure_password) {
  test(`securePassword() gives the recorded proof ${secure.slice(0, 8)}`, () => {
    expect(toHex(securePassword(fromHex(hashed), fromHex(random)))).toBe(secure);
  });
}

test("hashUserPassword() changes the case of ASCII letters alone", () => {
  const hash = (user: string) => toHex(hashUserPassword(user, bytes("x")));
  expect(hash("müller")).toBe(hash("MüLLER"));
  expect(hash("müller")).not.toBe(hash("MÜLLER"));
  expect(hash("straße")).not.toBe(hash("STRASSE"));
});

test("equalSecrets() is true for equal bytes only, and bears unlike lengths", () => {
  expect(equalSecrets(fromHex("0102"), fromHex("0102"))).toBe(true);
  expect(equalSecrets(fromHex("0102"), fromHex("0103"))).toBe(false);
  expect(equalSecrets(fromHex("0102"), fromHex("010200"))).toBe(false);
  expect(equalSecrets(new Uint8Array(), new Uint8Array())).toBe(true);
});
