import type { MacAddress } from "../base/mac.ts";
import {
  MAX_BRIDGES_PER_HUB,
  MAX_BRIDGE_MTU,
  MAX_INTERFACE_NAME_BYTES,
  MIN_BRIDGE_MTU,
} from "../base/limits.ts";
import { bool, integer, stationMac, textOf } from "./scalar-shapes.ts";
import {
  list,
  type Named,
  oneOf,
  optional,
  type Place,
  refine,
  setting,
  type Shape,
  table,
} from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";

interface AnyBridge {
  /** Name of the interface of this machine. */
  readonly device: string;
  readonly enable: boolean;
  /** The interface gets a copy of all frames of the hub, and nothing is taken from it. */
  readonly monitor: boolean;
  readonly limitBroadcast: boolean;
}

/** An interface that is there without us. */
export interface NicBridge extends AnyBridge {
  readonly kind: "nic";
  readonly promiscuous: boolean;
}

/** A TAP that the server makes. */
export interface TapBridge extends AnyBridge {
  readonly kind: "tap";
  readonly mtu: number;
  /** Undefined: made once and kept. */
  readonly mac: MacAddress | undefined;
}

/** A hub's port to an interface of this machine (hub.md 14, config-proposal.md 7.4). */
export type BridgeConfig = NicBridge | TapBridge;

/** As the kernel takes them; without what ip(8) and systemd read as something else. */
const interfaceName: Shape<string> = textOf(
  `the name of an interface, 1 to ${MAX_INTERFACE_NAME_BYTES} of letters, digits and - _ . @ #`,
  (name) =>
    /^[A-Za-z0-9\-_.@#]+$/.test(name) &&
    name.length <= MAX_INTERFACE_NAME_BYTES &&
    name !== "." &&
    name !== ".."
      ? name
      : undefined,
);

const tapName: Shape<string> = textOf(
  "a name of letters, digits and - _ . #, of which the interface is called tap_NAME",
  (name) => (/^[A-Za-z0-9\-_.#]{1,255}$/.test(name) ? name : undefined),
);

/** `tap_lan` for "LAN": lower case, cut to what the kernel takes (hub.md 14.3). */
function tapDevice(name: string): string {
  return `tap_${name.toLowerCase()}`.slice(0, MAX_INTERFACE_NAME_BYTES);
}

const keys = table({
  device: optional(interfaceName),
  tap: optional(tapName),
  enable: setting(bool, true),
  monitor: setting(bool, false),
  limit_broadcast: setting(bool, false),
  promiscuous: optional(bool),
  mtu: optional(integer(MIN_BRIDGE_MTU, MAX_BRIDGE_MTU)),
  mac: optional(stationMac),
});

const one: Shape<BridgeConfig> = refine(keys, (value, node, place) => {
  const { device, tap, enable, monitor } = value;
  const common = { enable, monitor, limitBroadcast: value.limit_broadcast };
  if ((device === undefined) === (tap === undefined)) {
    const what = device === undefined ? "neither of them is there" : "both are there";
    return place.fail(
      node,
      `"device" names an interface, or "tap" one that the server makes: ${what}`,
    );
  }
  if (device !== undefined) {
    for (const key of ["mtu", "mac"] as const) {
      if (value[key] !== undefined)
        return place.fail(node, 'only an interface that the server makes ("tap") has it', key);
    }
    return { kind: "nic", device, ...common, promiscuous: value.promiscuous ?? true };
  }
  if (value.promiscuous !== undefined)
    return place.fail(node, 'only a "device" has it', "promiscuous");
  return {
    kind: "tap",
    device: tapDevice(tap!),
    ...common,
    mtu: value.mtu ?? DEFAULT_BRIDGE_MTU,
    mac: value.mac,
  };
});

const DEFAULT_BRIDGE_MTU = 1500;

/** `hub.NAME.bridge`: a table, or several as an array of tables. */
export const bridges: Shape<readonly BridgeConfig[]> = oneOf("a table, or an array of tables", {
  table: refine(one, (bridge) => Object.freeze([bridge])),
  array: refine(list(one), refuseTwins),
});

function refuseTwins(
  found: readonly BridgeConfig[],
  node: TomlNode,
  place: Place,
): readonly BridgeConfig[] | undefined {
  if (found.length > MAX_BRIDGES_PER_HUB) {
    return place.fail(
      node,
      `${found.length} bridges, at most ${MAX_BRIDGES_PER_HUB} are allowed in a hub`,
    );
  }
  const seen = new Set<string>();
  for (const { device } of found) {
    if (seen.has(device))
      return place.fail(node, `two bridges of a hub lead to the same interface ${device}`);
    seen.add(device);
  }
  return found;
}

/** The server makes a TAP once: unlike an interface that is there it cannot lead to two hubs. */
export function checkTaps(
  hubs: readonly Named<{ readonly bridges: readonly BridgeConfig[] }>[],
  node: TomlNode,
  place: Place,
): boolean {
  const owners = new Map<string, string>();
  for (const { name, value } of hubs) {
    for (const { kind, device } of value.bridges) {
      const owner = kind === "tap" ? owners.get(device) : undefined;
      if (owner !== undefined) {
        place.fail(node, `hub ${owner} has ${device}, too`, "hub", name, "bridge");
        return false;
      }
      owners.set(device, name);
    }
  }
  return true;
}
