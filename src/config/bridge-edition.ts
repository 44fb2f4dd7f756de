import { hub, type HubEntry } from "./hub-schema.ts";
import type { ServerConfig } from "./server-config.ts";
import { hubOf, serverSections, settingsOf } from "./server-schema.ts";
import { Place, refine, section, type Shape, table } from "./shape.ts";
import type { TomlTable } from "./toml-tree.ts";

// `vpn bridge`: one hub, which is there to join a network to another one. Its file has `[bridge]` where that of a server
// has `[hub.NAME]` (config-proposal.md 6).

/** The one hub. */
export const BRIDGE_HUB = "BRIDGE";

/** What of `[bridge]` names the interface, as a table `bridge` of a hub would. */
const DEVICE_KEYS = ["device", "tap"];

/** Where `[bridge]` itself has the keys of the table `bridge`: faults name them as they are written. */
class FlatPlace extends Place {
  override inside(key: string): Place {
    return key === "bridge" ? new Place(this.path, this.context) : super.inside(key);
  }
}

/** The keys of a hub, and `device` or `tap` beside them. */
const bridgeHub: Shape<HubEntry> = {
  ...hub,
  inner: new Map([
    ...(hub.inner ?? []),
    ...DEVICE_KEYS.flatMap((key) => {
      const shape = hub.inner?.get("bridge")?.inner?.get(key);
      return shape === undefined ? [] : [[key, shape] as const];
    }),
  ]),
  read(node, place) {
    if (node.kind !== "table") return hub.read(node, place);
    const named = [...node.entries].filter(([key]) => DEVICE_KEYS.includes(key));
    const [first] = named;
    if (first === undefined) return hub.read(node, place);
    if (node.entries.has("bridge")) {
      return place.fail(
        node,
        `"${first[0]}" stands beside "bridge", which says it as well`,
        first[0],
      );
    }
    const device: TomlTable = {
      kind: "table",
      at: first[1].keyAt,
      entries: new Map(named),
      defined: true,
    };
    const entries = new Map(node.entries);
    for (const key of DEVICE_KEYS) entries.delete(key);
    entries.set("bridge", { keyAt: first[1].keyAt, value: device });
    return hub.read({ ...node, entries }, new FlatPlace(place.path, place.context));
  },
};

/** All keys of bridge.toml. It listens for nobody unless it is told to. */
export function bridgeSchema(hostName: string): Shape<ServerConfig> {
  return refine(
    table({ ...serverSections([]), bridge: section(bridgeHub) }),
    (value): ServerConfig => ({
      ...settingsOf(value, hostName),
      edition: "bridge",
      hubs: [hubOf({ name: BRIDGE_HUB, value: value.bridge }, value.server)],
      l3Switches: [],
    }),
  );
}
