import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { until, type Running } from "./process.ts";
import { waitPing } from "./transfer.ts";
import {
  ALSO_GOOD,
  type Credentials,
  dressClient,
  GOOD,
  type Implementation,
  INSIDE,
  openSite,
  SERVER_FROM,
  type Site,
  startClient,
  startServer,
  type TunnelClient,
  type TunnelServer,
  WATCHER,
} from "./tunnel.ts";
import { secretFile, VPN_BIN } from "./vpn.ts";

export const SERVER_FROM_TOWER = "10.91.3.1";

/** Two stations on a hub, and a tower from which it is watched. */
export class Watched implements AsyncDisposable {
  readonly site: Site;
  readonly hub: TunnelServer;
  readonly tower: Namespace;
  readonly left: TunnelClient;
  readonly right: TunnelClient;

  private constructor(
    site: Site,
    hub: TunnelServer,
    tower: Namespace,
    stations: { left: TunnelClient; right: TunnelClient },
  ) {
    this.site = site;
    this.hub = hub;
    this.tower = tower;
    this.left = stations.left;
    this.right = stations.right;
  }

  static async open(server: Implementation): Promise<Watched> {
    const site = await openSite();
    try {
      const tower = await site.world.namespace("tower");
      await site.world.link(
        { at: tower, device: "eth0", address: "10.91.3.2/24" },
        { at: site.server, device: "tower", address: `${SERVER_FROM_TOWER}/24` },
      );
      const hub = await startServer(server, site.server, { watched: true });
      const [left, right] = await Promise.all([
        startClient("ours", site.left, SERVER_FROM.left, GOOD),
        startClient("ours", site.right, SERVER_FROM.right, ALSO_GOOD),
      ]);
      await Promise.all([left.waitConnected(), right.waitConnected()]);
      await dressClient(left, "left");
      await dressClient(right, "right");
      await waitPing(left.at, left.device, INSIDE.right.ipv4);
      return new Watched(site, hub, tower, { left, right });
    } catch (thrown) {
      await site.world.close();
      throw thrown;
    }
  }

  /** One echo each way by IPv4 and IPv6, with the questions for the MACs before. */
  async talk(): Promise<void> {
    for (const address of [INSIDE.right.ipv4, INSIDE.right.ipv6]) {
      await waitPing(this.left.at, this.left.device, address);
    }
  }

  file(name: string): string {
    return join(this.site.world.directory, name);
  }

  /** `vpn client monitor`, as its words. */
  command({ hub, user, password }: Credentials, ...flags: string[]): string[] {
    const passwordFile = secretFile(this.tower, user, password);
    const account = ["--server", `${SERVER_FROM_TOWER}:5555`, "--hub", hub, "--user", user];
    const state = ["--state-dir", this.file("tower-state"), "--password-file", passwordFile];
    const retry = ["--retry-interval", "1s"];
    const start = [VPN_BIN, "client", "monitor", ...account, ...state, ...retry];
    return [...start, "--insecure", "--json", ...flags];
  }

  /** Starts a capture and waits until its session stands. */
  async capture(...flags: string[]): Promise<Running> {
    const running = this.tower.spawn(this.command(WATCHER, ...flags));
    await waitStands(running);
    return running;
  }

  async dump(file: string, ...filter: string[]): Promise<string[]> {
    const shown = await this.tower.check(["tcpdump", "-n", "-e", "-r", file, ...filter]);
    return shown.stdout.split("\n").filter(Boolean);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.site.world.close();
  }
}

/** Until a monitoring session stands. */
export async function waitStands(running: Running): Promise<void> {
  await until(
    "a monitoring session",
    () => {
      const isUp = running.output().includes('"event":"connected"');
      if (!isUp && !running.alive) throw new Error(`it ended\n${running.output()}`);
      return isUp;
    },
    { deadlineMs: 20_000, explain: () => running.output() },
  );
}

/** Name of the session that stands. */
export function sessionOf(running: Running): string | undefined {
  return /"session":"([^"]+)"/.exec(running.output())?.[1];
}

/** The last line of `--json`. */
export interface Summary {
  readonly received: number;
  readonly accepted: number;
  readonly dropped: number;
  readonly written: number;
  readonly files: number;
}

export function summaryOf(running: Running): Summary {
  const line = running.lines.stdout.find((text) => text.includes('"event":"summary"'));
  if (line === undefined) throw new Error(`no summary\n${running.output()}`);
  return JSON.parse(line) as Summary;
}
