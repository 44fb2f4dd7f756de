import { join } from "node:path";
import { describeSystem, World } from "./namespace.ts";
import type { CableEnd, Namespace } from "./namespace.ts";
import { until } from "./process.ts";
import { SOFTETHER_PROGRAMS } from "./softether.ts";
import { startClient, type TunnelClient } from "./tunnel-client.ts";
import { ALSO_GOOD, GOOD, startServer } from "./tunnel-server.ts";
import type { Implementation, OurServerOptions, TunnelServer } from "./tunnel-server.ts";

// A network of three namespaces with a tunnel, so that a test can be told who is at which end.

export { startClient, type ClientOptions, type TunnelClient } from "./tunnel-client.ts";
export {
  ALSO_GOOD,
  CARD_HOLDER,
  type Credentials,
  GOOD,
  HUB,
  type Implementation,
  plainMac,
  serverConfig,
  SESSION_TIMEOUT_S,
  startServer,
  type TunnelServer,
  WATCHER,
} from "./tunnel-server.ts";

// ---- three namespaces in a row ------------------------------------------------

/** `left --- server --- right`, addresses 10.91.1.2, 10.91.1.1 / 10.91.2.1, 10.91.2.2. */
export interface Site extends AsyncDisposable {
  readonly world: World;
  readonly server: Namespace;
  readonly left: Namespace;
  readonly right: Namespace;
}

export const SERVER_FROM = { left: "10.91.1.1", right: "10.91.2.1" } as const;
/** Underlay device of either client. */
export const UNDERLAY = "eth0";
const DELAY_LINE = join(import.meta.dir, "wan-link.py");

/** What a cable does to frames, each way. */
export interface Cable {
  readonly delayMs: number;
  readonly lossPercent: number;
}

/** @param leftCable between left and server; without it that cable is as good as any other */
export async function openSite(leftCable?: Cable): Promise<Site> {
  const world = new World();
  const dispose = () => world.close();
  try {
    return { ...(await layCables(world, leftCable)), [Symbol.asyncDispose]: dispose };
  } catch (thrown) {
    await dispose();
    throw thrown;
  }
}

async function layCables(
  world: World,
  leftCable: Cable | undefined,
): Promise<Omit<Site, keyof AsyncDisposable>> {
  const server = await world.namespace("server");
  const left = await world.namespace("left");
  const right = await world.namespace("right");
  const ends = [
    { at: left, device: UNDERLAY, address: "10.91.1.2/24" },
    { at: server, device: "left", address: `${SERVER_FROM.left}/24` },
  ] as const;
  await (leftCable === undefined ? world.link(...ends) : layLongCable(world, ends, leftCable));
  await world.link(
    { at: right, device: UNDERLAY, address: "10.91.2.2/24" },
    { at: server, device: "right", address: `${SERVER_FROM.right}/24` },
  );
  return { world, server, left, right };
}

/** A cable with a delay line in the middle, and with senders that let one loss be one segment's. */
export async function layLongCable(
  world: World,
  ends: readonly [CableEnd, CableEnd],
  { delayMs, lossPercent }: Cable,
  name = "middle",
): Promise<void> {
  const middle = await world.namespace(name);
  const devices = ["end0", "end1"];
  for (const [index, end] of ends.entries()) {
    await world.link(end, { at: middle, device: devices[index]! });
    await end.at.ip("link", "set", end.device, "gso_max_segs", "1");
  }
  const numbers = [delayMs, lossPercent].map(String);
  const line = middle.spawn(["python3", DELAY_LINE, ...devices, ...numbers]);
  await until("the delay line", () => line.lines.stdout.includes("ready"), {
    explain: () => line.output(),
  });
}

/** Addresses inside the tunnel. */
export const INSIDE = {
  left: { ipv4: "10.92.0.1", ipv6: "fd92::1" },
  right: { ipv4: "10.92.0.2", ipv6: "fd92::2" },
} as const;

/** Who stands at the ends of one cable. */
export interface Pair {
  readonly client: Implementation;
  readonly server: Implementation;
}

/** Those in which one end at least is ours. */
export const OUR_PAIRS: readonly Pair[] = [
  { client: "ours", server: "ours" },
  { client: "reference", server: "ours" },
  { client: "ours", server: "reference" },
];

export interface Scenario {
  readonly name: string;
  readonly left: Implementation;
  readonly server: Implementation;
  readonly right: Implementation;
}

/** Who can stand where. The first shows that harness and reference do what is asked of the others. */
export const SCENARIOS: readonly Scenario[] = [
  { name: "reference alone", left: "reference", server: "reference", right: "reference" },
  { name: "ours alone", left: "ours", server: "ours", right: "ours" },
  { name: "vpnclient and ours on our server", left: "reference", server: "ours", right: "ours" },
  {
    name: "ours and vpnclient on vpnserver",
    left: "ours",
    server: "reference",
    right: "reference",
  },
  { name: "two vpnclients on our server", left: "reference", server: "ours", right: "reference" },
];

export interface Tunnel extends Site {
  readonly hub: TunnelServer;
  readonly clients: { readonly left: TunnelClient; readonly right: TunnelClient };
}

/** Opens a site with a server and both clients, connected and with addresses inside. */
export async function openTunnel(
  scenario: Scenario,
  options: OurServerOptions = {},
): Promise<Tunnel> {
  const site = await openSite();
  try {
    const hub = await startServer(scenario.server, site.server, options);
    const [left, right] = await Promise.all([
      startClient(scenario.left, site.left, SERVER_FROM.left, GOOD),
      startClient(scenario.right, site.right, SERVER_FROM.right, ALSO_GOOD),
    ]);
    await Promise.all([left.waitConnected(), right.waitConnected()]);
    const tunnel = { ...site, hub, clients: { left, right } };
    await dress(tunnel);
    return tunnel;
  } catch (thrown) {
    await site.world.close();
    throw thrown;
  }
}

/**
 * Gives the clients their addresses inside the tunnel. The reference's adapter goes down with its session and has
 * lost them when it comes back; ours keeps them.
 */
export async function dress(tunnel: Tunnel, only?: Implementation): Promise<void> {
  for (const side of ["left", "right"] as const) {
    const client = tunnel.clients[side];
    if (only === undefined || client.kind === only) await dressClient(client, side);
  }
}

/** Gives one client the addresses of its side. */
export async function dressClient(client: TunnelClient, side: "left" | "right"): Promise<void> {
  const { ipv4, ipv6 } = INSIDE[side];
  await client.at.address(client.device, `${ipv4}/24`, `${ipv6}/64`);
}

/** One group of system tests for each scenario. */
export function describeScenarios(subject: string, body: (scenario: Scenario) => void): void {
  for (const scenario of SCENARIOS) {
    const kinds = [scenario.left, scenario.server, scenario.right];
    const needs = kinds.includes("reference") ? SOFTETHER_PROGRAMS : [];
    describeSystem(`${subject}, ${scenario.name}`, needs, () => body(scenario));
  }
}
