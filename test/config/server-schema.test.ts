import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { effectivePolicy } from "../../src/config/server-config.ts";
import { faultsOf, readServer } from "./fixture.ts";

const FILES = { "/etc/vpn/tls.crt": "cert", "/etc/vpn/tls.key": "key" };

describe("CF-05 unknown keys", () => {
  test.each([
    [
      "[server]\nlisen = [443]",
      'config.toml:2:1: server.lisen: unknown key (did you mean "listen"?)',
    ],
    ["[sever]\n", 'config.toml:1:2: sever: unknown key (did you mean "server"?)'],
    [
      "[hub.a.user.b]\npasword = 'x'",
      'config.toml:2:1: hub.a.user.b.pasword: unknown key (did you mean "password"?)',
    ],
    [
      "[server]\nmax-sessions = 1",
      'config.toml:2:1: server.max-sessions: unknown key (did you mean "max_sessions"?)',
    ],
    ["[hub.a]\nsecurenat = true", "config.toml:2:1: hub.a.securenat: unknown key"],
    ["[admin]\npassword = 'x'", "config.toml:1:2: admin: unknown key"],
    ["[l3switch.core]\n", "config.toml:1:2: l3switch: unknown key"],
  ])("%j", (text, fault) => {
    expect(faultsOf(() => readServer(text))).toEqual([fault]);
  });
});

describe("CF-06 values", () => {
  test.each([
    [
      "max_sessions = '7'",
      'server.max_sessions: expected a whole number from 0 to 4096, found "7"',
    ],
    ["max_sessions = -1", "server.max_sessions: expected a whole number from 0 to 4096, found -1"],
    [
      "max_sessions = 4097",
      "server.max_sessions: expected a whole number from 0 to 4096, found 4097",
    ],
    ["max_sessions = 1.0", "server.max_sessions: expected a whole number from 0 to 4096, found 1"],
    [
      "max_sessions = 9007199254740993",
      "server.max_sessions: expected a whole number from 0 to 4096, found 9007199254740993",
    ],
    [
      "max_sessions = nan",
      "server.max_sessions: expected a whole number from 0 to 4096, found NaN",
    ],
    [
      "max_sessions = inf",
      "server.max_sessions: expected a whole number from 0 to 4096, found Infinity",
    ],
    [
      "max_sessions = -inf",
      "server.max_sessions: expected a whole number from 0 to 4096, found -Infinity",
    ],
    [
      "max_sessions = 2027-01-01",
      "server.max_sessions: expected a whole number from 0 to 4096, found the date 2027-01-01",
    ],
    [
      "max_sessions = []",
      "server.max_sessions: expected a whole number from 0 to 4096, found a list",
    ],
    [
      "max_sessions = {}",
      "server.max_sessions: expected a whole number from 0 to 4096, found a table",
    ],
    ["watch = 'true'", 'server.watch: expected true or false, found "true"'],
    ["name = true", "server.name: expected text of at most 255 characters, found true"],
    ["listen = 443", /^server\.listen: expected a list, .*, found 443$/],
    ["listen = [0]", "server.listen[0]: expected a port from 1 to 65535, found 0"],
    ["listen = [443, 65536]", "server.listen[1]: expected a port from 1 to 65535, found 65536"],
    ["listen = ['::1:443']", /^server\.listen\[0\]: expected a port, .*, found "::1:443"$/],
    ["listen = ['1.2.3:443']", /^server\.listen\[0\]: expected a port, /],
    ["listen = ['1.2.3.4:0']", /^server\.listen\[0\]: expected a port, /],
    [
      "listen = [{ address = '1.2.3.4' }]",
      'server.listen[0]: the key "port" is missing, expected a port from 1 to 65535',
    ],
    [
      "listen = [{ port = 1, adress = '::' }]",
      'server.listen[0].adress: unknown key (did you mean "address"?)',
    ],
  ])("[server] %s", (line, fault) => {
    const [found = ""] = faultsOf(() => readServer(`[server]\n${line}\n`));
    expect(found.replace(/^config\.toml:2:\d+: /, "")).toMatch(fault);
  });

  test.each([
    [
      "[limits]\nlogin = 30",
      'limits.login: expected a duration from "100ms" to "10m" (units ms, s, m, h, d), found 30',
    ],
    ["[limits]\nlogin = '99ms'", /^limits\.login: expected a duration /],
    ["[limits]\nlogin = '1.5s'", /^limits\.login: expected a duration /],
    ["[limits]\nlogin = '99999999999999s'", /^limits\.login: expected a duration /],
    [
      "[limits]\nconnections = 0",
      "limits.connections: expected a whole number from 1 to 65535, found 0",
    ],
    [
      "[lockout]\nexempt = ['10.0.0.0/33']",
      'lockout.exempt[0]: expected a network such as "192.168.30.0/24", found "10.0.0.0/33"',
    ],
    ["[tls]\nmin = '1.4'", /^tls\.min: expected "1\.0" or .*, found "1\.4"$/],
    ["[tls]\nmin = '1.3'\nmax = '1.2'", 'tls.min: above "max" (1.2)'],
    ["[hub.a.user.b]\nexpires = '2027-02-30'", /^hub\.a\.user\.b\.expires: expected a date /],
    [
      "[hub.a.user.b]\nexpires = '2027-02-28 24:00:00'",
      /^hub\.a\.user\.b\.expires: expected a date /,
    ],
    [
      "[hub.a.user.b]\nexpires = 07:30:00",
      /^hub\.a\.user\.b\.expires: expected a date .*, found the date 07:30:00$/,
    ],
    [
      "[hub.a.user.b]\nexpires = 20270228",
      /^hub\.a\.user\.b\.expires: expected a date .*, found 20270228$/,
    ],
    ["hub = 3", "hub: expected a table of hubs, found 3"],
    ["hub.a = 3", "hub.a: expected a table, found 3"],
    ["[[hub.a]]", "hub.a: expected a table, found a list"],
    ["server = []", "server: expected a table, found a list"],
  ])("%j", (text, fault) => {
    const [found = ""] = faultsOf(() => readServer(`${text}\n`));
    expect(found.replace(/^config\.toml:\d+:\d+: /, "")).toMatch(fault);
  });
});

describe("CF-07 names in different case", () => {
  test("two hubs and two users of one name are refused with both lines", () => {
    const text = "[hub.Office]\n[hub.office]\n[hub.b.user]\nAlice = {}\nbob = {}\nalice = {}\n";
    expect(faultsOf(() => readServer(text))).toEqual([
      'config.toml:2:6: hub.office: the same hub as "Office" in line 1, case is ignored',
      'config.toml:6:1: hub.b.user.alice: the same user as "Alice" in line 4, case is ignored',
    ]);
  });

  test("two groups are, too", () => {
    const text = "[hub.b.group]\nStaff = {}\nSTAFF = {}\n";
    expect(faultsOf(() => readServer(text))).toEqual([
      'config.toml:3:1: hub.b.group.STAFF: the same group as "Staff" in line 2, case is ignored',
    ]);
  });
});

describe("CF-08 references", () => {
  test("a group that is not there is refused at the value that names it", () => {
    const text = "[hub.a.group.staff]\n[hub.b.user.bob]\ngroup = 'staff'\n";
    expect(faultsOf(() => readServer(text))).toEqual([
      'config.toml:3:9: hub.b.user.bob.group: this hub has no group "staff"',
    ]);
  });

  test("a group is found whatever the case, and told as it is written", () => {
    const { config } = readServer("[hub.a.group.Staff]\n[hub.a.user.bob]\ngroup = 'STAFF'\n");
    expect(config.hubs[0]?.users[0]?.group).toBe("Staff");
  });
});

describe("CF-10 names of the runtime", () => {
  test("are refused as unknown keys", () => {
    const text = "__proto__ = 1\n[server]\nconstructor = 1\n[hub.a.user.b]\n__proto__ = {}\n";
    expect(faultsOf(() => readServer(text))).toEqual([
      "config.toml:1:1: __proto__: unknown key",
      "config.toml:3:1: server.constructor: unknown key",
      "config.toml:5:1: hub.a.user.b.__proto__: unknown key",
    ]);
  });

  test("are names of hubs and users only as far as the letters go", () => {
    expect(faultsOf(() => readServer("[hub.__proto__.user.constructor]\n[hub.'a/b']\n"))).toEqual([
      'config.toml:2:6: hub."a/b": a name consists of letters, digits, spaces and ( ) - _ # % & .',
    ]);
    const { config } = readServer("[hub.__proto__.user.constructor]\n");
    expect(config.hubs[0]).toMatchObject({ name: "__proto__", users: [{ name: "constructor" }] });
  });
});

describe("CF-13 listeners", () => {
  test.each([
    ["[443, 443]", 1],
    ["[443, '192.0.2.1:443']", 1],
    ["['192.0.2.1:443', 992, '192.0.2.1:443']", 2],
    ["['0.0.0.0:443', '192.0.2.1:443']", 1],
    ["['[::1]:443', '[0:0:0:0:0:0:0:1]:443']", 1],
    ["['[::]:443', '192.0.2.1:443']", 1],
  ])("%s has two on one port", (listen, index) => {
    expect(faultsOf(() => readServer(`[server]\nlisten = ${listen}\n`))[0]).toMatch(
      new RegExp(`server\\.listen\\[${index}\\]: a second listener on port 443$`),
    );
  });

  test("one port on two addresses, or disabled, is accepted", () => {
    const text = `[server]
listen = ["192.0.2.1:443", "[2001:DB8::1]:443", "0.0.0.0:992", "[::1]:992", { port = 443, enable = false }]
`;
    expect(readServer(text).config.server.listen).toEqual([
      { address: "192.0.2.1", port: 443, enable: true },
      { address: "2001:db8::1", port: 443, enable: true },
      { address: "0.0.0.0", port: 992, enable: true },
      { address: "::1", port: 992, enable: true },
      { address: undefined, port: 443, enable: false },
    ]);
  });
});

describe("names", () => {
  test.each(["link", "Administrator", "local bridge", "L3SW_x", "SecureNAT"])(
    "the user %s is reserved",
    (name) => {
      expect(faultsOf(() => readServer(`[hub.a.user."${name}"]\n`))[0]).toEndWith(
        "this name is reserved",
      );
    },
  );

  test("the user * has no way of login in this version", () => {
    expect(faultsOf(() => readServer("[hub.a.user.'*']\n"))[0]).toContain("needs RADIUS or NT");
  });

  test("letters, length and case are kept", () => {
    const name = "Al.ice (x) #1 %&-_@home";
    const { config } = readServer(
      `[hub."Büro"]\n`.replace("Büro", "Buero 1") + `user."${name}" = {}\n`,
    );
    expect(config.hubs[0]?.name).toBe("Buero 1");
    expect(config.hubs[0]?.users[0]?.name).toBe(name);
    expect(faultsOf(() => readServer(`[hub."Büro"]\n`))[0]).toContain("a name consists of");
    expect(faultsOf(() => readServer(`[hub.${"x".repeat(256)}]\n`))[0]).toContain("at most 255");
    expect(faultsOf(() => readServer("[hub.'']\n"))[0]).toContain("a name consists of");
  });
});

describe("policies", () => {
  test("a table is a complete record, durations in seconds", () => {
    const { config } = readServer(
      "[hub.a]\npolicy = { timeout = '30s', max_mac = 5, no_bridge = true }\n",
    );
    expect(config.hubs[0]?.policy).toEqual({
      ...DEFAULT_POLICY,
      timeout: 30,
      max_mac: 5,
      no_bridge: true,
    });
  });

  test.each([
    ["vlan_id = 3", "hub.a.policy.vlan_id: this item is not available yet in this version"],
    [
      "max_upload = '5Mbit'",
      "hub.a.policy.max_upload: this item is not available yet in this version",
    ],
    ["timout = '9s'", 'hub.a.policy.timout: unknown key (did you mean "timeout"?)'],
    ["timeout = '4s'", /^hub\.a\.policy\.timeout: expected a duration from "5s" to "60s"/],
    ["timeout = '5500ms'", "hub.a.policy.timeout: expected a duration in whole seconds"],
    [
      "max_connection = 0",
      "hub.a.policy.max_connection: expected a whole number from 1 to 32, found 0",
    ],
    [
      "max_mac = 65536",
      "hub.a.policy.max_mac: expected a whole number from 0 to 65535, found 65536",
    ],
  ])("%s", (line, fault) => {
    const [found = ""] = faultsOf(() => readServer(`[hub.a.policy]\n${line}\n`));
    expect(found.replace(/^config\.toml:2:\d+: /, "")).toMatch(fault);
  });

  test("effectivePolicy() takes the user's, else the group's, else the hub's, never a mixture", () => {
    const { config } = readServer(`
[hub.a]
policy = { max_mac = 1, max_ip = 1 }
group.staff.policy = { max_mac = 2 }
group.plain = {}
user.own = { group = "staff", policy = { max_mac = 3 } }
user.grouped = { group = "staff" }
user.plain = { group = "plain" }
user.alone = {}
`);
    const [hub] = config.hubs;
    const found = hub?.users.map((user) => {
      const { max_mac, max_ip } = effectivePolicy(hub, user);
      return [user.name, max_mac, max_ip];
    });
    expect(found).toEqual([
      ["own", 3, 0],
      ["grouped", 2, 0],
      ["plain", 1, 1],
      ["alone", 1, 1],
    ]);
  });
});

describe("users", () => {
  test("have a password, nothing to prove, or a password that is made", () => {
    const { config } = readServer(
      "[hub.a.user]\na = { password = 'env:P' }\nb = { anonymous = true }\nc = { anonymous = false }\n",
      { env: { P: "pw" } },
    );
    expect(config.hubs[0]?.users.map(({ credential }) => credential)).toEqual([
      { kind: "password", secret: { kind: "plain", bytes: new TextEncoder().encode("pw") } },
      { kind: "anonymous" },
      { kind: "generated" },
    ]);
  });

  test("two ways of login are refused", () => {
    const text = "[hub.a.user.b]\npassword = 'env:P'\nanonymous = true\n";
    expect(faultsOf(() => readServer(text, { env: { P: "pw" } }))).toEqual([
      "config.toml:3:13: hub.a.user.b.anonymous: a user has a password or is anonymous, not both",
    ]);
  });

  test.each([
    ["2027-06-30", new Date(2027, 5, 30).getTime()],
    ["'2027-06-30'", new Date(2027, 5, 30).getTime()],
    ["'2027-06-30 18:00:05'", new Date(2027, 5, 30, 18, 0, 5).getTime()],
    ["2027-06-30T18:00:05", new Date(2027, 5, 30, 18, 0, 5).getTime()],
    ["2027-06-30T18:00:05Z", Date.UTC(2027, 5, 30, 18, 0, 5)],
    ["2027-06-30T18:00:05+02:00", Date.UTC(2027, 5, 30, 16, 0, 5)],
    ["2028-02-29", new Date(2028, 1, 29).getTime()],
  ])("expires = %s", (written, expires) => {
    const { config } = readServer(`[hub.a.user.b]\nexpires = ${written}\n`);
    expect(config.hubs[0]?.users[0]?.expires).toBe(expires);
  });
});

test("the certificate and its key go together", () => {
  const read = (text: string) => readServer(`[tls]\n${text}\n`, { files: FILES });
  expect(read("cert = 'tls.crt'\nkey = './x/../tls.key'").config.tls).toMatchObject({
    cert: "/etc/vpn/tls.crt",
    key: "/etc/vpn/tls.key",
  });
  expect(faultsOf(() => read("cert = 'tls.crt'"))).toEqual([
    'config.toml:1:2: tls: "cert" and "key" go together: name both or none',
  ]);
});
