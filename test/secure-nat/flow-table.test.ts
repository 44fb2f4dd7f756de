import { describe, expect, test } from "bun:test";
import { tryParseAddress } from "../../src/base/ip.ts";
import type { Flow, FlowEnds } from "../../src/secure-nat/flow.ts";
import { FlowTable } from "../../src/secure-nat/flow-table.ts";
import { aimed, ipFrame, udpPayload } from "../ip-host/packets.ts";
import { seededRandom } from "../support/seeded-random.ts";

function flowOf(ends: FlowEnds): Flow {
  return {
    ends,
    info: { created: 0, lastUsed: 0, bytesIn: 0, bytesOut: 0 },
    receive: () => undefined,
    flush: () => undefined,
    close: () => undefined,
  };
}

function ends(inner: string, innerPort: number, outer: string, outerPort: number): FlowEnds {
  const [from, to] = [tryParseAddress(inner)!, tryParseAddress(outer)!];
  return { protocol: "udp", inner: from, innerPort, outer: to, outerPort };
}

function packet(source: string, destination: string) {
  const payload = udpPayload({ source, destination }, 1, 2, new Uint8Array(1));
  return aimed(ipFrame({ source, destination, protocol: 17, payload }));
}

describe("FlowTable", () => {
  test("finds the flow of a packet of either version, and none that differs in one thing", () => {
    for (const [inner, outer, other] of [
      ["10.0.0.1", "198.51.100.1", "198.51.100.2"],
      ["fd00::1", "2001:db8::1", "2001:db8:1::1"],
    ] as const) {
      const table = new FlowTable(5);
      const flow = flowOf(ends(inner, 50_000, outer, 53));
      table.add(flow);
      expect(table.find(packet(inner, outer), "udp", 50_000, 53)).toBe(flow);
      expect(table.find(packet(inner, outer), "tcp", 50_000, 53)).toBeUndefined();
      expect(table.find(packet(inner, outer), "udp", 50_001, 53)).toBeUndefined();
      expect(table.find(packet(inner, outer), "udp", 50_000, 54)).toBeUndefined();
      expect(table.find(packet(inner, other), "udp", 50_000, 53)).toBeUndefined();
      expect(() => table.add(flowOf(ends(inner, 50_000, outer, 53)))).toThrow("between its ends");
    }
  });

  test("does what a map does, through growth, removal and emptiness", () => {
    const random = seededRandom(3);
    const table = new FlowTable(17);
    const twin = new Map<string, Flow>();
    const pick = (most: number) => Math.floor(random.fraction() * most);
    for (let step = 0; step < 30_000; step += 1) {
      const [a, b] = [pick(3), pick(40)];
      const key = ends(
        a === 2 ? "fd00::5" : `10.0.0.${a}`,
        1 + pick(60),
        a === 2 ? `2001:db8::${b.toString(16)}` : `198.51.100.${b}`,
        443,
      );
      const text = JSON.stringify([[...key.inner.bytes], key.innerPort, [...key.outer.bytes]]);
      const known = twin.get(text);
      expect(table.findEnds(key)).toBe(known as Flow);
      if (known === undefined) {
        const flow = flowOf(key);
        twin.set(text, flow);
        table.add(flow);
      } else if (step > 20_000 || pick(2) === 0) {
        twin.delete(text);
        expect(table.remove(known)).toBe(true);
        expect(table.remove(known)).toBe(false);
      }
      if (step % 5000 === 4999) {
        for (const flow of twin.values()) table.remove(flow);
        twin.clear();
      }
      expect(table.size).toBe(twin.size);
    }
  });
});
