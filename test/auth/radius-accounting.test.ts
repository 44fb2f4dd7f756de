import { describe, expect, test } from "bun:test";
import { RadiusAccounting } from "../../src/auth/radius-accounting.ts";
import type { AccountedSession, SessionTraffic } from "../../src/auth/radius-record.ts";
import type { RadiusSettings } from "../../src/config/server-config.ts";
import {
  answerTo,
  avpOf,
  avpsOf,
  RadiusWorld,
  settingsOf,
  settle,
  textOf,
} from "./radius-world.ts";

const RESPONSE = 5;
const START = 1;
const STOP = 2;
const INTERIM = 3;
const FIRST = "10.0.0.1";
const SECOND = "10.0.0.2";

class AccountingWorld extends RadiusWorld implements AsyncDisposable {
  readonly accounting: RadiusAccounting;
  traffic: SessionTraffic = { inBytes: 0, outBytes: 0 };
  /** While true each record is confirmed as soon as it is sent. */
  isServing = true;
  #seen = 0;

  constructor(settings: Partial<RadiusSettings> = {}) {
    super();
    this.accounting = new RadiusAccounting(
      settingsOf({ accounting: [{ host: FIRST, port: 1813 }], ...settings }),
      this,
    );
  }

  session(more: Partial<AccountedSession> = {}): AccountedSession {
    return {
      name: "SID-ALICE-1",
      hub: "office",
      userName: "alice",
      address: "192.0.2.7",
      isRadiusUser: true,
      traffic: () => this.traffic,
      ...more,
    };
  }

  start(more: Partial<AccountedSession> = {}) {
    return this.accounting.start(this.session(more));
  }

  /** Confirms what was sent and lets time pass in steps, where servers serve. */
  override async pass(ms: number): Promise<void> {
    await this.serve();
    for (let left = ms; left > 0;) {
      const step = Math.min(left, this.clock.untilNext ?? left);
      this.clock.advance(step);
      left -= step;
      await this.serve();
    }
  }

  async serve(): Promise<void> {
    for (await settle(); this.#seen < this.network.sent.length; await settle()) {
      const { bytes, to, port } = this.network.sent[this.#seen++]!;
      const answer = answerTo(bytes, RESPONSE, [], { isSealed: false });
      if (this.isServing) this.network.receive(answer, to, port);
    }
  }

  /** Status types of what was sent. */
  get kinds(): number[] {
    return this.network.sent.map(({ bytes }) => numberOf(bytes, 40)!);
  }

  get last(): Uint8Array {
    return this.network.sent.at(-1)!.bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.accounting.close("office", "server_stopping");
    await this.pass(2000);
    await closing;
    await settle();
    expect(this.clock.pending).toBe(0);
    expect(this.network.closed).toBe(this.network.sinks.length);
  }
}

function numberOf(bytes: Uint8Array, type: number): number | undefined {
  const value = avpOf(bytes, type);
  return value === undefined ? undefined : Buffer.from(value).readUInt32BE();
}

describe("RadiusAccounting.start()", () => {
  test("tells who began a session, under which number, and gives Class back", async () => {
    await using world = new AccountingWorld();
    world.start({ class: [Uint8Array.of(1, 2), Uint8Array.of(3)] });
    await world.serve();
    expect(world.kinds).toEqual([START]);
    const texts = [1, 32, 30, 31, 66].map((type) => textOf(avpOf(world.last, type)));
    expect(texts).toEqual(["alice", "Patchbay", "office", "192.0.2.7", "192.0.2.7"]);
    expect(textOf(avpOf(world.last, 44))).toMatch(/^SID-ALICE-1-[0-9a-f]{12}$/);
    const classes = avpsOf(world.last).filter(([type]) => type === 25);
    expect(classes.map(([, value]) => [...value])).toEqual([[1, 2], [3]]);
    expect(numberOf(world.last, 45)).toBe(1);
    expect(numberOf(world.last, 55)).toBe(Math.floor(world.clock.wall() / 1000));
    expect(world.accounting.stats).toMatchObject({ delivered: 1, waiting: 0 });
  });

  test("gives two sessions of one name different numbers", async () => {
    await using world = new AccountingWorld();
    world.start();
    world.start();
    await world.serve();
    const ids = world.network.sent.map(({ bytes }) => textOf(avpOf(bytes, 44)));
    expect(new Set(ids).size).toBe(2);
  });

  test("sends nothing where no accounting server is named", async () => {
    await using world = new AccountingWorld({ accounting: [] });
    world.accounting.on("office");
    world.start().stop("client_gone");
    await world.pass(600_000);
    expect(world.network.sent).toHaveLength(0);
  });

  test("tells what went on, each interval, with counters beyond 32 bits", async () => {
    await using world = new AccountingWorld();
    world.start();
    world.traffic = {
      inBytes: 3 * 2 ** 32 + 5,
      outBytes: 7,
      inFrames: 11,
      outFrames: 13,
      framedAddress: "10.1.2.3",
    };
    await world.pass(300_000);
    expect(world.kinds).toEqual([START, INTERIM]);
    const numbers = [46, 42, 52, 43, 53, 47, 48].map((type) => numberOf(world.last, type));
    expect(numbers).toEqual([300, 5, 3, 7, 0, 11, 13]);
    expect([...avpOf(world.last, 8)!]).toEqual([10, 1, 2, 3]);
    await world.pass(300_000);
    expect(world.kinds).toEqual([START, INTERIM, INTERIM]);
  });

  test.each([
    [120, 120_000],
    [1, 60_000],
  ])("takes an interval of %i s from the verdict as %i ms", async (interimIntervalS, ms) => {
    await using world = new AccountingWorld();
    world.start({ interimIntervalS });
    await world.pass(ms - 1);
    expect(world.kinds).toEqual([START]);
    await world.pass(1);
    expect(world.kinds).toEqual([START, INTERIM]);
  });

  test.each([
    ["client_gone", 1],
    ["connection_lost", 2],
    ["idle_timeout", 4],
    ["session_timeout", 5],
    ["hub_offline", 6],
    ["server_stopping", 7],
    ["stream_block", 17],
  ])("stop(%j) tells the cause %i, once, and no more interim updates", async (reason, cause) => {
    await using world = new AccountingWorld();
    const handle = world.start({ isRadiusUser: false });
    await world.pass(1500);
    handle.stop(reason);
    handle.stop(reason);
    await world.pass(600_000);
    expect(world.kinds).toEqual([START, STOP]);
    expect(numberOf(world.last, 49)).toBe(cause);
    expect(numberOf(world.last, 46)).toBe(2);
    expect(numberOf(world.last, 45)).toBe(2);
  });
});

describe("RadiusAccounting delivers", () => {
  test("again by the next server, and later with the delay and a new identifier", async () => {
    await using world = new AccountingWorld({
      accounting: [
        { host: FIRST, port: 1813 },
        { host: SECOND, port: 1813 },
      ],
    });
    world.isServing = false;
    world.start();
    await world.pass(14_999);
    expect(world.network.sent.map(({ to }) => to)).toEqual([FIRST, SECOND, FIRST]);
    expect(numberOf(world.last, 41)).toBe(0);
    const identifiers = new Set(world.network.sent.map(({ bytes }) => bytes[1]));
    world.isServing = true;
    await world.pass(1);
    expect(numberOf(world.last, 41)).toBe(15);
    expect(identifiers).not.toContain(world.last[1]);
    expect(world.accounting.stats).toMatchObject({ delivered: 1, waiting: 0 });
  });

  test("a stop after its start, and no interim update that is out of date", async () => {
    await using world = new AccountingWorld({ accountingIntervalMs: 4000 });
    world.isServing = false;
    const handle = world.start();
    await world.pass(13_000);
    expect(world.kinds.every((kind) => kind === START)).toBe(true);
    // Of three interim updates only the last one waits.
    expect(world.accounting.stats.waiting).toBe(2);
    handle.stop("client_gone");
    expect(world.accounting.stats.waiting).toBe(2);
    const before = world.network.sent.length;
    world.isServing = true;
    await world.pass(5000);
    expect(world.kinds.slice(before)).toEqual([START, STOP]);
    expect(world.accounting.stats).toMatchObject({ delivered: 2, lost: 0, waiting: 0 });
  });

  test("nothing that is older than an hour, and says so", async () => {
    await using world = new AccountingWorld({ accountingIntervalMs: 86_400_000 });
    world.isServing = false;
    world.start();
    await world.pass(3_600_000 - 1);
    expect(world.accounting.stats).toMatchObject({ lost: 0, waiting: 1 });
    await world.pass(1);
    expect(world.accounting.stats).toMatchObject({ lost: 1, waiting: 0 });
    expect(world.logged.map(({ event }) => event)).toContain("accounting_lost");
  });

  test("32 records at once, keeps 8192 and refuses the newest", async () => {
    await using world = new AccountingWorld({ accountingIntervalMs: 86_400_000 });
    world.isServing = false;
    const handles = Array.from({ length: 8200 }, () => world.start());
    await settle();
    expect(world.network.sent).toHaveLength(32);
    expect(world.accounting.stats).toMatchObject({ waiting: 8192, lost: 8 });
    for (const handle of handles) handle.stop("client_gone");
    expect(world.accounting.stats).toMatchObject({ waiting: 8192, lost: 8208 });
    world.isServing = true;
    await world.pass(5000);
    expect(world.accounting.stats).toMatchObject({ delivered: 8192, waiting: 0 });
  });

  test("what waits by the servers that a reload names", async () => {
    await using world = new AccountingWorld();
    world.isServing = false;
    const handle = world.start();
    await world.serve();
    world.isServing = true;
    world.accounting.reconfigure(settingsOf({ accounting: [{ host: SECOND, port: 1813 }] }));
    await world.serve();
    expect(world.network.sent.at(-1)!.to).toBe(SECOND);
    world.accounting.reconfigure(settingsOf());
    handle.stop("client_gone");
    expect(world.accounting.stats).toMatchObject({ delivered: 1, waiting: 0 });
  });
});

describe("RadiusAccounting.close()", () => {
  test("stops what runs, says that the hub is gone, and waits for the confirmation", async () => {
    await using world = new AccountingWorld();
    world.accounting.on("office");
    world.start();
    await world.serve();
    const closing = world.accounting.close("office", "server_stopping");
    await world.serve();
    await closing;
    expect(world.kinds.toSorted()).toEqual([START, STOP, 7, 8]);
    expect(world.accounting.stats).toMatchObject({ delivered: 4, lost: 0 });
  });

  test("says nothing of the other hubs where only this one goes", async () => {
    await using world = new AccountingWorld();
    world.start();
    await world.serve();
    const closing = world.accounting.close("office", "hub_removed");
    await world.serve();
    await closing;
    expect(world.kinds).toEqual([START, STOP]);
    expect(numberOf(world.last, 49)).toBe(6);
  });

  test("waits no longer than 2 s for servers that are silent", async () => {
    await using world = new AccountingWorld();
    world.isServing = false;
    world.start();
    let isClosed = false;
    void world.accounting.close("office", "server_stopping").then(() => (isClosed = true));
    await world.pass(1999);
    expect(isClosed).toBe(false);
    await world.pass(1);
    expect(isClosed).toBe(true);
    expect(world.accounting.stats).toMatchObject({ lost: 3, waiting: 0 });
  });
});
