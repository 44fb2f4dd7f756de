import { afterEach, describe, expect, test } from "bun:test";
import { MAX_EGRESS_BYTES } from "../../src/base/limits.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import type { CloseReason } from "../../src/hub/port.ts";
import { batchSlots } from "../../src/session/batch.ts";
import { DIRECTION } from "../../src/session/connection.ts";
import { PARK_MS } from "../../src/session/distribution.ts";
import { BEAT_MS, Heartbeat } from "../../src/session/heartbeat.ts";
import { encodeKeepalive } from "../../src/session/keepalive.ts";
import { Session, type SessionDeps } from "../../src/session/session.ts";
import { ArrayPort, runOf } from "../support/array-port.ts";
import { FakeLink } from "../support/fake-link.ts";
import { toHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { streamOf } from "../support/stream-options.ts";

const TIMEOUT_MS = 20_000;
const random = seededRandom(3);
const frame = (size: number) => random.bytes(size);

class World {
  readonly clock = new ManualClock();
  readonly heartbeat = new Heartbeat(this.clock);
  readonly sessions: Session[] = [];

  open(deps: Partial<SessionDeps> = {}, timeoutMs = TIMEOUT_MS): Session {
    const session = new Session(
      {
        sessionName: "SID-ALICE-1",
        connectionName: "CID-1",
        sessionKey: new Uint8Array(20),
        stream: streamOf({ connections: 8 }),
        timeoutMs,
        policy: DEFAULT_POLICY,
        message: "",
      },
      {
        end: "server",
        clock: this.clock,
        random: seededRandom(5),
        heartbeat: this.heartbeat,
        ...deps,
      },
    );
    this.sessions.push(session);
    return session;
  }

  join(session: Session, rest: Uint8Array = new Uint8Array(0)): FakeLink {
    const link = new FakeLink();
    session.join(link, DIRECTION.BOTH, rest);
    return link;
  }
}

let world = new World();
afterEach(() => {
  for (const session of world.sessions) session.close({ code: "test" });
  expect(world.clock.pending).toBe(0);
  expect(batchSlots.taken).toBe(0);
  world = new World();
});

const isKeepalive = (bytes: Uint8Array) =>
  bytes.length >= 8 && new DataView(bytes.slice().buffer).getUint32(0) === 0xffff_ffff;

/** Moves the clock in beats while the peer says something each second; when a keep-alive was written. */
function keepalivesWithin(session: Session, link: FakeLink, ms: number): number[] {
  const times: number[] = [];
  const start = world.clock.now();
  link.take();
  for (let t = 0; t < ms; t += BEAT_MS) {
    link.handler.data(encodeKeepalive(random));
    world.clock.advance(BEAT_MS);
    if (isKeepalive(link.take())) times.push(world.clock.now() - start);
  }
  expect(session.isClosed).toBe(false);
  return times;
}

describe("Session keep-alives", () => {
  test("join() sends one at once", () => {
    const session = world.open();
    expect(isKeepalive(world.join(session).take())).toBe(true);
    expect(isKeepalive(world.join(session).take())).toBe(true);
  });

  test.each([5_000, 20_000, 60_000])(
    "with a time-out of %d ms they follow each other within a fifth and half of it",
    (timeoutMs) => {
      const session = world.open({}, timeoutMs);
      const link = world.join(session);
      const times = [0, ...keepalivesWithin(session, link, 50 * timeoutMs)];
      const gaps = times.slice(1).map((time, i) => time - times[i]!);
      expect(gaps.length).toBeGreaterThan(90);
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(timeoutMs / 5);
      expect(Math.max(...gaps)).toBeLessThan(timeoutMs / 2);
    },
  );

  test("none is put behind bytes that wait", () => {
    const session = world.open();
    const link = world.join(session);
    link.room = 0;
    session.deliver(runOf([frame(60)]));
    session.flush();
    const { batch } = session.connections[0]!.outlet;
    const waiting = batch.waitingBytes;
    world.clock.advance(10_500);
    expect(batch.waitingBytes).toBe(waiting);
  });
});

describe("Session time-outs", () => {
  test("a connection that brings nothing whole for the time-out is closed in order", () => {
    const session = world.open();
    const reasons: string[] = [];
    session.onConnectionEnded = (reason) => reasons.push(reason);
    const link = world.join(session);
    // Bytes that never make a whole item are no sign of life.
    for (let i = 0; i < 20; i++) {
      world.clock.advance(1_000);
      expect(link.ended).toBeUndefined();
      link.handler.data(new Uint8Array(i === 0 ? [0, 0, 0, 1, 0, 0, 1, 0] : [1]));
    }
    world.clock.advance(1_000);
    expect(link.ended).toBe("in order");
    expect(reasons).toEqual(["timeout"]);
    expect(session.isAdrift).toBe(true);
    expect(session.isClosed).toBe(false);
  });

  test("blocks and keep-alives keep a connection", () => {
    const session = world.open();
    const link = world.join(session);
    for (let i = 0; i < 10; i++) {
      world.clock.advance(19_500);
      const isBlock = i % 2 === 0;
      link.handler.data(isBlock ? runBytes([frame(60)]) : encodeKeepalive(random));
    }
    expect(link.ended).toBeUndefined();
  });

  test("a session without a connection lives for the time-out, and ends then", () => {
    const session = world.open();
    const ends: CloseReason[] = [];
    session.onClosed = (reason) => ends.push(reason);
    const link = world.join(session);
    world.clock.advance(5_000);
    link.handler.closed("peer_closed");
    world.clock.advance(TIMEOUT_MS);
    expect(session.isClosed).toBe(false);
    world.clock.advance(BEAT_MS);
    expect(ends).toEqual([{ code: "timeout" }]);
  });

  test("an additional connection revives a session that lost its only one", () => {
    const session = world.open();
    world.join(session).handler.closed("peer_closed");
    world.clock.advance(19_000);
    expect(session.isAdrift).toBe(true);
    const link = world.join(session);
    expect(session.isAdrift).toBe(false);
    for (let i = 0; i < 40; i++) {
      world.clock.advance(1_000);
      link.handler.data(encodeKeepalive(random));
    }
    expect(session.isClosed).toBe(false);
  });

  test("a session that no connection ever joined ends after the time-out and is not adrift", () => {
    const session = world.open();
    expect(session.isAdrift).toBe(false);
    world.clock.advance(TIMEOUT_MS + BEAT_MS);
    expect(session.isClosed).toBe(true);
  });

  test("an hour in one step, as after a suspend, ends it once", () => {
    const session = world.open();
    const ends: CloseReason[] = [];
    session.onClosed = (reason) => ends.push(reason);
    const link = world.join(session);
    world.clock.advance(3_600_000);
    expect(link.ended).toBe("in order");
    expect(ends).toEqual([{ code: "timeout" }]);
  });

  test("FI-09 a held event loop of 2 s ends nothing", () => {
    const session = world.open();
    const link = world.join(session);
    for (let i = 0; i < 30; i++) {
      world.clock.advance(2_000);
      link.handler.data(encodeKeepalive(random));
    }
    expect(session.connections.length).toBe(1);
  });

  test("FR-18 bytes that the socket does not take for 30 s end the connection with no_progress", () => {
    const session = world.open({}, 60_000);
    const reasons: string[] = [];
    session.onConnectionEnded = (reason) => reasons.push(reason);
    const link = world.join(session);
    link.room = 0;
    session.deliver(runOf([frame(60)]));
    session.flush();
    for (let i = 0; i < 30; i++) {
      world.clock.advance(1_000);
      link.handler.data(encodeKeepalive(random));
    }
    expect(reasons).toEqual([]);
    // Seen for the first time at the first beat, and over when more than 30 s have gone.
    world.clock.advance(2 * BEAT_MS);
    expect(reasons).toEqual(["no_progress"]);
    expect(batchSlots.taken).toBe(0);
  });

  test("a beat that ends the session by its first connection touches no other", () => {
    // Keep-alives are due every fifth of the time-out, so that the second one's is due in the very beat.
    const session = world.open({ random: { ...seededRandom(1), fraction: () => 0 } });
    const silent = world.join(session);
    world.clock.advance(BEAT_MS);
    const lively = world.join(session);
    session.onConnectionEnded = () => session.close({ code: "enough" });
    for (let t = BEAT_MS; t < TIMEOUT_MS; t += BEAT_MS) {
      lively.handler.data(encodeKeepalive(random));
      world.clock.advance(BEAT_MS);
    }
    expect(session.isClosed).toBe(false);
    world.clock.advance(BEAT_MS);
    expect([silent.ended, lively.ended]).toEqual(["in order", "in order"]);
    expect(batchSlots.taken).toBe(0);
  });
});

describe("Session frames", () => {
  test("what a connection brings goes to the sink, with one flush for each event", () => {
    const session = world.open();
    const hub = new ArrayPort("hub");
    session.plug(hub);
    const frames = [frame(60), frame(1_514)];
    const link = world.join(session, runBytes(frames));
    expect(hub.take().map(toHex)).toEqual(frames.map(toHex));
    link.handler.data(Buffer.concat([runBytes([frame(60)]), runBytes([frame(60)])]));
    expect(hub.runs).toEqual([2]);
    expect(hub.flushes).toBe(2);
    expect(session.stats).toMatchObject({ inFrames: 4, inBytes: 60 + 1_514 + 120 });
  });

  test("a fault in the stream ends the connection in order, after the frames before it", () => {
    const session = world.open();
    const hub = new ArrayPort("hub");
    session.plug(hub);
    const reasons: string[] = [];
    session.onConnectionEnded = (reason) => reasons.push(reason);
    const link = world.join(session);
    const good = frame(60);
    link.handler.data(Buffer.concat([runBytes([good]), new Uint8Array([0, 0, 0, 1, 0, 0, 13, 0])]));
    expect(hub.frames.map(toHex)).toEqual([toHex(good)]);
    expect(hub.flushes).toBe(1);
    expect([link.ended, reasons]).toEqual(["in order", ["stream_block"]]);
  });

  test("deliver() and flush() send the frames of a flow on one connection, and go on by another when it is lost", () => {
    const session = world.open();
    const links = [world.join(session), world.join(session)];
    for (const link of links) link.take();
    const first = frame(60);
    session.deliver(runOf([first]));
    expect(links.map((link) => link.take().length)).toEqual([0, 0]);
    session.flush();
    const taken = links.map((link) => toHex(link.take()));
    const home = taken[0] === "" ? 1 : 0;
    expect(taken[home]).toBe(toHex(runBytes([first])));
    links[home]!.room = 0;
    session.deliver(runOf([first]));
    session.flush();
    links[home]!.handler.closed("reset");
    expect(toHex(links[1 - home]!.take())).toBe(toHex(runBytes([first])));
    expect(session.stats).toMatchObject({ outFrames: 2, outBytes: 120, droppedFrames: 0 });
  });

  test("without a connection frames are dropped and counted", () => {
    const session = world.open();
    session.deliver(runOf([frame(60), frame(60)]));
    session.flush();
    expect(session.ready).toBe(true);
    expect(session.stats).toMatchObject({ outFrames: 0, droppedFrames: 2 });
  });

  test("with egressBytes 0 ready is false from the first short write until the socket took all", () => {
    const session = world.open({ egressBytes: 0 });
    let ready = 0;
    session.onReady = () => ready++;
    const link = world.join(session);
    link.room = 100;
    const frames = Array.from({ length: 12 }, () => frame(1_514));
    session.deliver(runOf(frames));
    expect(session.ready).toBe(false);
    link.room = 5_000;
    link.handler.drain();
    expect([session.ready, ready]).toEqual([false, 0]);
    link.room = Infinity;
    link.handler.drain();
    expect([session.ready, ready]).toEqual([true, 1]);
    link.handler.drain();
    expect(ready).toBe(1);
  });

  test("with the full bound ready is false while that much waits, and true as soon as there is room", () => {
    const session = world.open();
    let ready = 0;
    session.onReady = () => ready++;
    const link = world.join(session);
    link.room = 0;
    const frames = Array.from({ length: 10 }, () => frame(1_514));
    const state = () => ({ ready: session.ready, calls: ready });
    while (state().ready) session.deliver(runOf(frames));
    const held = session.connections[0]!.outlet.batch.heldBytes;
    expect(held).toBeGreaterThanOrEqual(MAX_EGRESS_BYTES);
    expect(held).toBeLessThan(MAX_EGRESS_BYTES + 2 * 15_180);
    link.room = held - MAX_EGRESS_BYTES + 1;
    link.handler.drain();
    expect(state()).toEqual({ ready: true, calls: 1 });
    link.room = Infinity;
    link.handler.drain();
    expect(session.connections[0]!.outlet.batch.heldBytes).toBe(0);
    expect(ready).toBe(1);
  });

  test("a full session whose connection is lost is ready again when another one joins", () => {
    const session = world.open({ egressBytes: 0, end: "client" });
    let ready = 0;
    session.onReady = () => ready++;
    const link = world.join(session);
    link.room = 0;
    const frames = Array.from({ length: 12 }, () => frame(1_514));
    session.deliver(runOf(frames));
    expect(session.ready).toBe(false);
    link.handler.closed("reset");
    expect([session.ready, ready]).toEqual([false, 0]);
    const next = world.join(session);
    expect([session.ready, ready]).toEqual([true, 1]);
    // The unit that the socket had not begun goes by its successor, behind the first keep-alive.
    expect(toHex(next.take())).toEndWith(toHex(runBytes(frames)));
    next.handler.closed("reset");
    expect(session.ready).toBe(false);
    session.deliver(runOf(frames));
    world.clock.advance(PARK_MS + BEAT_MS);
    expect([session.ready, ready]).toEqual([true, 2]);
    expect(batchSlots.taken).toBe(0);
  });

  test("FR-20 a session that is closed from within its own deliver goes on without harm", () => {
    const session = world.open();
    const hub = new ArrayPort("hub");
    hub.onDeliver = () => session.close({ code: "in the middle" });
    session.plug(hub);
    const link = world.join(session);
    link.handler.data(Buffer.concat([runBytes([frame(60)]), runBytes([frame(60)])]));
    expect(link.ended).toBe("in order");
    expect(session.connections).toEqual([]);
  });
});

describe("Session ends", () => {
  test("close() ends every connection in order, tells once, and may be called twice", () => {
    const session = world.open();
    const ends: CloseReason[] = [];
    session.onClosed = (reason) => ends.push(reason);
    const links = [world.join(session), world.join(session)];
    session.close({ code: "user_removed" });
    session.close({ code: "again" });
    expect(ends).toEqual([{ code: "user_removed" }]);
    expect(links.map((link) => link.ended)).toEqual(["in order", "in order"]);
    expect(world.clock.pending).toBe(0);
    session.deliver(runOf([frame(60)]));
    expect(session.stats.droppedFrames).toBe(1);
  });

  test("a link that joins a session that has ended is closed", () => {
    const session = world.open();
    session.close({ code: "over" });
    const link = world.join(session);
    expect(link.ended).toBe("in order");
    expect(session.connections).toEqual([]);
  });

  test("a link that is expected ends with the session, one that has joined is not expected", () => {
    const session = world.open();
    const link = new FakeLink();
    session.expect(link);
    session.close({ code: "user_cancel" });
    expect(link.ended).toBe("in order");
  });
});

describe("Heartbeat", () => {
  test("has a timer only while it has a member", () => {
    const beats: number[] = [];
    const member = { beat: (now: number) => void beats.push(now) };
    expect(world.clock.pending).toBe(0);
    world.heartbeat.add(member);
    const other = { beat() {} };
    world.heartbeat.add(other);
    expect(world.clock.pending).toBe(1);
    world.clock.advance(3.5 * BEAT_MS);
    expect(beats).toEqual([BEAT_MS, 2 * BEAT_MS, 3 * BEAT_MS]);
    world.heartbeat.remove(member);
    world.clock.advance(BEAT_MS);
    expect(beats.length).toBe(3);
    world.heartbeat.remove(other);
    world.heartbeat.remove(other);
    expect(world.clock.pending).toBe(0);
  });

  test("a member may leave, or bring another, within its beat", () => {
    const seen: string[] = [];
    const heartbeat = new Heartbeat(world.clock);
    const late = { beat: () => void (seen.push("late"), heartbeat.remove(late)) };
    const early = {
      beat() {
        seen.push("early");
        heartbeat.remove(early);
        heartbeat.add(late);
      },
    };
    heartbeat.add(early);
    world.clock.advance(3 * BEAT_MS);
    expect(seen).toEqual(["early", "late"]);
    expect(world.clock.pending).toBe(0);
  });
});

/** The frames as one unit of the stream. */
function runBytes(frames: readonly Uint8Array[]) {
  const run = runOf(frames);
  run.view.setUint32(0, run.count);
  return run.bytes;
}
