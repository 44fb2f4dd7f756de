import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { clientSchema } from "../../src/config/client-schema.ts";
import { serverSchema } from "../../src/config/server-schema.ts";
import type { ServerConfig } from "../../src/config/server-config.ts";
import { listKeys, type Shape } from "../../src/config/shape.ts";
import { parseToml } from "../../src/config/toml.ts";
import type { TomlNode } from "../../src/config/toml-tree.ts";
import { CERTIFICATE, REVOCATION_LIST } from "./certificates.ts";
import { readClient, readServer } from "./fixture.ts";

const ROOT = join(import.meta.dir, "../..");
const SERVER = readFileSync(join(ROOT, "config.toml"), "utf8");
const CLIENT = readFileSync(join(ROOT, "src/asset/client.toml"), "utf8");

/** What the file becomes when each "#" before a key or a table is taken away. */
const uncommented = (text: string) => text.replace(/^#(?=[A-Za-z0-9_]+ = |\[)/gm, "");

const FILES = {
  "/etc/vpn/fullchain.pem": "cert",
  "/etc/vpn/privkey.pem": "key",
  "/etc/vpn/alice.pw": "pw",
  "/etc/vpn/alice.totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
  "/etc/vpn/radius.secret": "radius",
  "/etc/vpn/company-ca.pem": CERTIFICATE,
  "/etc/vpn/branch.pem": CERTIFICATE,
  "/etc/vpn/company.crl": REVOCATION_LIST,
  "/etc/vpn/branch-link.pw": "pw",
  "/etc/vpn/proxy.pw": "pw",
  "/etc/vpn/home-link.pem": "cert",
  "/etc/vpn/home-link.key": "key",
  "/home/alice/.config/vpn/home.pw": "pw",
  "/home/alice/.config/vpn/proxy.pw": "pw",
  "/home/alice/.config/vpn/laptop.pem": "cert",
  "/home/alice/.config/vpn/laptop.key": "key",
};

/** The paths of all values in a file; where the schema has NAME, so does the path. */
function pathsOf(node: TomlNode, shape: Shape<unknown>, prefix = ""): string[] {
  const inner = shape.inner;
  if (node.kind !== "table" || inner === undefined) return [prefix];
  return [...node.entries].flatMap(([key, entry]) => {
    const name = inner.has("NAME") ? "NAME" : key;
    const next = inner.get(name);
    const path = prefix === "" ? name : `${prefix}.${name}`;
    return next === undefined ? [path] : pathsOf(entry.value, next, path);
  });
}

describe.each([
  ["config.toml", SERVER, serverSchema("host.example") as Shape<unknown>, readServer],
  ["client.toml", CLIENT, clientSchema as Shape<unknown>, readClient],
])("%s as shipped", (_, text, schema, read) => {
  test("loads without a warning", () => {
    expect(read(text).warnings).toEqual([]);
  });

  test("loads with all that it shows in comments", () => {
    expect(read(uncommented(text), { files: FILES }).warnings).toEqual([]);
  });

  test("shows every key of the schema", () => {
    const root = parseToml("shown.toml", new TextEncoder().encode(uncommented(text)));
    const shown = new Set(pathsOf(root, schema));
    // A policy of a user, a group or a cascade has items of the hub's, which are shown there.
    const asShown = (key: string) =>
      key.replace(/\.(?:user|group|cascade)\.NAME\.policy\./, ".policy.");
    const missing = listKeys(schema).filter((key) => !shown.has(asShown(key)));
    expect(missing).toEqual([]);
  });

  test("holds no secret", () => {
    const values = [...text.matchAll(/password\s*=\s*"(.*)"/g)].map((found) => found[1]);
    expect(values.length).toBeGreaterThan(0);
    for (const value of values) expect(value).toMatch(/^(?:file|env):/);
  });
});

test("config.toml has a hub whose users get passwords on the first start", () => {
  const { config } = readServer(SERVER);
  expect(config.server.listen.map(({ port }) => port)).toEqual([443, 992, 5555]);
  expect(config.hubs.map(({ name }) => name)).toEqual(["home"]);
  expect(config.hubs[0]?.users.map(({ name, credential }) => [name, credential.kind])).toEqual([
    ["alice", "generated"],
    ["bob", "generated"],
  ]);
});

test("config.toml and client.toml show scalar defaults as they are", () => {
  const shownServer = readServer(
    uncommented(SERVER).replace(
      /^(?:name|state_dir|dir|syslog|cert|key|ciphers|exempt) = (?!"\/etc\/vpn\/home-link).*$/gm,
      "",
    ),
    { files: FILES },
  ).config;
  const empty = readServer("").config;
  expect<ServerConfig>({ ...shownServer, hubs: [], l3Switches: [] }).toEqual({
    ...empty,
    hubs: [],
  });
  expect(shownServer.hubs[0]).toMatchObject({
    maxSessions: 0,
    announce: false,
    message: "",
    policy: empty.hubs[0]!.policy,
  });
});
