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
      'account.hq.anonymous: an anonymous account has no "password" and no "plain"',
    ],
    [
      "plain = true\nanonymous = true",
      'account.hq.anonymous: an anonymous account has no "password" and no "plain"',
    ],
    [
      "plain = true\npassword = 'hash:sha0:AoeBVnzRY237Frs1h7No0B+7Dmo='",
      'account.hq.plain: with "plain" the password itself is sent: a hash is no use',
    ],
  ])("%j is refused", (lines, fault) => {
    expect(faultOf(`${ACCOUNT}${lines}\n`, { env })).toEqual([fault]);
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
  ["mode = 'monitor'", 'account.hq.mode: expected "client" or "bridge", found "monitor"'],
  ["connections = 8", "account.hq.connections: unknown key"],
  ["pasword = 'x'", 'account.hq.pasword: unknown key (did you mean "password"?)'],
])("CF-05 CF-06 %s is refused", (line, fault) => {
  expect(faultOf(`${ACCOUNT}${line}\n`)).toEqual([fault]);
});

test("an account without a server or a user names what is missing", () => {
  expect(faultOf("[account.hq]\n")).toEqual([
    'account.hq: the key "to" is missing, expected "HOST[:PORT]/HUB", an IPv6 address in brackets',
    'account.hq: the key "user" is missing, expected a user name',
  ]);
});
