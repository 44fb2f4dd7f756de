import { describe, expect, test } from "bun:test";
import { tryParseMac } from "../../src/base/mac.ts";
import { type Attempt, faultsOf, readClient } from "./fixture.ts";

const ACCOUNT = '[account.hq]\nto = "vpn.example.com/office"\nuser = "alice"\n';

function account(lines: string, attempt: Attempt = {}) {
  const [found] = readClient(`${ACCOUNT}${lines}\n`, attempt).config.accounts;
  if (found === undefined) throw new Error("no account");
  return found;
}

const faultOf = (text: string, attempt: Attempt = {}) =>
  faultsOf(() => readClient(text, attempt)).map((line) =>
    line.replace(/^config\.toml:\d+:\d+: /, ""),
  );

test("an account has the defaults of the reference", () => {
  expect(account("")).toEqual({
    name: "hq",
    host: "vpn.example.com",
    port: 443,
    hub: "office",
    user: "alice",
    credential: { kind: "password", secret: undefined, plain: false },
    verify: { kind: "auto" },
    nic: undefined,
    mode: "client",
    retry: "forever",
    retryIntervalMs: 15_000,
    family: "any",
    wishes: {
      connections: 1,
      intervalMs: 1000,
      lifetimeMs: 0,
      halfDuplex: false,
      compress: false,
      encrypt: true,
      qos: true,
      udp: true,
    },
    proxy: undefined,
    autostart: false,
    defaultRoute: false,
    dns: false,
    routes: [],
    killSwitch: false,
  });
});

test("the empty file has no accounts and no warnings", () => {
  const { config, warnings } = readClient("");
  expect(config).toEqual({
    client: { stateDir: undefined },
    log: { format: "text", level: "info" },
    nics: [],
    accounts: [],
  });
  expect(warnings).toEqual([]);
});

describe("to", () => {
  test.each([
    ["vpn.example.com/a", "vpn.example.com", 443, "a"],
    ["192.0.2.1:992/My Hub", "192.0.2.1", 992, "My Hub"],
    ["[2001:db8::1]:5555/a/b", "2001:db8::1", 5555, "a/b"],
    ["[::1]/a", "::1", 443, "a"],
  ])("%s", (to, host, port, hub) => {
    const { config } = readClient(`[account.x]\nto = "${to}"\nuser = "u"\n`);
    expect(config.accounts[0]).toMatchObject({ host, port, hub });
  });

  test.each([
    "host",
    "host/",
    "/hub",
    "host:0/a",
    "host:65536/a",
    "::1/a",
    "[::1/a",
    "[1.2.3.4]/a",
    "a b/c",
    "http://x/a",
  ])("%s is refused", (to) => {
    expect(faultOf(`[account.x]\nto = "${to}"\nuser = "u"\n`)).toEqual([
      `account.x.to: expected "HOST[:PORT]/HUB", an IPv6 address in brackets, found "${to}"`,
    ]);
  });
});

describe("verify", () => {
  const HEX = "0123456789abcdef".repeat(4);
  test.each(["auto", "system", "off"] as const)("%s", (kind) => {
    expect(account(`verify = "${kind}"`).verify).toEqual({ kind });
  });

  test("a fingerprint is taken with and without colons", () => {
    const expected = { kind: "sha256" as const, fingerprint: Uint8Array.fromHex(HEX) };
    const colons = HEX.toUpperCase().replace(/..(?!$)/g, "$&:");
    expect(account(`verify = "sha256:${HEX}"`).verify).toEqual(expected);
    expect(account(`verify = "sha256:${colons}"`).verify).toEqual(expected);
  });

  test("a path must be that of a file", () => {
    const files = { "/etc/vpn/hq.pem": "pem" };
    expect(account('verify = "hq.pem"', { files }).verify).toEqual({
      kind: "file",
      path: "/etc/vpn/hq.pem",
    });
    expect(faultOf(`${ACCOUNT}verify = "sytem"\n`)).toEqual([
      "account.hq.verify: sytem does not exist",
    ]);
  });

  test.each([`sha256:${HEX.slice(2)}`, "sha256:", ""])("%j is refused", (value) => {
    expect(faultOf(`${ACCOUNT}verify = "${value}"\n`)[0]).toStartWith(
      'account.hq.verify: expected "auto"',
    );
  });
});

describe("credentials", () => {
  const env = { P: "pw" };
  const secret = { kind: "plain" as const, bytes: new TextEncoder().encode("pw") };

  test("a password is proven, or sent where plain is set", () => {
    expect(account("password = 'env:P'", { env }).credential).toEqual({
      kind: "password",
      secret,
      plain: false,
    });
    expect(account("password = 'env:P'\nplain = true", { env }).credential).toEqual({
      kind: "password",
      secret,
      plain: true,
    });
    expect(account("anonymous = true").credential).toEqual({ kind: "anonymous" });
  });

  test.each([
    [
      "password = 'env:P'\nanonymous = true",
      'account.hq.anonymous: an anonymous account has no "password", no "plain" and no "cert"',
    ],
    [
      "plain = true\nanonymous = true",
      'account.hq.anonymous: an anonymous account has no "password", no "plain" and no "cert"',
    ],
    [
      "plain = true\npassword = 'hash:sha0:AoeBVnzRY237Frs1h7No0B+7Dmo='",
      'account.hq.plain: with "plain" the password itself is sent: a hash is no use',
    ],
  ])("%j is refused", (lines, fault) => {
    expect(faultOf(`${ACCOUNT}${lines}\n`, { env })).toEqual([fault]);
  });
});

describe("a certificate", () => {
  const files = { "/etc/vpn/a.pem": "cert", "/etc/vpn/a.key": "key" };

  test("is a pair of files", () => {
    expect(account("cert = 'a.pem'\nkey = 'a.key'", { files }).credential).toEqual({
      kind: "certificate",
      cert: { path: "/etc/vpn/a.pem" },
      key: { path: "/etc/vpn/a.key" },
    });
  });

  test.each([
    ["cert = 'a.pem'", 'account.hq: the key "key" is missing beside "cert"'],
    ["key = 'a.key'", 'account.hq: the key "cert" is missing beside "key"'],
    [
      "cert = 'a.pem'\nkey = 'a.key'\nplain = true",
      'account.hq.cert: the account has either "cert" and "key", or a password',
    ],
    ["cert = 'b.pem'\nkey = 'a.key'", "account.hq.cert: b.pem does not exist"],
  ])("%j is refused", (lines, fault) => {
    expect(faultOf(`${ACCOUNT}${lines}\n`, { files })).toEqual([fault]);
  });

  test("CF-11 a key that everybody can read is refused", () => {
    const modes = { "/etc/vpn/a.key": 0o644 };
    const lines = "cert = 'a.pem'\nkey = 'a.key'";
    expect(faultOf(`${ACCOUNT}${lines}\n`, { files, modes })[0]).toContain("chmod 600");
  });
});

describe("proxy", () => {
  const server = { host: "proxy.example", port: 3128 };
  test.each([
    ["http://proxy.example:3128", { kind: "http", ...server, user: undefined }],
    ["http://proxy.example:3128/", { kind: "http", ...server }],
    ["socks4://bob@[2001:db8::1]:1080", { kind: "socks4", host: "2001:db8::1", user: "bob" }],
    ["socks5://a%40b@proxy.example:3128", { kind: "socks5", user: "a@b" }],
  ])("%s", (url, expected) => {
    expect(account(`proxy = "${url}"`).proxy).toMatchObject(expected as object);
  });

  test("takes its password from another key", () => {
    const lines = "proxy = 'http://u@p:1'\nproxy_password = 'env:P'";
    expect(account(lines, { env: { P: "p w" } }).proxy).toMatchObject({
      password: new TextEncoder().encode("p w"),
    });
  });

  test("with a password in the file is taken with a warning", () => {
    const { config, warnings } = readClient(`${ACCOUNT}proxy = "http://u:p%3A@p:1"\n`);
    expect(config.accounts[0]?.proxy).toMatchObject({
      user: "u",
      password: new TextEncoder().encode("p:"),
    });
    expect(warnings).toEqual([
      'config.toml:4:9: account.hq.proxy: the password stands in the file itself, better "proxy_password"',
    ]);
  });

  test.each([
    "https://p:1",
    "http://p",
    "http://p:0",
    "http://p:65536",
    "http://u:p@",
    "http://%zz@p:1",
    "socks4://u:secret@p:1",
    "socks5://:secret@p:1",
    "http://p:1/path",
    "p:1",
    "",
  ])("%j is refused, and not shown", (url) => {
    const faults = faultOf(`${ACCOUNT}proxy = "${url}"\n`);
    expect(faults).toEqual([
      expect.stringMatching(/^account\.hq\.proxy: expected "direct", or "http/),
    ]);
    expect(faults.join("")).not.toContain("secret");
  });

  test.each([
    ["", /needs a "proxy" with a user/],
    ["proxy = 'http://p:1'\n", /needs a "proxy" with a user/],
    ["proxy = 'socks4://u@p:1'\n", /SOCKS4 knows no passwords/],
    ["proxy = 'http://u:x@p:1'\n", /holds a password already/],
  ])("%j does not go with a password of its own", (lines, fault) => {
    const text = `${ACCOUNT}${lines}proxy_password = "env:P"\n`;
    expect(faultOf(text, { env: { P: "pw" } })[0]).toMatch(fault);
  });
});

describe("nic", () => {
  test("has a device of its name and asks for an address by DHCP", () => {
    expect(readClient("[nic.vpn0]\n").config.nics).toEqual([
      {
        name: "vpn0",
        device: "vpn0",
        address: { kind: "dhcp" },
        dhcpClient: "own",
        mtu: 1500,
        mac: undefined,
      },
    ]);
  });

  test("addresses are one or several", () => {
    const text = `
[nic.a]
address = "192.168.30.20/24"
[nic.b]
address = ["192.168.30.21/24", "2001:db8::1/64"]
mac = "5E-00-53-01-02-03"
[nic.c]
address = "none"
`;
    const nics = readClient(text).config.nics;
    expect(nics[0]?.address).toEqual({
      kind: "static",
      nets: [{ family: 4, bytes: Uint8Array.of(192, 168, 30, 20), prefix: 24 }],
    });
    expect(nics[1]?.address).toMatchObject({
      kind: "static",
      nets: [{ family: 4 }, { family: 6, prefix: 64 }],
    });
    expect(nics[1]?.mac).toBe(tryParseMac("5e:00:53:01:02:03")!);
    expect(nics[2]?.address).toEqual({ kind: "none" });
  });

  test.each([
    [
      "[nic.'vpn 0']",
      'nic."vpn 0": the name is not one of a device, so the key "device" is needed',
    ],
    [
      "[nic.a-name-of-sixteen]",
      'nic.a-name-of-sixteen: the name is not one of a device, so the key "device" is needed',
    ],
    ["[nic.a]\ndevice = 'x'\n[nic.b]\ndevice = 'x'", 'nic.b: the device x is that of the NIC "a"'],
    [
      "[nic.a]\ndevice = '../x'",
      'nic.a.device: expected a device name of at most 15 characters, found "../x"',
    ],
    ["[nic.a]\nmac = '01:00:5e:00:00:01'", /^nic\.a\.mac: expected a unicast MAC/],
    ["[nic.a]\nmac = '00:00:00:00:00:00'", /^nic\.a\.mac: expected a unicast MAC/],
    ["[nic.a]\nmtu = 575", "nic.a.mtu: expected a whole number from 576 to 1500, found 575"],
    [
      "[nic.a]\naddress = '300.1.1.1'",
      /^nic\.a\.address: expected "dhcp", "none", or networks .*, found "300\.1\.1\.1"$/,
    ],
    ["[nic.a]\naddress = ['dhcp']", /^nic\.a\.address\[0\]: expected a network/],
    [
      "[nic.a]\ndhcp_client = 'none'",
      'nic.a.dhcp_client: expected "own" or "system", found "none"',
    ],
  ])("%j is refused", (text, fault) => {
    expect(faultOf(`${text}\n`)[0]).toMatch(fault);
  });

  test("CF-08 an account names one that is there, whatever the case", () => {
    expect(readClient(`[nic.Vpn0]\n${ACCOUNT}nic = "vpn0"\n`).config.accounts[0]?.nic).toBe("Vpn0");
    expect(faultOf(`[nic.vpn0]\n${ACCOUNT}nic = "vpn1"\n`)).toEqual([
      'account.hq.nic: there is no NIC "vpn1" in this file',
    ]);
  });
});

test.each([
  ["retry = 0", { retry: 0 }],
  ["retry = 'forever'", { retry: "forever" }],
  ["retry_interval = '100ms'", { retryIntervalMs: 100 }],
  ["mode = 'bridge'", { mode: "bridge" }],
  ["mode = 'monitor'", { mode: "monitor" }],
  ["connections = 32", { wishes: { connections: 32 } }],
  ["interval = '2s'", { wishes: { intervalMs: 2000 } }],
  ["lifetime = '1h'", { wishes: { lifetimeMs: 3_600_000 } }],
  ["lifetime = '0'", { wishes: { lifetimeMs: 0 } }],
  ["half_duplex = true", { wishes: { halfDuplex: true } }],
  [
    "encrypt = false\nqos = false\nudp = false",
    { wishes: { encrypt: false, qos: false, udp: false } },
  ],
  ["proxy = 'direct'", { proxy: { kind: "direct" } }],
  [
    "autostart = true\ndns = true\nkill_switch = true",
    { autostart: true, dns: true, killSwitch: true },
  ],
  ["routes = ['10.0.0.0/8', 'fd00::/8']", { routes: [{ prefix: 8 }, { family: 6 }] }],
  ["family = 'ipv6'", { family: "ipv6" }],
])("%s is taken", (line, expected) => {
  expect(account(line)).toMatchObject(expected as object);
});

test.each([
  ["retry = -1", "account.hq.retry: expected a whole number from 0 to 1000000, found -1"],
  [
    "retry = true",
    'account.hq.retry: expected a whole number from 0 to 1000000, or "forever", found true',
  ],
  ["mode = 'x'", 'account.hq.mode: expected "client" or "bridge" or "monitor", found "x"'],
  ["connections = 33", "account.hq.connections: expected a whole number from 1 to 32, found 33"],
  ["connections = 0", "account.hq.connections: expected a whole number from 1 to 32, found 0"],
  [
    "lifetime = '0s'",
    'account.hq.lifetime: expected a duration from "1s" to "365d" (units ms, s, m, h, d), found "0s"',
  ],
  [
    "default_route = true\nroutes = ['10.0.0.0/8']",
    'account.hq.routes: "routes" and "default_route" exclude each other',
  ],
  ["routes = ['10.0.0.0/33']", /^account\.hq\.routes\[0\]: expected a network/],
  ["pasword = 'x'", 'account.hq.pasword: unknown key (did you mean "password"?)'],
])("CF-05 CF-06 %s is refused", (line, fault) => {
  const faults = faultOf(`${ACCOUNT}${line}\n`);
  expect(faults).toHaveLength(1);
  if (typeof fault === "string") expect(faults).toEqual([fault]);
  else expect(faults[0]).toMatch(fault);
});

test("an account without a server or a user names what is missing", () => {
  expect(faultOf("[account.hq]\n")).toEqual([
    'account.hq: the key "to" is missing, expected "HOST[:PORT]/HUB", an IPv6 address in brackets',
    'account.hq: the key "user" is missing, expected a user name',
  ]);
});
