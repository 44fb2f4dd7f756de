import { describe, expect, test } from "bun:test";
import { MAX_DIAL_ADDRESSES } from "../../src/base/limits.ts";
import {
  HostAddresses,
  resolveHost,
  type AddressFamily,
  type Lookup,
} from "../../src/transport/host-addresses.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** A resolver that answers when the test says so. */
function scriptedLookup() {
  const asked = new Map<4 | 6, PromiseWithResolvers<readonly string[]>>();
  const lookup: Lookup = (_host, family) => {
    const answer = Promise.withResolvers<readonly string[]>();
    asked.set(family, answer);
    return answer.promise;
  };
  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  };
  return {
    lookup,
    asked,
    async answer(family: 4 | 6, ...addresses: string[]) {
      asked.get(family)!.resolve(addresses);
      await settle();
    },
    async fail(family: 4 | 6, text: string) {
      asked.get(family)!.reject(new Error(text));
      await settle();
    },
  };
}

function open(family: AddressFamily = "any", host = "vpn.example.com") {
  const clock = new ManualClock();
  const dns = scriptedLookup();
  return { clock, dns, list: new HostAddresses(host, family, { clock, lookup: dns.lookup }) };
}

function takeAll(list: HostAddresses): string[] {
  const taken: string[] = [];
  for (let one = list.take(); one !== undefined; one = list.take()) taken.push(one);
  return taken;
}

describe("HostAddresses", () => {
  test("FI-11 gives the families in turn, IPv6 first", async () => {
    const { dns, list, clock } = open();
    await dns.answer(6, "2001:db8::1", "2001:db8::2", "2001:db8::3");
    await dns.answer(4, "192.0.2.1", "192.0.2.2");
    expect(takeAll(list)).toEqual([
      "2001:db8::1",
      "192.0.2.1",
      "2001:db8::2",
      "192.0.2.2",
      "2001:db8::3",
    ]);
    expect([list.isComplete, list.failure, clock.pending]).toEqual([true, undefined, 0]);
  });

  test("gives IPv6 as soon as it is known, and IPv4 50 ms later than its answer", async () => {
    const early = open();
    await early.dns.answer(6, "2001:db8::1");
    expect(takeAll(early.list)).toEqual(["2001:db8::1"]);
    expect(early.list.isComplete).toBe(false);
    early.list.close();

    const { dns, list, clock } = open();
    await dns.answer(4, "192.0.2.1");
    expect(takeAll(list)).toEqual([]);
    let changes = 0;
    list.onChange = () => void changes++;
    clock.advance(49);
    expect(changes).toBe(0);
    clock.advance(1);
    expect(changes).toBe(1);
    expect(takeAll(list)).toEqual(["192.0.2.1"]);
    await dns.answer(6, "2001:db8::1");
    expect(changes).toBe(2);
    expect(takeAll(list)).toEqual(["2001:db8::1"]);
    expect(clock.pending).toBe(0);
  });

  test("FI-11 one family's failure costs nothing while the other has an answer", async () => {
    for (const [bad, good, address] of [
      [6, 4, "192.0.2.1"],
      [4, 6, "2001:db8::1"],
    ] as const) {
      const { dns, list } = open();
      await dns.fail(bad, "ESERVFAIL");
      await dns.answer(good, address);
      expect(takeAll(list)).toEqual([address]);
      expect(list.failure).toBeUndefined();
    }
  });

  test("FI-11 addresses of the wrong family, doubles and what is no address are dropped", async () => {
    const { dns, list } = open("ipv4");
    expect([...dns.asked.keys()]).toEqual([4]);
    await dns.answer(4, "2001:db8::1", "192.0.2.1", "example", "192.0.2.1", "");
    expect(takeAll(list)).toEqual(["192.0.2.1"]);
  });

  test("FI-11 tells why there is no address", async () => {
    const { dns, list } = open();
    await dns.fail(4, "ENOTFOUND vpn.example.com");
    await dns.fail(6, "ENOTFOUND vpn.example.com");
    expect(list.failure).toMatchObject({
      code: "resolve_failed",
      message: "Cannot find the address of vpn.example.com: ENOTFOUND vpn.example.com",
    });
    const wrong = open("ipv6");
    await wrong.dns.answer(6, "192.0.2.1");
    expect(wrong.list.failure?.message).toEndWith("it has none of this family");
  });

  test("FI-11 a name server that says nothing is given up after 10 s", async () => {
    const { list, clock } = open();
    clock.advance(9_999);
    expect(list.isComplete).toBe(false);
    clock.advance(1);
    expect(list.isComplete).toBe(true);
    expect(list.failure?.message).toEndWith("the name server does not answer");
    expect(clock.pending).toBe(0);
  });

  test("keeps no more than the limit, and takes none twice", async () => {
    const { dns, list } = open("ipv4");
    const many = Array.from({ length: 100 }, (_, at) => `192.0.2.${at}`);
    await dns.answer(4, ...many, ...many);
    expect(takeAll(list)).toEqual(many.slice(0, MAX_DIAL_ADDRESSES));
  });

  test("giveBack() puts an address in front again", async () => {
    const { dns, list } = open("ipv4");
    await dns.answer(4, "192.0.2.1", "192.0.2.2");
    list.giveBack(list.take()!);
    expect(takeAll(list)).toEqual(["192.0.2.1", "192.0.2.2"]);
  });

  test("a literal asks nobody, whatever family is wanted", () => {
    for (const literal of ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"]) {
      const { dns, list, clock } = open("ipv4", literal);
      expect([dns.asked.size, clock.pending, list.isComplete]).toEqual([0, 0, true]);
      expect(takeAll(list)).toEqual([literal]);
    }
  });

  test("close() leaves no timer and tells nobody", async () => {
    const { dns, list, clock } = open();
    list.onChange = () => {
      throw new Error("told");
    };
    await dns.answer(4, "192.0.2.1");
    list.close();
    expect(clock.pending).toBe(0);
    await dns.answer(6, "2001:db8::1");
  });
});

describe("resolveHost()", () => {
  test("gives literals as they are, and the addresses of a family", async () => {
    expect(await resolveHost("192.0.2.1", "ipv6")).toEqual(["192.0.2.1"]);
    expect(await resolveHost("2001:db8::1", "any")).toEqual(["2001:db8::1"]);
    expect(await resolveHost("localhost", "ipv4")).toEqual(["127.0.0.1"]);
  });
});
