import { beforeEach, describe, expect, test } from "bun:test";
import { ServerNames } from "../../src/client/server-names.ts";
import { ManualClock } from "../support/manual-clock.ts";

const HOST = "vpn.example";
let clock: ManualClock;
let asked: string[];
let answer: () => Promise<readonly string[]>;

beforeEach(() => {
  clock = new ManualClock();
  asked = [];
  answer = async () => ["203.0.113.7"];
});

function names(rememberFirst: boolean): ServerNames {
  return new ServerNames({
    clock,
    rememberFirst,
    lookup(host, family) {
      asked.push(`${host} ${family}`);
      return answer();
    },
  });
}

describe("ServerNames.find()", () => {
  test("asks each time where name servers stay as they are", async () => {
    const memory = names(false);
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.7"]);
    answer = async () => ["203.0.113.8"];
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.8", "203.0.113.7"]);
    expect(asked).toEqual(["vpn.example 4", "vpn.example 4"]);
  });

  test("remembers where no name server answers, FI-11", async () => {
    const memory = names(false);
    await memory.find(HOST, 4);
    answer = () => Promise.reject(new Error("SERVFAIL"));
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.7"]);
    expect(memory.find(HOST, 6)).rejects.toThrow("SERVFAIL");
  });

  test("waits five seconds for an answer", async () => {
    const memory = names(false);
    await memory.find(HOST, 4);
    answer = () => new Promise(() => undefined);
    const found = memory.find(HOST, 4);
    const unknown = memory.find("other.example", 4);
    clock.advance(4_999);
    let isSettled = false;
    void found.then(() => (isSettled = true));
    await Promise.resolve();
    expect(isSettled).toBe(false);
    clock.advance(1);
    expect(await found).toEqual(["203.0.113.7"]);
    expect(unknown).rejects.toThrow("does not answer");
  });

  test("gives what it remembers once before it asks, where the tunnel has the name servers", async () => {
    const memory = names(true);
    await memory.find(HOST, 4);
    memory.confirm();
    answer = async () => ["203.0.113.8"];
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.7"]);
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.8", "203.0.113.7"]);
    memory.confirm();
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.8", "203.0.113.7"]);
    expect(asked).toHaveLength(2);
  });

  test("learns what moved while a session stands, and keeps what nobody answers for", async () => {
    const memory = names(true);
    await memory.find(HOST, 4);
    memory.confirm();
    answer = async () => ["203.0.113.8"];
    await memory.refresh();
    answer = () => Promise.reject(new Error("SERVFAIL"));
    await memory.refresh();
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.8", "203.0.113.7"]);
    expect(asked).toHaveLength(3);
  });

  test("begins with what another process dialled, by family", async () => {
    const memory = names(true);
    memory.inherit(["2001:db8::7", "203.0.113.9"]);
    expect(await memory.find(HOST, 4)).toEqual(["203.0.113.9"]);
    expect(await memory.find(HOST, 6)).toEqual(["2001:db8::7"]);
    expect(asked).toEqual([]);
  });
});
