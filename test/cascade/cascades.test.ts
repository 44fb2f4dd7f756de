import { afterEach, describe, expect, test } from "bun:test";
import { RefusedError, VpnError } from "../../src/base/errors.ts";
import type { CascadeConfig } from "../../src/config/cascade-shape.ts";
import { Cascades } from "../../src/cascade/cascades.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import { DEFAULT_WISHES } from "../../src/config/client-config.ts";
import { PortCounters } from "../../src/hub/port-counters.ts";
import type { Port } from "../../src/hub/port.ts";
import type { DialDeps, DialTarget, ShownCertificate } from "../../src/session/dial-target.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import type { OpenSession } from "../../src/session/supervisor.ts";
import { FakeSession } from "../support/fake-session.ts";
import { MapLinkMemory } from "../support/link-memory.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recordingLog } from "../support/test-server.ts";

/** Lets everything run that waits for no timer. */
const settle = async () => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};

function config(name: string, other: Partial<CascadeConfig> = {}): CascadeConfig {
  return {
    name,
    host: "far.example",
    port: 443,
    hub: "office",
    user: "home",
    credential: {
      kind: "password",
      secret: { kind: "plain", bytes: new TextEncoder().encode("pw") },
      plain: false,
    },
    verify: { kind: "auto" },
    wishes: { ...DEFAULT_WISHES, connections: 8 },
    proxy: undefined,
    family: "any",
    enable: true,
    policy: DEFAULT_POLICY,
    ...other,
  };
}

const CERTIFICATE: ShownCertificate = {
  der: new Uint8Array(8),
  sha256: "ab".repeat(32),
  authorized: false,
  problem: "DEPTH_ZERO_SELF_SIGNED_CERT",
};
const HUB_ID = new Uint8Array(16).fill(7);

/** Cascades whose attempts the test decides. */
class World {
  readonly clock = new ManualClock();
  readonly log = recordingLog();
  readonly memory = new MapLinkMemory();
  readonly ports: { name: string; policy: Policy; remoteAddress: string; isPlugged: boolean }[] =
    [];
  readonly attempts: {
    readonly target: DialTarget;
    readonly deps: DialDeps;
    readonly succeed: (open: OpenSession) => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  active = 1;
  hubId: Uint8Array | undefined = HUB_ID;
  readonly cascades = new Cascades(
    {
      clock: this.clock,
      random: { bytes: (count) => new Uint8Array(count), fraction: () => 0.5 },
      log: this.log,
      heartbeat: new Heartbeat(this.clock),
      hub: "HOME",
      hubId: () => this.hubId,
      product: "Patchbay VPN Server (Cascade Mode)",
      installation: new Uint8Array(16),
      memory: this.memory,
      authorities: () => [],
      active: () => this.active,
      plug: (session, as) => this.#plug(session, as),
      dial: (target, deps) =>
        new Promise((succeed, fail) => {
          deps.signal.addEventListener("abort", () => fail(new VpnError("cancelled", "cancelled")));
          this.attempts.push({ target, deps, succeed, fail });
        }),
    },
    this.memory,
  );

  #plug(_: Port, as: { policy: Policy; remoteAddress: string }) {
    const port = { name: `SID-LINK-${this.ports.length + 1}`, isPlugged: true, ...as };
    this.ports.push(port);
    return {
      name: port.name,
      traffic: () => new PortCounters().record(),
      reconfigure: (policy: Policy) => void (port.policy = policy),
      unplug: () => void (port.isPlugged = false),
    };
  }

  get last() {
    return this.attempts.at(-1)!;
  }

  async start(...configs: CascadeConfig[]): Promise<void> {
    this.cascades.reconfigure(configs, true);
    await settle();
  }

  async fail(error: Error): Promise<void> {
    this.last.fail(error);
    await settle();
  }

  async connect(session = new FakeSession("SID-HOME-4")): Promise<FakeSession> {
    this.last.succeed(session.open());
    await settle();
    return session;
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await settle();
  }

  get status() {
    return this.cascades.list()[0]!;
  }

  lines(event: string): string[] {
    return this.log.lines
      .filter((line) => line.event === event && line.level !== "debug")
      .map(({ text }) => text);
  }
}

const LOST = new VpnError("connect_failed", "Cannot connect to far.example: refused");

let world: World;
const make = () => (world = new World());
afterEach(async () => {
  await world.cascades.close();
  expect(world.clock.pending).toBe(0);
  expect(world.ports.filter(({ isPlugged }) => isPlugged)).toEqual([]);
});

describe("Cascades", () => {
  test("dials in bridge mode, in the name of a cascade, and plugs the session into the hub as it is", async () => {
    make();
    await world.start(config("branch"));
    expect(world.status).toMatchObject({ state: "resolving", status: "Connecting", online: true });
    expect(world.last.target).toMatchObject({
      mode: "bridge",
      clientName: "Patchbay VPN Server (Cascade Mode)",
      credential: { kind: "password" },
      hub: "office",
      proxy: undefined,
    });
    expect(world.last.deps.egressBytes).toBeGreaterThan(0);
    const session = await world.connect();
    expect(session.begun).toBe(1);
    expect(world.ports[0]).toMatchObject({ remoteAddress: "192.0.2.1", policy: DEFAULT_POLICY });
    expect(world.status).toMatchObject({
      state: "connected",
      status: "Online (Established)",
      server: "far.example:443",
      hub: "office",
      port: "SID-LINK-1",
      session: { name: "SID-HOME-4", serverProduct: "Patchbay VPN Server" },
      since: "2026-11-22T00:00:00.000Z",
      error: null,
    });
  });

  test("tries again after 10 s and never gives up", async () => {
    make();
    await world.start(config("branch"));
    for (let failures = 1; failures <= 50; failures++) {
      await world.fail(LOST);
      expect(world.status).toMatchObject({ state: "retrying", retry: { failures } });
      expect(world.clock.untilNext).toBe(10_000);
      await world.pass(10_000);
    }
    expect(world.attempts.length).toBe(51);
    await world.connect();
    expect(world.status.state).toBe("connected");
  });

  test("tells the reason in the words of the reference until a session stands, once in the log", async () => {
    make();
    await world.start(config("branch"));
    await world.fail(LOST);
    expect(world.status).toMatchObject({
      status: "Error 1: Cannot connect to far.example: refused",
      error: { number: 1, code: "connect_failed" },
    });
    await world.pass(10_000);
    world.last.deps.onPhase?.("authenticating");
    expect(world.status).toMatchObject({ state: "authenticating" });
    expect(world.status.status).toStartWith("Error 1: ");
    await world.fail(LOST);
    expect(world.lines("cascade_down")).toEqual([
      "Cascade branch of hub HOME is not online: Cannot connect to far.example: refused; trying again in 10 s",
    ]);
    await world.pass(10_000);
    await world.connect();
    expect(world.status).toMatchObject({ status: "Online (Established)", error: null });
    expect(world.lines("cascade_up").length).toBe(1);
  });

  test.each([10, 16, 20, 21, 9])("waits 60 s after error %d", async (wireError) => {
    make();
    await world.start(config("branch"));
    await world.fail(new RefusedError(wireError, "no (error): check --hub"));
    expect(world.clock.untilNext).toBe(60_000);
    expect(world.status.status).toMatch(new RegExp(`^Error ${wireError}: [A-Z]`));
    // Advice about flags is for the command line.
    expect(world.status.status).not.toContain("--");
    await world.pass(60_000);
    expect(world.attempts.length).toBe(2);
  });

  test("grows the delay with failures where many cascades are online, up to a second for each", async () => {
    make();
    world.active = 35;
    await world.start(config("branch"));
    const delays: unknown[] = [];
    for (let failure = 0; failure < 5; failure++) {
      await world.fail(LOST);
      delays.push(world.clock.untilNext);
      await world.pass(world.clock.untilNext!);
    }
    expect(delays).toEqual([20_000, 30_000, 35_000, 35_000, 35_000]);
  });

  test("FI-04 comes back after a session was lost, on a port of its own", async () => {
    make();
    await world.start(config("branch"));
    const session = await world.connect();
    session.close({ code: "timeout" });
    await settle();
    expect(world.ports[0]?.isPlugged).toBe(false);
    expect(world.status).toMatchObject({ state: "retrying", established: 1, session: null });
    expect(world.status.status).toStartWith("Error 3: ");
    await world.pass(10_000);
    await world.connect(new FakeSession("SID-HOME-5"));
    expect(world.status).toMatchObject({ port: "SID-LINK-2", session: { name: "SID-HOME-5" } });
  });

  test("HS-20 says once that the server's certificate is another one, as error 85, and asks slowly", async () => {
    make();
    world.memory.known.set("far.example:443", { kind: "sha256", fingerprint: "cd".repeat(32) });
    await world.start(config("branch"));
    for (const _ of [1, 2]) {
      const verdict = world.last.target.verify(CERTIFICATE);
      await world.fail(verdict as Error);
      expect(world.status.error).toMatchObject({ number: 85, code: "certificate_changed" });
      expect(world.status.status).toContain(`set verify = "sha256:${CERTIFICATE.sha256}"`);
      expect(world.clock.untilNext).toBe(60_000);
      await world.pass(60_000);
    }
    expect(world.lines("cascade_down").length).toBe(1);
  });

  test("pins a certificate that nobody vouches for when the server has let us in", async () => {
    make();
    await world.start(config("branch"));
    expect(world.last.target.verify(CERTIFICATE)).toBe(true);
    expect(world.memory.known.size).toBe(0);
    await world.connect();
    expect(world.memory.known.get("far.example:443")).toEqual({
      kind: "sha256",
      fingerprint: CERTIFICATE.sha256,
    });
    expect(world.lines("cascade_pinned").length).toBe(1);
  });

  test("refuses a welcome of its own hub, with goodbye, and takes that of another hub", async () => {
    make();
    await world.start(config("branch"));
    const own = new FakeSession("SID-HOME-1", { hubId: HUB_ID });
    await world.connect(own);
    expect([own.begun, own.closed?.code]).toEqual([1, "self_loop"]);
    expect(world.ports).toEqual([]);
    expect(world.status.status).toBe(
      "Error 12: far.example:443/office is the very hub that this cascade begins at",
    );
    await world.pass(60_000);
    await world.connect(new FakeSession("SID-HOME-2", { hubId: new Uint8Array(16).fill(8) }));
    expect(world.status.state).toBe("connected");
  });

  test("takes a welcome of its own hub where that improvement is switched off", async () => {
    make();
    world.hubId = undefined;
    await world.start(config("branch"));
    await world.connect(new FakeSession("SID-HOME-1", { hubId: HUB_ID }));
    expect(world.status.state).toBe("connected");
  });

  test("ends in order at once when its hub goes offline, and comes back with it", async () => {
    make();
    const branch = config("branch");
    await world.start(branch);
    const session = await world.connect();
    world.cascades.reconfigure([branch], false);
    expect(session.isClosed).toBe(true);
    await settle();
    expect(world.status).toMatchObject({
      state: "offline",
      status: "Offline (Stopped)",
      online: false,
    });
    world.cascades.reconfigure([branch], true);
    await settle();
    expect(world.attempts.length).toBe(2);
  });

  test("cuts an attempt or a wait short when it is put offline", async () => {
    make();
    await world.start(config("dialing"), config("waiting"));
    world.attempts[1]!.fail(LOST);
    await settle();
    world.cascades.setOnline("Dialing", false);
    world.cascades.setOnline("waiting", false);
    await settle();
    expect(world.attempts[0]!.deps.signal.aborted).toBe(true);
    expect(world.clock.pending).toBe(0);
    expect(world.cascades.active).toBe(0);
  });

  test("setOnline() overrules the file, until its wish is gone", async () => {
    make();
    const off = config("branch", { enable: false });
    await world.start(off);
    expect(world.attempts).toEqual([]);
    world.cascades.setOnline("branch", true);
    await settle();
    expect(world.attempts.length).toBe(1);
    world.cascades.reconfigure([off], true);
    await settle();
    expect(world.last.deps.signal.aborted).toBe(false);
    world.memory.wishes.clear();
    world.cascades.reconfigure([off], true);
    await settle();
    expect(world.status.state).toBe("offline");
  });

  test("setOnline() refuses a name that it does not know, and tells those that there are", async () => {
    make();
    await world.start(config("branch", { enable: false }));
    expect(() => world.cascades.setOnline("brunch", true)).toThrow('no cascade "brunch"');
    expect(() => world.cascades.setOnline("brunch", true)).toThrow("it has branch");
  });

  test("reconnects what has changed and leaves the others alone", async () => {
    make();
    const same = config("same");
    await world.start(same, config("other"), config("gone"));
    const sessions = ["a", "b", "c"].map((name) => new FakeSession(name));
    for (const [at, session] of sessions.entries()) world.attempts[at]!.succeed(session.open());
    await settle();
    world.cascades.reconfigure([same, config("other", { user: "elsewhere" })], true);
    await settle();
    expect(sessions.map(({ isClosed }) => isClosed)).toEqual([false, true, true]);
    expect(world.attempts.length).toBe(4);
    expect(world.last.target.user).toBe("elsewhere");
    expect(world.cascades.list().map(({ name }) => name)).toEqual(["same", "other"]);
  });

  test("gives a changed policy to the running link", async () => {
    make();
    await world.start(config("branch"));
    const session = await world.connect();
    const policy = { ...DEFAULT_POLICY, dhcp_filter: true };
    world.cascades.reconfigure([config("branch", { policy })], true);
    await settle();
    expect(session.isClosed).toBe(false);
    expect(world.ports[0]?.policy).toEqual(policy);
    session.close({ code: "timeout" });
    await settle();
    await world.pass(10_000);
    await world.connect(new FakeSession("again"));
    expect(world.ports[1]?.policy).toEqual(policy);
  });

  test("reads the files of its settings at each attempt: one that is missing is an error like any other", async () => {
    make();
    await world.start(config("branch", { verify: { kind: "file", path: "/nowhere/ca.pem" } }));
    expect(world.attempts).toEqual([]);
    expect(world.status).toMatchObject({ state: "retrying", error: { number: 23 } });
    expect(world.status.status).toContain("/nowhere/ca.pem does not exist");
  });
});
