import { describe, expect, test } from "bun:test";
import { diffServerConfig } from "../../src/config/diff.ts";
import { readServer } from "./fixture.ts";

const ENV = { OLD: "old", NEW: "new" };

function diff(before: string, after: string) {
  const options = { env: ENV, files: { "/etc/vpn/c": "c", "/etc/vpn/k": "k" } };
  return diffServerConfig(readServer(before, options).config, readServer(after, options).config);
}

/** A step with the names of what it carries. */
function outline(before: string, after: string): unknown[] {
  return diff(before, after).map((step) => {
    switch (step.kind) {
      case "listener_added":
      case "listener_removed":
        return [step.kind, step.listen.address ?? "*", step.listen.port];
      case "hub_added":
        return [step.kind, step.hub.name];
      case "hub_changed":
        return [step.kind, step.hub.name, ...step.changed];
      case "hub_removed":
        return [step.kind, step.name];
      case "user_added":
        return [step.kind, step.hub, step.user.name];
      case "user_changed":
        return [step.kind, step.hub, step.user.name, ...step.changed];
      case "user_removed":
        return [step.kind, step.hub, step.name];
      case "server_changed":
        return [step.kind, ...step.changed];
      case "restart_needed":
        return [step.kind, step.key];
      default:
        return [step.kind];
    }
  });
}

describe("diffServerConfig()", () => {
  test("finds nothing in the same text, nor where only its form differs", () => {
    const text = "[hub.a]\ngroup.g = {}\nuser.b = { group = 'g', password = 'env:OLD' }\n";
    expect(diff(text, text)).toEqual([]);
    expect(
      diff(text, `# moved\n[hub.a.user.b]\npassword = "env:OLD"\ngroup = "G"\n[hub.a.group.g]\n`),
    ).toEqual([]);
  });

  test.each([
    ["", "[server]\nlisten = [443, 992, 5555, 8443]", [["listener_added", "*", 8443]]],
    ["", "[server]\nlisten = [443, 992]", [["listener_removed", "*", 5555]]],
    [
      "",
      "[server]\nlisten = [443, 992, { port = 5555, enable = false }]",
      [["listener_removed", "*", 5555]],
    ],
    [
      "[server]\nlisten = [443]",
      "[server]\nlisten = [992]",
      [
        ["listener_added", "*", 992],
        ["listener_removed", "*", 443],
      ],
    ],
    [
      "[server]\nlisten = [443]",
      "[server]\nlisten = ['192.0.2.1:443']",
      [
        ["listener_removed", "*", 443],
        ["listener_added", "192.0.2.1", 443],
      ],
    ],
    ["", "[server]\nstate_dir = '/x'", [["restart_needed", "server.state_dir"]]],
    [
      "",
      "[server]\nname = 'x'\nreveal_hubs = true\nhashed_login = false\nmax_sessions = 3\nwatch = true",
      [
        ["server_changed", "name", "maxSessions", "revealHubs", "hashedLogin", "watch"],
        ["hub_changed", "DEFAULT", "hashedLogin"],
      ],
    ],
    [
      "",
      "[server]\nallow_plaintext = true\nudp_acceleration = false\nudp_ports = '1-9'\nntlm_auth = '/n'",
      [
        ["server_changed", "allowPlaintext", "udpAcceleration", "udpPorts", "ntlmAuth"],
        ["hub_changed", "DEFAULT", "allowPlaintext"],
      ],
    ],
    [
      "[hub.a]",
      "[hub.a]\ncrl = [{ cn = 'x' }]\nsource = [{ from = '::/0', action = 'pass' }]",
      [["hub_changed", "a", "source", "crl"]],
    ],
    ["", "[tls]\ncert = 'c'\nkey = 'k'", [["tls_changed"]]],
    ["", "[tls]\nmin = '1.3'", [["tls_changed"]]],
    ["", "[log]\nlevel = 'debug'", [["log_changed"]]],
    ["", "[limits]\nlogin = '1s'", [["limits_changed"]]],
    ["", "[lockout]\nexempt = ['10.0.0.0/8']", [["lockout_changed"]]],
    [
      "[lockout]\nexempt = ['10.0.0.0/8']",
      "[lockout]\nexempt = ['10.0.0.0/9']",
      [["lockout_changed"]],
    ],
  ])("from %j to %j", (before, after, steps) => {
    expect(outline(before, after)).toEqual(steps);
  });

  test.each([
    ["[hub.a]", "[hub.a]\nonline = false", [["hub_changed", "a", "online"]]],
    [
      "[hub.a]",
      "[hub.a]\nmax_sessions = 1\nannounce = true\nmessage = 'x'",
      [["hub_changed", "a", "maxSessions", "announce", "message"]],
    ],
    ["[hub.a]", "[hub.A]", [["hub_changed", "A", "name"]]],
    [
      "[hub.a.user.x]",
      "[hub.b.user.x]",
      [
        ["hub_added", "b"],
        ["hub_removed", "a"],
      ],
    ],
    [
      "",
      "[hub.b]",
      [
        ["hub_added", "b"],
        ["hub_removed", "DEFAULT"],
      ],
    ],
    ["[hub.a]", "[hub.a.user.x]", [["user_added", "a", "x"]]],
    ["[hub.a.user.x]\n[hub.a.user.y]", "[hub.a.user.y]", [["user_removed", "a", "x"]]],
    ["[hub.a.user.x]", "[hub.a.user.X]", [["user_changed", "a", "X", "name"]]],
    [
      "[hub.a.user.x]",
      "[hub.a.user.x]\nenable = false\nexpires = 2027-01-01",
      [["user_changed", "a", "x", "enable", "expires"]],
    ],
    [
      "[hub.a.user.x]",
      "[hub.a.user.x]\npassword = 'env:OLD'",
      [["user_changed", "a", "x", "credential"]],
    ],
    [
      "[hub.a.user.x]\npassword = 'env:NEW'",
      "[hub.a.user.x]\npassword = 'env:OLD'",
      [["user_changed", "a", "x", "credential"]],
    ],
    [
      "[hub.a.user.x]",
      "[hub.a.user.x]\npolicy = { max_mac = 1 }",
      [["user_changed", "a", "x", "policy"]],
    ],
    ["[hub.a.user.x]", "[hub.a.user.x]\npolicy = {}", []],
    [
      "[hub.a.user.x]",
      "[hub.a.user.x]\nnote = 'n'\nfull_name = 'f'",
      [["user_changed", "a", "x", "fullName", "note"]],
    ],
  ])("from %j to %j", (before, after, steps) => {
    expect(outline(before, after)).toEqual(steps);
  });

  test("a policy of a hub or group changes the users that it is effective for", () => {
    const file = (hub: number, group: number) => `
[hub.a]
policy = { max_mac = ${hub} }
group.g.policy = { max_mac = ${group} }
user.of-hub = {}
user.of-group = { group = "g" }
user.own = { group = "g", policy = { max_mac = 9 } }
`;
    expect(outline(file(1, 2), file(3, 2))).toEqual([
      ["hub_changed", "a", "policy"],
      ["user_changed", "a", "of-hub", "policy"],
    ]);
    expect(outline(file(1, 2), file(1, 4))).toEqual([["user_changed", "a", "of-group", "policy"]]);
    const [step] = diff(file(1, 2), file(1, 4));
    expect(step).toMatchObject({ kind: "user_changed", policy: { max_mac: 4 } });
  });

  test("CF-16 a removed hub is one step, and its neighbours have none", () => {
    const kept = "[hub.a.user.x]\n[hub.c]\nonline = false\n";
    expect(outline(`${kept}[hub.b.user.y]\n[hub.b.user.z]\n`, kept)).toEqual([
      ["hub_removed", "b"],
    ]);
  });
});

test("CF-15 a fault in the new file leaves the old configuration as it was", () => {
  const { config } = readServer("[hub.a.user.x]\n");
  const before = structuredClone(config);
  expect(() => readServer("[hub.a.user.x]\n[hub.b\n")).toThrow("config.toml:2:");
  expect(config).toEqual(before);
});
