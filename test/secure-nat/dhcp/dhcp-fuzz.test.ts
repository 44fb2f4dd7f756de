import { expect, test } from "bun:test";
import { formatIpv4, type Ipv4 } from "../../../src/base/ip.ts";
import { DHCP_OPTION, encodeAddresses } from "../../../src/wire/dhcp-option.ts";
import { DHCP_TYPE, type DhcpMessage, encodeDhcp, tryParseDhcp } from "../../../src/wire/dhcp.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { DhcpWorld, ip, mac } from "./world.ts";

// What must hold whatever guests say: no two of them have one address, nobody has one that is not to be had, and nothing
// is thrown. Its seed makes each run the same.

const TYPES = Object.keys(DHCP_TYPE) as (keyof typeof DHCP_TYPE)[];

function isSound(world: DhcpWorld): void {
  const leases = world.server.list();
  expect(new Set(leases.map(({ address }) => address)).size).toBe(leases.length);
  expect(new Set(leases.map(({ mac: of }) => of)).size).toBe(leases.length);
  for (const { address, origin } of leases) {
    const isOfPool = world.config.dhcp.first <= address && address <= world.config.dhcp.last;
    expect([formatIpv4(address), origin === "user" ? !isOfPool : isOfPool]).toEqual([
      formatIpv4(address),
      true,
    ]);
  }
}

test("any order of messages from 40 hosts on a pool of 20 keeps every address with one of them", () => {
  const random = seededRandom(2131);
  using world = new DhcpWorld({
    first: ip("192.168.30.10"),
    last: ip("192.168.30.29"),
    leaseMs: 60_000,
    probeMs: 200,
  });
  world.users.set(mac(39), ip("192.168.30.240"));
  const granted = new Map<number, string>();
  for (let step = 0; step < 10_000; step += 1) {
    const client = random.below(40);
    const some = `192.168.30.${8 + random.below(24)}`;
    const said = world.ask({
      type: TYPES[random.below(TYPES.length)]!,
      client,
      ...(random.below(2) === 0 ? { wants: some } : {}),
      ...(random.below(3) === 0 ? { ciaddr: granted.get(client) ?? some } : {}),
      ...(random.below(4) === 0 ? { server: `192.168.30.${1 + random.below(2)}` } : {}),
    });
    if (said?.type === "ACK" && said.address !== "0.0.0.0") granted.set(client, said.address);
    const probe = random.below(3) === 0 ? world.probes.shift() : undefined;
    probe?.done([undefined, mac(random.below(40))][random.below(2)]);
    world.clock.advance(random.below(2_000));
    if (step % 100 === 0) isSound(world);
    if (random.below(2_000) === 0) world.restart(random.below(2) === 0 ? "close" : "kill");
    if (random.below(200) === 0) world.server.sessionEnded(mac(39));
    if (random.below(200) === 0) world.server.remove(ip(some));
  }
  isSound(world);
  expect(world.said.length).toBeGreaterThan(1_000);
});

test("20,000 damaged messages are dropped or answered, and nothing is thrown", () => {
  const random = seededRandom(3396);
  using world = new DhcpWorld();
  const base: DhcpMessage = {
    op: "request",
    type: DHCP_TYPE.DISCOVER,
    xid: 1,
    secs: 0,
    wantsBroadcast: false,
    ciaddr: 0 as Ipv4,
    yiaddr: 0 as Ipv4,
    siaddr: 0 as Ipv4,
    giaddr: 0 as Ipv4,
    chaddr: mac(1),
    options: new Map([
      [DHCP_OPTION.REQUESTED_ADDRESS, encodeAddresses([ip("192.168.30.20")])],
      [DHCP_OPTION.HOST_NAME, new TextEncoder().encode("host")],
      [DHCP_OPTION.CLIENT_ID, new Uint8Array([1, 2, 3])],
      [DHCP_OPTION.PARAMETER_LIST, new Uint8Array([1, 3, 6, 121])],
      [DHCP_OPTION.MAX_MESSAGE_SIZE, new Uint8Array([5, 220])],
    ]),
  };
  for (let n = 0; n < 20_000; n += 1) {
    const bytes = encodeDhcp({ ...base, type: (1 + random.below(8)) as DhcpMessage["type"] });
    for (let damage = random.below(6); damage > 0; damage -= 1) {
      // Most of the damage goes where there is something to be read.
      const at = random.below(4) === 0 ? random.below(240) : 236 + random.below(50);
      bytes[at] = random.below(256);
    }
    const end = random.below(10) === 0 ? random.below(bytes.length) : bytes.length;
    world.server.receive(bytes.subarray(0, end), {
      mac: mac(random.below(3_000)),
      sourceIp: [0, 0xc0a8_1e14, 0xffff_ffff][random.below(3)] as Ipv4,
      sourcePort: 68,
    });
    world.clock.advance(1);
  }
  isSound(world);
  const { malformed, offers, acks, naks } = world.server.counters;
  expect(Math.min(malformed, offers, acks, naks)).toBeGreaterThan(100);
  expect(world.log.filter(({ level }) => level === "warn").length).toBeLessThan(5);
  for (const { reply } of world.said.slice(-500)) expect(tryParseDhcp(reply.message)).toBeDefined();
});
