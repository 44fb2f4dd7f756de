import { describe, expect, test } from "bun:test";
import { diffServerConfig } from "../../src/config/diff.ts";
import { DEFAULT_POLICY, POLICY_ITEMS } from "../../src/config/policy.ts";
import { readServer } from "./fixture.ts";

const FILES = { "/etc/vpn/link.pw": "pw", "/etc/vpn/link.pem": "cert", "/etc/vpn/link.key": "key" };

const table = (keys: string, name = "branch") => `[hub.home.cascade.${name}]\n${keys}\n`;
const BASE = 'to = "far.example/office"\nuser = "home"\n';
const PASSWORD = 'password = "file:/etc/vpn/link.pw"\n';

const cascadesOf = (text: string) => readServer(text, { files: FILES }).config.hubs[0]!.cascades;
const faultOf = (text: string): string => {
  try {
    cascadesOf(text);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

/** The items of hub.md 6 without a tick. */
const REFUSED = [
  "access",
  "no_bridge",
  "no_routing",
  "monitor_port",
  "max_connection",
  "timeout",
  "fix_password",
  "multi_logins",
  "no_qos",
  "no_routing_v6",
  "no_save_password",
  "auto_disconnect",
  "no_ipv6_default_router_in_ra_when_ipv6",
];

describe("hub.NAME.cascade.NAME", () => {
  test("has the defaults of hub.md 13: 8 connections, QoS, UDP, encryption, no proxy, online", () => {
    expect(cascadesOf(table(BASE + PASSWORD))).toEqual([
      {
        name: "branch",
        host: "far.example",
        port: 443,
        hub: "office",
        user: "home",
        credential: {
          kind: "password",
          secret: { kind: "plain", bytes: new TextEncoder().encode("pw") },
          plain: false,
        },
        verify: { kind: "auto" },
        wishes: {
          connections: 8,
          intervalMs: 1000,
          lifetimeMs: 0,
          halfDuplex: false,
          compress: false,
          encrypt: true,
          qos: true,
          udp: true,
        },
        proxy: undefined,
        family: "any",
        enable: true,
        policy: DEFAULT_POLICY,
      },
    ]);
  });

  test.each([
    ["anonymous = true", "anonymous"],
    ['cert = "link.pem"\nkey = "link.key"', "certificate"],
    [`${PASSWORD}plain = true`, "password"],
    ['password = "hash:sha0:AAAAAAAAAAAAAAAAAAAAAAAAAAA="', "password"],
  ])("takes %s as a way to log in", (keys, kind) => {
    expect(cascadesOf(table(BASE + keys))[0]?.credential.kind).toBe(kind as "anonymous");
  });

  test("wants one way to log in: nobody can be asked", () => {
    expect(faultOf(table(BASE))).toContain(
      'hub.home.cascade.branch: the key "password" is missing',
    );
    expect(faultOf(table(`${BASE}${PASSWORD}anonymous = true`))).toContain(
      "an anonymous cascade has no",
    );
  });

  test("wants a place to go to and a user", () => {
    expect(faultOf(table(PASSWORD))).toContain('the key "to" is missing');
    expect(faultOf(table(PASSWORD))).toContain('the key "user" is missing');
  });

  test("knows no keys of accounts that a link has not", () => {
    for (const key of ['mode = "client"', "retry = 3", 'nic = "vpn0"', "dns = true"]) {
      expect(faultOf(table(BASE + PASSWORD + key))).toContain("unknown key");
    }
  });

  test("takes the items of a policy with a tick in hub.md 6 and refuses the others by name", () => {
    const text = (key: string, value: string) =>
      `${table(BASE + PASSWORD)}[hub.home.cascade.branch.policy]\n${key} = ${value}\n`;
    for (const item of POLICY_ITEMS) {
      const value = item.kind === "bool" ? "true" : item.kind === "seconds" ? '"20s"' : "20";
      const fault = faultOf(text(item.key, value));
      const expected = `hub.home.cascade.branch.policy.${item.key}: this item is about logins`;
      if (REFUSED.includes(item.key)) expect(fault).toContain(expected);
      else expect([item.key, fault]).toEqual([item.key, ""]);
    }
    expect(cascadesOf(text("dhcp_filter", "true"))[0]?.policy).toEqual({
      ...DEFAULT_POLICY,
      dhcp_filter: true,
    });
  });

  test("takes names that people use, and tells those apart that differ in more than case", () => {
    const named = (name: string) => table(BASE + PASSWORD, JSON.stringify(name));
    expect(cascadesOf(named("München, Halle 2"))[0]?.name).toBe("München, Halle 2");
    expect(faultOf(named("a") + named("A"))).toContain("cascade");
    expect(faultOf(named("a\u0000b"))).not.toBe("");
  });
});

test("a hub without users that has a cascade is no reason for doubt", () => {
  expect(readServer(table(BASE + PASSWORD), { files: FILES }).warnings).toEqual([]);
});

test("diffServerConfig() names the cascades that came, changed and went, and those alone", () => {
  const config = (...tables: string[]) => readServer(tables.join(""), { files: FILES }).config;
  const same = table(BASE + PASSWORD, "same");
  const before = config(same, table(BASE + PASSWORD, "gone"), table(BASE + PASSWORD, "other"));
  const after = config(
    same,
    table(`${BASE}${PASSWORD}connections = 2`, "other"),
    table(BASE + PASSWORD, "fresh"),
  );
  expect(diffServerConfig(before, after)).toEqual([
    { kind: "cascade_added", hub: "home", name: "fresh" },
    { kind: "cascade_changed", hub: "home", name: "other" },
    { kind: "cascade_removed", hub: "home", name: "gone" },
  ]);
});
