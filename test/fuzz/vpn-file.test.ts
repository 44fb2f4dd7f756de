import { expect, test } from "bun:test";
import { ConfigError, VpnError } from "../../src/base/errors.ts";
import { DEFAULT_ACCOUNT } from "../../src/config/client-config.ts";
import { encodeDeclared, parseDeclared } from "../../src/interop/declared-text.ts";
import { parseVpnFile } from "../../src/interop/vpn-file.ts";
import { encodeVpnFile } from "../../src/interop/vpn-file-writer.ts";
import { fuzz } from "./fuzz.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const server = { name: "a b", host: "h", port: 443, hub: "x", user: "u" };
const secret = { kind: "plain", bytes: bytes("pw") } as const;
const SEEDS = [
  { ...DEFAULT_ACCOUNT, ...server, credential: { kind: "password", secret, plain: true } },
  {
    ...DEFAULT_ACCOUNT,
    ...server,
    proxy: { kind: "socks5", host: "p", port: 1, user: "u", password: bytes("pp") },
  },
] as const;

/** True for what gets through; anything but a fault of the file is one of ours. */
function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (
      error instanceof VpnError &&
      !(error instanceof ConfigError) &&
      error.code === "file_format"
    ) {
      return undefined;
    }
    throw error;
  }
}

test("parseDeclared() refuses with a line, or reads what it writes", () => {
  const target = (input: Uint8Array) => {
    const root = tryRead(() => parseDeclared(input));
    if (root === undefined) return false;
    const again = parseDeclared(bytes(encodeDeclared(root)));
    if (!Bun.deepEquals(again, root)) throw new Error(Bun.inspect([root, again]));
    return true;
  };
  const seeds = SEEDS.map((account) => encodeVpnFile(account, "VPN").bytes);
  expect(fuzz({ name: "declared-text", seeds, target }).accepted).toBeGreaterThan(1000);
}, 60_000);

test("parseVpnFile() refuses with a reason, or gives what can be written and read again", () => {
  const target = (input: Uint8Array) => {
    const imported = tryRead(() => parseVpnFile(input));
    if (imported === undefined) return false;
    const { account, device } = imported;
    // The certificates of a changed file are its own affair.
    if (account.credential.kind === "certificate") return true;
    const again = parseVpnFile(encodeVpnFile(account, device).bytes);
    if (
      again.account.name !== account.name ||
      !Bun.deepEquals(again.account.wishes, account.wishes)
    ) {
      throw new Error(Bun.inspect([account, again.account]));
    }
    return true;
  };
  const seeds = SEEDS.map((account) => encodeVpnFile(account, "VPN").bytes);
  expect(fuzz({ name: "vpn-file", seeds, target }).accepted).toBeGreaterThan(1000);
}, 60_000);
