import { describe, expect, test } from "bun:test";
import { LOCKOUT_MAX_USERS } from "../../src/base/limits.ts";
import { UserLockout, type UserLockoutConfig } from "../../src/auth/user-lockout.ts";
import { ManualClock } from "../support/manual-clock.ts";

const CONFIG: UserLockoutConfig = { enable: true, userFailures: 20, userWindowMs: 600_000 };

function make(change: Partial<UserLockoutConfig> = {}) {
  const clock = new ManualClock();
  const lockout = new UserLockout({ ...CONFIG, ...change }, clock);
  const fail = (times: number, address = "192.0.2.1") => {
    for (let i = 0; i < times; i++) lockout.failed("VPN", "alice", address);
  };
  const isHeld = (address = "198.51.100.9", user = "Alice", hub = "vpn") =>
    lockout.isHeld(hub, user, address);
  return { clock, lockout, fail, isHeld };
}

describe("UserLockout", () => {
  test("HS-16 holds a user after 20 failures from anywhere, whatever the case of the name", () => {
    const { lockout, fail, isHeld } = make();
    fail(19);
    expect(isHeld()).toBe(false);
    lockout.failed("VPN", "ALICE", "203.0.113.5");
    expect(isHeld()).toBe(true);
    expect(isHeld("198.51.100.9", "bob")).toBe(false);
    expect(isHeld("198.51.100.9", "alice", "OTHER")).toBe(false);
  });

  test("lets one try in five seconds be looked at, for a window", () => {
    const { clock, fail, isHeld } = make();
    fail(20);
    let looked = 0;
    for (let second = 1; second <= 599; second++) {
      clock.advance(1_000);
      for (let i = 0; i < 10; i++) if (!isHeld()) looked++;
    }
    expect(looked).toBe(119);
    clock.advance(1_000);
    for (let i = 0; i < 10; i++) expect(isHeld()).toBe(false);
  });

  test("names that are made up push nobody out of the sources that are known", () => {
    const { lockout, fail, isHeld } = make();
    lockout.succeeded("VPN", "alice", "192.0.2.1");
    for (let at = 0; at < LOCKOUT_MAX_USERS; at++) lockout.failed("VPN", `n${at}`, "203.0.113.5");
    fail(20, "203.0.113.5");
    expect(isHeld()).toBe(true);
    expect(isHeld("192.0.2.1")).toBe(false);
  });

  test("forgets failures that are older than the window", () => {
    const { clock, fail, isHeld } = make();
    fail(19);
    clock.advance(600_000);
    fail(19);
    expect(isHeld()).toBe(false);
    fail(1);
    expect(isHeld()).toBe(true);
  });

  test("neither counts nor holds a source from which the user logged in within a day", () => {
    const { clock, lockout, fail, isHeld } = make();
    lockout.succeeded("VPN", "alice", "192.0.2.1");
    fail(100);
    expect(isHeld()).toBe(false);
    fail(20, "203.0.113.5");
    expect(isHeld()).toBe(true);
    expect(isHeld("192.0.2.1")).toBe(false);
    clock.advance(86_400_000);
    fail(20);
    expect(isHeld("192.0.2.1")).toBe(true);
  });

  test("a good login from elsewhere does not forgive those who try", () => {
    const { lockout, fail, isHeld } = make();
    fail(19);
    lockout.succeeded("VPN", "alice", "198.51.100.200");
    fail(1);
    expect(isHeld()).toBe(true);
  });

  test("keeps sixteen sources of a user, and nothing when switched off", () => {
    const { lockout, fail, isHeld } = make();
    for (let i = 1; i <= 17; i++) lockout.succeeded("VPN", "alice", `192.0.2.${i}`);
    fail(20, "203.0.113.5");
    expect(isHeld("192.0.2.17")).toBe(false);
    expect(isHeld("192.0.2.1")).toBe(true);
    lockout.reconfigure({ ...CONFIG, enable: false });
    expect(isHeld("192.0.2.1")).toBe(false);
    fail(20, "203.0.113.5");
    expect(isHeld("192.0.2.1")).toBe(false);
  });
});
