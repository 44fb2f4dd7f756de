import { describe, expect, test } from "bun:test";
import { VpnError } from "../../src/base/errors.ts";
import { raceAddresses } from "../../src/transport/happy-eyeballs.ts";
import { HostAddresses, type Lookup } from "../../src/transport/host-addresses.ts";
import { ManualClock } from "../support/manual-clock.ts";

interface Attempt {
  readonly at: number;
  readonly signal: AbortSignal;
  succeed(): void;
  fail(code: string): void;
}

/** A race whose attempts end as the test says. */
class Race {
  readonly clock = new ManualClock();
  readonly attempts = new Map<string, Attempt>();
  readonly dropped: string[] = [];
  readonly controller = new AbortController();
  readonly list: HostAddresses;
  outcome: string | Error | undefined;

  constructor(answers: { 4?: string[]; 6?: string[] }) {
    const lookup: Lookup = (_host, family) => Promise.resolve(answers[family] ?? []);
    this.list = new HostAddresses("vpn.example.com", "any", { clock: this.clock, lookup });
  }

  start(): Promise<void> {
    raceAddresses(
      this.list,
      (address, signal) => {
        const { promise, resolve, reject } = Promise.withResolvers<string>();
        this.attempts.set(address, {
          at: this.clock.now(),
          signal,
          succeed: () => resolve(address),
          fail: (code) => reject(new VpnError(code, `${address}: ${code}`)),
        });
        return promise;
      },
      {
        clock: this.clock,
        signal: this.controller.signal,
        drop: (address) => void this.dropped.push(address),
      },
    ).then(
      ({ address, value }) => {
        expect(value).toBe(address);
        this.outcome = address;
      },
      (error: Error) => (this.outcome = error),
    );
    return this.turn();
  }

  async turn(): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.turn();
  }

  get begun(): string[] {
    return [...this.attempts].map(([address, { at }]) => `${at} ${address}`);
  }
}

const BOTH = { 6: ["2001:db8::1", "2001:db8::2"], 4: ["192.0.2.1"] };

describe("raceAddresses()", () => {
  test("FI-11 begins an attempt each 250 ms while none has an answer, the families in turn", async () => {
    const race = new Race(BOTH);
    await race.start();
    await race.advance(249);
    expect(race.begun).toEqual(["0 2001:db8::1"]);
    await race.advance(1);
    await race.advance(250);
    await race.advance(250);
    expect(race.begun).toEqual(["0 2001:db8::1", "250 192.0.2.1", "500 2001:db8::2"]);
    race.controller.abort();
  });

  test("the first that answers wins; the others are cut short and can be tried later", async () => {
    const race = new Race(BOTH);
    await race.start();
    await race.advance(250);
    race.attempts.get("192.0.2.1")!.succeed();
    await race.turn();
    expect(race.outcome).toBe("192.0.2.1");
    expect(race.attempts.get("2001:db8::1")!.signal.aborted).toBe(true);
    expect(race.attempts.get("192.0.2.1")!.signal.aborted).toBe(false);
    expect(race.clock.pending).toBe(0);
    expect([race.list.take(), race.list.take(), race.list.take()].toSorted()).toEqual([
      "2001:db8::1",
      "2001:db8::2",
      undefined,
    ]);
  });

  test("what answers in the same moment as the winner is dropped", async () => {
    const race = new Race(BOTH);
    await race.start();
    await race.advance(250);
    for (const { succeed } of race.attempts.values()) succeed();
    await race.turn();
    expect(race.outcome).toBe("2001:db8::1");
    expect(race.dropped).toEqual(["192.0.2.1"]);
  });

  test("FI-11 a failure begins the next at once", async () => {
    const race = new Race(BOTH);
    await race.start();
    await race.advance(10);
    race.attempts.get("2001:db8::1")!.fail("connect_failed");
    await race.turn();
    expect(race.begun).toEqual(["0 2001:db8::1", "10 192.0.2.1"]);
    await race.advance(249);
    expect(race.attempts.size).toBe(2);
    await race.advance(1);
    expect(race.begun.at(-1)).toBe("260 2001:db8::2");
    race.controller.abort();
  });

  test("FI-11 when all have failed, each is named, under the most telling code", async () => {
    const race = new Race({ 6: ["2001:db8::1"], 4: ["192.0.2.1"] });
    await race.start();
    await race.advance(250);
    race.attempts.get("2001:db8::1")!.fail("timeout");
    race.attempts.get("192.0.2.1")!.fail("connect_failed");
    await race.turn();
    expect(race.outcome).toMatchObject({
      code: "connect_failed",
      message: "2001:db8::1: timeout; 192.0.2.1: connect_failed",
    });
    expect(race.clock.pending).toBe(0);
  });

  test("the only address's failure is told as it is", async () => {
    const race = new Race({ 4: ["192.0.2.1"] });
    await race.start();
    race.attempts.get("192.0.2.1")!.fail("timeout");
    await race.turn();
    expect(race.outcome).toMatchObject({ code: "timeout", message: "192.0.2.1: timeout" });
  });

  test("FI-11 no address is the resolver's failure", async () => {
    const race = new Race({});
    await race.start();
    expect(race.outcome).toMatchObject({ code: "resolve_failed" });
    expect(race.clock.pending).toBe(0);
  });

  test("is cancelled by its signal, with everything that is under way", async () => {
    const race = new Race(BOTH);
    await race.start();
    race.controller.abort();
    await race.turn();
    expect(race.outcome).toMatchObject({ code: "cancelled" });
    expect(race.attempts.get("2001:db8::1")!.signal.aborted).toBe(true);
    expect(race.clock.pending).toBe(0);
  });
});
