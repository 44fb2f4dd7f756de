// The IP table beside a plain model of hub.md 2.8 that remembers nothing of the frame before.
import { describe, expect, test } from "bun:test";
import { formatAddress } from "../../src/base/ip.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import { BROADCAST, frame, ipv4, ipv6, lan, linkLocal, mac } from "../hub/frames.ts";
import { type Plugged, World } from "../hub/world.ts";
import { seededRandom } from "../support/seeded-random.ts";

const STEPS = 3000;
const ADDRESSES = 6;
const STATIONS = 4;
/** Whole seconds: within one of them a known address is not looked up again, and its time stays. */
const PAUSES_MS = [1000, 2000, 5000, 13_000, 40_000];

interface Entry {
  readonly port: Plugged;
  readonly updated: number;
}

class PlainTable {
  readonly entries = new Map<string, Entry>();

  expire(now: number): void {
    for (const [address, { updated }] of this.entries)
      if (now - updated > 60_000) this.entries.delete(address);
  }

  /** Whether the frame passes; notes its source if so. */
  admit(address: string, port: Plugged, now: number): boolean {
    this.expire(now);
    const entry = this.entries.get(address);
    const { check_ip, check_ipv6 } = port.at.policy;
    const isChecked = address.includes(":") ? check_ipv6 : check_ip;
    const isTaken = entry !== undefined && entry.port !== port;
    if (isTaken && isChecked && now - entry.updated < 13_000) return false;
    this.entries.set(address, { port, updated: now });
    return true;
  }
}

/** Numbers below `n`, the same ones each time. */
function dice(seed: number): (n: number) => number {
  const random = seededRandom(seed);
  return (n) => new DataView(random.bytes(4).buffer).getUint32(0) % n;
}

describe("IpAdmission agrees with the plain model over frames, pauses, policies, deletions and departures", () => {
  test.each([1, 2, 3, 4, 5])("seed %d", (seed) => {
    const roll = dice(seed);
    const world = new World();
    const plain = new PlainTable();
    const listener = world.attach("monitor");
    const policyAtWill = (): Partial<Policy> => ({
      check_ip: roll(2) === 0,
      check_ipv6: roll(2) === 0,
    });
    const ports = Array.from({ length: 4 }, () => world.attach("bridge", policyAtWill()));
    for (let step = 0; step < STEPS; step += 1) {
      const at = roll(ports.length);
      const port = ports[at]!;
      const choice = roll(100);
      const n = roll(ADDRESSES) + 1;
      const isV6 = roll(2) === 0;
      const address = isV6 ? `fe80::${n}` : `192.168.0.${n}`;
      if (choice < 80) {
        // Stations do not move here: that is another table's matter.
        const station = at * STATIONS + roll(STATIONS) + 1;
        const source = { to: BROADCAST, from: mac(station) };
        listener.take();
        port.send(isV6 ? ipv6({ ...source, ip: linkLocal(n) }) : ipv4({ ...source, ip: lan(n) }));
        const passes = plain.admit(address, port, world.now);
        expect([step, listener.take().length]).toEqual([step, passes ? 1 : 0]);
      } else if (choice < 92) world.now += PAUSES_MS[roll(PAUSES_MS.length)]!;
      else if (choice < 95)
        port.at.reconfigure({ ...DEFAULT_POLICY, ...port.at.policy, ...policyAtWill() });
      else if (choice < 98) {
        plain.expire(world.now);
        const found = world.hub
          .ipTable()
          .find((one) => formatAddress(one.address.bytes) === address);
        expect([step, found !== undefined]).toEqual([step, plain.entries.delete(address)]);
        if (found !== undefined) expect(world.hub.removeIp(found.address)).toBe(true);
      } else {
        port.at.detach();
        for (const [key, entry] of plain.entries)
          if (entry.port === port) plain.entries.delete(key);
        ports[at] = world.attach("bridge", policyAtWill());
        ports[at]!.send(frame({ to: BROADCAST, from: mac(at * STATIONS + 1) }));
      }
      if (step % 50 !== 0) continue;
      plain.expire(world.now);
      const rows = world.hub
        .ipTable()
        .map((one) => `${formatAddress(one.address.bytes)} ${one.port.name}`);
      const wanted = [...plain.entries].map(([key, entry]) => `${key} ${entry.port.name}`);
      expect(rows.sort()).toEqual(wanted.sort());
    }
  });
});
