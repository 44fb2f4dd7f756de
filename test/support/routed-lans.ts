import { type Namespace, World } from "./namespace.ts";
import { until } from "./process.ts";
import { SoftEtherServer } from "./softether.ts";
import type { Implementation } from "./tunnel-server.ts";
import { VpnServer } from "./vpn.ts";

// Three LANs, each bridged to a hub of one server, and two layer 3 switches of it in a row:
//
//   a ==lana== hub A -- north -- hub B -- south -- hub C ==lanc== c
//                                  |
//                                lanb == b

export const HOSTS = {
  a: { ipv4: "10.1.0.1", ipv6: "fd00:1::1" },
  b: { ipv4: "10.2.0.9", ipv6: "fd00:2::9" },
  c: { ipv4: "10.3.0.1", ipv6: "fd00:3::1" },
} as const;

/** The legs of the switches, by switch and hub. */
export const LEGS = {
  north: {
    A: { ipv4: "10.1.0.254", ipv6: "fd00:1::fe" },
    B: { ipv4: "10.2.0.1", ipv6: "fd00:2::1" },
  },
  south: {
    B: { ipv4: "10.2.0.2", ipv6: "fd00:2::2" },
    C: { ipv4: "10.3.0.254", ipv6: "fd00:3::fe" },
  },
} as const;

export const HOST_DEVICE = "eth0";

export interface RoutedLans extends AsyncDisposable {
  readonly world: World;
  readonly server: Namespace;
  readonly a: Namespace;
  readonly b: Namespace;
  readonly c: Namespace;
}

/** Lays the cables and gives hosts addresses and routes; nothing joins the LANs yet. */
export async function openRoutedLans(): Promise<RoutedLans> {
  const world = new World();
  try {
    const server = await world.namespace("server");
    const [a, b, c] = [
      await world.namespace("a"),
      await world.namespace("b"),
      await world.namespace("c"),
    ];
    for (const [name, host] of [
      ["a", a],
      ["b", b],
      ["c", c],
    ] as const) {
      await world.link({ at: host, device: HOST_DEVICE }, { at: server, device: `lan${name}` });
      const { ipv4, ipv6 } = HOSTS[name];
      await host.address(HOST_DEVICE, `${ipv4}/24`, `${ipv6}/64`);
    }
    const { north, south } = LEGS;
    for (const [host, to, v4, v6] of [
      [a, ["default", "default"], north.A.ipv4, north.A.ipv6],
      [b, ["10.1.0.0/24", "fd00:1::/64"], north.B.ipv4, north.B.ipv6],
      [b, ["10.3.0.0/24", "fd00:3::/64"], south.B.ipv4, south.B.ipv6],
      [c, ["default", "default"], south.C.ipv4, south.C.ipv6],
    ] as const) {
      await host.ip("route", "add", to[0], "via", v4);
      await host.ip("-6", "route", "add", to[1], "via", v6);
    }
    return { world, server, a, b, c, [Symbol.asyncDispose]: () => world.close() };
  } catch (error) {
    world.abandon();
    throw error;
  }
}

/** `config.toml` of our server; `north` is more of that switch's table, `offline` a hub. */
export function routedConfig(
  options: { readonly north?: string; readonly offline?: string; readonly more?: string } = {},
): string {
  const hubs = ["A", "B", "C"].map(
    (hub) =>
      `[hub.${hub}]\nonline = ${hub !== options.offline}\n` +
      `[[hub.${hub}.bridge]]\ndevice = "lan${hub.toLowerCase()}"\n`,
  );
  const { north, south } = LEGS;
  const table = (name: string, legs: Readonly<Record<string, { ipv4: string; ipv6: string }>>) =>
    `[l3switch.${name}]\n${Object.entries(legs)
      .map(([hub, { ipv4, ipv6 }]) => `interface.${hub} = ["${ipv4}/24", "${ipv6}/64"]\n`)
      .join("")}`;
  return [
    "[server]",
    "listen = [5555]",
    ...hubs,
    table("north", north),
    options.north ??
      `route = [{ to = "10.3.0.0/24", via = "${south.B.ipv4}" }, { to = "fd00:3::/64", via = "${south.B.ipv6}" }]`,
    table("south", south),
    `route = [{ to = "10.1.0.0/24", via = "${north.B.ipv4}" }, { to = "fd00:1::/64", via = "${north.B.ipv6}" }]`,
    options.more ?? "",
  ].join("\n");
}

/** The server with hubs, bridges and switches; those of the reference route IPv4 only. */
export async function startRouted(
  kind: Implementation,
  { server: at }: RoutedLans,
): Promise<VpnServer | SoftEtherServer> {
  if (kind === "ours") {
    const server = await VpnServer.start(at, routedConfig());
    await waitSwitches(server, "online", "online");
    return server;
  }
  const server = await SoftEtherServer.start(at);
  for (const hub of ["A", "B", "C"]) {
    await server.createHub(hub);
    await server.command(`BridgeCreate ${hub} /DEVICE:lan${hub.toLowerCase()} /TAP:no`);
  }
  const mask = "255.255.255.0";
  for (const [name, legs] of Object.entries(LEGS)) {
    const lines = Object.entries(legs).map(
      ([hub, { ipv4 }]) => `RouterIfAdd ${name} /HUB:${hub} /IP:${ipv4}/${mask}`,
    );
    const [to, via] =
      name === "north" ? ["10.3.0.0", LEGS.south.B.ipv4] : ["10.1.0.0", LEGS.north.B.ipv4];
    lines.push(`RouterTableAdd ${name} /NETWORK:${to}/${mask} /GATEWAY:${via} /METRIC:1`);
    await server.command(`RouterAdd ${name}`, ...lines, `RouterStart ${name}`);
  }
  return server;
}

/** Until the switches of our server stand like that, in their order. */
export async function waitSwitches(server: VpnServer, ...wanted: string[]): Promise<void> {
  await until(`switches ${wanted.join(", ")}`, async () => {
    const { l3Switches } = await server.snapshot();
    return l3Switches.map(({ state }) => state).join() === wanted.join();
  });
}
