import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ResolvedAccount } from "../../src/client/account.ts";
import { openCredential } from "../../src/command/credential.ts";
import {
  DEFAULT_ACCOUNT,
  DEFAULT_NIC,
  type AccountCredential,
} from "../../src/config/client-config.ts";
import { generateSelfSigned } from "../../src/crypto/self-signed.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (of: unknown) => new TextDecoder().decode((of as { password: Uint8Array }).password);

const never = new AbortController().signal;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "vpn-test-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

function resolved(credential: AccountCredential): ResolvedAccount {
  const server = { host: "h", port: 443, hub: "x", user: "alice" };
  const account = { ...DEFAULT_ACCOUNT, ...server, name: "hq", credential };
  return { name: "hq", account, nic: DEFAULT_NIC };
}

const kept = (plain: boolean): AccountCredential => ({
  kind: "password",
  secret: { kind: "plain", bytes: bytes("pw") },
  plain,
});

describe("openCredential()", () => {
  test("lets the question for a code go when the client is to end, with the terminal as before", async () => {
    const environment = new FakeEnvironment();
    environment.stdinIsTerminal = true;
    const ask = await openCredential(resolved(kept(true)), environment, { file: undefined });
    const ended = new AbortController();
    const asked = ask(ended.signal);
    ended.abort();
    await expect(asked).rejects.toBe(ended.signal.reason);
    expect([environment.isRaw, environment.listeners]).toEqual([false, 0]);
    await expect(ask(ended.signal)).rejects.toBe(ended.signal.reason);
  });

  test("gives what the account keeps", async () => {
    const environment = new FakeEnvironment();
    const hash = new Uint8Array(20).fill(1);
    const of = async (credential: AccountCredential) =>
      (await openCredential(resolved(credential), environment))(never);
    expect(await of({ kind: "anonymous" })).toEqual({ kind: "anonymous" });
    expect(await of(kept(false))).toEqual({ kind: "password", password: bytes("pw") });
    expect(await of(kept(true))).toEqual({ kind: "plain-password", password: bytes("pw") });
    const sha0 = { kind: "sha0", hash } as const;
    expect(await of({ kind: "password", secret: sha0, plain: false })).toEqual({
      kind: "password-hash",
      hash,
    });
  });

  test("reads certificate and key before anything is connected", async () => {
    const { cert, key } = await generateSelfSigned("alice", Date.UTC(2026, 0, 1));
    const account = resolved({ kind: "certificate", cert: { pem: cert }, key: { pem: key } });
    const ask = await openCredential(account, new FakeEnvironment());
    expect(await ask(never)).toMatchObject({
      kind: "certificate",
      key: expect.stringContaining("KEY"),
    });
    const gone = { path: join(dir, "gone") };
    const missing = resolved({ kind: "certificate", cert: gone, key: gone });
    await expect(openCredential(missing, new FakeEnvironment())).rejects.toMatchObject({
      exitCode: 66,
    });
  });

  test("CL-05 ends with 65 where nobody can be asked for a password", async () => {
    const account = resolved({ kind: "password", secret: undefined, plain: false });
    await expect(openCredential(account, new FakeEnvironment())).rejects.toMatchObject({
      exitCode: 65,
    });
  });

  test("asks for the code of a second factor at each login, and puts it behind the password", async () => {
    const environment = new FakeEnvironment();
    environment.stdinIsTerminal = true;
    const ask = await openCredential(resolved(kept(true)), environment, { file: undefined });
    for (const code of ["123456", "654321"]) {
      const asked = ask(never);
      environment.type(`${code}\r`);
      const credential = await asked;
      expect([credential.kind, text(credential)]).toEqual(["plain-password", `pw${code}`]);
    }
    expect(environment.err).toContain("Code for alice (hq): ");
    expect(environment.listeners).toBe(0);
  });

  test("reads the code from a file as it is at each login", async () => {
    const file = join(dir, "code");
    writeFileSync(file, "111111\n", { mode: 0o600 });
    const ask = await openCredential(resolved(kept(true)), new FakeEnvironment(), { file });
    expect(text(await ask(never))).toBe("pw111111");
    writeFileSync(file, "222222\n");
    expect(text(await ask(never))).toBe("pw222222");
  });

  test.each([kept(false), { kind: "anonymous" } as const])(
    "refuses a code that would not be sent (%#)",
    async (credential) => {
      const opening = openCredential(resolved(credential), new FakeEnvironment(), { file: "x" });
      await expect(opening).rejects.toMatchObject({ exitCode: 64 });
    },
  );
});
