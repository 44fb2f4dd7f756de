import { describe, expect, test } from "bun:test";
import { ExitError } from "../../src/base/errors.ts";
import { tryParseNet } from "../../src/base/ip.ts";
import {
  chooseProxy,
  resolveAccount,
  withFlags,
  type AccountFlags,
} from "../../src/client/account.ts";
import type { ResolvedSecret } from "../../src/config/secret.ts";
import {
  DEFAULT_NIC,
  DEFAULT_WISHES,
  type AccountConfig,
  type ClientConfig,
  type NicAddress,
  type NicConfig,
} from "../../src/config/client-config.ts";

const HQ: AccountConfig = {
  name: "HQ",
  host: "vpn.example",
  port: 992,
  hub: "office",
  user: "alice",
  credential: { kind: "anonymous" },
  verify: { kind: "system" },
  nic: "tun",
  mode: "bridge",
  retry: 3,
  retryIntervalMs: 5_000,
  family: "ipv6",
  wishes: { ...DEFAULT_WISHES, connections: 4, compress: true },
  proxy: { kind: "direct" },
  autostart: true,
  defaultRoute: true,
  dns: true,
  routes: [],
  killSwitch: false,
};
const NETS = [tryParseNet("10.0.0.0/8")!];
const NIC: NicConfig = { ...DEFAULT_NIC, name: "tun", device: "vpn_tun", mtu: 1400 };

const config = (accounts: AccountConfig[], nics: NicConfig[] = [NIC]): ClientConfig => ({
  client: { stateDir: undefined },
  log: { format: "text", level: "info" },
  accounts,
  nics,
});

const refusal = (of: ClientConfig, name: string | undefined, flags: AccountFlags) => {
  try {
    resolveAccount(of, name, flags);
  } catch (error) {
    if (error instanceof ExitError) return `${error.exitCode} ${error.message}`;
    throw error;
  }
  return "none";
};

describe("chooseProxy()", () => {
  const env = { https_proxy: "http://env.example:8080", no_proxy: ".internal" };
  const own = {
    kind: "socks5",
    host: "p",
    port: 1080,
    user: undefined,
    password: undefined,
  } as const;

  test("takes the account's own, or that of the environment", () => {
    expect(chooseProxy({ ...HQ, proxy: own }, env)).toEqual(own);
    expect(chooseProxy({ ...HQ, proxy: { kind: "direct" } }, env)).toBeUndefined();
    expect(chooseProxy({ ...HQ, proxy: undefined }, env)?.host).toBe("env.example");
    expect(chooseProxy({ ...HQ, proxy: undefined, host: "a.internal" }, env)).toBeUndefined();
    expect(chooseProxy({ ...HQ, proxy: undefined }, {})).toBeUndefined();
  });
});

describe("withFlags()", () => {
  const password = (secret: ResolvedSecret | undefined, plain = false): AccountConfig => ({
    ...HQ,
    credential: { kind: "password", secret, plain },
  });
  const hash = { kind: "sha0", hash: new Uint8Array(20) } as const;
  const text = { kind: "plain", bytes: new Uint8Array(2) } as const;
  const login = (secret: ResolvedSecret | undefined, plain?: boolean) =>
    ({ login: { kind: "password", secret, plain } }) as const;
  const secretOf = (account: AccountConfig) =>
    account.credential.kind === "password" ? account.credential.secret : account.credential.kind;

  test("keeps a password that still fits", () => {
    expect(secretOf(withFlags(password(hash), { hub: "y" }))).toBe(hash);
    expect(secretOf(withFlags(password(text), { user: "bob" }))).toBe(text);
    expect(withFlags(password(text), login(undefined, true)).credential).toEqual({
      kind: "password",
      secret: text,
      plain: true,
    });
    expect(withFlags(password(text, true), login(undefined, false)).credential).toMatchObject({
      plain: false,
    });
  });

  test("drops a hash of another user, or where the password itself is to be sent", () => {
    expect(secretOf(withFlags(password(hash), { user: "bob" }))).toBeUndefined();
    expect(secretOf(withFlags(password(hash), login(undefined, true)))).toBeUndefined();
    expect(secretOf(withFlags(password(hash), login(text, true)))).toBe(text);
  });

  test("takes another way to log in", () => {
    const cert = { kind: "certificate", cert: { path: "/c" }, key: { path: "/k" } } as const;
    expect(withFlags(password(text), { login: cert }).credential).toBe(cert);
    expect(withFlags({ ...HQ, credential: cert }, login(text)).credential).toMatchObject({
      kind: "password",
      plain: false,
    });
  });
});

describe("resolveAccount()", () => {
  test("takes the account that is named, in any case, with its NIC", () => {
    expect(resolveAccount(config([HQ]), "hq", {})).toEqual({ name: "HQ", account: HQ, nic: NIC });
  });

  test("takes the only account where none is named", () => {
    expect(resolveAccount(config([HQ]), undefined, {}).name).toBe("HQ");
  });

  test("asks for no address where nothing can be sent, but takes one that is written down", () => {
    const listener = { ...HQ, mode: "monitor" } as const;
    const nicOf = (address: NicAddress) =>
      resolveAccount(config([listener]), "HQ", { address }).nic.address;
    const net = tryParseNet("10.0.0.2/24")!;
    expect(nicOf({ kind: "dhcp" })).toEqual({ kind: "none" });
    expect(nicOf({ kind: "static", nets: [net] })).toEqual({ kind: "static", nets: [net] });
  });

  test("lets flags win over the file", () => {
    const { account, nic } = resolveAccount(config([HQ]), "HQ", {
      server: { host: "192.0.2.1", port: 5555 },
      user: "bob",
      verify: { kind: "off" },
      mode: "client",
      retry: 0,
      mtu: 1300,
      address: { kind: "none" },
    });
    expect(account).toEqual({
      ...HQ,
      host: "192.0.2.1",
      port: 5555,
      user: "bob",
      verify: { kind: "off" },
      mode: "client",
      retry: 0,
    });
    expect(nic).toEqual({ ...NIC, mtu: 1300, address: { kind: "none" } });
  });

  test("lets flags change single wishes", () => {
    const { account } = resolveAccount(config([HQ]), "HQ", {
      wishes: { compress: false, lifetimeMs: 60_000, udp: undefined },
      proxy: { kind: "http", host: "p", port: 3128, user: undefined, password: undefined },
      dns: false,
      killSwitch: true,
    });
    expect(account.wishes).toEqual({
      ...DEFAULT_WISHES,
      connections: 4,
      compress: false,
      lifetimeMs: 60_000,
    });
    expect(account.proxy).toMatchObject({ kind: "http", port: 3128 });
    expect(account).toMatchObject({ dns: false, killSwitch: true, autostart: true });
  });

  test("lets --routes and --default-route take each other's place", () => {
    const split = { ...HQ, defaultRoute: false, routes: NETS };
    const routing = (base: AccountConfig, flags: AccountFlags) => {
      const { account } = resolveAccount(config([base]), "HQ", flags);
      return [account.defaultRoute, account.routes.length];
    };
    expect(routing(HQ, { routes: NETS })).toEqual([false, 1]);
    expect(routing(split, { defaultRoute: true })).toEqual([true, 0]);
    expect(routing(split, { defaultRoute: false })).toEqual([false, 1]);
    expect(refusal(config([HQ]), "HQ", { routes: NETS, defaultRoute: true })).toBe(
      "64 --routes and --default-route exclude each other",
    );
  });

  test("makes an account of flags alone, named for its device", () => {
    const flags: AccountFlags = {
      server: { host: "h", port: 443 },
      hub: "x",
      user: "u",
      nic: "tap7",
    };
    const { name, account, nic } = resolveAccount(config([], []), undefined, flags);
    expect(name).toBe("tap7");
    expect(account).toMatchObject({
      host: "h",
      hub: "x",
      user: "u",
      retry: "forever",
      mode: "client",
    });
    expect(account.verify).toEqual({ kind: "auto" });
    expect(nic).toEqual({ ...DEFAULT_NIC, name: "tap7", device: "tap7" });
  });

  test("finds a NIC by its name, whatever its case, or makes an interface of that name", () => {
    const named = { ...NIC, name: "My Net" };
    const nicOf = (nic: string) => resolveAccount(config([HQ], [named]), "HQ", { nic }).nic;
    expect(nicOf("my net")).toEqual(named);
    expect(nicOf("tap7")).toEqual({ ...DEFAULT_NIC, name: "tap7", device: "tap7" });
    for (const name of ["your net", "a/b", "name-of-16-chars"]) {
      expect(refusal(config([HQ], [named]), "HQ", { nic: name })).toContain("64 There is no NIC");
    }
  });

  test("with --server leaves the accounts of the file alone", () => {
    const flags: AccountFlags = { server: { host: "h", port: 443 }, hub: "x", user: "u" };
    expect(resolveAccount(config([HQ]), undefined, flags)).toMatchObject({
      name: "vpn_tun",
      account: { host: "h", credential: { kind: "password" } },
    });
  });

  test("ends with 64 and says what is missing", () => {
    const server = { host: "h", port: 443 };
    expect(refusal(config([]), undefined, {})).toContain("64 Nothing tells where to connect to");
    expect(refusal(config([HQ]), "hp", {})).toBe('64 There is no account "hp" (HQ)');
    expect(refusal(config([HQ, { ...HQ, name: "lab" }]), undefined, {})).toContain("(HQ, lab)");
    expect(refusal(config([]), undefined, { server })).toContain("needs --hub, --user");
    expect(refusal(config([]), undefined, { server, hub: "x" })).toContain("needs --user");
  });
});
