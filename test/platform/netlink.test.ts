import { afterAll, beforeAll, expect, test } from "bun:test";
import { SystemError } from "../../src/base/errors.ts";
import { formatNet, tryParseAddress, type Net } from "../../src/base/ip.ts";
import { tryParseMac } from "../../src/base/mac.ts";
import { addAddress, listAddresses, removeAddress } from "../../src/platform/ip-address.ts";
import { addRoute, removeRoute } from "../../src/platform/ip-route.ts";
import {
  changeLink,
  deleteLink,
  listLinks,
  tryGetLink,
  tryGetLinkByIndex,
} from "../../src/platform/link.ts";
import { trySetFqCodel } from "../../src/platform/qdisc.ts";
import { describeSystem, World, type Namespace } from "../support/namespace.ts";
import { inNamespace } from "./enter-namespace.ts";

const net = (text: string): Net => {
  const [address, prefix] = text.split("/");
  return { ...tryParseAddress(address!)!, prefix: Number(prefix) };
};

describeSystem("netlink", [], () => {
  let world: World;
  let space: Namespace;
  const inside = <T>(body: () => T): T => inNamespace(space.netns, body);
  const shown = async (...args: string[]) => (await space.ip(...args)).stdout;
  const failure = (body: () => void): SystemError => {
    try {
      inside(body);
    } catch (thrown) {
      if (thrown instanceof SystemError) return thrown;
      throw thrown;
    }
    throw new Error("it did not fail");
  };

  beforeAll(async () => {
    world = new World();
    space = await world.namespace("link");
    await space.ip("link", "add", "c0", "type", "veth", "peer", "name", "c1");
  });
  afterAll(() => world.close());

  test("tryGetLink() tells an interface by name and index, and undefined for none", () => {
    const link = inside(() => tryGetLink("c0"))!;
    expect(link).toMatchObject({ name: "c0", isUp: false, hasCarrier: false, mtu: 1500 });
    expect(inside(() => tryGetLinkByIndex(link.index))).toEqual(link);
    expect(inside(() => tryGetLink("none"))).toBeUndefined();
    expect(inside(() => tryGetLinkByIndex(9999))).toBeUndefined();
    expect(
      inside(listLinks)
        .map((each) => each.name)
        .toSorted(),
    ).toEqual(["c0", "c1", "lo"]);
  });

  test("changeLink() sets MAC, MTU, queue and state, and nothing when it fails", async () => {
    const mac = tryParseMac("02:00:5e:00:53:01")!;
    inside(() => {
      changeLink(tryGetLink("c0")!.index, { mac, mtu: 1400, txQueueLength: 77, isUp: true });
      changeLink(tryGetLink("c1")!.index, { isUp: true });
    });
    const link = inside(() => tryGetLink("c0"))!;
    expect(link).toMatchObject({ mac, mtu: 1400, txQueueLength: 77, isUp: true, hasCarrier: true });
    expect(await shown("link", "show", "c0")).toContain("02:00:5e:00:53:01");
    const error = failure(() => changeLink(link.index, { mtu: 7, txQueueLength: 1 }));
    expect(error.errno).toBe(22);
    expect(inside(() => tryGetLink("c0"))).toEqual(link);
    expect(failure(() => changeLink(9999, { isUp: true })).errno).toBe(19);
  });

  test("addAddress(), listAddresses() and removeAddress() do both families", async () => {
    const { index } = inside(() => tryGetLink("c0"))!;
    const [v4, v6] = [net("198.51.100.7/25"), net("2001:db8::7/64")];
    inside(() => [v4, v4, v6].forEach((each) => addAddress(index, each)));
    expect(await shown("addr", "show", "c0")).toContain("198.51.100.7/25 brd 198.51.100.127");
    const listed = inside(() => listAddresses(index)).map((each) => formatNet(each.net));
    expect(listed).toContain("198.51.100.7/25");
    expect(listed).toContain("2001:db8::7/64");
    expect(inside(() => listAddresses()).every((each) => each.index > 0)).toBeTrue();
    inside(() => [v4, v6].forEach((each) => removeAddress(index, each)));
    expect(await shown("addr", "show", "c0")).not.toContain("198.51.100.7");
    expect(failure(() => removeAddress(index, v4)).errno).toBe(99);
  });

  test("addRoute() and removeRoute() do both families, by gateway and by interface", async () => {
    const { index } = inside(() => tryGetLink("c0"))!;
    inside(() => {
      addAddress(index, net("198.51.100.7/25"));
      addAddress(index, net("2001:db8::7/64"));
    });
    const routes = [
      { to: net("203.0.113.0/24"), via: net("198.51.100.1/32"), metric: 50 },
      { to: net("0.0.0.0/0"), device: index },
      { to: net("2001:db8:1::/48"), via: net("2001:db8::1/128"), device: index },
      { to: net("2001:db8:2::/48"), device: index },
    ];
    inside(() => routes.forEach(addRoute));
    const table = (await shown("route")) + (await shown("-6", "route"));
    expect(table).toContain("203.0.113.0/24 via 198.51.100.1 dev c0 proto static metric 50");
    expect(table).toContain("default dev c0 proto static scope link");
    expect(table).toContain("2001:db8:1::/48 via 2001:db8::1 dev c0 proto static");
    expect(failure(() => addRoute(routes[0]!)).errno).toBe(17);
    inside(() => routes.forEach(removeRoute));
    expect((await shown("route")) + (await shown("-6", "route"))).not.toContain("proto static");
    expect(failure(() => removeRoute(routes[0]!)).errno).toBe(3);
    const unreachable = { to: net("203.0.113.0/24"), via: net("192.0.2.1/32") };
    expect(failure(() => addRoute(unreachable)).message).toStartWith(
      "Cannot add route 203.0.113.0/24 via 192.0.2.1: netlink failed with ENETUNREACH",
    );
  });

  test("trySetFqCodel() sets the discipline or answers why not", async () => {
    const { index } = inside(() => tryGetLink("c0"))!;
    const refusal = inside(() => trySetFqCodel(index));
    const disciplines = await shown("link", "show", "c0");
    if (refusal === undefined) expect(disciplines).toContain("qdisc fq_codel");
    else expect(refusal.errno).toBe(2);
    expect(inside(() => trySetFqCodel(9999))).toBeInstanceOf(SystemError);
  });

  test("deleteLink() takes the interface away", () => {
    inside(() => deleteLink(tryGetLink("c0")!.index));
    expect(inside(() => tryGetLink("c0"))).toBeUndefined();
  });
});
