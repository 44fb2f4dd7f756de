import { describe, expect, test } from "bun:test";
import { EXIT, ExitError } from "../../src/base/errors.ts";
import { withoutLineEnd } from "../../src/config/secret.ts";
import { type Attempt, faultsOf, readServer } from "./fixture.ts";

const HASH = "hash:sha0:AoeBVnzRY237Frs1h7No0B+7Dmo=";
const configWith = (password: string) => `[hub.a.user.b]\npassword = "${password}"\n`;

function read(password: string, attempt: Attempt = {}) {
  const { config, warnings } = readServer(configWith(password), attempt);
  const credential = config.hubs[0]?.users[0]?.credential;
  if (credential?.kind !== "password") throw new Error("the user has no password");
  return { secret: credential.secret, warnings };
}

const plain = (text: string) => ({ kind: "plain", bytes: new TextEncoder().encode(text) });

describe("CF-21 secrets", () => {
  test("text works, with a warning that does not show it", () => {
    const { secret, warnings } = read("hunter2");
    expect(secret).toEqual(plain("hunter2") as typeof secret);
    expect(warnings).toEqual([
      'config.toml:2:12: hub.a.user.b.password: the secret stands in the file itself, better "env:NAME" or "file:PATH"',
    ]);
  });

  test("env: takes the variable as it is", () => {
    expect(read("env:VPN_PW", { env: { VPN_PW: "ä b\n" } })).toEqual({
      secret: plain("ä b\n") as never,
      warnings: [],
    });
  });

  test("file: is relative to the file that names it, or to the home, and loses one line end", () => {
    const files = {
      "/etc/vpn/b.pw": "one\n\n",
      "/home/alice/b.pw": "two\r\n",
      "/srv/b.pw": "three",
    };
    expect(read("file:b.pw", { files })).toEqual({ secret: plain("one\n") as never, warnings: [] });
    expect(read("file:~/b.pw", { files }).secret).toEqual(plain("two") as never);
    expect(read("file:../../srv/b.pw", { files }).secret).toEqual(plain("three") as never);
  });

  test("hash:sha0: gives the 20 bytes of the verifier", () => {
    const { secret, warnings } = read(HASH);
    expect(secret.kind === "sha0" && Buffer.from(secret.hash).toString("base64")).toBe(
      HASH.slice("hash:sha0:".length),
    );
    expect(warnings).toEqual([]);
  });

  test("hash:argon2id: keeps the text, within bounds of memory and time", () => {
    const text = (memory: number, passes: number) =>
      `$argon2id$v=19$m=${memory},t=${passes},p=1$c2FsdHNhbHRzYWx0$${"A".repeat(43)}`;
    expect(read(`hash:argon2id:${text(65_536, 3)}`).secret).toEqual({
      kind: "argon2id",
      encoded: text(65_536, 3),
    } as never);
    for (const costly of [text(2_097_152, 3), text(65_536, 33), text(4, 1), text(64, 0)]) {
      expect(() => read(`hash:argon2id:${costly}`)).toThrow("expected hash:argon2id:");
    }
  });

  test.each<[string, Attempt, string]>([
    ["env:VPN_PW", {}, 'the environment variable "VPN_PW" is not set'],
    ["env:VPN_PW", { env: { VPN_PW: "" } }, 'the environment variable "VPN_PW" is empty'],
    ["file:b.pw", {}, "b.pw does not exist"],
    ["file:b.pw", { files: { "/etc/vpn/b.pw": "\n" } }, "b.pw is empty"],
    [
      "file:b.pw",
      { files: { "/etc/vpn/b.pw": "x".repeat(1025) } },
      "b.pw is longer than 1024 bytes",
    ],
    ["file:b.pw", { files: { "/etc/vpn/b.pw": "x".repeat(9999) } }, "b.pw is too large"],
    [
      "file:/run/credentials",
      { files: { "/run/credentials": { kind: "refused", reason: "is a directory, not a file" } } },
      "/run/credentials is a directory, not a file",
    ],
    ["file:~/b.pw", { env: { HOME: undefined } }, "~/ needs the environment variable HOME"],
    [
      "hash:sha0:AoeB",
      {},
      "expected hash:sha0: and 20 bytes in base64, or hash:argon2id: and its text",
    ],
    [
      "hash:md5:AoeB",
      {},
      "expected hash:sha0: and 20 bytes in base64, or hash:argon2id: and its text",
    ],
    [
      "hash:argon2id:$argon2id$v=19$x",
      {},
      'expected hash:argon2id: and the text that "vpn passwd" prints',
    ],
    ["", {}, "the text is empty"],
  ])("%s is refused with its key (%o)", (password, attempt, fault) => {
    expect(faultsOf(() => read(password, attempt))).toEqual([
      `config.toml:2:12: hub.a.user.b.password: ${fault}`,
    ]);
  });

  test("no fault shows a value", () => {
    const text =
      configWith("hash:sha0:hunter2") +
      "[hub.c.user.d]\npassword = 31415\n[hub.e.user.f]\npassword = ['hunter3']\n";
    const faults = faultsOf(() => readServer(text));
    expect(faults).toHaveLength(3);
    expect(faults.join("\n")).not.toMatch(/hunter|31415/);
  });
});

describe("CF-11 files that others can read", () => {
  const files = { "/etc/vpn/b.pw": "x", "/etc/vpn/tls.crt": "c", "/etc/vpn/tls.key": "k" };

  test("a password file gives a warning", () => {
    const { warnings } = read("file:b.pw", { files, modes: { "/etc/vpn/b.pw": 0o640 } });
    expect(warnings).toEqual([
      "config.toml:2:12: hub.a.user.b.password: others can read b.pw (mode 0640): chmod 600",
    ]);
  });

  test.each(["hunter2", HASH])("config.toml gives a warning when it holds %s", (password) => {
    const modes = { "/etc/vpn/config.toml": 0o644 };
    expect(read(password, { modes }).warnings).toContain(
      "config.toml:1:1: this file holds a secret and others can read it (mode 0644): chmod 600",
    );
  });

  test("config.toml gives none when it holds references alone", () => {
    const modes = { "/etc/vpn/config.toml": 0o644 };
    expect(read("env:P", { modes, env: { P: "x" } }).warnings).toEqual([]);
  });

  const TLS = "[hub.a.user.b]\n[tls]\ncert = 'tls.crt'\nkey = 'tls.key'\n";

  test("a private key ends the program with 77", () => {
    const load = () => readServer(TLS, { files, modes: { "/etc/vpn/tls.key": 0o644 } });
    expect(load).toThrow(ExitError);
    expect(load).toThrow(expect.objectContaining({ exitCode: EXIT.noPermission }));
    expect(load).toThrow("tls.key can be read by everybody (mode 0644): chmod 600");
  });

  test("a private key of a group, as of Debian's ssl-cert, is accepted", () => {
    const { config } = readServer(TLS, { files, modes: { "/etc/vpn/tls.key": 0o640 } });
    expect(config.tls.key).toBe("/etc/vpn/tls.key");
  });
});

test.each([
  ["a\n", "a"],
  ["a\r\n", "a"],
  ["a\n\n", "a\n"],
  ["a\r", "a\r"],
  ["\n", ""],
  ["", ""],
])("withoutLineEnd() of %j is %j", (text, expected) => {
  const bytes = withoutLineEnd(new TextEncoder().encode(text));
  expect(new TextDecoder().decode(bytes)).toBe(expected);
});
