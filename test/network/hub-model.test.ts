import { expect, test } from "bun:test";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import type { PortKind } from "../../src/hub/port-identity.ts";
import { arp, BROADCAST, frame, ipv4, ipv6, lan, mac } from "../hub/frames.ts";
import { CLIENT_MODE, type Plugged, World } from "../hub/world.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { PlainHub, PlainPort } from "./plain-hub.ts";

const KINDS: readonly PortKind[] = [
  "client",
  "client",
  "client",
  "bridge",
  "bridge",
  "monitor",
  "local-bridge",
  "cascade",
  "secure-nat",
  "l3",
];
const POLICIES: readonly Partial<Policy>[] = [
  {},
  CLIENT_MODE,
  { max_mac: 5 },
  { check_mac: true },
  { no_routing: true },
];
const SEEDS = [1, 2, 3, 4, 5, 6];
const STEPS = 4000;
const MAX_PORTS = 7;

type Dice = ReturnType<typeof seededRandom>;

/** A frame out of a small world, so that MACs meet, move and overflow; one in twelve is broken. */
function roll(dice: Dice): Uint8Array {
  const to = [mac(dice.below(12)), mac(dice.below(12)), BROADCAST, 0x01005e000001][dice.below(4)]!;
  const from = mac(dice.below(12) + 1);
  const tags = [[], [], [], [200], [300]][dice.below(5)]!;
  const addressing = { to, from, tags };
  switch (dice.below(12)) {
    case 0:
      return broken(dice, addressing);
    case 1:
    case 2:
      return arp({ ...addressing, ip: lan(dice.below(8) + 1) });
    case 3:
    case 4:
    case 5:
      return ipv4({ ...addressing, ip: lan(dice.below(8) + 1) });
    case 6:
    case 7:
      return ipv6({ ...addressing, ip: [0x2001, 0xdb8, 0, 0, 0, 0, 0, dice.below(20) + 1] });
    default:
      return frame({ ...addressing, size: 14 + tags.length * 4 + dice.below(400) });
  }
}

function broken(dice: Dice, parts: { to: number; from: number; tags: number[] }): Uint8Array {
  switch (dice.below(7)) {
    case 0:
      return frame(parts).subarray(0, dice.below(14));
    case 1:
      return frame({ ...parts, size: 1601 + dice.below(1000) });
    case 2:
      return frame({ ...parts, from: [0, BROADCAST, 0x01005e000009, parts.to][dice.below(4)]! });
    case 3:
      return frame({ ...parts, to: 0x0180c2000001 });
    case 4:
      return frame({ ...parts, tags: [200], size: 14 + dice.below(4) });
    case 5:
      return frame({ ...parts, type: dice.below(60), size: 60 });
    default:
      return ipv4({ ...parts, ip: lan(1), tags: [] }).subarray(0, 14 + dice.below(20));
  }
}

test.each(SEEDS)("Hub agrees with the plain model over attach, frame, detach: seed %d", (seed) => {
  const dice = seededRandom(seed);
  const world = new World();
  const plain = new PlainHub();
  const pairs: [Plugged, PlainPort][] = [];
  const seen = new Set<string>();

  const attach = () => {
    const kind = KINDS[dice.below(KINDS.length)]!;
    // The broadcast limiter has tests of its own (storm-limiter.test.ts).
    const limiter = { no_broadcast_limiter: true };
    const policy = { ...DEFAULT_POLICY, ...limiter, ...POLICIES[dice.below(POLICIES.length)] };
    const model = new PlainPort(kind, policy);
    plain.ports.add(model);
    pairs.push([world.attach(kind, policy), model]);
  };
  const detach = (at: number) => {
    const [[port, model]] = pairs.splice(at, 1) as [[Plugged, PlainPort]];
    compare(port, model);
    port.at.detach();
    plain.detach(model);
  };
  const compare = (port: Plugged, model: PlainPort) => {
    expect(port.take()).toEqual(model.received.splice(0));
    expect(world.drops(port)).toEqual(model.drops);
    for (const reason of Object.keys(model.drops)) seen.add(reason);
  };

  for (let step = 0; step < STEPS; step += 1) {
    const what = dice.below(60);
    if (pairs.length < 2 || (what === 0 && pairs.length < MAX_PORTS)) attach();
    if (what === 1 && pairs.length > 2) detach(dice.below(pairs.length));
    // Mostly well under the 13 s of ownership, now and then past an age.
    world.now += [0, 1, 40, 3000][dice.below(4)]!;
    if (what === 2) world.now += [14_000, 60_001, 600_001][dice.below(3)]!;
    const [port, model] = pairs[dice.below(pairs.length)]!;
    if (what === 3) model.isReady = port.ready = !port.ready;
    const frames = Array.from({ length: 1 + dice.below(8) }, () => roll(dice));
    if (dice.below(4) === 0) frames.push(...Array(dice.below(40)).fill(frames.at(-1)));
    port.send(...frames);
    for (const bytes of frames) plain.forward(bytes, model, world.now);
    for (const [each, twin] of pairs) compare(each, twin);
    expect(world.hub.macTable().length).toBe(live(plain, world.now));
  }
  // A model that never sees a rule at work proves nothing about it.
  for (const reason of ["frame_length", "frame_header", "src_mac", "mac_spoof", "mac_limit"])
    expect(seen).toContain(reason);
  for (const reason of ["same_port", "queue_full", "ip_limit", "pause_frame", "monitor_port"])
    expect(seen).toContain(reason);
});

function live(plain: PlainHub, now: number): number {
  return [...plain.stations.values()].filter(({ updated }) => now - updated <= 600_000).length;
}
