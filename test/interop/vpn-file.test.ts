import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { DEFAULT_ACCOUNT, type AccountConfig } from "../../src/config/client-config.ts";
import { generateSelfSigned } from "../../src/crypto/self-signed.ts";
import { obscure, parseVpnFile } from "../../src/interop/vpn-file.ts";
import { encodeVpnFile } from "../../src/interop/vpn-file-writer.ts";

/** As vpnclient 5.01 has written it. */
const EXPORTED = `\ufeff# VPN Client VPN Connection Setting File
# 

declare root
{
	bool CheckServerCert false
	uint64 CreateDateTime 0
	uint64 LastConnectDateTime 0
	bool RetryOnServerCert false
	bool StartupAccount true
	uint64 UpdateDateTime 0

	declare ClientAuth
	{
		uint AuthType 2
		byte EncryptedPassword HvMFix5dDSi+
		string Username alice
	}
	declare ClientOption
	{
		string AccountName of$20fice
		uint AdditionalConnectionInterval 2
		uint ConnectionDisconnectSpan 60
		string CustomHttpHeader $
		string DeviceName test
		bool DisableQoS true
		bool HalfConnection true
		bool HideNicInfoWindow false
		bool HideStatusWindow false
		string Hostname 10.0.0.1
		string HubName of%fice
		uint MaxConnection 8
		bool NoRoutingTracking false
		bool NoUdpAcceleration true
		uint NumRetry 5
		uint Port 992
		uint PortUDP 0
		string ProxyName proxy.example
		byte ProxyPassword Hu8=
		uint ProxyPort 3128
		uint ProxyType 1
		string ProxyUsername pu
		bool RequireBridgeRoutingMode true
		bool RequireMonitorMode false
		uint RetryInterval 30
		bool UseCompress true
		bool UseEncrypt true
	}
}
`.replaceAll("\n", "\r\n");

const bytes = (text: string) => new TextEncoder().encode(text);
const parse = (...edits: [string, string][]) =>
  parseVpnFile(bytes(edits.reduce((text, [from, to]) => text.replace(from, to), EXPORTED)));
const said = (text: Uint8Array) =>
  new TextDecoder()
    .decode(text)
    .split("\r\n")
    .filter((line) => !/^\ufeff?#|AddDefaultCA|^$/.test(line));

describe("parseVpnFile()", () => {
  test("reads every setting of an account", () => {
    const { account, device, notes } = parse();
    expect(device).toBe("test");
    expect(notes).toEqual([expect.stringContaining("does not ask to check")]);
    expect(account).toEqual({
      ...DEFAULT_ACCOUNT,
      name: "of fice",
      host: "10.0.0.1",
      port: 992,
      hub: "of%fice",
      user: "alice",
      credential: {
        kind: "password",
        secret: { kind: "plain", bytes: bytes("plainpass") },
        plain: true,
      },
      mode: "bridge",
      wishes: {
        connections: 8,
        intervalMs: 2000,
        lifetimeMs: 60_000,
        halfDuplex: true,
        compress: true,
        encrypt: true,
        qos: false,
        udp: false,
      },
      proxy: { kind: "http", host: "proxy.example", port: 3128, user: "pu", password: bytes("pp") },
      retry: 5,
      retryIntervalMs: 30_000,
      autostart: true,
    });
  });

  test("takes what is missing for zero, false or the nearest that is allowed", () => {
    const text =
      "declare root\n{\ndeclare ClientAuth\n{\nstring Username u\n}\ndeclare ClientOption\n{\n" +
      "string Hostname h/tcp\nstring HubName x\n}\n}\n";
    const { account } = parseVpnFile(bytes(text));
    expect(account).toMatchObject({
      host: "h",
      port: 443,
      credential: { kind: "anonymous" },
      mode: "client",
      retry: 0,
      retryIntervalMs: 5_000,
      wishes: { connections: 1, intervalMs: 1_000, encrypt: false, qos: true, udp: true },
      proxy: { kind: "direct" },
    });
  });

  test.each([
    ["NumRetry 5", "NumRetry 4294967295", { retry: "forever" }],
    ["RequireMonitorMode false", "RequireMonitorMode true", { mode: "monitor" }],
    ["ProxyType 1", "ProxyType 3", { proxy: { kind: "socks5" } }],
    ["ProxyType 1", "ProxyType 2", { proxy: { kind: "socks4", password: undefined } }],
    ["MaxConnection 8", "MaxConnection 99", { wishes: { connections: 32 } }],
    [
      "AuthType 2",
      "AuthType 1",
      { credential: { kind: "password", secret: undefined, plain: false } },
    ],
    [
      "bool CheckServerCert false",
      "bool AddDefaultCA true\r\nbool CheckServerCert true",
      { verify: { kind: "system" } },
    ],
  ])("reads %s as %s", (from, to, expected) => {
    expect(parse([from, to]).account).toMatchObject(expected as object);
  });

  test("tells what it leaves out", () => {
    const notes = (from: string, to: string) => parse([from, to]).notes.join("\n");
    expect(notes("Header $", "Header X-A:$20b")).toContain("HTTP headers");
    expect(notes("Hostname 10.0.0.1", "Hostname 10.0.0.1/nat")).toContain("NAT");
    expect(notes("CheckServerCert false", "CheckServerCert true")).toContain("authorities");
  });

  test.each([
    ["AuthType 2", "AuthType 4", "smart card"],
    ["HubName of%fice", "HubName $", "names no virtual hub"],
    ["Hostname 10.0.0.1", "Hostname $", "names no server"],
    ["Username alice", "Username $", "names no user"],
    ["ProxyType 1", "ProxyType 7", "unknown type 7"],
    ["ProxyPort 3128", "ProxyPort 0", "no host or port"],
    ["declare ClientAuth", "declare Other", "ClientAuth is missing"],
    ["AuthType 2", "AuthType 3", "certificate cannot be read"],
  ])("refuses %s as %s", (from, to, fault) => {
    expect(() => parse([from, to])).toThrow(fault);
  });
});

describe("encodeVpnFile()", () => {
  test("writes what vpnclient has written", () => {
    const { account, device } = parse();
    expect(said(encodeVpnFile(account, device).bytes)).toEqual(said(bytes(EXPORTED)));
  });

  test("carries certificate, key and server certificate", async () => {
    const made = await generateSelfSigned("alice", Date.UTC(2026, 0, 1));
    const account: AccountConfig = {
      ...parse().account,
      credential: { kind: "certificate", cert: { pem: made.cert }, key: { pem: made.key } },
      verify: { kind: "pem", pem: made.cert },
    };
    const { account: back } = parseVpnFile(encodeVpnFile(account, "x").bytes);
    expect(encodeVpnFile(back, "x").bytes).toEqual(encodeVpnFile(account, "x").bytes);
    expect(back.credential.kind).toBe("certificate");
    expect(back.verify.kind).toBe("pem");
  });

  test("proves by a hash where the password itself is not sent", () => {
    const secret = { kind: "plain", bytes: bytes("pw") } as const;
    const account: AccountConfig = {
      ...parse().account,
      credential: { kind: "password", secret, plain: false },
    };
    const { credential } = parseVpnFile(encodeVpnFile(account, "x").bytes).account;
    expect(credential).toMatchObject({ kind: "password", plain: false, secret: { kind: "sha0" } });
  });

  test.each([
    [{ verify: { kind: "auto" } }, "does not check"],
    [{ verify: { kind: "sha256", fingerprint: new Uint8Array(32) } }, "does not check"],
    [{ credential: { kind: "password", secret: undefined, plain: false } }, "no password"],
    [{ dns: true }, "Routes, DNS"],
  ] as const)("tells what such a file cannot say: %j", (change, note) => {
    const account = { ...parse().account, verify: { kind: "off" }, ...change } as AccountConfig;
    expect(encodeVpnFile(account, "x").notes.join()).toContain(note);
  });

  test("refuses a key of another certificate", async () => {
    const made = await generateSelfSigned("alice", Date.UTC(2026, 0, 1));
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ format: "pem", type: "pkcs8" }) as string;
    const account: AccountConfig = {
      ...parse().account,
      credential: { kind: "certificate", cert: { pem: made.cert }, key: { pem } },
    };
    expect(() => encodeVpnFile(account, "x")).toThrow("is not the key of any certificate");
  });
});

test("obscure() is its own reverse", () => {
  expect(obscure(obscure(bytes("any")))).toEqual(bytes("any"));
});
