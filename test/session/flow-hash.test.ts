import { describe, expect, test } from "bun:test";
import { flowHash } from "../../src/session/flow-hash.ts";
import { fromHex } from "../support/hex.ts";

const view = (frame: Uint8Array) => new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
const hash = (frame: Uint8Array) => flowHash(view(frame), 0, frame.length);

const MACS = "5e0000000001" + "5e0000000002";

function ipv4(of: {
  ports?: string;
  protocol?: string;
  fragment?: string;
  rest?: string;
}): Uint8Array {
  const { ports = "c0000050", protocol = "06", fragment = "0000", rest = "00" } = of;
  const header = `45000028abcd${fragment}40${protocol}0000` + "0a000001" + "0a000002";
  return fromHex(`${MACS}0800${header}${ports}${rest.repeat(20)}`);
}

function ipv6(ports: string, next = "11"): Uint8Array {
  const addresses = "20010db8000000000000000000000001" + "20010db8000000000000000000000002";
  return fromHex(`${MACS}86dd60000000000c${next}40${addresses}${ports}0000000000000000`);
}

describe("flowHash()", () => {
  test("is the same for every frame of a flow, and spreads flows by their ports", () => {
    expect(hash(ipv4({ rest: "11" }))).toBe(hash(ipv4({ rest: "22" })));
    for (const make of [(ports: string) => ipv4({ ports }), (ports: string) => ipv6(ports)]) {
      const homes = Array.from({ length: 8 }, () => 0);
      for (let port = 0; port < 800; port++) {
        const ports = (0xc000 + port).toString(16) + "0050";
        const home = (hash(make(ports)) * 8) >>> 16;
        homes[home]!++;
      }
      expect(Math.min(...homes)).toBeGreaterThan(60);
    }
  });

  test("keeps the fragments of a datagram together, which have ports in the first one only", () => {
    const first = ipv4({ protocol: "11", fragment: "2000", ports: "c0000050" });
    const later = ipv4({ protocol: "11", fragment: "0010", ports: "deadbeef" });
    expect(hash(first)).toBe(hash(later));
  });

  test("looks at ports of TCP and UDP only", () => {
    const echo = (ports: string) => hash(ipv4({ protocol: "01", ports }));
    expect(echo("08001234")).toBe(echo("08005678"));
    expect(hash(ipv6("80001234", "3a"))).toBe(hash(ipv6("80005678", "3a")));
  });

  test("takes frames of any length and kind", () => {
    for (let length = 0; length < 80; length++) {
      for (const type of ["0800", "86dd", "0806", "8100"]) {
        const frame = fromHex(MACS + type + "4f".repeat(80)).slice(0, length);
        const found = hash(frame);
        expect(found >= 0 && found < 65_536).toBe(true);
      }
    }
  });
});
