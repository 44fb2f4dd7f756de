import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RefusedError, VpnError, WIRE_ERROR } from "../../src/base/errors.ts";
import { chooseProxy, resolveAccount } from "../../src/client/account.ts";
import { Monitor } from "../../src/client/monitor.ts";
import type { ClientEvent } from "../../src/client/status.ts";
import type { DialTarget } from "../../src/session/dial-target.ts";
import type { OpenSession } from "../../src/session/supervisor.ts";
import { frame, mac } from "../hub/frames.ts";
import { ArrayPort } from "../support/array-port.ts";
import { FakeSession } from "../support/fake-session.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";

const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
};

const CONFIG = {
  client: { stateDir: undefined },
  log: { format: "text", level: "info" },
  nics: [],
  accounts: [],
} as const;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const REFUSAL = new RefusedError(WIRE_ERROR.MONITOR_MODE_DENIED, "no");

class World {
  readonly stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  readonly clock = new ManualClock();
  readonly events: ClientEvent[] = [];
  readonly sink = new ArrayPort("capture");
  readonly dials: {
    readonly target: DialTarget;
    readonly signal: AbortSignal;
    readonly succeed: (open: OpenSession) => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  /** Names of sessions, with how many events had been told by then. */
  readonly begun: string[] = [];
  readonly monitor: Monitor;
  readonly ended: Promise<unknown>;

  constructor() {
    const { account } = resolveAccount(CONFIG, undefined, {
      server: { host: "vpn.example", port: 443 },
      hub: "office",
      user: "eve",
      retryIntervalMs: 1000,
    });
    this.monitor = new Monitor(
      {
        account,
        credential: async () => ({ kind: "anonymous" }),
        proxy: chooseProxy(account, {}),
        stateDir: this.stateDir,
        interactive: false,
        sink: this.sink,
        onEvent: (event) => this.events.push(event),
        onSession: ({ welcome }) => this.begun.push(welcome.sessionName),
      },
      {
        clock: this.clock,
        random: seededRandom(3),
        log: silent,
        dial: (target, { signal }) =>
          new Promise((succeed, fail) => this.dials.push({ target, signal, succeed, fail })),
      },
    );
    this.ended = this.monitor.run().then(
      () => "stopped",
      (error: unknown) => error,
    );
  }

  async connect(name: string): Promise<FakeSession> {
    const session = new FakeSession(name);
    this.dials.at(-1)!.succeed(session.open());
    await settle();
    return session;
  }

  /** Waits for the next dial. */
  async retry(): Promise<void> {
    this.clock.advance(2_000);
    await settle();
  }

  get names(): string[] {
    return this.events.map(({ event }) => event);
  }
}

describe("Monitor", () => {
  let world: World;
  beforeEach(async () => {
    world = new World();
    await settle();
  });
  afterEach(async () => {
    world.monitor.stop();
    world.dials.at(-1)?.fail(new VpnError("cancelled", ""));
    await world.ended;
    expect(world.clock.pending).toBe(0);
    rmSync(world.stateDir, { recursive: true });
  });

  test("asks for monitoring mode, without a lane for urgent frames", () => {
    expect(world.dials[0]!.target).toMatchObject({
      host: "vpn.example",
      hub: "office",
      user: "eve",
      mode: "monitor",
      wishes: { qos: false },
    });
  });

  test("puts the frames of one session after the other into the same sink", async () => {
    const frames = [1, 2].map((n) => frame({ to: mac(n), from: mac(9), size: 60 }));
    const first = await world.connect("SID-1");
    expect([first.begun, world.begun]).toEqual([1, ["SID-1"]]);
    first.send(frames[0]!);
    first.close({ code: "lost" });
    await settle();
    expect(world.names).toContain("retrying");
    await world.retry();
    expect(world.dials).toHaveLength(2);
    const second = await world.connect("SID-2");
    second.send(frames[1]!);
    expect(world.sink.take()).toEqual(frames);
    expect(world.begun).toEqual(["SID-1", "SID-2"]);
  });

  test("ends with the refusal of the first login, and not with one that comes later", async () => {
    world.dials[0]!.fail(REFUSAL);
    expect(await world.ended).toBe(REFUSAL);
    expect(world.events.at(-1)).toEqual({
      event: "disconnected",
      reason: `refused_${WIRE_ERROR.MONITOR_MODE_DENIED}`,
    });
    const later = new World();
    await settle();
    (await later.connect("SID-1")).close({ code: "lost" });
    await settle();
    await later.retry();
    later.dials[1]!.fail(REFUSAL);
    await settle();
    await later.retry();
    expect(later.dials).toHaveLength(3);
    later.monitor.stop();
    later.dials[2]!.fail(new VpnError("cancelled", ""));
    expect(await later.ended).toBe("stopped");
    rmSync(later.stateDir, { recursive: true });
  });

  test("stop() ends the session in order, or with what went wrong", async () => {
    const session = await world.connect("SID-1");
    world.monitor.stop();
    world.monitor.stop();
    expect(await world.ended).toBe("stopped");
    expect(session.closed?.code).toBe("user_cancel");
    const failing = new World();
    await settle();
    await failing.connect("SID-1");
    const full = new Error("disk full");
    failing.monitor.stop(full);
    expect(await failing.ended).toBe(full);
    rmSync(failing.stateDir, { recursive: true });
  });

  test("stop() before a session is there gives up the dial", async () => {
    expect(world.dials[0]!.signal.aborted).toBe(false);
    world.monitor.stop();
    expect(world.dials[0]!.signal.aborted).toBe(true);
  });
});
