import { describe, expect, test } from "bun:test";
import { Lockout, type LockoutConfig } from "../../src/auth/lockout.ts";
import { tryParseNet } from "../../src/base/ip.ts";
import { LOCKOUT_MAX_SOURCES } from "../../src/base/limits.ts";
import { ManualClock } from "../support/manual-clock.ts";

const CONFIG: LockoutConfig = {
  enable: true,
  penaltyMs: 5_000,
  enforceAtMs: 15_000,
  maxMs: 600_000,
  exempt: [],
};

function make(change: Partial<LockoutConfig> = {}) {
  const clock = new ManualClock();
  return { clock, lockout: new Lockout({ ...CONFIG, ...change }, clock) };
}
const fail = (lockout: Lockout, address: string, times: number) => {
  for (let i = 0; i < times; i++) lockout.fail(address);
};

describe("Lockout", () => {
  test("turns a source away from the third failure in a row, until the penalty has run off", () => {
    const { clock, lockout } = make();
    fail(lockout, "192.0.2.1", 2);
    expect(lockout.isLocked("192.0.2.1")).toBe(false);
    fail(lockout, "192.0.2.1", 3);
    clock.advance(10_000);
    expect(lockout.isLocked("192.0.2.1")).toBe(true);
    expect(lockout.isLocked("192.0.2.2")).toBe(false);
    clock.advance(1);
    expect(lockout.isLocked("192.0.2.1")).toBe(false);
    lockout.fail("192.0.2.1");
    expect(lockout.isLocked("192.0.2.1")).toBe(true);
  });

  test("never locks one who fails every 5 s, as a stock client with a wrong password does", () => {
    const { clock, lockout } = make();
    for (let i = 0; i < 1_000; i++) {
      lockout.fail("192.0.2.1");
      expect(lockout.isLocked("192.0.2.1")).toBe(false);
      clock.advance(5_000);
    }
    expect(lockout.isLocked("192.0.2.1")).toBe(false);
    expect(lockout.sources).toBe(0);
  });

  test("asks for no more than the most, however many failures there were", () => {
    const { clock, lockout } = make();
    fail(lockout, "192.0.2.1", 10_000);
    clock.advance(585_000);
    expect(lockout.isLocked("192.0.2.1")).toBe(true);
    clock.advance(1);
    expect(lockout.isLocked("192.0.2.1")).toBe(false);
  });

  test("counts IPv6 by /64 and a mapped IPv4 address as that address", () => {
    const { lockout } = make();
    fail(lockout, "2001:db8::1", 1);
    fail(lockout, "2001:db8::2", 1);
    fail(lockout, "2001:db8::ffff:3", 1);
    expect(lockout.isLocked("2001:db8::9")).toBe(true);
    expect(lockout.isLocked("2001:db8:0:1::9")).toBe(false);
    fail(lockout, "::ffff:192.0.2.1", 3);
    expect(lockout.isLocked("192.0.2.1")).toBe(true);
    fail(lockout, "fe80::1%eth0", 3);
    expect(lockout.isLocked("fe80::2%eth1")).toBe(true);
  });

  test("spares addresses that are exempt, of both families, mapped or with a zone", () => {
    const exempt = ["192.0.2.0/24", "fe80::/10"].map((net) => tryParseNet(net)!);
    const { lockout } = make({ exempt });
    for (const address of ["192.0.2.77", "::ffff:192.0.2.78", "fe80::1%eth0"]) {
      fail(lockout, address, 10);
      expect(lockout.isLocked(address)).toBe(false);
    }
    expect(lockout.sources).toBe(0);
    fail(lockout, "198.51.100.1", 3);
    expect(lockout.isLocked("198.51.100.1")).toBe(true);
  });

  test("reconfigure() lets those go who are exempt now, and all when it is off", () => {
    const { lockout } = make();
    fail(lockout, "192.0.2.1", 3);
    fail(lockout, "192.0.2.2", 3);
    lockout.reconfigure({ ...CONFIG, exempt: [tryParseNet("192.0.2.1")!] });
    expect(lockout.isLocked("192.0.2.1")).toBe(false);
    expect(lockout.isLocked("192.0.2.2")).toBe(true);
    lockout.reconfigure({ ...CONFIG, enable: false });
    expect(lockout.isLocked("192.0.2.2")).toBe(false);
    fail(lockout, "192.0.2.2", 9);
    lockout.reconfigure(CONFIG);
    expect(lockout.isLocked("192.0.2.2")).toBe(false);
  });

  test("keeps a bounded number of sources, the newest failures", () => {
    const { lockout } = make();
    const address = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    fail(lockout, address(0), 3);
    fail(lockout, address(1), 3);
    fail(lockout, address(0), 1);
    for (let i = 2; i <= LOCKOUT_MAX_SOURCES; i++) lockout.fail(address(i));
    expect(lockout.sources).toBe(LOCKOUT_MAX_SOURCES);
    expect(lockout.isLocked(address(0))).toBe(true);
    expect(lockout.isLocked(address(1))).toBe(false);
  });
});
