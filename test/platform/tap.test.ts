import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { SystemError, VpnError } from "../../src/base/errors.ts";
import { tryParseMac } from "../../src/base/mac.ts";
import { libc } from "../../src/platform/libc.ts";
import { tryGetLink } from "../../src/platform/link.ts";
import { openTap, type Tap, type TapSettings } from "../../src/platform/tap.ts";
import { describeSystem, World, type Namespace } from "../support/namespace.ts";
import { inNamespace } from "./enter-namespace.ts";

describeSystem("openTap()", [], () => {
  let world: World;
  let space: Namespace;
  const opened: Tap[] = [];
  const open = (settings: TapSettings) =>
    inNamespace(space.netns, () => {
      const tap = openTap(settings);
      opened.push(tap);
      return tap;
    });
  const link = (name: string) => inNamespace(space.netns, () => tryGetLink(name));
  const failure = (settings: TapSettings): unknown => {
    try {
      open(settings);
    } catch (thrown) {
      return thrown;
    }
    throw new Error("it did not fail");
  };

  beforeAll(async () => {
    world = new World();
    space = await world.namespace("tap");
  });
  afterEach(() => {
    for (const tap of opened.splice(0)) tap.close();
  });
  afterAll(() => world.close());

  test("makes an interface as told, which goes when it is closed", () => {
    const mac = tryParseMac("02:00:5e:00:53:0a")!;
    const tap = open({ name: "c-tap0", mac, mtu: 1454, txQueueLength: 64, isUp: true });
    expect(tap).toMatchObject({ name: "c-tap0", hasVnetHeader: true, isOffloaded: true });
    expect(link("c-tap0")).toMatchObject({
      index: tap.index,
      mac,
      mtu: 1454,
      txQueueLength: 64,
      isUp: true,
    });
    tap.close();
    tap.close();
    expect(link("c-tap0")).toBeUndefined();
  });

  test("opens an interface that was made to stay, and leaves it there", async () => {
    await space.ip("tuntap", "add", "c-stay", "mode", "tap");
    const tap = open({ name: "c-stay" });
    expect(link("c-stay")!.hasCarrier).toBeFalse();
    tap.close();
    expect(link("c-stay")).toBeDefined();
    await space.ip("link", "del", "c-stay");
  });

  test("FI-06 says that another program has the interface", () => {
    open({ name: "c-twice" });
    const thrown = failure({ name: "c-twice" });
    expect(thrown).toBeInstanceOf(SystemError);
    expect((thrown as SystemError).message).toBe(
      'Cannot make TAP "c-twice" (another program has it open: end that, or choose another name): ' +
        "TUNSETIFF failed with EBUSY (device or resource busy)",
    );
  });

  test("FI-05 leaves nothing behind when the interface cannot be set up", () => {
    const thrown = failure({ name: "c-small", mtu: 3 });
    expect((thrown as SystemError).errno).toBe(22);
    expect(link("c-small")).toBeUndefined();
  });

  test("FI-06 refuses the name of an interface of another kind", () => {
    expect((failure({ name: "lo" }) as SystemError).message).toContain("no TAP?");
  });

  test.each(["", "sixteen-bytes-xx", "a/b", "a b", "tap%d", "..", "ab:1"])(
    "refuses the name %p",
    (name) => {
      const thrown = failure({ name });
      expect(thrown).toBeInstanceOf(VpnError);
      expect((thrown as VpnError).code).toBe("tap_name");
    },
  );

  test.skipIf(process.arch !== "x64")("FI-05 says what to do without the right to it", () => {
    // Only this thread becomes somebody else, and only for files; the call's number is that of one architecture.
    const nobody = 65_534;
    const setfsuid = 122;
    const before = Number(libc.syscall(setfsuid, nobody, 0, 0, 0, 0, 0));
    try {
      const thrown = failure({ name: "c-denied" });
      expect((thrown as SystemError).message).toContain("setcap cap_net_admin+ep");
    } finally {
      libc.syscall(setfsuid, before, 0, 0, 0, 0, 0);
    }
  });
});
