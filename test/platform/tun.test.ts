import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { SystemError, VpnError } from "../../src/base/errors.ts";
import { tryParseNet } from "../../src/base/ip.ts";
import { addRoute, listRoutes } from "../../src/platform/ip-route.ts";
import { changeLink, tryGetLink } from "../../src/platform/link.ts";
import { PACKET_BYTES, reserve } from "../../src/platform/packet-memory.ts";
import { openTun, type Tun } from "../../src/platform/tun.ts";
import { describeSystem, World, type Namespace } from "../support/namespace.ts";
import { inNamespace } from "./enter-namespace.ts";

const READ_BYTES = 4096;
const VNET_BYTES = 10;
const at = reserve(READ_BYTES);

describeSystem("openTun()", [], () => {
  let world: World;
  let space: Namespace;
  const opened: Tun[] = [];
  const open = (name: string, mtu = 1400) =>
    inNamespace(space.netns, () => {
      const tun = openTun(name, mtu);
      opened.push(tun);
      return tun;
    });
  const link = (name: string) => inNamespace(space.netns, () => tryGetLink(name));

  beforeAll(async () => {
    world = new World();
    space = await world.namespace("tun");
  });
  afterEach(() => {
    for (const tun of opened.splice(0)) tun.close();
  });
  afterAll(() => world.close());

  test("makes an interface without Ethernet headers, which goes when it is closed", () => {
    const tun = open("c-tun0");
    expect(tun).toMatchObject({ name: "c-tun0", hasVnetHeader: true });
    expect(link("c-tun0")).toMatchObject({
      index: tun.index,
      mtu: 1400,
      isUp: false,
      isEthernet: false,
    });
    tun.close();
    tun.close();
    expect(link("c-tun0")).toBeUndefined();
  });

  test("gives the packets that the kernel routes there, each behind a virtio-net header", async () => {
    const tun = open("c-tun1");
    const to = tryParseNet("192.0.2.0/24")!;
    inNamespace(space.netns, () => {
      changeLink(tun.index, { isUp: true });
      addRoute({ to, device: tun.index });
      expect(listRoutes()).toContainEqual({ to, device: tun.index });
    });
    await space.ip("addr", "add", "198.51.100.1/32", "dev", "lo");
    await space.run(["ping", "-nc1", "-W0.1", "192.0.2.9"]);
    const packets: number[][] = [];
    for (;;) {
      const length = tun.read(at, READ_BYTES);
      if (length < 0) break;
      packets.push([...PACKET_BYTES.subarray(at + VNET_BYTES, at + length)]);
    }
    const ping = packets.find((packet) => packet[0] === 0x45)!;
    expect(ping.slice(16, 20)).toEqual([192, 0, 2, 9]);
    expect(ping[9]).toBe(1);
  });

  test("refuses a name that somebody has open, and one that cannot be a name", () => {
    open("c-tun2");
    const refusal = (name: string) => {
      try {
        open(name);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    };
    const busy = refusal("c-tun2");
    expect(busy).toBeInstanceOf(SystemError);
    expect((busy as SystemError).message).toContain("another program has it open");
    expect((refusal("no such name") as VpnError).code).toBe("tun_name");
  });
});
