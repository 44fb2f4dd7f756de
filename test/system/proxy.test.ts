import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { describeSystem, type Namespace, World } from "../support/namespace.ts";
import {
  nameHost,
  PROXY_PROGRAMS,
  startDante,
  startMicrosocks,
  startSshProxy,
  startTinyproxy,
} from "../support/proxies.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { transfer, waitPing } from "../support/transfer.ts";
import { ALSO_GOOD, GOOD, type Implementation, startServer } from "../support/tunnel.ts";
import { secretFile, VpnClient, type ConnectOptions } from "../support/vpn.ts";

// client --- proxy --- server, where nothing but a proxy leads from the client to the server, and nobody but the
// proxies knows the server's name.

const NAME = "vpn.test";
const PROXY = "10.94.1.1";
const SERVER = "10.94.2.2";
const PORT = 5555;
/** What tinyproxy's configuration can hold, and what a URL has to escape. */
const PLAIN_LOGIN = { user: "alice", password: "pass-word" };
const LOGIN = { user: "al@ice", password: "p:ss w%rd" };
const INSIDE = { near: "10.95.0.1", far: "10.95.0.2" } as const;
const BYTES = 5_000_000;

const PORTS = {
  http: 8001,
  httpLogin: 8002,
  socks5: 8003,
  socks5Login: 8004,
  dante: 8005,
  ssh: 8006,
} as const;

interface Way {
  readonly name: string;
  readonly proxy: string;
  readonly password?: string;
  /** As an address, the client has no name to give to the proxy. */
  readonly host?: string;
  readonly account?: ConnectOptions["account"];
}

const WAYS: readonly Way[] = [
  { name: "tinyproxy", proxy: `http://${PROXY}:${PORTS.http}` },
  {
    name: "tinyproxy with Basic credentials, 2 connections",
    proxy: `http://alice@${PROXY}:${PORTS.httpLogin}`,
    password: PLAIN_LOGIN.password,
    account: { connections: 2 },
  },
  { name: "microsocks", proxy: `socks5://${PROXY}:${PORTS.socks5}`, host: SERVER },
  {
    name: "microsocks with a login, 2 connections",
    proxy: `socks5://al%40ice@${PROXY}:${PORTS.socks5Login}`,
    password: LOGIN.password,
    account: { connections: 2 },
  },
  { name: "dante by SOCKS4", proxy: `socks4://${PROXY}:${PORTS.dante}`, host: SERVER },
  {
    name: "ssh -D by SOCKS4a, 2 connections",
    proxy: `socks4://alice@${PROXY}:${PORTS.ssh}`,
    account: { connections: 2 },
  },
  {
    name: "dante by SOCKS5, in the clear",
    proxy: `socks5://${PROXY}:${PORTS.dante}`,
    account: { encrypt: false, connections: 2 },
  },
];

for (const server of ["ours", "reference"] as const) {
  const needs = [...PROXY_PROGRAMS, ...(server === "reference" ? SOFTETHER_PROGRAMS : [])];
  describeSystem(`proxies, ${server === "ours" ? "our server" : "vpnserver"}`, needs, () =>
    throughProxies(server),
  );
}

function throughProxies(kind: Implementation): void {
  let world: World;
  let near: Namespace;
  let far: Namespace;
  beforeAll(async () => {
    world = new World();
    near = await world.namespace("near");
    const middle = await world.namespace("middle");
    far = await world.namespace("far");
    await world.link(
      { at: near, device: "eth0", address: "10.94.1.2/24" },
      { at: middle, device: "near", address: `${PROXY}/24` },
    );
    await world.link(
      { at: far, device: "eth0", address: `${SERVER}/24` },
      { at: middle, device: "far", address: "10.94.2.1/24" },
    );
    nameHost(middle, NAME, SERVER);
    const http = { connectPort: PORT };
    await startTinyproxy(middle, { ...http, port: PORTS.http });
    await startTinyproxy(middle, { ...http, port: PORTS.httpLogin, login: PLAIN_LOGIN });
    await startMicrosocks(middle, { port: PORTS.socks5 });
    await startMicrosocks(middle, { port: PORTS.socks5Login, login: LOGIN });
    await startDante(middle, { port: PORTS.dante, inside: PROXY, outside: "10.94.2.1" });
    await startSshProxy(middle, { port: PORTS.ssh, inside: PROXY });
    await startServer(kind, far, { allowPlaintext: true });
    const other = VpnClient.start(far, { server: `${SERVER}:${PORT}`, ...ALSO_GOOD, nic: "far0" });
    await other.waitConnected();
    await far.address("far0", `${INSIDE.far}/24`);
  });
  afterAll(() => world?.close());
  const clients: VpnClient[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.kill();
  });

  const connect = (
    way: Pick<Way, "proxy" | "host" | "account">,
    options: Partial<ConnectOptions> & { login?: string | undefined } = {},
  ): VpnClient => {
    const { login, ...rest } = options;
    const client = VpnClient.start(near, {
      server: `${way.host ?? NAME}:${PORT}`,
      ...GOOD,
      account: {
        proxy: way.proxy,
        ...(login === undefined
          ? {}
          : { proxy_password: `file:${secretFile(near, "proxy", login)}` }),
        ...way.account,
      },
      ...rest,
    });
    clients.push(client);
    return client;
  };

  /** Ends of all TCP connections of the near side. */
  const peers = async (): Promise<string[]> => {
    const shown = await near.check(["ss", "-Htn", "state", "established"]);
    return shown.stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => line.trim().split(/\s+/)[3]!);
  };

  for (const way of WAYS) {
    test(`a session by ${way.name} carries bytes unchanged`, async () => {
      const client = connect(way, { login: way.password });
      await client.waitConnected();
      await near.address(client.device, `${INSIDE.near}/24`);
      await waitPing(near, client.device, INSIDE.far);
      const wanted = Number(way.account?.["connections"] ?? 1);
      const session = async () => (await client.status())[0]?.session;
      for (let tries = 0; (await session())?.connections !== wanted && tries < 50; tries++) {
        await Bun.sleep(100);
      }
      expect((await session())?.connections).toBe(wanted);
      const port = /:(\d+)$/.exec(way.proxy)![1];
      expect(await peers()).toEqual(Array(wanted).fill(`${PROXY}:${port}`));
      const there = await transfer(near, far, INSIDE.far, BYTES);
      expect([there.bytes, there.received]).toEqual([BYTES, there.sent]);
      const back = await transfer(far, near, INSIDE.near, BYTES);
      expect([back.bytes, back.received]).toEqual([BYTES, back.sent]);
      await client.stop();
    });
  }

  test("a session by https_proxy of the environment", async () => {
    const client = VpnClient.start(near, {
      server: `${NAME}:${PORT}`,
      ...GOOD,
      env: {
        https_proxy: `socks5h://al%40ice:p%3Ass%20w%25rd@${PROXY}:${PORTS.socks5Login}`,
        no_proxy: "localhost,other.test",
      },
    });
    await client.waitConnected();
    expect(await peers()).toEqual([`${PROXY}:${PORTS.socks5Login}`]);
    await client.stop();
  });

  const failures: { name: string; proxy: string; login?: string; host?: string; code: string }[] = [
    {
      name: "tinyproxy that is given no login",
      proxy: `http://${PROXY}:${PORTS.httpLogin}`,
      code: "proxy_auth_failed",
    },
    {
      name: "tinyproxy that is given a wrong password",
      proxy: `http://alice@${PROXY}:${PORTS.httpLogin}`,
      login: "wrong",
      code: "proxy_auth_failed",
    },
    {
      name: "microsocks that is given no login",
      proxy: `socks5://${PROXY}:${PORTS.socks5Login}`,
      code: "proxy_auth_failed",
    },
    {
      name: "microsocks that is given a wrong password",
      proxy: `socks5://al%40ice@${PROXY}:${PORTS.socks5Login}`,
      login: "wrong",
      code: "proxy_auth_failed",
    },
    {
      name: "tinyproxy that may not go to this port",
      proxy: `http://${PROXY}:${PORTS.http}`,
      host: `${NAME}:22`,
      code: "proxy_error",
    },
    {
      name: "tinyproxy that does not know the name",
      proxy: `http://${PROXY}:${PORTS.http}`,
      host: `other.test:${PORT}`,
      code: "proxy_error",
    },
    {
      name: "microsocks where nothing listens behind it",
      proxy: `socks5://${PROXY}:${PORTS.socks5}`,
      host: `${NAME}:22`,
      code: "proxy_error",
    },
    {
      name: "dante by SOCKS4 where nothing listens behind it",
      proxy: `socks4://${PROXY}:${PORTS.dante}`,
      host: `${SERVER}:22`,
      code: "proxy_error",
    },
    {
      name: "no proxy at this port",
      proxy: `http://${PROXY}:9`,
      code: "proxy_connect_failed",
    },
    {
      name: "HTTP spoken with a SOCKS proxy",
      proxy: `http://${PROXY}:${PORTS.socks5}`,
      code: "proxy_error",
    },
  ];
  // The proxy's answer is the same whatever stands behind it.
  if (kind === "reference") return;
  for (const { name, proxy, login, host, code } of failures) {
    test(`${name} is ${code}`, async () => {
      const server = host ?? `${NAME}:${PORT}`;
      const client = connect({ proxy }, { login, server, retry: 0 });
      expect((await client.waitGivenUp()).code).toBe(code);
    });
  }
}
