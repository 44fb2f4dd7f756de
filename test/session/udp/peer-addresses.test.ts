import { describe, expect, test } from "bun:test";
import { PACKET_BYTES, reserve } from "../../../src/platform/packet-memory.ts";
import { decodeSocketAddress, encodeSocketAddress } from "../../../src/platform/socket-address.ts";
import { formatAddress } from "../../../src/base/ip.ts";
import { readNattNote } from "../../../src/session/udp/natt-note.ts";
import { PeerAddresses } from "../../../src/session/udp/peer-addresses.ts";

const at = reserve(28);

function others(addresses: PeerAddresses): string[] {
  return [...addresses.others()].map((bytes) => {
    const address = decodeSocketAddress(bytes)!;
    return `${formatAddress(address.bytes)}:${address.port}`;
  });
}

function follow(addresses: PeerAddresses, ip: readonly number[], port: number): void {
  const family = ip.length === 4 ? 4 : 6;
  PACKET_BYTES.set(encodeSocketAddress({ family, bytes: Uint8Array.from(ip), port }), at);
  addresses.follow(at);
}

describe("PeerAddresses", () => {
  test("the first IP and port are where datagrams go, the others are tried in all combinations", () => {
    const addresses = new PeerAddresses(4);
    expect(addresses.current).toBeUndefined();
    addresses.addIp("192.0.2.1");
    expect(addresses.current).toBeUndefined();
    addresses.addPort(40_000);
    addresses.addIp("::ffff:198.51.100.7");
    addresses.addPort(50_000);
    addresses.addPort(50_000);
    expect(addresses.text).toBe("192.0.2.1:40000");
    expect(others(addresses)).toEqual([
      "192.0.2.1:50000",
      "198.51.100.7:40000",
      "198.51.100.7:50000",
    ]);
  });

  test("follow() makes the sender of a datagram the peer's address", () => {
    const addresses = new PeerAddresses(4);
    addresses.addIp("192.0.2.1");
    addresses.addPort(40_000);
    follow(addresses, [203, 0, 113, 9], 1_234);
    expect(addresses.text).toBe("203.0.113.9:1234");
    expect(others(addresses)).toEqual(["192.0.2.1:40000"]);
  });

  test("a peer names no crowd, no other family and no more than three of each", () => {
    const addresses = new PeerAddresses(4);
    for (const ip of [
      "0.0.0.0",
      "224.0.0.1",
      "255.255.255.255",
      "2001:db8::1",
      "text",
      undefined,
    ]) {
      addresses.addIp(ip);
    }
    for (const port of [0, 65_536, undefined]) addresses.addPort(port);
    expect([addresses.current, others(addresses)]).toEqual([undefined, []]);
    for (let n = 1; n < 9; n += 1) {
      addresses.addIp(`192.0.2.${n}`);
      addresses.addPort(n);
    }
    expect(others(addresses)).toBeArrayOfSize(8);
    const v6 = new PeerAddresses(6);
    for (const ip of ["ff02::1", "::", "192.0.2.1"]) v6.addIp(ip);
    v6.addIp("2001:db8::1");
    v6.addPort(7);
    expect(v6.text).toBe("[2001:db8::1]:7");
  });
});

describe("readNattNote()", () => {
  const text = (words: string) => [...new TextEncoder().encode(words)];
  const port = [...text("NATT_MY_PORT"), 0x30, 0x39];
  const ip = [...text("NATT_MY_IP"), ...Array<number>(10).fill(0), 255, 255, 198, 51, 100, 7];

  test.each([
    ["both", [...port, ...ip, 1, 2, 3], { port: 12_345, ip: "198.51.100.7" }],
    ["a port alone", port, { port: 12_345, ip: undefined }],
    ["an IP alone", ip, { port: undefined, ip: "198.51.100.7" }],
    ["neither", [1, 2, 3], { port: undefined, ip: undefined }],
    ["nothing", [], { port: undefined, ip: undefined }],
    ["a port cut short", port.slice(0, -1), { port: undefined, ip: undefined }],
    ["an IP cut short", [...port, ...ip.slice(0, -1)], { port: 12_345, ip: undefined }],
  ])("reads %s", (_, body, expected) => {
    expect(readNattNote(Uint8Array.from(body))).toEqual(expected);
  });
});
