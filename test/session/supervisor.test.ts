import { describe, expect, test } from "bun:test";
import { RefusedError, VpnError } from "../../src/base/errors.ts";
import { retryAfter } from "../../src/client/retry.ts";
import { Supervisor, type OpenSession } from "../../src/session/supervisor.ts";
import type { DialPhase } from "../../src/session/dial-target.ts";
import { FakeSession } from "../support/fake-session.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** Lets everything run that waits for no timer. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

interface Attempt {
  readonly signal: AbortSignal;
  readonly onPhase: (phase: DialPhase) => void;
  readonly succeed: (open: OpenSession) => void;
  readonly fail: (error: unknown) => void;
}

/** A supervisor whose attempts the test decides. */
class World {
  readonly clock = new ManualClock();
  readonly attempts: Attempt[] = [];
  readonly events: string[] = [];
  readonly supervisor: Supervisor;
  /** How `run` ended: "stopped", or the code of its error. */
  ending: string | undefined;

  constructor(options: { limit?: number; interactive?: boolean; fails?: Error } = {}) {
    const random = { bytes: (count: number) => new Uint8Array(count), fraction: () => 0.5 };
    const retry = {
      limit: options.limit ?? Infinity,
      intervalMs: 1000,
      interactive: options.interactive ?? false,
    };
    this.supervisor = new Supervisor({
      dial: (signal, onPhase) =>
        new Promise((succeed, fail) => this.attempts.push({ signal, onPhase, succeed, fail })),
      retryAfter: (error, failures) => retryAfter(error, failures, retry, random),
      clock: this.clock,
      onPhase: (phase) => this.events.push(phase),
      onSession: ({ session }) => {
        this.events.push(session.name);
        if (options.fails !== undefined) throw options.fails;
      },
      onLost: () => this.events.push("lost"),
      onRetry: (_error, failures, delayMs) => this.events.push(`retry ${failures} ${delayMs}`),
    });
    this.supervisor.run().then(
      () => (this.ending = "stopped"),
      (error: unknown) => (this.ending = (error as VpnError).code),
    );
  }

  get last(): Attempt {
    return this.attempts.at(-1)!;
  }

  async fail(error: unknown): Promise<void> {
    this.last.fail(error);
    await settle();
  }

  async connect(session: FakeSession): Promise<FakeSession> {
    this.last.succeed(session.open());
    await settle();
    return session;
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await settle();
  }
}

const LOST = new VpnError("connect_failed", "nobody there");

describe("Supervisor", () => {
  test("tells the phases of an attempt and then its session", async () => {
    const world = new World();
    world.last.onPhase("connecting");
    world.last.onPhase("authenticating");
    expect(world.supervisor.state).toEqual({ kind: "dialing", phase: "authenticating" });
    await world.connect(new FakeSession("one"));
    expect(world.events).toEqual(["connecting", "authenticating", "one"]);
    expect(world.supervisor.state.kind).toBe("connected");
    expect(world.clock.pending).toBe(0);
  });

  test("dials again after the interval, and counts failures in a row", async () => {
    const world = new World();
    await world.fail(LOST);
    expect(world.supervisor.state).toMatchObject({ kind: "retrying", failures: 1, error: LOST });
    await world.pass(999);
    expect(world.attempts.length).toBe(1);
    await world.pass(1);
    expect(world.attempts.length).toBe(2);
    await world.fail(LOST);
    expect(world.events).toEqual(["retry 1 1000", "retry 2 1000"]);
  });

  test("begins to count anew after a session that stood", async () => {
    const world = new World({ limit: 1 });
    await world.fail(LOST);
    await world.pass(1000);
    const session = await world.connect(new FakeSession("one"));
    session.close({ code: "timeout" });
    await settle();
    expect(world.events).toEqual(["retry 1 1000", "one", "lost", "retry 1 1000"]);
    await world.pass(1000);
    await world.fail(LOST);
    expect(world.ending).toBe("connect_failed");
  });

  test("ends with the last error when no try is left", async () => {
    const world = new World({ limit: 0 });
    await world.fail(LOST);
    expect([world.ending, world.attempts.length, world.clock.pending]).toEqual([
      "connect_failed",
      1,
      0,
    ]);
    expect(world.supervisor.state.kind).toBe("ended");
  });

  test("HS-20 ends at once with a certificate that has changed", async () => {
    const world = new World();
    await world.fail(new VpnError("certificate_changed", "another one"));
    expect([world.ending, world.clock.pending]).toEqual(["certificate_changed", 0]);
  });

  test("ends after three refusals of a person's password", async () => {
    const world = new World({ interactive: true });
    for (const _ of [1, 2, 3]) {
      await world.fail(new RefusedError(9, "wrong"));
      await world.pass(1000);
    }
    expect([world.ending, world.attempts.length]).toEqual(["refused_9", 3]);
  });

  test("stop() during an attempt aborts it and ends without an error", async () => {
    const world = new World();
    world.supervisor.stop();
    expect(world.last.signal.aborted).toBe(true);
    await world.fail(new VpnError("cancelled", "cancelled"));
    expect(world.ending).toBe("stopped");
  });

  test("stop() closes a session that comes up too late", async () => {
    const world = new World();
    world.supervisor.stop();
    const session = await world.connect(new FakeSession("late"));
    expect(session.closed?.code).toBe("user_cancel");
    expect([world.ending, world.events]).toEqual(["stopped", []]);
  });

  test("stop() ends the session in order and leaves no timer", async () => {
    const world = new World();
    const session = await world.connect(new FakeSession("one", { autoDisconnectS: 60 }));
    expect(world.clock.pending).toBe(1);
    world.supervisor.stop();
    await settle();
    expect(session.closed?.code).toBe("user_cancel");
    expect([world.ending, world.clock.pending]).toEqual(["stopped", 0]);
  });

  test("stop() cuts the wait for the next try short", async () => {
    const world = new World();
    await world.fail(LOST);
    world.supervisor.stop();
    await settle();
    expect([world.ending, world.clock.pending, world.attempts.length]).toEqual(["stopped", 0, 1]);
  });

  test("ends the session for good when the policy's time is over (protocol.md 14.3)", async () => {
    const world = new World();
    const session = await world.connect(new FakeSession("one", { autoDisconnectS: 60 }));
    await world.pass(59_999);
    expect(session.isClosed).toBe(false);
    await world.pass(1);
    expect(session.closed?.code).toBe("auto_disconnect");
    expect(world.ending).toBe("refused_126");
  });

  test("waits for a policy's time that no single timer can hold", async () => {
    const world = new World();
    const session = await world.connect(new FakeSession("one", { autoDisconnectS: 4_294_967_295 }));
    await world.pass(2 ** 32 * 1000 - 2000);
    expect(session.isClosed).toBe(false);
    await world.pass(2000);
    expect(world.ending).toBe("refused_126");
  });

  test("closes the session and ends when it cannot be used here", async () => {
    const world = new World({ fails: new VpnError("no_nic", "gone") });
    const session = await world.connect(new FakeSession("one"));
    expect(session.isClosed).toBe(true);
    expect([world.ending, world.clock.pending]).toEqual(["no_nic", 0]);
  });

  test("takes a session that is closed already for a lost one", async () => {
    const world = new World();
    const session = new FakeSession("dead");
    session.close({ code: "reset" });
    await world.connect(session);
    expect(world.events).toEqual(["retry 1 1000"]);
  });
});
