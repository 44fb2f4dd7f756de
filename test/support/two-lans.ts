import { join } from "node:path";
import { type Namespace, World } from "./namespace.ts";
import { Running, until } from "./process.ts";
import { SoftEtherServer } from "./softether.ts";
import { GOOD, HUB, type Implementation, serverConfig } from "./tunnel-server.ts";
import { secretFile, type ServerStart, VpnServer } from "./vpn.ts";

// Two LANs that a bridge at the one and a server at the other join over a third network:
//
//   branch == box ~~ (cascade over 10.7.0.0/24) ~~ office server == office
//
// Each LAN is one cable with a host at its end; the box and the server hold the other end as their interface "lan0".

export const CLOUD = { box: "10.7.0.1", server: "10.7.0.2" } as const;
/** What carries the cascade. */
const WIRE = "wan0";
export const LAN = "lan0";
/** Of both hosts. */
export const HOST = "eth0";

const RAW_FRAMES = join(import.meta.dir, "raw-frames.py");

export interface TwoLans extends AsyncDisposable {
  readonly world: World;
  readonly branch: Namespace;
  readonly box: Namespace;
  readonly server: Namespace;
  readonly office: Namespace;
}

/** Lays the cables; nothing joins the LANs yet. */
export async function openLans(): Promise<TwoLans> {
  const world = new World();
  try {
    const branch = await world.namespace("branch");
    const box = await world.namespace("box");
    const server = await world.namespace("server");
    const office = await world.namespace("office");
    await world.link({ at: branch, device: HOST }, { at: box, device: LAN });
    await world.link({ at: office, device: HOST }, { at: server, device: LAN });
    await world.link(
      { at: box, device: WIRE, address: `${CLOUD.box}/24` },
      { at: server, device: WIRE, address: `${CLOUD.server}/24` },
    );
    return {
      world,
      branch,
      box,
      server,
      office,
      [Symbol.asyncDispose]: () => world.close(),
    };
  } catch (error) {
    world.abandon();
    throw error;
  }
}

/** `config.toml` of the office; `devices` are bridged to its hub. */
export function officeConfig(at: Namespace, devices: readonly string[] = [LAN]): string {
  return serverConfig(at, { more: bridges(`hub.${HUB}`, devices) });
}

function bridges(hub: string, devices: readonly string[]): string {
  return devices.map((device) => `[[${hub}.bridge]]\ndevice = "${device}"\n`).join("");
}

/** The server of the office, its hub bridged to the LAN. */
export async function startOffice(
  kind: Implementation,
  { server: at }: TwoLans,
): Promise<VpnServer | SoftEtherServer> {
  if (kind === "ours") {
    return VpnServer.start(at, officeConfig(at));
  }
  const office = await SoftEtherServer.start(at);
  await office.createHub(HUB, { [GOOD.user]: `"${GOOD.password}"` });
  await office.command(`BridgeCreate ${HUB} /DEVICE:${LAN} /TAP:no`);
  return office;
}

/** `bridge.toml` of the branch: one cascade to the office unless told of more. */
export function bridgeConfig(
  { box }: TwoLans,
  options: { readonly cascades?: readonly string[]; readonly devices?: readonly string[] } = {},
): string {
  const { cascades = ["office"], devices = [LAN] } = options;
  const password = secretFile(box, "office", GOOD.password);
  return [
    ...(devices.length === 1 ? ["[bridge]", `device = "${devices[0]}"`] : []),
    devices.length === 1 ? "" : bridges("bridge", devices),
    ...cascades.flatMap((name) => [
      `[bridge.cascade.${name}]`,
      `to = "${CLOUD.server}:5555/${HUB}"`,
      `user = "${GOOD.user}"`,
      `password = "file:${password}"`,
      'verify = "off"',
    ]),
  ].join("\n");
}

/** The bridge of the branch, when its link to the office stands. */
export async function startBranch(
  kind: Implementation,
  lans: TwoLans,
  options: Omit<ServerStart, "program"> = {},
): Promise<VpnServer | SoftEtherServer> {
  if (kind === "ours") {
    const started = { ...options, program: "bridge" } as const;
    const bridge = await VpnServer.start(lans.box, bridgeConfig(lans), started);
    await until("the cascade of the bridge", async () => {
      const [hub] = (await bridge.snapshot()).hubs;
      return hub?.innerSessions.some(({ kind: what }) => what === "cascade");
    });
    return bridge;
  }
  const bridge = await SoftEtherServer.start(lans.box, "vpnbridge");
  await bridge.command(`BridgeCreate BRIDGE /DEVICE:${LAN} /TAP:no`);
  await bridge.createCascade("BRIDGE", "office", {
    server: `${CLOUD.server}:5555`,
    hub: HUB,
    user: GOOD.user,
    password: `"${GOOD.password}"`,
    connections: 8,
  });
  await bridge.waitCascade("BRIDGE", "office");
  return bridge;
}

/** Sends frames, given in hexadecimal digits, as they are. */
export async function sendFrames(
  at: Namespace,
  frames: readonly string[],
  device: string = HOST,
): Promise<void> {
  await at.check(["python3", RAW_FRAMES, "send", device], { stdin: frames.join("\n") });
}

/** Frames that come in at a host and contain `part`. */
export class FrameListener {
  readonly #running: Running;

  private constructor(running: Running) {
    this.#running = running;
  }

  static async start(at: Namespace, part: string, device: string = HOST): Promise<FrameListener> {
    const running = at.spawn(["python3", RAW_FRAMES, "listen", device, part]);
    await until("the listener", () => running.lines.stdout.includes("ready"), {
      explain: () => running.output(),
    });
    return new FrameListener(running);
  }

  get frames(): readonly string[] {
    return this.#running.lines.stdout.slice(1);
  }

  async waitFrames(count: number): Promise<readonly string[]> {
    await until(`${count} frames`, () => this.frames.length >= count, {
      explain: () => this.#running.output(),
    });
    return this.frames;
  }
}
