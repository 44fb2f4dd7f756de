import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describeSystem, World } from "../support/namespace.ts";
import type { Namespace } from "../support/namespace.ts";
import { packetLogFrames } from "../support/packet-log-frames.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherServer } from "../support/softether.ts";
import { secretFile, VpnClient, VpnServer } from "../support/vpn.ts";

const PORT = 5555;
const HUB = "TEST";
const SIDES = ["left", "right"] as const;
const KINDS = ["tcpconn", "tcpdata", "dhcp", "udp", "icmp", "ip", "arp", "ether"];
const SENDER = join(import.meta.dir, "../support/raw-frames.py");
/** MACs of the frames that the test sends; the kernel's own have others. */
const STATIONS = ["020000000001", "020000000002"];
/** The reference takes it for broken. */
const DROPPED_THERE = "cut TCP";

/** A server with a packet log, and a client of ours on either side that has no traffic of its own. */
interface Net {
  readonly server: Namespace;
  readonly clients: Readonly<Record<(typeof SIDES)[number], Namespace>>;
  readonly logFolder: string;
}

async function connect(
  world: World,
  name: string,
  logFolder: string,
  server: Namespace,
): Promise<Net> {
  const clients = {
    left: await world.namespace(`${name}l`),
    right: await world.namespace(`${name}r`),
  };
  for (const [i, side] of SIDES.entries()) {
    const at = clients[side];
    const near = { at: server, device: `v${i}`, address: `10.9.${i}.1/24` };
    await world.link(near, { at, device: "eth0", address: `10.9.${i}.2/24` });
    await at.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
    const account = { server: `10.9.${i}.1:${PORT}`, hub: HUB, user: side, password: side };
    const client = VpnClient.start(at, { ...account, mode: "bridge" });
    await client.waitConnected();
    await at.ip("link", "set", client.device, "arp", "off", "up");
  }
  return { server, clients, logFolder };
}

/** Lines of the packet log so far about frames of the two stations, without their dates and times. */
function linesOf({ logFolder }: Net): string[] {
  if (!existsSync(logFolder)) return [];
  const names = readdirSync(logFolder).sort();
  const text = names.map((name) => readFileSync(join(logFolder, name), "latin1")).join("");
  return text
    .split("\r\n")
    .slice(0, -1)
    .filter((line) => STATIONS.includes(line.split(",")[4]!.toLowerCase()))
    .map((line) => line.split(",").slice(2).join(","));
}

/** Sends frames in runs of one side; the next run waits for the lines of the one before. Gives a line for each frame. */
async function sendAll(net: Net, frames: ReturnType<typeof packetLogFrames>): Promise<string[]> {
  for (let at = 0, next = 0; at < frames.length; at = next) {
    const { from } = frames[at]!;
    while (frames[next]?.from === from) next += 1;
    const stdin = frames.slice(at, next).map(({ bytes }) => `${bytes.toHex()}\n`);
    await net.clients[from].check(["python3", SENDER, "send", "tap0"], { stdin: stdin.join("") });
    await until(`${next} lines of frames`, () => linesOf(net).length >= next, {
      explain: () => linesOf(net).join("\n"),
    });
  }
  return linesOf(net);
}

describeSystem("packet log", [...SOFTETHER_PROGRAMS, "python3"], () => {
  let world: World;
  let ours: Net;
  let theirs: Net;

  beforeAll(async () => {
    world = new World();
    const [here, there] = [await world.namespace("o"), await world.namespace("t")];
    const server = await VpnServer.start(here, configOf(here), { logFormat: "text" });
    ours = await connect(world, "o", join(server.stateDir, `log/packet_log/${HUB}`), here);
    const daemon = await SoftEtherServer.start(there);
    await daemon.createHub(HUB, Object.fromEntries(SIDES.map((side) => [side, side])));
    const settings = KINDS.map((kind) => `LogPacketSaveType /TYPE:${kind} /SAVE:header`);
    await daemon.command(`Hub ${HUB}`, ...settings);
    theirs = await connect(world, "t", daemon.logFolder(`packet_log/${HUB}`), there);
  });
  afterAll(() => world?.close());

  const configOf = (at: Namespace) =>
    [
      `[server]\nlisten = [${PORT}]`,
      `[hub.${HUB}.log]\npacket = ${JSON.stringify(KINDS)}`,
      ...SIDES.map(
        (side) => `[hub.${HUB}.user.${side}]\npassword = "file:${secretFile(at, side, side)}"`,
      ),
    ].join("\n");

  test("the same frames leave the same lines, byte for byte, in ours and in vpnserver's", async () => {
    const frames = packetLogFrames().filter(({ name }) => name !== DROPPED_THERE);
    const [here, there] = await Promise.all([sendAll(ours, frames), sendAll(theirs, frames)]);
    expect(there).toHaveLength(frames.length);
    // Urgent frames have a connection of their own, so they may overtake others on the way to the server.
    expect(here.toSorted()).toEqual(there.toSorted());
  });
});
