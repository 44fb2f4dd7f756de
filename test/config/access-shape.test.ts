import { describe, expect, test } from "bun:test";
import { formatMac } from "../../src/base/mac.ts";
import { faultsOf, readServer } from "./fixture.ts";

const rulesOf = (text: string) => readServer(text).config.hubs[0]!.access;
/** One rule; `keys` are its lines besides the action. */
const ruleOf = (...keys: string[]) =>
  rulesOf(`[[hub.a.access]]\naction = "pass"\n${keys.join("\n")}`);
const faultOf = (...keys: string[]) =>
  faultsOf(() => readServer(`[[hub.a.access]]\naction = "pass"\n${keys.join("\n")}`));

describe("access reads", () => {
  test("every key", () => {
    const rules = rulesOf(`
      [[hub.a.access]]
      action = "pass"
      from = "10.1.2.3/8"
      to = "192.0.2.0/24"
      from_user = "alice"
      to_user = "include:names.txt"
      from_mac = "02-00-5e-00-53-01"
      to_mac = "02:00:5e:00:00:00/ff:ff:ff:00:00:00"
      proto = "tcp"
      from_port = "1024-65535"
      to_port = 80
      tcp_state = "established"
      family = "ipv4"
      delay = "10s"
      jitter = 100
      loss = 5
      redirect = "http://portal.example/?<INFO>|SECRET"
      priority = 7
      enable = false
      note = "all of it"`);
    expect(rules).toHaveLength(1);
    expect(rules[0]).toMatchObject({
      action: "pass",
      family: 4,
      from: { family: 4, prefix: 8 },
      to: { family: 4, prefix: 24 },
      fromUser: { kind: "name", name: "alice" },
      toUser: { kind: "include", path: "/etc/vpn/names.txt" },
      fromMac: { prefix: 48 },
      toMac: { prefix: 24 },
      proto: 6,
      fromPort: { first: 1024, last: 65_535 },
      toPort: { first: 80, last: 80 },
      tcpState: "established",
      delayMs: 10_000,
      jitterPercent: 100,
      lossPercent: 5,
      redirect: "http://portal.example/?<INFO>|SECRET",
      priority: 7,
      enable: false,
      note: "all of it",
    });
    expect(formatMac(rules[0]!.fromMac!.mac)).toBe("02:00:5e:00:53:01");
  });

  test("one rule of each family where both are meant", () => {
    expect(ruleOf('proto = "tcp"').map(({ family }) => family)).toEqual([4, 6]);
    expect(ruleOf('family = "both"', "to_port = 25").map(({ family }) => family)).toEqual([4, 6]);
    expect(ruleOf('proto = "icmp"').map(({ family, proto }) => [family, proto])).toEqual([[4, 1]]);
    expect(ruleOf('proto = "icmpv6"').map(({ family, proto }) => [family, proto])).toEqual([
      [6, 58],
    ]);
    expect(ruleOf('to = "2001:db8::/32"').map(({ family }) => family)).toEqual([6]);
    expect(ruleOf('family = "ipv6"').map(({ family }) => family)).toEqual([6]);
  });

  test("one rule for frames of every kind where no layer above Ethernet is named", () => {
    expect(ruleOf('from_user = "alice"').map(({ family }) => family)).toEqual([undefined]);
    expect(ruleOf('family = "both"').map(({ family }) => family)).toEqual([undefined]);
  });

  test("rules in the order of their priority, then those that pass, then as they stand", () => {
    const line = (action: string, note: string, priority = "") =>
      `{ action = "${action}", note = "${note}"${priority} }`;
    const rules = rulesOf(`hub.a.access = [
      ${line("drop", "first")},
      ${line("drop", "second", ", priority = 250")},
      ${line("drop", "third")},
      ${line("pass", "fourth", ", priority = 300")},
      ${line("pass", "fifth", ", priority = 300")},
      ${line("pass", "sixth", ", priority = 1")},
    ]`);
    expect(rules.map(({ note }) => note)).toEqual([
      "sixth",
      "first",
      "second",
      "fourth",
      "fifth",
      "third",
    ]);
    expect(rules.map(({ priority }) => priority)).toEqual([1, 100, 250, 300, 300, 300]);
  });
});

describe("FR-22 access refuses, with file, line and key", () => {
  const PORTS = 'expected a port or ports "FIRST-LAST" from 1 to 65535';
  test.each([
    ["to_port = 70000", "to_port: expected a port from 1 to 65535, found 70000"],
    ["to_port = 0", "to_port: expected a port from 1 to 65535, found 0"],
    ['to_port = "1-70000"', /to_port: expected ports "FIRST-LAST" from 1 to 65535/],
    ['from_port = "90-80"', /from_port: expected ports "FIRST-LAST" .*, found "90-80"$/],
    ["from_port = true", `from_port: ${PORTS}, found true`],
    ['from = "10.0.0.0/255.0.255.0"', /from: expected a network/],
    ['from = "10.0.0.0/33"', /from: expected a network/],
    ['to = "10.0.0.1-10.0.0.9"', /to: expected a network/],
    [
      'to_mac = "02:00:5e:00:53:01/ff:00:ff:00:00:00"',
      /to_mac: expected a MAC address or "MAC\/MASK"/,
    ],
    ['to_mac = "02:00:5e:00:53"', /to_mac: expected a MAC address/],
    ['proto = "sctp"', /proto: expected "tcp" or "udp"/],
    ["proto = 256", "proto: expected a protocol number from 1 to 255, found 256"],
    ['tcp_state = "new"', /tcp_state: expected "established" or "unestablished"/],
    ['delay = "11s"', /delay: expected a duration from "0s" to "10s"/],
    ["jitter = 101", "jitter: expected per cent from 0 to 100, found 101"],
    ["loss = -1", "loss: expected per cent from 0 to 100, found -1"],
    ["priority = 0", /priority: expected a whole number from 1/],
    ['from_user = " "', /from_user: expected the name of a user or group/],
    ['from_user = "include:"', /from_user: expected a file behind "include:"/],
  ])("%s", (line, fault) => {
    const [found, ...more] = faultOf(line);
    expect(more).toEqual([]);
    expect(found).toStartWith("config.toml:3:");
    if (fault instanceof RegExp) expect(found).toMatch(fault);
    else expect(found).toEndWith(`hub.a.access[0].${fault}`);
  });

  test.each([
    [['from = "10.0.0.1"', 'to = "2001:db8::1"'], 'to: IPv6 beside IPv4 in "from"'],
    [['from = "10.0.0.1"', 'family = "ipv6"'], 'family: IPv6 beside IPv4 in "from"'],
    [['from = "10.0.0.1"', 'family = "both"'], 'family: "both" beside IPv4 in "from"'],
    [['proto = "icmpv6"', 'to = "10.0.0.1"'], 'proto: IPv6 beside IPv4 in "to"'],
    [['proto = "icmp"', "to_port = 7"], 'to_port: only "tcp" and "udp" have ports'],
    [['proto = "udp"', 'tcp_state = "established"'], 'tcp_state: only "tcp" has a state'],
    [["jitter = 5"], 'jitter: it is a share of the "delay"'],
  ])("%j, which no frame can meet or nobody can notice", (lines, fault) => {
    expect(faultOf(...lines)[0]).toContain(`hub.a.access[0].${fault}`);
  });

  test("a delay of frames that are dropped", () => {
    const text = '[[hub.a.access]]\naction = "drop"\ndelay = "1s"';
    expect(faultsOf(() => readServer(text))).toEqual([
      "config.toml:3:9: hub.a.access[0].delay: it has no effect on frames that are dropped",
    ]);
  });

  test("a redirect that is none, without repeating its secret", () => {
    for (const url of [
      "ftp://portal/|hush",
      "http://portal/ |hush",
      `http://${"x".repeat(250)}|hush`,
    ]) {
      const fault = faultOf(`redirect = "${url}"`)[0]!;
      expect(fault).toContain("redirect: expected a URL");
      expect(fault).not.toContain("hush");
    }
  });

  test("more rules than there may be, counted as the tools would see them", () => {
    const some = Array.from({ length: 16_400 }, () => '{action="drop",proto=6}').join(",");
    expect(faultsOf(() => readServer(`hub.a.access=[${some}]`))[0]).toMatch(
      /32800 rules, with one of each family where both are meant, at most 32768 are allowed/,
    );
  });
});
