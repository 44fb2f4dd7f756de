import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import type { HubOptionName } from "../../src/config/hub-options.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { ArrayPort } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import { type Advertisement, icmpv6, ipv6, linkLocal, mac, routerAdvertisement } from "./frames.ts";
import { World } from "./world.ts";

const all = { to: 0x333300000001, from: mac(1) };
const LIFETIME_AT = 6;

interface Dress extends Advertisement {
  readonly tags?: readonly number[];
}

const advertisement = ({ tags = [], ...message }: Dress) =>
  routerAdvertisement({ ...all, tags }, message);

/** What a port with this policy gets of the frames. */
function received(
  frames: Uint8Array[],
  policy: Partial<Policy>,
  options: Partial<Record<HubOptionName, number>> = {},
  remoteAddress = "192.0.2.1",
): string[] {
  const world = new World();
  world.hub.reconfigure({
    ...DEFAULT_HUB_SETTINGS,
    options: { ...DEFAULT_HUB_SETTINGS.options, ...options },
  });
  const port = new ArrayPort("port");
  const access = { kind: "bridge", user: "u", remoteAddress } as const;
  world.hub.attach(port, { ...access, policy: { ...DEFAULT_POLICY, ...policy } });
  const witness = world.attach("bridge");
  world.attach("bridge").send(...frames);
  // Nobody else's copy is changed.
  expect(witness.take().map(toHex)).toEqual(frames.map(toHex));
  return port.take().map(toHex);
}

const hex = (frames: Uint8Array[]) => frames.map(toHex);

describe("defaultRouterRemover()", () => {
  const on = { no_ipv6_default_router_in_ra: true };
  const dresses: [string, Dress][] = [
    ["plain", {}],
    ["in a VLAN", { tags: [7] }],
    ["in two VLANs", { tags: [7, 8] }],
    ["behind an options header", { hasOptions: true }],
    ["of the longest lifetime", { lifetime: 0xffff }],
  ];
  test.each(dresses)("an advertisement %s says that there is no default router", (_, dress) => {
    const wanted = advertisement({ ...dress, lifetime: 0 });
    expect(received([advertisement(dress)], on)).toEqual(hex([wanted]));
  });

  test("only advertisements of a run are changed", () => {
    const others = [
      icmpv6(all, 135),
      advertisement({ type: 133 }),
      ipv6({ ...all, ip: linkLocal(1), next: 17, body: new Uint8Array(64).fill(134) }),
    ];
    const sent = [...others, advertisement({}), ...others, advertisement({ tags: [5] })];
    const wanted = [
      ...others,
      advertisement({ lifetime: 0 }),
      ...others,
      advertisement({ lifetime: 0, tags: [5] }),
    ];
    expect(received(sent, on)).toEqual(hex(wanted));
  });

  test("an advertisement that is cut is left alone", () => {
    const cut = ipv6({ ...all, ip: linkLocal(1), next: 58, body: Uint8Array.of(134, 0, 0, 0, 64) });
    const padded = Uint8Array.from([...cut, ...new Uint8Array(40).fill(0xff)]);
    expect(received([cut, padded], on)).toEqual(hex([cut, padded]));
    expect(cut.length - 54).toBeLessThan(LIFETIME_AT);
  });

  const changed = hex([advertisement({ lifetime: 0 })]);
  const same = hex([advertisement({})]);
  test.each([
    ["192.0.2.1", same],
    ["::ffff:192.0.2.1", same],
    ["2001:db8::1", changed],
  ])("NoIPv6DefaultRouterInRAWhenIPv6 of policy and hub, tunnel from %s", (address, wanted) => {
    const policy = { no_ipv6_default_router_in_ra_when_ipv6: true };
    expect(received([advertisement({})], policy, {}, address)).toEqual(wanted);
    const option = { NoIPv6DefaultRouterInRAWhenIPv6: 1 };
    expect(received([advertisement({})], {}, option, address)).toEqual(wanted);
  });

  test("without policy and option it stays", () => {
    expect(received([advertisement({})], {}, {}, "2001:db8::1")).toEqual(same);
  });
});
