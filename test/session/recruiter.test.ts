import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RefusedError, VpnError } from "../../src/base/errors.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import type { CloseReason } from "../../src/hub/port.ts";
import { DIRECTION, type Direction } from "../../src/session/connection.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import { encodeKeepalive } from "../../src/session/keepalive.ts";
import { Recruiter, type Recruit } from "../../src/session/recruiter.ts";
import { Session } from "../../src/session/session.ts";
import type { StreamOptions } from "../../src/session/stream-options.ts";
import { FakeLink } from "../support/fake-link.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { streamOf } from "../support/stream-options.ts";
import { recordingLog } from "../support/test-server.ts";

const NONE = new Uint8Array(0);
const turn = () => Bun.sleep(0);

/** A session at a client, and a server that answers its further connections. */
class Site {
  readonly clock = new ManualClock();
  readonly session: Session;
  readonly links: FakeLink[] = [];
  readonly attempts: number[] = [];
  signal: AbortSignal | undefined;
  ended: CloseReason | undefined;
  answer: () => Promise<Recruit> = async () => this.recruit();
  direction: Direction = DIRECTION.BOTH;

  constructor(stream: Partial<StreamOptions>, times = { intervalMs: 1_000, lifetimeMs: 0 }) {
    this.session = new Session(
      {
        sessionName: "SID-A-1",
        connectionName: "CID-1",
        sessionKey: new Uint8Array(20),
        stream: streamOf(stream),
        timeoutMs: 20_000,
        policy: DEFAULT_POLICY,
        message: "",
      },
      {
        end: "client",
        clock: this.clock,
        random: seededRandom(1),
        heartbeat: new Heartbeat(this.clock),
      },
    );
    this.session.onClosed = (reason) => (this.ended = reason);
    const first = new FakeLink();
    this.links.push(first);
    const direction = stream.isHalfDuplex ? DIRECTION.TO_SERVER : DIRECTION.BOTH;
    this.session.join(first, direction, NONE);
    new Recruiter(this.session, times, {
      clock: this.clock,
      log: recordingLog(),
      connect: (signal) => {
        this.signal = signal;
        this.attempts.push(this.clock.now());
        return this.answer();
      },
    });
  }

  recruit(): Recruit {
    const link = new FakeLink();
    this.links.push(link);
    return { link, direction: this.direction, rest: NONE };
  }

  /** Time goes by while the peer is heard on all connections. */
  async pass(ms: number, stepMs = 100): Promise<void> {
    for (let t = 0; t < ms; t += stepMs) {
      for (const { link } of this.session.connections) {
        link.handler.data(encodeKeepalive(seededRandom(2)));
      }
      this.clock.advance(stepMs);
      await turn();
    }
  }
}

let sites: Site[] = [];
const site = (...of: ConstructorParameters<typeof Site>) => {
  const made = new Site(...of);
  sites.push(made);
  return made;
};

beforeEach(() => void (sites = []));
afterEach(() => {
  for (const one of sites) {
    one.session.close({ code: "test" });
    expect(one.clock.pending).toBe(0);
  }
});

describe("Recruiter", () => {
  test("opens one connection an interval until the granted number is there, and no more", async () => {
    const at = site({ connections: 4 }, { intervalMs: 2_000, lifetimeMs: 0 });
    await at.pass(20_000);
    expect(at.attempts).toEqual([2_000, 4_000, 6_000]);
    expect(at.session.connections.length).toBe(4);
  });

  test("never hurries more than once a second", async () => {
    const at = site({ connections: 3 }, { intervalMs: 10, lifetimeMs: 0 });
    await at.pass(5_000);
    expect(at.attempts).toEqual([1_000, 2_000]);
  });

  test("replaces a lost connection at once where the last attempt is long ago, the only one as well", async () => {
    const at = site({ connections: 1 });
    await at.pass(5_000);
    at.links[0]!.handler.closed("reset");
    await at.pass(100);
    expect([at.attempts, at.session.connections.length]).toEqual([[5_000], 1]);
    at.links[1]!.handler.closed("reset");
    await at.pass(2_000);
    expect(at.attempts).toEqual([5_000, 6_000]);
    expect(at.ended).toBeUndefined();
  });

  test("a failed attempt is made again after the interval", async () => {
    const at = site({ connections: 2 });
    at.answer = async () => {
      if (at.attempts.length < 3) throw new VpnError("connect_failed", "refused");
      return at.recruit();
    };
    await at.pass(5_000);
    expect(at.attempts).toEqual([1_000, 2_000, 3_000]);
    expect(at.session.connections.length).toBe(2);
  });

  test.each([13, 14])("error %d ends the session: the server knows it no more", async (error) => {
    const at = site({ connections: 2 });
    at.answer = async () => {
      throw new RefusedError(error, "no such session");
    };
    await at.pass(1_500);
    expect(at.ended?.code).toBe("session_lost");
    await at.pass(5_000);
    expect(at.attempts.length).toBe(1);
  });

  test("error 15 is a matter of time", async () => {
    const at = site({ connections: 2 });
    at.answer = async () => {
      throw new RefusedError(15, "too many");
    };
    await at.pass(3_500);
    expect([at.ended, at.attempts.length]).toEqual([undefined, 3]);
  });

  test("a connection that has lived its time goes once its successor is there", async () => {
    const at = site({ connections: 2 }, { intervalMs: 1_000, lifetimeMs: 10_000 });
    await at.pass(9_900);
    expect(at.links.map(({ ended }) => ended)).toEqual([undefined, undefined]);
    await at.pass(400);
    // It sends no more, and leaves a moment later: the reference drops what it reads along with the end.
    expect(at.session.connections.length).toBe(2);
    expect(at.links.map(({ ended }) => ended)).toEqual([undefined, undefined, undefined]);
    await at.pass(300);
    expect(at.links.map(({ ended }) => ended)).toEqual(["in order", undefined, undefined]);
    await at.pass(1_000);
    expect(at.links.map(({ ended }) => ended).slice(0, 3)).toEqual([
      "in order",
      "in order",
      undefined,
    ]);
    expect(at.attempts.slice(0, 3)).toEqual([1_000, 10_000, 11_000]);
  });

  test("a connection that is replaced still hands over what its peer had sent", async () => {
    const at = site({ connections: 1 }, { intervalMs: 1_000, lifetimeMs: 5_000 });
    await at.pass(5_600);
    expect(at.links[0]!.ended).toBe("in order");
    at.links[0]!.handler.data(Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 1, 7));
    expect(at.session.stats.inFrames).toBe(1);
    at.links[0]!.handler.closed("peer_closed");
    expect(at.session.connections.map(({ link }) => link)).toEqual([at.links[1]!]);
  });

  test("half duplex: a full number with one direction only gives its newest one up", async () => {
    const at = site({ connections: 2, isHalfDuplex: true });
    at.direction = DIRECTION.TO_SERVER;
    await at.pass(1_100);
    expect(at.session.connections.length).toBe(2);
    at.direction = DIRECTION.TO_CLIENT;
    await at.pass(1_100);
    expect(at.links[1]!.ended).toBe("in order");
    expect(at.session.connections.map(({ direction }) => direction)).toEqual([2, 1]);
  });

  test("a session that ends while a connection is under way takes nobody in", async () => {
    const at = site({ connections: 2 });
    const later = Promise.withResolvers<Recruit>();
    at.answer = () => later.promise;
    await at.pass(1_100);
    at.session.close({ code: "user_cancel" });
    const late = at.recruit();
    later.resolve(late);
    await turn();
    expect((late.link as FakeLink).ended).toBe("in order");
  });

  test("a session that ends without a connection plans no further one, and gives up the one under way", async () => {
    const planned = site({ connections: 1 });
    planned.answer = async () => {
      throw new VpnError("connect_failed", "refused");
    };
    await planned.pass(3_000);
    planned.links[0]!.handler.closed("reset");
    await planned.pass(100);
    planned.session.close({ code: "timeout" });
    expect(planned.clock.pending).toBe(0);
    await planned.pass(5_000);
    expect(planned.attempts).toEqual([3_000]);

    const underWay = site({ connections: 1 });
    underWay.answer = () => new Promise(() => {});
    await underWay.pass(3_000);
    underWay.links[0]!.handler.closed("reset");
    await underWay.pass(100);
    expect(underWay.signal?.aborted).toBe(false);
    underWay.session.close({ code: "user_cancel" });
    expect(underWay.signal?.aborted).toBe(true);
  });
});
