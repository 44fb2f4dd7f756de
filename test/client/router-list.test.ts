import { beforeEach, describe, expect, test } from "bun:test";
import { formatAddress, tryParseAddress } from "../../src/base/ip.ts";
import { MAX_ROUTERS } from "../../src/base/limits.ts";
import { RouterList } from "../../src/client/router-list.ts";
import { ManualClock } from "../support/manual-clock.ts";

let clock: ManualClock;
let chosen: string[];
let list: RouterList;

beforeEach(() => {
  clock = new ManualClock();
  chosen = [];
  list = new RouterList(clock, (router) => {
    chosen.push(router === undefined ? "none" : formatAddress(router.bytes));
  });
});

function advertise(
  address: string,
  lifetimeS: number,
  preference: "low" | "medium" | "high" = "medium",
): void {
  const router = tryParseAddress(address)!;
  list.take({ router, lifetimeMs: lifetimeS * 1000, preference });
}

describe("RouterList", () => {
  test("stays with a router that works, and goes to a preferred one", () => {
    advertise("fe80::1", 100);
    advertise("fe80::2", 100);
    advertise("fe80::1", 100);
    advertise("fe80::3", 100, "high");
    advertise("fe80::4", 100, "low");
    expect(chosen).toEqual(["fe80::1", "fe80::3"]);
  });

  test("leaves a router that says goodbye, or nothing for its lifetime, FI-08", () => {
    advertise("fe80::1", 10);
    advertise("fe80::2", 30);
    clock.advance(9_000);
    advertise("fe80::1", 10);
    clock.advance(9_999);
    expect(chosen).toEqual(["fe80::1"]);
    clock.advance(1);
    advertise("fe80::2", 0);
    expect(chosen).toEqual(["fe80::1", "fe80::2", "none"]);
    list.close();
    expect(clock.pending).toBe(0);
  });

  test("remembers a bounded number", () => {
    for (let n = 1; n <= MAX_ROUTERS + 1; n++) advertise(`fe80::${n.toString(16)}`, 100 + n);
    clock.advance((100 + MAX_ROUTERS) * 1000);
    expect(chosen.at(-1)).toBe("none");
    expect(chosen).not.toContain(`fe80::${(MAX_ROUTERS + 1).toString(16)}`);
  });
});
