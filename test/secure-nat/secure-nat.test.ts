import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import type { SecureNatConfig } from "../../src/config/secure-nat-config.ts";
import { NO_OWN_PLACES } from "../../src/secure-nat/destination-rule.ts";
import { SecureNat } from "../../src/secure-nat/secure-nat.ts";
import { HOST_MAC, ipFrame, udpPayload } from "../ip-host/packets.ts";
import { runOf } from "../support/array-port.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { FAKE_NAT_MEMORY } from "../support/nat-memory.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { ensureWasm } from "../wasm/compiled.ts";
import { secureNatConfig } from "./config.ts";

await ensureWasm();

const opened: (() => unknown)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});

function open(more: Partial<SecureNatConfig> = {}) {
  const clock = new ManualClock();
  const nothing = () => undefined;
  const config = { ...secureNatConfig(), mac: HOST_MAC, ...more };
  const nat = new SecureNat(config, {
    hub: "H",
    clock,
    random: seededRandom(1),
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    identity: FAKE_NAT_MEMORY.identity("H"),
    compat: { natErrors: false, dhcp: false },
    own: NO_OWN_PLACES,
    hostName: () => "gate",
    leases: FAKE_NAT_MEMORY.leases("H"),
    userAddressOf: nothing,
    events: { began: nothing, finished: nothing },
  });
  opened.push(() => nat.close());
  const give = (...frames: Uint8Array[]) => {
    nat.port.deliver(runOf(frames));
    nat.port.flush();
  };
  return { clock, config, give, nat };
}

/** Descriptors of epoll(7): others of this process come and go with what other tests left to be closed. */
function openPolls(): number {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The one that read the folder.
      return "";
    }
  });
  return targets.filter((target) => target === "anon_inode:[eventpoll]").length;
}

describe("SecureNat", () => {
  test("leaves no poll and no timer when it is closed", () => {
    // What all of the process share is opened with the first.
    open().nat.close();
    const before = openPolls();
    const { clock, nat } = open();
    nat.start();
    expect(openPolls()).toBe(before + 1);
    nat.close();
    nat.close();
    expect([openPolls(), clock.pending]).toEqual([before, 0]);
  });

  test("IP-18: ends what leads where guests may no longer go", () => {
    const { config, give, nat } = open({ allowHost: true });
    const ends = { source: "192.168.30.10", destination: "100.100.100.200" };
    const payload = udpPayload(ends, 4711, 9, Uint8Array.of(1));
    const frame = ipFrame({ ...ends, protocol: 17, payload });
    give(frame);
    expect(nat.entries).toHaveLength(1);
    expect(nat.reconfigure({ ...config, allowHost: false })).toBe(true);
    expect(nat.entries).toEqual([]);
    give(frame);
    expect(nat.entries).toEqual([]);
  });
});
