import { describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { tryParseAddress } from "../../src/base/ip.ts";
import {
  DestinationRule,
  NO_OWN_PLACES,
  type OwnPlaces,
} from "../../src/secure-nat/destination-rule.ts";
import { ManualClock } from "../support/manual-clock.ts";

const bytesOf = (text: string) => tryParseAddress(text)!.bytes;

function ask(rule: DestinationRule, text: string, port = 80): string | undefined {
  const address = bytesOf(text);
  // Where packets are looked at the address lies in the middle of others.
  const bytes = new Uint8Array(40).fill(0xaa);
  bytes.set(address, 7);
  return rule.refuses(bytes, 7, address.length === 4 ? 4 : 16, port);
}

const REFUSED: readonly [string, string][] = [
  ["0.0.0.0", "nowhere"],
  ["0.1.2.3", "nowhere"],
  ["127.0.0.1", "loopback"],
  ["127.255.255.254", "loopback"],
  ["169.254.169.254", "link_local"],
  ["169.254.0.1", "link_local"],
  ["100.100.100.200", "metadata"],
  ["168.63.129.16", "metadata"],
  ["192.0.0.192", "metadata"],
  ["224.0.0.1", "nowhere"],
  ["239.255.255.250", "nowhere"],
  ["240.0.0.1", "nowhere"],
  ["255.255.255.255", "nowhere"],
  ["::", "nowhere"],
  ["::1", "loopback"],
  ["::2", "nowhere"],
  ["::7f00:1", "nowhere"],
  ["::ffff:127.0.0.1", "nowhere"],
  ["::ffff:8.8.8.8", "nowhere"],
  ["fe80::1", "link_local"],
  ["febf::1", "link_local"],
  ["ff02::1", "nowhere"],
  ["fd00:ec2::254", "metadata"],
  ["fd20:ce::254", "metadata"],
  ["64:ff9b::7f00:1", "loopback"],
  ["64:ff9b::a9fe:a9fe", "link_local"],
  ["64:ff9b:1::a9fe:a9fe", "link_local"],
  ["64:ff9b::6464:64c8", "metadata"],
  ["2002:7f00:1::1", "loopback"],
  ["2002:a9fe:a9fe::", "link_local"],
  ["2002:e000:1::", "nowhere"],
];

const ALLOWED = [
  "1.1.1.1",
  "10.0.0.1",
  "126.255.255.255",
  "128.0.0.1",
  "169.253.255.255",
  "169.255.0.1",
  "192.168.30.20",
  "223.255.255.255",
  "2001:db8::1",
  "64:ff9b::808:808",
  "2002:808:808::1",
  "fd00::1",
  "fec0::1",
];

describe("DestinationRule.refuses()", () => {
  const rule = new DestinationRule(new ManualClock(), { allowHost: false }, () => []);
  const open = new DestinationRule(new ManualClock(), { allowHost: true }, () => []);

  test.each(REFUSED)("IP-18 refuses %s as %s", (address, reason) => {
    expect(ask(rule, address)).toBe(reason);
    expect(ask(rule, address, 0)).toBe(reason);
    // What no host can have stays refused where all else is allowed.
    expect(ask(open, address)).toBe(reason === "nowhere" ? "nowhere" : undefined);
  });

  test.each(ALLOWED)("lets guests reach %s", (address) => {
    expect(ask(rule, address)).toBeUndefined();
  });
});

describe("DestinationRule with places of its own", () => {
  const clock = new ManualClock();
  let addresses = ["203.0.113.5", "2001:db8::5"];
  let reads = 0;
  const read = () => {
    reads += 1;
    return addresses.map(bytesOf);
  };
  const own: OwnPlaces = {
    listeningPorts: () => new Set([443, 5555]),
    tunnelServers: () => [{ address: tryParseAddress("198.51.100.9")!, port: 992 }],
  };
  const rule = new DestinationRule(clock, { allowHost: false, own }, read);

  test("IP-18 refuses ports of the server by each address of the machine, and no others", () => {
    expect(ask(rule, "203.0.113.5", 443)).toBe("own_port");
    expect(ask(rule, "2001:db8::5", 5555)).toBe("own_port");
    expect(ask(rule, "203.0.113.5", 22)).toBeUndefined();
    expect(ask(rule, "203.0.113.6", 443)).toBeUndefined();
    expect(ask(rule, "203.0.113.5", 0)).toBeUndefined();
  });

  test("IP-18 refuses the server at the other end of an own tunnel, by its port", () => {
    expect(ask(rule, "198.51.100.9", 992)).toBe("own_tunnel");
    expect(ask(rule, "198.51.100.9", 443)).toBeUndefined();
    expect(ask(rule, "198.51.100.8", 992)).toBeUndefined();
  });

  test("asks the system at most once a second, and sees addresses that came", () => {
    ask(rule, "203.0.113.5", 443);
    const before = reads;
    addresses = ["203.0.113.77"];
    for (let n = 0; n < 100; n += 1) ask(rule, "203.0.113.77", 443);
    expect(reads).toBe(before);
    clock.advance(1000);
    expect(ask(rule, "203.0.113.77", 443)).toBe("own_port");
    expect(ask(rule, "203.0.113.5", 443)).toBeUndefined();
    expect(reads).toBe(before + 1);
  });

  test("does not ask the system about ports that the server has not", () => {
    const before = reads;
    clock.advance(5000);
    for (let port = 1; port < 400; port += 1) ask(rule, "203.0.113.77", port);
    expect(reads).toBe(before);
  });

  test("allows all of it where the setting does", () => {
    const open = new DestinationRule(clock, { allowHost: true, own }, read);
    expect(ask(open, "203.0.113.77", 443)).toBeUndefined();
    expect(ask(open, "198.51.100.9", 992)).toBeUndefined();
  });

  test("knows the addresses of this machine by itself", () => {
    const real = new DestinationRule(clock, {
      allowHost: false,
      own: { ...NO_OWN_PLACES, listeningPorts: () => new Set([443]) },
    });
    const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
    for (const { address, internal, scopeid } of addresses) {
      if (internal || (scopeid ?? 0) !== 0) continue;
      expect(ask(real, address, 443)).toBe("own_port");
    }
    // TEST-NET-2 is nobody's.
    expect(ask(real, "198.51.100.1", 443)).toBeUndefined();
  });
});
