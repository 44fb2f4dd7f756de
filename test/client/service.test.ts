import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VpnError } from "../../src/base/errors.ts";
import type { ResolvedAccount } from "../../src/client/account.ts";
import { openControl } from "../../src/client/control.ts";
import { AccountService, type ServiceClient } from "../../src/client/service.ts";
import type { ClientStatus } from "../../src/client/status.ts";
import {
  DEFAULT_ACCOUNT,
  DEFAULT_NIC,
  type AccountConfig,
  type ClientConfig,
} from "../../src/config/client-config.ts";
import { createLog } from "../../src/observe/log.ts";
import { ManualClock } from "../support/manual-clock.ts";

class FakeClient implements ServiceClient {
  readonly #ended = Promise.withResolvers<void>();
  readonly resolved: ResolvedAccount;
  stops = 0;
  constructor(resolved: ResolvedAccount) {
    this.resolved = resolved;
  }
  run = () => this.#ended.promise;
  stop = async () => {
    this.stops++;
    this.#ended.resolve();
  };
  fail = (error: Error) => this.#ended.reject(error);
  status = () => ({ state: "connected", nic: this.resolved.nic.device }) as ClientStatus;
}

let stateDir: string;
let config: ClientConfig;
let clients: FakeClient[];
let lines: string[];
let changes: number;
let service: AccountService;

function account(name: string, change: Partial<AccountConfig> = {}): AccountConfig {
  const server = { host: "h", port: 443, hub: "x", user: "u" };
  return { ...DEFAULT_ACCOUNT, ...server, name, nic: name, ...change };
}

function configure(...accounts: AccountConfig[]): void {
  const nics = ["a", "b", "c"].map((name) => ({ ...DEFAULT_NIC, name, device: `vpn_${name}` }));
  const log = { format: "text", level: "info" } as const;
  config = { client: { stateDir: undefined }, log, nics, accounts };
}

const opened = () => clients.map(({ resolved }) => resolved.name);

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  [clients, lines, changes] = [[], [], 0];
  configure(account("a", { autostart: true }), account("b"), account("c", { autostart: true }));
  const clock = new ManualClock();
  service = new AccountService({
    clock,
    stateDir,
    log: createLog({ clock, write: (line) => lines.push(line), level: "info", format: "text" }),
    load: () => config,
    open: async (resolved) => {
      if (resolved.account.user === "broken") throw new VpnError("x", "no adapter");
      const client = new FakeClient(resolved);
      clients.push(client);
      return client;
    },
    onChange: () => changes++,
  });
});
afterEach(async () => {
  await service.close();
  rmSync(stateDir, { recursive: true });
});

describe("AccountService", () => {
  test("up() starts those with autostart, or those that are named, once", async () => {
    expect(await service.up()).toEqual(["a", "c"]);
    expect(await service.up(["B", "a"])).toEqual(["b"]);
    expect(opened()).toEqual(["a", "c", "b"]);
    expect(service.summary).toBe("3 of 3 accounts connected");
    expect(changes).toBe(3);
  });

  test("down() ends those that are named, or all", async () => {
    await service.up(["a", "b", "c"]);
    expect(await service.down(["B", "nope"])).toEqual(["b"]);
    expect(service.names).toEqual(["a", "c"]);
    expect(await service.down()).toEqual(["a", "c"]);
    expect([service.names, service.summary]).toEqual([[], "No account is up"]);
  });

  test("up() refuses names that are none, and starts nothing", async () => {
    await expect(service.up(["a", "nope"])).rejects.toThrow('There is no account "nope"');
    expect(opened()).toEqual([]);
  });

  test("one that cannot be started is in the way of no other", async () => {
    configure(account("a", { user: "broken", autostart: true }), account("b", { autostart: true }));
    await expect(service.up()).rejects.toThrow("no adapter");
    expect(service.names).toEqual(["b"]);
    expect(lines.join("\n")).toContain("a: no adapter");
  });

  test("two accounts on one NIC cannot both be up", async () => {
    configure(account("a"), account("b", { nic: "a" }));
    await service.up(["a"]);
    await expect(service.up(["b"])).rejects.toThrow("Its NIC a is in use by the account a");
  });

  test("leaves alone what a command has connected", async () => {
    const status = { account: "a", state: "connected" } as ClientStatus;
    const control = await openControl(
      { stateDir, tempDir: tmpdir(), name: "a", clock: new ManualClock() },
      { status: () => status, disconnect: () => undefined },
    );
    expect(await service.up()).toEqual(["c"]);
    control.close();
  });

  test("an account that ends by itself is told in the log, and can be started again", async () => {
    await service.up(["a"]);
    clients[0]!.fail(new VpnError("refused_126", "The time is up"));
    await service.down(["nothing"]);
    expect(service.names).toEqual([]);
    expect(lines.join("\n")).toContain("a: The time is up");
    expect(await service.up(["a"])).toEqual(["a"]);
  });

  test("reload() starts, ends and starts anew what has changed, and nothing else", async () => {
    await service.up(["a", "b", "c"]);
    configure(
      account("a", { autostart: true }),
      account("b", { retry: 3 }),
      account("d", { autostart: true, nic: "c" }),
    );
    expect(await service.reload()).toEqual(["c is gone", "b is started anew", "d is started"]);
    expect(service.names.sort()).toEqual(["a", "b", "d"]);
    expect(clients[0]?.stops).toBe(0);
    expect(opened()).toEqual(["a", "b", "c", "b", "d"]);
    expect(await service.reload()).toEqual([]);
  });

  test("reload() sees another password, and another MTU of the NIC", async () => {
    const secret = (text: string) =>
      ({ kind: "plain", bytes: new TextEncoder().encode(text) }) as const;
    const credential = { kind: "password", plain: false } as const;
    configure(account("a", { credential: { ...credential, secret: secret("one") } }));
    await service.up(["a"]);
    configure(account("a", { credential: { ...credential, secret: secret("two") } }));
    expect(await service.reload()).toEqual(["a is started anew"]);
    config = { ...config, nics: config.nics.map((nic) => ({ ...nic, mtu: 1400 })) };
    expect(await service.reload()).toEqual(["a is started anew"]);
  });

  test("reload() of accounts that cannot be read changes nothing", async () => {
    await service.up(["a"]);
    Object.defineProperty(config, "accounts", {
      get: () => {
        throw new VpnError("config", "line 3 is wrong");
      },
    });
    await expect(service.reload()).rejects.toThrow("line 3 is wrong");
    expect(service.names).toEqual(["a"]);
  });

  test("close() ends all, and nothing starts after it", async () => {
    await service.up();
    await service.close();
    expect(clients.map(({ stops }) => stops)).toEqual([1, 1]);
    expect(await service.up(["b"])).toEqual([]);
  });
});
