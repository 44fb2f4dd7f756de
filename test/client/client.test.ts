import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RefusedError, VpnError } from "../../src/base/errors.ts";
import { formatNet, tryParseIpv4, tryParseNet, type Net } from "../../src/base/ip.ts";
import { formatMac, tryParseMac } from "../../src/base/mac.ts";
import { chooseProxy, resolveAccount, type AccountFlags } from "../../src/client/account.ts";
import type { Client } from "../../src/client/client.ts";
import { openClient } from "../../src/client/open-client.ts";
import { askDisconnect, askStatus, controlPath } from "../../src/client/control-call.ts";
import type { NicSettings, VirtualNic } from "../../src/client/nic.ts";
import type { ClientEvent } from "../../src/client/status.ts";
import type { OpenSession } from "../../src/session/supervisor.ts";
import { createLog } from "../../src/observe/log.ts";
import type { DialDeps, DialTarget } from "../../src/session/dial-target.ts";
import { DHCP_TYPE } from "../../src/wire/dhcp.ts";
import { ArrayPort } from "../support/array-port.ts";
import { encodeReply, readRequest, typeName, usualOptions } from "../support/dhcp-server.ts";
import { FakeSession } from "../support/fake-session.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";

class FakeNic implements VirtualNic {
  readonly device: string;
  readonly settings: NicSettings;
  readonly port: ArrayPort;
  readonly calls: string[] = [];
  constructor(settings: NicSettings) {
    this.device = settings.device;
    this.settings = settings;
    this.port = new ArrayPort(settings.device);
  }
  setUp = () => void this.calls.push("up");
  addAddress = (net: Net) => void this.calls.push(`add ${formatNet(net)}`);
  removeAddress = (net: Net) => void this.calls.push(`remove ${formatNet(net)}`);
  close = () => this.port.close({ code: "client_ended" });
}

/** Long enough for what goes by sockets of this machine, without a time of its own. */
const settle = async () => {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
};

const FRAME = new Uint8Array(60).fill(7);
const CERTIFICATE = {
  der: new Uint8Array(8),
  sha256: "ab".repeat(32),
  authorized: false,
  problem: "X",
};

class World {
  readonly stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  readonly clock = new ManualClock();
  readonly events: ClientEvent[] = [];
  readonly nics: FakeNic[] = [];
  readonly dials: {
    target: DialTarget;
    deps: DialDeps;
    succeed: (open: OpenSession) => void;
    fail: (error: Error) => void;
  }[] = [];
  client: Client | undefined;
  ended: Promise<string> | undefined;

  async start(
    flags: Partial<AccountFlags> = {},
    nicError?: Error,
    forgetPassword = () => "forgotten",
  ): Promise<Client> {
    const config = {
      client: { stateDir: undefined },
      log: { format: "text", level: "info" },
      nics: [],
      accounts: [],
    } as const;
    const resolved = resolveAccount(config, undefined, {
      server: { host: "vpn.example", port: 443 },
      hub: "office",
      user: "alice",
      address: { kind: "none" },
      retryIntervalMs: 1000,
      ...flags,
    });
    const client = await openClient(
      {
        resolved,
        credential: async () => ({ kind: "anonymous" }),
        proxy: chooseProxy(resolved.account, { https_proxy: "http://proxy.example:3128" }),
        stateDir: this.stateDir,
        tempDir: tmpdir(),
        searchPath: "",
        processId: 99,
        interactive: false,
        onEvent: (event) => this.events.push(event),
        forgetPassword,
      },
      {
        clock: this.clock,
        random: seededRandom(5),
        log: createLog({
          clock: this.clock,
          write: () => undefined,
          level: "error",
          format: "text",
        }),
        openNic: (settings) => {
          if (nicError !== undefined) throw nicError;
          const nic = new FakeNic(settings);
          this.nics.push(nic);
          return nic;
        },
        dial: (target, deps) =>
          new Promise((succeed, fail) => this.dials.push({ target, deps, succeed, fail })),
      },
    );
    this.client = client;
    this.ended = client.run().then(
      () => "stopped",
      (error: VpnError) => error.code,
    );
    return client;
  }

  get nic(): FakeNic {
    return this.nics[0]!;
  }

  async connect(session = new FakeSession("SID-ALICE-1")): Promise<FakeSession> {
    const { target, succeed } = this.dials.at(-1)!;
    expect(target.verify(CERTIFICATE)).toBe(true);
    succeed(session.open());
    await settle();
    return session;
  }

  async close(): Promise<void> {
    await this.client?.stop();
    for (const { fail } of this.dials) fail(new VpnError("cancelled", "the test is over"));
    await this.ended;
    expect(this.clock.pending).toBe(0);
    rmSync(this.stateDir, { recursive: true });
  }

  names(): string[] {
    return this.events.map(({ event }) => event);
  }
}

describe("Client", () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.close());

  test("plugs adapter and session into each other, and frames cross both ways", async () => {
    await world.start();
    const session = await world.connect();
    expect(session.begun).toBe(1);
    world.nic.port.send(FRAME);
    session.send(FRAME, FRAME);
    expect([session.take(), world.nic.port.take().length]).toEqual([[FRAME], 2]);
    expect(world.names()).toEqual(["certificate_pinned", "connected"]);
  });

  test("sends nothing while it monitors, and gives the adapter all that comes", async () => {
    await world.start({ mode: "monitor" });
    const session = await world.connect();
    session.send(FRAME);
    expect(world.nic.port.take()).toEqual([FRAME]);
    world.nic.port.send(FRAME);
    expect(session.take()).toEqual([]);
    expect(world.dials[0]!.target.mode).toBe("monitor");
  });

  test("dials as the account says", async () => {
    await world.start({ mode: "bridge", family: "ipv4", wishes: { halfDuplex: true } });
    const { target, deps } = world.dials[0]!;
    expect(target).toMatchObject({
      host: "vpn.example",
      port: 443,
      hub: "office",
      user: "alice",
      mode: "bridge",
      family: "ipv4",
      clientName: "Patchbay VPN Client",
      wishes: { connections: 1, halfDuplex: true },
      proxy: { kind: "http", host: "proxy.example", port: 3128 },
    });
    expect([target.installation.length, deps.egressBytes]).toEqual([16, 0]);
  });

  test.each([false, true])(
    "forgets the password where the hub wants none kept: %p",
    async (wants) => {
      let forgotten = 0;
      await world.start({}, undefined, () => `forgotten ${++forgotten}`);
      await world.connect(new FakeSession("SID-1", { noSavePassword: wants }));
      const warning = {
        event: "warning",
        code: "no_save_password",
        message: "forgotten 1",
      } as const;
      expect(world.events.filter(({ event }) => event === "warning")).toEqual(
        wants ? [warning] : [],
      );
    },
  );

  test("keeps MAC and installation from one run to the next", async () => {
    await world.start();
    const { mac } = world.nic.settings;
    expect(formatMac(mac)).toStartWith("5e:");
    const { installation } = world.dials[0]!.target;
    await world.client!.stop();
    world.dials[0]!.fail(new VpnError("cancelled", ""));
    await world.ended;
    await world.start();
    expect(world.nics[1]!.settings.mac).toBe(mac);
    expect(world.dials[1]!.target.installation).toEqual(installation);
  });

  test("sets addresses up with the first session, and leaves them over a lost one", async () => {
    const nets = ["192.0.2.9/24", "fd00::9/64"].map((text) => tryParseNet(text)!);
    await world.start({ address: { kind: "static", nets } });
    expect(world.nic.calls).toEqual([]);
    const first = await world.connect();
    first.close({ code: "timeout" });
    await settle();
    world.nic.port.send(FRAME);
    world.clock.advance(2000);
    await settle();
    const second = await world.connect(new FakeSession("SID-ALICE-2"));
    world.nic.port.send(FRAME);
    expect(second.frames.length).toBe(1);
    expect(world.nics.length).toBe(1);
    expect(world.nic.calls).toEqual(["up", "add 192.0.2.9/24", "add fd00::9/64"]);
    expect(world.names()).toEqual([
      "certificate_pinned",
      "connected",
      "address",
      "retrying",
      "connected",
    ]);
  });

  test("HS-20 ends for good when the pinned certificate has changed", async () => {
    await world.start();
    const session = await world.connect();
    session.close({ code: "timeout" });
    await settle();
    world.clock.advance(2000);
    await settle();
    const { target, fail } = world.dials[1]!;
    const verdict = target.verify({ ...CERTIFICATE, sha256: "cd".repeat(32) });
    if (verdict === true) throw new Error("accepted");
    fail(verdict);
    expect(await world.ended).toBe("certificate_changed");
    expect(world.dials.length).toBe(2);
    expect(world.names().at(-1)).toBe("disconnected");
  });

  test("leaves neither adapter nor socket when it ends by itself", async () => {
    await world.start({ retry: 0 });
    world.dials[0]!.fail(new RefusedError(9, "refused"));
    expect(await world.ended).toBe("refused_9");
    expect(world.nic.port.closed).toBeDefined();
    expect(readdirSync(world.stateDir).filter((name) => name.endsWith(".sock"))).toEqual([]);
  });

  test("ends for good when somebody deletes the interface", async () => {
    await world.start();
    const session = await world.connect();
    world.nic.settings.onLost({ code: "interface_removed", detail: "vpn0: EBADFD" });
    expect(await world.ended).toBe("interface_removed");
    expect(session.closed?.code).toBe("user_cancel");
  });

  test("ends in order with a fault of ours", async () => {
    const client = await world.start();
    const session = await world.connect();
    client.fail(new VpnError("oops", "a fault"));
    expect(await world.ended).toBe("oops");
    expect([session.isClosed, world.nic.port.closed?.code]).toEqual([true, "client_ended"]);
  });

  test("leaves no socket when the adapter cannot be made", async () => {
    const error = new VpnError("errno_1", "no right");
    await expect(world.start({}, error)).rejects.toBe(error);
    expect(readdirSync(world.stateDir).filter((name) => name.endsWith(".sock"))).toEqual([]);
  });

  test("a disconnect by its socket ends session, adapter and socket, in this order", async () => {
    await world.start();
    const session = await world.connect();
    const path = controlPath(world.stateDir, "vpn0");
    expect(await askDisconnect(path, world.clock)).toBe(true);
    expect(session.closed?.code).toBe("user_cancel");
    expect(world.nic.port.closed?.code).toBe("client_ended");
    expect(await askStatus(path, world.clock)).toBeUndefined();
    expect(await world.ended).toBe("stopped");
  });

  test("status() tells state, session and insecurity", async () => {
    const client = await world.start({ verify: { kind: "off" } });
    expect(client.status()).toMatchObject({
      account: "vpn0",
      pid: 99,
      state: "resolving",
      insecure: true,
    });
    world.dials[0]!.deps.onPhase?.("authenticating");
    expect(client.status().state).toBe("authenticating");
    const session = await world.connect();
    session.stats.inBytes = 1234;
    expect(client.status()).toMatchObject({
      state: "connected",
      established: 1,
      server: "vpn.example:443",
      session: { name: "SID-ALICE-1", inBytes: 1234, serverAddress: "192.0.2.1:443" },
    });
    session.close({ code: "reset" });
    await settle();
    const { retry, session: gone } = client.status();
    expect(gone).toBeUndefined();
    expect(retry).toMatchObject({ failures: 1, error: { code: "session_ended" } });
  });

  test("asks for an address by DHCP on the cable, and again when another session stands", async () => {
    await world.start({ address: { kind: "dhcp" } });
    const first = await world.connect();
    // Discover: from 0.0.0.0:68 to 255.255.255.255:67.
    expect(first.frames.length).toBe(1);
    expect([...first.frames[0]!.subarray(0, 6)]).toEqual([255, 255, 255, 255, 255, 255]);
    first.close({ code: "reset" });
    await settle();
    const retryMs = world.clock.untilNext!;
    world.clock.advance(retryMs);
    await settle();
    const second = await world.connect(new FakeSession("SID-ALICE-2"));
    expect(second.frames.length).toBe(1);
  });

  test("uses the lease that comes, hands no DHCP to the adapter, and gives it back before it goes", async () => {
    await world.start({ address: { kind: "dhcp" } });
    const session = new FakeSession("SID-ALICE-1");
    const seen: string[] = [];
    const server = tryParseIpv4("192.0.2.1")!;
    session.onDeliver = () => {
      const message = readRequest(session.take()[0]!)?.message;
      if (message === undefined) return;
      seen.push(`${typeName(message.type)} ${session.isClosed ? "closed" : "open"}`);
      const type = message.type === DHCP_TYPE.DISCOVER ? DHCP_TYPE.OFFER : DHCP_TYPE.ACK;
      if (message.type === DHCP_TYPE.RELEASE) return;
      const yiaddr = tryParseIpv4("192.0.2.50")!;
      const serverMac = tryParseMac("5e:00:00:00:00:01")!;
      session.send(
        encodeReply(message, { type, yiaddr, server, serverMac, options: usualOptions(server) }),
      );
    };
    await world.connect(session);
    expect(world.nic.calls).toEqual(["up", "add 192.0.2.50/24"]);
    expect(world.nic.port.frames).toEqual([]);
    expect(world.events.at(-1)).toEqual({
      event: "address",
      addresses: ["192.0.2.50/24"],
      from: "dhcp",
    });
    await world.client!.stop();
    expect(seen).toEqual(["DISCOVER open", "REQUEST open", "RELEASE open"]);
  });

  test("an established client without DHCP has no timer at all", async () => {
    await world.start();
    await world.connect();
    expect(world.clock.pending).toBe(0);
  });
});
