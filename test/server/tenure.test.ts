import { describe, expect, test } from "bun:test";
import { PortCounters } from "../../src/hub/port-counters.ts";
import { Tenure, type TenureLimits } from "../../src/server/tenure.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { policy } from "../support/test-server.ts";

const NONE: TenureLimits = {
  certificateExpires: undefined,
  sessionTimeoutS: undefined,
  idleTimeoutS: undefined,
};

function make(limits: (clock: ManualClock) => Partial<TenureLimits>) {
  const clock = new ManualClock();
  const counters = new PortCounters();
  const ends: string[] = [];
  const end = ({ code }: { code: string }) => {
    ends.push(code);
    tenure.cancel();
  };
  const tenure: Tenure = new Tenure({ ...NONE, ...limits(clock) }, { counters, end }, clock);
  return { clock, counters, ends, tenure };
}

describe("Tenure", () => {
  test("without limits never ends, and has no timer", () => {
    const { clock, tenure, ends } = make(() => ({}));
    tenure.apply(policy({}));
    expect(clock.pending).toBe(0);
    clock.advance(2 ** 31);
    expect(ends).toEqual([]);
  });

  test("ends after the Session-Timeout of a RADIUS server", () => {
    const { clock, ends } = make(() => ({ sessionTimeoutS: 60 }));
    clock.advance(59_999);
    expect(ends).toEqual([]);
    clock.advance(1);
    expect(ends).toEqual(["session_timeout"]);
    expect(clock.pending).toBe(0);
  });

  test("ends when no frame of the user came for the Idle-Timeout, whatever others send him", () => {
    const { clock, counters, ends } = make(() => ({ idleTimeoutS: 80 }));
    for (let second = 0; second < 200; second += 10) {
      clock.advance(10_000);
      counters.countIngress(false, 1, 60);
    }
    expect(ends).toEqual([]);
    for (let second = 0; second < 70; second += 10) {
      clock.advance(10_000);
      counters.countEgress(true, 1, 60);
    }
    expect(ends).toEqual([]);
    clock.advance(20_000);
    expect(ends).toEqual(["idle_timeout"]);
    expect(clock.pending).toBe(0);
  });

  test("looks once an hour at most for an Idle-Timeout that means never", () => {
    const { clock, ends, tenure } = make(() => ({ idleTimeoutS: 2 ** 32 - 1 }));
    expect(clock.untilNext).toBe(3_600_000);
    clock.advance(2 ** 32);
    expect(ends).toEqual([]);
    tenure.cancel();
    expect(clock.pending).toBe(0);
  });

  test("ends with the certificate, also where that is years away", () => {
    const years = 20 * 365 * 86_400_000;
    const { clock, ends, tenure } = make((at) => ({ certificateExpires: at.wall() + years }));
    clock.advance(years - 1);
    expect(ends).toEqual([]);
    clock.advance(1);
    expect(ends).toEqual(["certificate_expired"]);
    tenure.cancel();
  });

  test("apply() counts from the beginning of the session, and takes a time back", () => {
    const { clock, ends, tenure } = make(() => ({}));
    clock.advance(30_000);
    tenure.apply(policy({ auto_disconnect: 60 }));
    clock.advance(29_000);
    tenure.apply(policy({ auto_disconnect: 0 }));
    clock.advance(100_000);
    expect(ends).toEqual([]);
    tenure.apply(policy({ auto_disconnect: 60 }));
    clock.advance(0);
    expect(ends).toEqual(["auto_disconnect"]);
  });
});
