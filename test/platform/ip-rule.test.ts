import { afterAll, beforeAll, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { tryParseAddress, tryParseNet } from "../../src/base/ip.ts";
import { addRoute, removeRoute } from "../../src/platform/ip-route.ts";
import {
  addRule,
  listRulePriorities,
  MAIN_TABLE,
  removeRule,
  type Rule,
} from "../../src/platform/ip-rule.ts";
import { tryGetLink } from "../../src/platform/link.ts";
import { watchFilterTable, watchNetwork } from "../../src/platform/netlink-watch.ts";
import { openPoller } from "../../src/platform/poller.ts";
import { isRunning, tryMarkProcess } from "../../src/platform/process-life.ts";
import { openRouterSocket } from "../../src/platform/router-socket.ts";
import { describeSystem, World, type Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { inNamespace } from "./enter-namespace.ts";

describeSystem("rules and news of the kernel", ["nft", "python3"], () => {
  let world: World;
  let space: Namespace;
  const inside = <T>(body: () => T): T => inNamespace(space.netns, body);
  const errnoOf = (body: () => void): number => {
    try {
      inside(body);
    } catch (thrown) {
      if (thrown instanceof SystemError) return thrown.errno;
      throw thrown;
    }
    return 0;
  };

  beforeAll(async () => {
    world = new World();
    space = await world.namespace("rule");
    await space.ip("link", "add", "c0", "type", "veth", "peer", "name", "c1");
    await space.address("c0", "192.0.2.1/24", "2001:db8::1/64");
    await space.ip("link", "set", "c1", "up");
  });
  afterAll(() => world.close());

  test("addRule() and removeRule() do both families, each kind once", async () => {
    const rules: Rule[] = [4, 6].flatMap((each): Rule[] => {
      const family = each === 4 ? 4 : 6;
      const to = tryParseNet(family === 4 ? "203.0.113.7/32" : "2001:db8:7::7/128")!;
      return [
        { family, priority: 100, to, action: { kind: "lookup", table: MAIN_TABLE } },
        { family, priority: 101, to, action: { kind: "unreachable" } },
        { family, priority: 200, action: { kind: "lookup", table: MAIN_TABLE, suppressPrefix: 0 } },
        { family, priority: 201, action: { kind: "lookup", table: 0x5042_0001 } },
      ];
    });
    inside(() => rules.forEach(addRule));
    expect((await space.ip("rule", "show")).stdout).toContain(
      "100:\tfrom all to 203.0.113.7 lookup main\n" +
        "101:\tfrom all to 203.0.113.7 unreachable\n" +
        "200:\tfrom all lookup main suppress_prefixlength 0\n" +
        "201:\tfrom all lookup 1346502657\n",
    );
    expect((await space.ip("-6", "rule", "show")).stdout).toContain("to 2001:db8:7::7 unreachable");
    expect(inside(() => listRulePriorities(6))).toEqual([0, 100, 101, 200, 201, 32_766]);
    expect(errnoOf(() => addRule(rules[0]!))).toBe(17);
    inside(() => rules.forEach(removeRule));
    expect(inside(() => listRulePriorities(4))).toEqual([0, 32_766, 32_767]);
    expect(errnoOf(() => removeRule(rules[0]!))).toBe(2);
  });

  test("addRoute() fills a table of any number, over a gateway that no address shows", async () => {
    const { index } = inside(() => tryGetLink("c0"))!;
    const route = {
      to: tryParseNet("0.0.0.0/0")!,
      via: tryParseAddress("198.51.100.1")!,
      device: index,
      table: 0x5042_0002,
      onlink: true,
    };
    inside(() => addRoute(route));
    const shown = await space.ip("route", "show", "table", String(route.table));
    expect(shown.stdout).toContain("default via 198.51.100.1 dev c0 proto static onlink");
    expect((await space.ip("route", "show", "default")).stdout).toBe("");
    inside(() => removeRoute(route));
    expect(errnoOf(() => removeRoute(route))).toBe(3);
  });

  test("watchNetwork() tells of links and rules", async () => {
    const poller = openPoller();
    let news = 0;
    const watch = inside(() => watchNetwork(poller, () => news++));
    await space.ip("link", "set", "c1", "down");
    await until("news", () => news > 0);
    const before = news;
    await space.ip("link", "set", "c1", "up");
    await until("more news", () => news > before);
    for (const family of ["-4", "-6"]) {
      const then = news;
      await space.ip(family, "rule", "add", "pref", "77", "lookup", "main");
      await until(`news of rules ${family}`, () => news > then);
    }
    watch.close();
    watch.close();
    poller.close();
  });

  test("watchFilterTable() tells of its table's end, and not of one that is put in its place", async () => {
    const nft = (script: string) => space.check(["nft", "-f", "-"], { stdin: script });
    await nft("table inet ours {}\ntable inet other {}");
    const poller = openPoller();
    let gone = 0;
    const watch = inside(() => watchFilterTable(poller, "ours", () => gone++));
    await nft("delete table inet other");
    await nft("table inet ours\ndelete table inet ours\ntable inet ours {}");
    await nft("flush ruleset");
    await until("the end of the table", () => gone > 0);
    expect(gone).toBe(1);
    watch.close();
    poller.close();
  });

  test("openRouterSocket() hands over advertisements of the link, and nothing else", async () => {
    const poller = openPoller();
    const packets: Uint8Array[] = [];
    const socket = inside(() =>
      openRouterSocket(tryGetLink("c0")!.index, poller, (packet) => packets.push(packet.slice())),
    );
    // Solicitation, advertisement from beyond a router, advertisement: all to all nodes, from the other end.
    const send = `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.SOL_SOCKET, 25, b"c1")
for kind, hops in (133, 255), (134, 254), (134, 255):
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
    s.sendto(bytes([kind]) + bytes(15), ("ff02::1%c1", 0))
`;
    // The link-local address of the sender is fit for use only after duplicate detection.
    await until("a good address", async () => {
      const shown = await space.ip(
        "-6",
        "addr",
        "show",
        "dev",
        "c1",
        "scope",
        "link",
        "-tentative",
      );
      return shown.stdout.includes("fe80");
    });
    await space.check(["python3", "-c", send]);
    await until("a packet", () => packets.length > 0);
    expect(packets.map((packet) => [packet[7], packet[40]])).toEqual([[255, 134]]);
    socket.close();
    socket.close();
    poller.close();
  });
});

test("isRunning() knows a process from a later one of the same number, and from one that has ended", async () => {
  const mark = tryMarkProcess(process.pid)!;
  expect(isRunning(mark)).toBe(true);
  expect(isRunning({ ...mark, startTicks: mark.startTicks - 1 })).toBe(false);
  expect(isRunning({ ...mark, boot: "before" })).toBe(false);
  const child = Bun.spawn(["sleep", "60"]);
  const other = tryMarkProcess(child.pid)!;
  expect(isRunning(other)).toBe(true);
  child.kill("SIGKILL");
  await child.exited;
  expect(isRunning(other)).toBe(false);
});
