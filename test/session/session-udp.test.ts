import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { MssClamp } from "../../src/hub/mss-clamp.ts";
import type { FrameRun } from "../../src/hub/port.ts";
import { DIRECTION } from "../../src/session/connection.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import { Session } from "../../src/session/session.ts";
import { streamStatus } from "../../src/session/stream-status.ts";
import { carriedMss } from "../../src/session/udp/mss.ts";
import { emptyUdpPathStats } from "../../src/session/udp/path-stats.ts";
import type { UdpPath } from "../../src/session/udp/udp-path.ts";
import { ArrayPort, framesOf, runOf } from "../support/array-port.ts";
import { FakeLink } from "../support/fake-link.ts";
import { toHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { streamOf } from "../support/stream-options.ts";
import { SEGMENT, SYN, tcpFrame } from "../wasm/random-frames.ts";

/** A path that goes nowhere and is ready when it is told to be. */
class FakePath implements UdpPath {
  isReady = false;
  isAlive = true;
  readonly version = 2;
  readonly isEncrypted = true;
  readonly peer = "192.0.2.1:40000";
  readonly stats = emptyUdpPathStats();
  onRun: (run: FrameRun) => void = () => {};
  onBatchEnd: () => void = () => {};
  readonly sent: string[] = [];
  readonly notes: string[] = [];
  flushes = 0;
  closes = 0;
  readonly #clamp = new MssClamp(carriedMss(4, true));

  deliver(run: FrameRun): void {
    this.sent.push(...framesOf(run).map(toHex));
  }
  flush(): void {
    this.flushes++;
  }
  clampOut(run: FrameRun): FrameRun {
    return this.#clamp.rewrite(run);
  }
  clampIn(run: FrameRun): FrameRun {
    return this.#clamp.rewrite(run);
  }
  keepaliveNote(body: Uint8Array): void {
    this.notes.push(toHex(body));
  }
  close(): void {
    this.closes++;
  }
}

const syn = (mss: number) =>
  tcpFrame({
    ...SEGMENT,
    flags: SYN,
    payload: new Uint8Array(0),
    options: Uint8Array.of(2, 4, mss >> 8, mss & 255),
  });

/** Frames as a unit of the stream. */
function unit(...frames: Uint8Array[]): Uint8Array {
  const { bytes, view } = runOf(frames);
  view.setUint32(0, frames.length);
  return bytes;
}

describe("Session with a UDP path", () => {
  let path: FakePath;
  let session: Session;
  let link: FakeLink;
  let port: ArrayPort;

  beforeEach(() => {
    path = new FakePath();
    const clock = new ManualClock();
    session = new Session(
      {
        sessionName: "SID-ALICE-1",
        connectionName: "CID-1",
        sessionKey: new Uint8Array(20),
        stream: streamOf({}),
        timeoutMs: 20_000,
        policy: DEFAULT_POLICY,
        message: "",
      },
      {
        end: "server",
        clock,
        random: seededRandom(1),
        heartbeat: new Heartbeat(clock),
        udp: path,
      },
    );
    port = new ArrayPort("hub");
    session.plug(port);
    link = new FakeLink();
    session.join(link, DIRECTION.BOTH, new Uint8Array(0));
    link.take();
  });
  afterEach(() => session.close({ code: "test" }));

  const frame = new Uint8Array(100).fill(9);

  test("frames go by TCP until it is ready, then by UDP alone, and back when it is not", () => {
    const send = () => {
      session.deliver(runOf([frame, frame]));
      session.flush();
    };
    send();
    expect([path.sent.length, toHex(link.take())]).toEqual([0, toHex(unit(frame, frame))]);
    expect(streamStatus(session)).toMatchObject({ udp: "waiting", udpPath: { alive: true } });
    path.isReady = true;
    send();
    expect(path.sent).toEqual([toHex(frame), toHex(frame)]);
    expect(link.take().length).toBe(0);
    expect(path.flushes).toBeGreaterThan(0);
    expect(streamStatus(session)).toMatchObject({ udp: "active", udpPath: { version: 2 } });
    path.isReady = false;
    send();
    expect([path.sent.length, toHex(link.take())]).toEqual([2, toHex(unit(frame, frame))]);
    expect(session.stats).toMatchObject({ outFrames: 6, outBytes: 600 });
  });

  test("it is ready to take frames while TCP is full", () => {
    link.room = 0;
    const isReady = (): boolean => session.ready;
    while (isReady()) session.deliver(runOf([new Uint8Array(1_500)]));
    path.isReady = true;
    expect(isReady()).toBe(true);
  });

  test("frames that come by UDP go to the hub, counted, with one flush for the event", () => {
    path.onRun(runOf([frame]));
    path.onRun(runOf([frame, frame]));
    expect(port.flushes).toBe(0);
    path.onBatchEnd();
    expect([port.frames.length, port.flushes]).toEqual([3, 1]);
    expect(session.stats).toMatchObject({ inFrames: 3, inBytes: 300 });
  });

  test("SYNs are brought down in both directions, whichever way they go", () => {
    const fitting = toHex(syn(1_309));
    session.deliver(runOf([syn(1_460)]));
    session.flush();
    expect(toHex(link.take())).toBe(toHex(unit(syn(1_309))));
    path.isReady = true;
    session.deliver(runOf([syn(1_460)]));
    expect(path.sent).toEqual([fitting]);
    link.handler.data(unit(syn(1_460), frame));
    path.onRun(runOf([syn(1_460)]));
    path.onBatchEnd();
    expect(port.frames.map(toHex)).toEqual([fitting, toHex(frame), fitting]);
  });

  test("what a keep-alive of TCP begins with is told to it", () => {
    link.handler.data(Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 2, 7, 8));
    expect(path.notes).toEqual(["0708"]);
  });

  test("close() closes it once, and what it still brings goes nowhere", () => {
    session.close({ code: "test" });
    session.close({ code: "test" });
    path.onRun(runOf([frame]));
    path.onBatchEnd();
    expect([path.closes, port.frames.length]).toEqual([1, 0]);
  });
});
