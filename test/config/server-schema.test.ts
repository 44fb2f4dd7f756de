import { describe, expect, test } from "bun:test";
import { DEFAULT_HUB_OPTIONS } from "../../src/config/hub-options.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { effectivePolicy } from "../../src/config/server-config.ts";
import { CERTIFICATE, EC_CERTIFICATE, REVOCATION_LIST } from "./certificates.ts";
import { faultsOf, readServer } from "./fixture.ts";

const SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
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
    ["[admin]\npassword = 'x'", "config.toml:1:2: admin: unknown key"],
    ["[cluster.core]\n", "config.toml:1:2: cluster: unknown key"],
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

  test.each([
    ["", 'takes "radius = true" or "nt = true" only'],
    ["anonymous = true", 'takes "radius = true" or "nt = true" only'],
    ["nt = 'alice'", 'write "nt = true"'],
    [`nt = true\ntotp = "env:T"`, "cannot share one secret"],
  ])("the user * stands for whom somebody outside accepts, not for %j", (text, fault) => {
    const load = () => readServer(`[hub.a.user."*"]\n${text}\n`, { env: { T: SEED } });
    expect(faultsOf(load)[0]).toContain(fault);
    expect(readServer(`[hub.a.user."*"]\nnt = true\n`).config.hubs[0]?.users[0]?.name).toBe("*");
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
    ["vlan_id = 4096", "hub.a.policy.vlan_id: expected a whole number from 0 to 4095, found 4096"],
    ["max_upload = '5MB'", /^hub\.a\.policy\.max_upload: expected a rate up to/],
    ["max_download = '5Gbit'", /^hub\.a\.policy\.max_download: expected a rate up to/],
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

describe("hub.options and server.compat", () => {
  const optionsOf = (lines: string) =>
    readServer(`[hub.a.options]\n${lines}`).config.hubs[0]!.options;

  test("what is not named has the default of hub.md 3", () => {
    expect(optionsOf("")).toEqual(DEFAULT_HUB_OPTIONS);
  });

  test("flags are booleans or 0 and 1, others are numbers", () => {
    expect(optionsOf("FilterOSPF = true\nNoMacAddressLog = 0\nVlanTypeId = 0x88a8")).toEqual({
      ...DEFAULT_HUB_OPTIONS,
      FilterOSPF: 1,
      NoMacAddressLog: 0,
      VlanTypeId: 0x88a8,
    });
  });

  test.each([
    ["FilterOSPF = 2", "hub.a.options.FilterOSPF: expected a whole number from 0 to 1, found 2"],
    ["VlanTypeId = 65536", /^hub\.a\.options\.VlanTypeId: expected a whole number from 0 to 65535/],
    [
      "UseHubNameAsDhcpUserClassOption = 1",
      "hub.a.options.UseHubNameAsDhcpUserClassOption: this item is not available yet in this version",
    ],
    ["Speed = 1", "hub.a.options.Speed: unknown key"],
  ])("%s is refused", (line, expected) => {
    const [found = ""] = faultsOf(() => readServer(`[hub.a.options]\n${line}\n`));
    expect(found.replace(/^config\.toml:2:\d+: /, "")).toMatch(expected);
  });

  test("improvements are switched off by name", () => {
    expect(readServer('[server]\ncompat = ["polling"]').config.server.compat).toEqual(["polling"]);
    const [found] = faultsOf(() => readServer('[server]\ncompat = ["speed"]'));
    expect(found).toMatch(/server\.compat\[0\]: expected "mac-rules" or /);
  });
});

describe("hub.admin_limits", () => {
  const DELAY = '[[hub.a.access]]\naction = "pass"\ndelay = "10ms"';

  test.each([
    ["max_users = 1", "[hub.a.user]\nx = { anonymous = true }\ny = { anonymous = true }", "user"],
    ["max_groups = 1", "[hub.a.group]\nx = {}\ny = {}", "group"],
    ["max_accesslists = 1", `${DELAY}\n${DELAY}`, "access"],
    ["no_delay_jitter_packet_loss = true", DELAY, "access"],
  ])("%s refuses what is declared beyond it", (limit, declared, key) => {
    const faults = faultsOf(() => readServer(`[hub.a.admin_limits]\n${limit}\n${declared}\n`));
    expect(faults.join("\n")).toMatch(new RegExp(`hub\\.a\\.${key}: .*"admin_limits"`));
    expect(readServer(declared).config.hubs[0]?.adminLimits.max_users).toBe(0);
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
      'config.toml:3:13: hub.a.user.b.anonymous: a user has one way of login, not "password" and "anonymous"',
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

describe("ways of login", () => {
  const files = { "/etc/vpn/a.pem": CERTIFICATE, "/etc/vpn/ec.pem": EC_CERTIFICATE };
  const radius = "[hub.a.radius]\nservers = ['192.0.2.1']\nsecret = 'env:P'\n";
  const env = { P: "pw", T: SEED };

  test("of each kind are read", () => {
    const { config, warnings } = readServer(
      `${radius}[hub.a.user]
cert = { cert = "a.pem" }
any = { cert_signed = true }
cn = { cert_cn = "carol" }
serial = { cert_signed = true, cert_serial = "00:0A:1b" }
radius = { radius = true }
nt = { nt = 'EXAMPLE\\erin', radius = false }
code = { password = "env:P", totp = "env:T" }
`,
      { files, env },
    );
    expect(warnings).toEqual([]);
    const users = config.hubs[0]!.users;
    expect(users.map(({ credential }) => credential)).toMatchObject([
      { kind: "certificate" },
      { kind: "signed-certificate", commonName: undefined, serial: undefined },
      { kind: "signed-certificate", commonName: "carol", serial: undefined },
      { kind: "signed-certificate", commonName: undefined, serial: "a1b" },
      { kind: "outside", authority: "radius", alias: undefined },
      { kind: "outside", authority: "nt", alias: "EXAMPLE\\erin" },
      { kind: "password" },
    ]);
    expect(users.at(-1)?.totp?.toHex()).toBe("48656c6c6f21deadbeef48656c6c6f21deadbeef");
  });

  test.each([
    ["password = 'env:P'\ncert = 'a.pem'", 'not "password" and "cert"'],
    ["cert = 'a.pem'\ncert_cn = 'x'", 'not "cert" and "cert_cn"'],
    ["radius = true\nnt = true", 'not "radius" and "nt"'],
    ["anonymous = true\ntotp = 'env:T'", "a code goes with a password"],
    ["cert_signed = true\ntotp = 'env:T'", "a code goes with a password"],
    ["password = 'env:P'\ntotp = 'env:P'", "expected 16 to 64 bytes in base32"],
    ["totp = 'hash:sha0:AoeBVnzRY237Frs1h7No0B+7Dmo='", "the secret itself is needed"],
    ["cert = 'b.pem'", "b.pem does not exist"],
    ["cert = 'ec.pem'", "expected an RSA key of 1024 to 4096 bits"],
    ["cert_serial = 'xy'", "expected hexadecimal digits"],
    ["radius = ''", "expected true or the name"],
    ["radius = 3", "expected true or the name"],
  ])("%j is refused", (text, fault) => {
    const load = () => readServer(`${radius}[hub.a.user.b]\n${text}\n`, { files, env });
    expect(faultsOf(load)[0]).toContain(fault);
  });

  test("a user of RADIUS needs a server to ask", () => {
    expect(faultsOf(() => readServer("[hub.a.user.b]\nradius = true\n"))).toEqual([
      'config.toml:2:10: hub.a.user.b.radius: this hub has no RADIUS server: "radius.servers" names them',
    ]);
  });
});

describe("hub.radius", () => {
  const read = (text: string) =>
    readServer(`[hub.a.radius]\nsecret = "env:P"\n${text}\n`, { env: { P: "pw" } }).config.hubs[0]
      ?.radius;

  test("has ports and times of its own by default", () => {
    expect(read("servers = ['a.example', '[::1]:99']\naccounting = ['a.example']")).toEqual({
      servers: [
        { host: "a.example", port: 1812 },
        { host: "::1", port: 99 },
      ],
      secret: new TextEncoder().encode("pw"),
      retryMs: 5_000,
      timeoutMs: 15_000,
      nasId: "Patchbay VPN Server",
      realm: "",
      suffixFilter: "",
      groupFrom: "Filter-Id",
      accounting: [{ host: "a.example", port: 1813 }],
      accountingIntervalMs: 300_000,
      requireMessageAuthenticator: true,
    });
    expect(read("")).toBeUndefined();
  });

  test.each([
    ["timeout = '61s'", "expected a duration"],
    ["servers = ['a b']", 'expected "HOST" or "HOST:PORT"'],
    ["group_from = 'Reply'", 'expected "Filter-Id" or "Class" or "off"'],
    [`servers = [${"'a', ".repeat(17)}]`, "at most 16"],
  ])("%s is refused", (text, fault) => {
    expect(faultsOf(() => read(text))[0]).toContain(fault);
  });

  test("needs the secret", () => {
    const load = () => readServer("[hub.a.radius]\nservers = ['a']\n");
    expect(faultsOf(load)[0]).toContain('the key "secret" is missing');
  });
});

describe("hub.source", () => {
  const read = (text: string) => readServer(`[hub.a]\nsource = ${text}\n`).config.hubs[0]?.source;

  test("is sorted by priority, which is the position in hundreds", () => {
    const rules = read(
      "[{ from = '10.0.0.0/8', action = 'drop' }, { from = '::1', action = 'pass', priority = 50 }]",
    );
    expect(rules?.map(({ action, priority }) => [action, priority])).toEqual([
      ["pass", 50],
      ["drop", 100],
    ]);
  });

  test.each([
    ["[{ action = 'drop' }]", 'the key "from" is missing'],
    ["[{ from = '10.0.0.0/8' }]", 'the key "action" is missing'],
    ["[{ from = '10.0.0.0/33', action = 'drop' }]", "expected a network"],
    ["[{ from = '10.0.0.0/8', action = 'deny' }]", 'expected "pass" or "drop"'],
  ])("%s is refused", (text, fault) => {
    expect(faultsOf(() => read(text))[0]).toContain(fault);
  });
});

describe("hub.trusted_ca and hub.crl", () => {
  const files = {
    "/etc/vpn/two.pem": `some text\n${CERTIFICATE}${CERTIFICATE}`,
    "/etc/vpn/der": Buffer.from(CERTIFICATE.replace(/-----.*-----|\s/g, ""), "base64"),
    "/etc/vpn/list.pem": REVOCATION_LIST,
    "/etc/vpn/two-lists.pem": REVOCATION_LIST + REVOCATION_LIST,
    "/etc/vpn/broken.pem": CERTIFICATE.replace("MII", "MIJ"),
  };
  const read = (text: string) => readServer(`[hub.a]\n${text}\n`, { files }).config.hubs[0]!;

  test("are read in PEM, many in a file, and in DER", () => {
    const { trustedCa } = read("trusted_ca = ['two.pem', 'der']");
    expect(trustedCa.map((der) => der.length)).toEqual(
      [files["/etc/vpn/der"].length, 0, 0].fill(files["/etc/vpn/der"].length),
    );
    expect(read("crl = ['list.pem', { cn = 'x' }, { serial = '0A:00' }]").crl).toMatchObject([
      { kind: "list", path: "/etc/vpn/list.pem" },
      { kind: "fields", fields: { cn: "x", serial: undefined } },
      { kind: "fields", fields: { cn: undefined, serial: "a00" } },
    ]);
  });

  test.each([
    ["trusted_ca = ['list.pem']", "holds no certificate in PEM or DER form"],
    ["trusted_ca = ['broken.pem']", "holds no certificate"],
    ["trusted_ca = ['none.pem']", "does not exist"],
    ['trusted_ca = ["-----BEGIN X-----\\nAAAA"]', "expected a path, found several lines"],
    ["crl = ['two.pem']", "holds no list in PEM or DER form"],
    ["crl = ['two-lists.pem']", "holds more than one list"],
    ["crl = [{}]", "would revoke every certificate"],
    ["crl = [{ md5 = 'abcd' }]", "expected 32 hexadecimal digits"],
  ])("%s is refused", (text, fault) => {
    expect(faultsOf(() => read(text))[0]).toContain(fault);
  });
});

test("what a hub does not say for itself is as the server has it", () => {
  const { config } = readServer(
    "[server]\nhashed_login = false\nallow_plaintext = true\n[hub.a]\n[hub.b]\nhashed_login = true\nallow_plaintext = false\n",
  );
  expect(config.hubs.map((hub) => [hub.hashedLogin, hub.allowPlaintext])).toEqual([
    [false, true],
    [true, false],
  ]);
  expect(readServer("[server]\nhashed_login = false\n").config.hubs[0]?.hashedLogin).toBe(false);
});

test.each(["40000", "2-1", "0-5", "1-65536", "a-b"])("udp_ports = %j is refused", (ports) => {
  expect(faultsOf(() => readServer(`[server]\nudp_ports = "${ports}"\n`))[0]).toContain(
    'expected ports "FIRST-LAST"',
  );
});
