import { expect, test } from "bun:test";
import { BROADCAST } from "../frames.ts";
import type { MacAddress } from "../../../src/base/mac.ts";
import { type AccessRule, sortAccessRules } from "../../../src/config/access-rule.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { AccessWorld, drop, net, user } from "./access-world.ts";
import { ACK, bytesOf, FRAME, type Made, mayPass, SYN } from "./reference.ts";

type Dice = ReturnType<typeof seededRandom>;
const PEOPLE = [
  { user: "alice", group: "staff" },
  { user: "bob", group: "staff" },
  { user: "carol", group: undefined },
  { user: "Local Bridge", group: undefined },
] as const;
const NAMES = ["ALICE", "bob", "staff", "Local Bridge", "nobody"];

function pick<T>(dice: Dice, values: readonly T[]): T {
  return values[dice.below(values.length)]!;
}

function maybe<T>(dice: Dice, make: () => T): T | undefined {
  return dice.below(3) === 0 ? make() : undefined;
}

/** Few enough addresses and ports for rules and frames to meet. */
function address(dice: Dice, family: 4 | 6): string {
  return family === 4
    ? `10.0.${dice.below(3)}.${dice.below(8)}`
    : `2001:db8:${dice.below(2)}::${dice.below(3)}:${dice.below(8)}`;
}

function network(dice: Dice, family: 4 | 6) {
  const prefix =
    family === 4 ? pick(dice, [0, 8, 22, 24, 30, 32]) : pick(dice, [0, 33, 48, 64, 112, 127, 128]);
  return net(`${address(dice, family)}/${prefix}`);
}

const port = (dice: Dice) => pick(dice, [20, 21, 22, 25, 80, 81, 443, 40_000, 65_535]);

function portRange(dice: Dice) {
  const [one, other] = [port(dice), port(dice)];
  return { first: Math.min(one, other), last: Math.max(one, other) };
}

const macOf = (dice: Dice) =>
  (0x02_00_00_00_00_00 + dice.below(4) * 256 + dice.below(3)) as MacAddress;
const macMatch = (dice: Dice) => ({ mac: macOf(dice), prefix: pick(dice, [0, 24, 40, 47, 48]) });

function randomRule(dice: Dice, position: number, usesReceivers: boolean): AccessRule {
  const family = pick(dice, [4, 6, undefined] as const);
  const proto = family === undefined ? undefined : maybe(dice, () => pick(dice, [1, 6, 17, 58]));
  const hasPorts = family !== undefined && (proto === undefined || proto === 6 || proto === 17);
  return {
    ...drop({ priority: position * 100, enable: dice.below(10) > 0 }),
    action: pick(dice, ["pass", "drop"] as const),
    family,
    from: family && maybe(dice, () => network(dice, family)),
    to: family && maybe(dice, () => network(dice, family)),
    proto,
    fromPort: hasPorts ? maybe(dice, () => portRange(dice)) : undefined,
    toPort: hasPorts ? maybe(dice, () => portRange(dice)) : undefined,
    tcpState:
      family !== undefined && (proto === undefined || proto === 6) && dice.below(4) === 0
        ? pick(dice, ["established", "unestablished"] as const)
        : undefined,
    fromMac: dice.below(8) === 0 ? macMatch(dice) : undefined,
    toMac: dice.below(8) === 0 ? macMatch(dice) : undefined,
    fromUser: dice.below(4) === 0 ? user(pick(dice, NAMES)) : undefined,
    toUser: usesReceivers && dice.below(6) === 0 ? user(pick(dice, NAMES)) : undefined,
  };
}

function randomFrame(dice: Dice, sender: number): Made {
  const kind = pick(dice, ["ipv4", "ipv4", "ipv6", "ipv6", "arp", "other"] as const);
  const family = kind === "ipv6" ? 6 : 4;
  return {
    ...FRAME,
    kind,
    // Each sender has MACs of its own.
    fromMac: (0x02_00_00_00_00_00 + sender * 256 + dice.below(3)) as MacAddress,
    toMac: BROADCAST,
    from: address(dice, family),
    to: address(dice, family),
    proto: pick(dice, [1, 6, 6, 17, 58]),
    fromPort: port(dice),
    toPort: port(dice),
    flags: pick(dice, [SYN, ACK, SYN | ACK]),
    isLater: dice.below(6) === 0,
    tag: dice.below(5) === 0 ? 7 : 0,
  };
}

/** One of which every frame meets the first would test nothing else. */
function isNarrow(rule: AccessRule): boolean {
  const asked = [
    rule.from,
    rule.to,
    rule.fromPort,
    rule.toPort,
    rule.fromMac,
    rule.toMac,
    rule.fromUser,
  ];
  return asked.filter((part) => part !== undefined).length >= 2;
}

/** Ranges that hold each other, so that no number parts some from the others. */
function nestedRules(dice: Dice, count: number): readonly AccessRule[] {
  return Array.from({ length: count }, (_, at) => {
    const [depth, width] = [at % 40, Math.floor(at / 40)];
    return {
      ...drop({ priority: at + 1, family: pick(dice, [4, 6] as const) }),
      action: pick(dice, ["pass", "drop"] as const),
      proto: maybe(dice, () => 6),
      fromPort: { first: 20 + depth, last: 40_000 - depth },
      toPort: { first: 20 + width, last: 40_000 - width },
      fromUser: dice.below(9) === 0 ? user(pick(dice, NAMES)) : undefined,
    };
  });
}

function randomRules(dice: Dice, count: number, usesReceivers: boolean): readonly AccessRule[] {
  const rules: AccessRule[] = [];
  while (rules.length < count) {
    const rule = randomRule(dice, rules.length + 1, usesReceivers);
    if (count < 100 || isNarrow(rule)) rules.push(rule);
  }
  return sortAccessRules(rules);
}

test.each([
  { name: "few rules", count: 10, rounds: 20, usesReceivers: false, judgesArp: false },
  { name: "some of receivers", count: 10, rounds: 20, usesReceivers: true, judgesArp: false },
  { name: "many", count: 300, rounds: 4, usesReceivers: false, judgesArp: false },
  { name: "many, and ARP", count: 300, rounds: 4, usesReceivers: true, judgesArp: true },
  { name: "ranges", count: 1600, rounds: 2, usesReceivers: false, judgesArp: false },
  { name: "3000 rules", count: 3000, rounds: 2, usesReceivers: true, judgesArp: true },
])(
  "AccessList agrees with a plain matcher: $name",
  ({ name, count, rounds, usesReceivers, judgesArp }) => {
    let dropped = 0;
    let passed = 0;
    for (let round = 0; round < rounds; round += 1) {
      const dice = seededRandom(round * 7919 + count);
      const rules =
        name === "ranges" ? nestedRules(dice, count) : randomRules(dice, count, usesReceivers);
      const world = new AccessWorld(rules, {
        ApplyIPv4AccessListOnArpPacket: judgesArp ? 1 : 0,
        NoIpTable: 1,
      });
      const ports = PEOPLE.map((person, at) =>
        world.attach(`port-${at}`, { ...person, kind: at === 3 ? "local-bridge" : "bridge" }),
      );
      for (let n = 0; n < 200; n += 1) {
        const sender = dice.below(PEOPLE.length);
        const made = randomFrame(dice, sender);
        const bytes = bytesOf(made);
        // The second time the answer is remembered.
        const times = 1 + dice.below(2);
        for (let i = 0; i < times; i += 1) ports[sender]!.send(bytes);
        for (const [receiver, to] of ports.entries()) {
          if (receiver === sender) continue;
          const isExpected = mayPass(rules, made, PEOPLE[sender]!, PEOPLE[receiver]!, judgesArp);
          const got = to.take().length;
          const what = { round, n, receiver, made, got };
          expect(what).toEqual({ ...what, got: isExpected ? times : 0 });
          if (isExpected) passed += 1;
          else dropped += 1;
        }
      }
      world.close();
    }
    expect(dropped).toBeGreaterThan(100);
    expect(passed).toBeGreaterThan(100);
  },
);
