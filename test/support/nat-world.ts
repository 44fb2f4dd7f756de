import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CableEnd, type Namespace, World } from "./namespace.ts";
import { type Running, until } from "./process.ts";
import { SoftEtherServer } from "./softether.ts";
import { type Cable, layLongCable } from "./tunnel.ts";
import { startClient, type TunnelClient } from "./tunnel-client.ts";
import { GOOD, HUB, type Implementation, serverConfig } from "./tunnel-server.ts";
import { VpnServer } from "./vpn.ts";

// Guests behind the SecureNAT of a server, and what lies outside:
//
//   guest0 == (lan0) server ---- router ---- inet
//   guest1 == (lan1)  |
//   far -- (a session)
//
// A guest is the host at the end of a bridged NIC; "far" has a client's session instead. A packet to inet meets the
// virtual host, the router and then the target, so that a traceroute has something to show.

/** What guests see of the hub. */
export const NAT = {
  host: "192.168.30.1",
  net: "192.168.30.0/24",
  prefix: "fd93:30::/64",
  host6: "fd93:30::1",
} as const;
/** Addresses outside. */
export const OUTSIDE = {
  server: "198.51.100.2",
  server6: "2001:db8:1::2",
  router: "198.51.100.1",
  router6: "2001:db8:1::1",
  inet: "203.0.113.2",
  inet6: "2001:db8:2::2",
} as const;
/** Name that the resolver of `inet` knows, with both its addresses. */
export const INET_NAME = "inet.example";
/** What the server's end of the far guest's cable has. */
export const UNDERLAY = { server: "10.93.1.1", far: "10.93.1.2" } as const;
const GUEST_DEVICE = "eth0";
const NAT_PEER = join(import.meta.dir, "nat-peer.ts");
const PLAIN_LINK = join(import.meta.dir, "plain-link.py");
const WEB_PORT = 80;
const IPERF_PORT = 5201;

export interface NatWorldOptions {
  /** Guests at bridged NICs; 1 unless given. */
  readonly guests?: number;
  /** There is a namespace for a guest with a session, over this cable. */
  readonly far?: true | Cable;
  /** What the cable between server and router is like. */
  readonly wan?: Cable;
  /** Guests put single, checksummed frames on their cables. SoftEther's bridge drops larger ones. */
  readonly plain?: boolean;
}

/** The places and cables; `start` makes a NAT of it. */
export class NatWorld implements AsyncDisposable {
  readonly world = new World();
  readonly guests: Namespace[] = [];
  server!: Namespace;
  router!: Namespace;
  inet!: Namespace;
  /** Only where it was asked for. */
  far!: Namespace;

  private constructor() {}

  static async open(options: NatWorldOptions = {}): Promise<NatWorld> {
    const nat = new NatWorld();
    try {
      await nat.#lay(options);
      return nat;
    } catch (thrown) {
      await nat.world.close();
      throw thrown;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.world.close();
  }

  async #lay({ guests = 1, far, wan, plain }: NatWorldOptions): Promise<void> {
    const { world } = this;
    this.server = await world.namespace("server");
    this.router = await world.namespace("router");
    this.inet = await world.namespace("inet");
    await this.#cable(wan, [
      { at: this.server, device: "wan0", address: `${OUTSIDE.server}/24` },
      { at: this.router, device: "wan0", address: `${OUTSIDE.router}/24` },
    ]);
    await world.link(
      { at: this.router, device: "inet0", address: "203.0.113.1/24" },
      { at: this.inet, device: "eth0", address: `${OUTSIDE.inet}/24` },
    );
    await this.server.address("wan0", `${OUTSIDE.server6}/64`);
    await this.router.address("wan0", `${OUTSIDE.router6}/64`);
    await this.router.address("inet0", "2001:db8:2::1/64");
    await this.inet.address("eth0", `${OUTSIDE.inet6}/64`);
    for (const key of ["ipv4.ip_forward", "ipv6.conf.all.forwarding"]) {
      await this.router.check(["sysctl", "-qw", `net.${key}=1`]);
    }
    await this.server.ip("route", "add", "default", "via", OUTSIDE.router);
    await this.server.ip("route", "add", "default", "via", OUTSIDE.router6);
    await this.inet.ip("route", "add", "default", "via", "203.0.113.1");
    await this.inet.ip("route", "add", "default", "via", "2001:db8:2::1");
    for (let index = 0; index < guests; index += 1) await this.#layGuest(index, plain === true);
    if (far !== undefined) {
      this.far = await hasty(await world.namespace("far"));
      await this.#cable(far === true ? undefined : far, [
        { at: this.far, device: "underlay", address: `${UNDERLAY.far}/24` },
        { at: this.server, device: "far0", address: `${UNDERLAY.server}/24` },
      ]);
    }
    this.useResolver(this.server, OUTSIDE.inet);
  }

  #cable(cable: Cable | undefined, ends: readonly [CableEnd, CableEnd]): Promise<void> {
    return cable === undefined
      ? this.world.link(...ends)
      : layLongCable(this.world, ends, cable, `line-${ends[1].device}`);
  }

  async #layGuest(index: number, isPlain: boolean): Promise<void> {
    const guest = await hasty(await this.world.namespace(`guest${index}`));
    const lan = `lan${index}`;
    await this.world.link({ at: guest, device: GUEST_DEVICE }, { at: this.server, device: lan });
    if (isPlain) await guest.check(["python3", PLAIN_LINK, GUEST_DEVICE]);
    this.guests.push(guest);
  }

  /** Programs in a namespace ask this one for names: `ip netns exec` puts the file over /etc/resolv.conf. */
  useResolver(at: Namespace, resolver: string = NAT.host): void {
    const folder = `/etc/netns/${at.netns}`;
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "resolv.conf"), `nameserver ${resolver}\n`);
    this.world.onClose(() => rmSync(folder, { recursive: true, force: true }));
  }

  get guest(): Namespace {
    return this.guests[0]!;
  }

  /** `config.toml` of the server; `secureNat` are lines of its table. */
  config(secureNat = "", more = ""): string {
    const bridges = this.guests.map((_, n) => `[[hub.${HUB}.bridge]]\ndevice = "lan${n}"\n`);
    return serverConfig(this.server, {
      more: [
        `[hub.${HUB}.securenat]`,
        `ipv6_prefix = "${NAT.prefix}"`,
        `${secureNat}`,
        ...bridges,
        more,
      ].join("\n"),
    });
  }

  /** Our server with SecureNAT. */
  start(secureNat = "", more = ""): Promise<VpnServer> {
    return VpnServer.start(this.server, this.config(secureNat, more));
  }

  /** The reference with SecureNAT in user mode. */
  async startReference(): Promise<SoftEtherServer> {
    const daemon = await SoftEtherServer.start(this.server);
    await daemon.createHub(HUB, { [GOOD.user]: `"${GOOD.password}"` });
    await daemon.command(
      `Hub ${HUB}`,
      "ExtOptionSet DisableKernelModeSecureNAT /VALUE:1",
      "ExtOptionSet DisableIpRawModeSecureNAT /VALUE:1",
      "SecureNatEnable",
      ...this.guests.map((_, n) => `BridgeCreate ${HUB} /DEVICE:lan${n} /TAP:no`),
    );
    return daemon;
  }

  /** Of either kind, with its defaults. */
  async startKind(kind: Implementation): Promise<VpnServer | SoftEtherServer> {
    return kind === "ours" ? this.start() : this.startReference();
  }

  /** The session of the far guest. */
  async connectFar(kind: Implementation = "ours"): Promise<TunnelClient> {
    const client = await startClient(kind, this.far, UNDERLAY.server, GOOD);
    await client.waitConnected();
    return client;
  }

  /**
   * Gives a guest an address by hand, .50 and following by its number, and the way out; waits until the virtual host
   * answers. IPv6 comes by router advertisement, see `waitIpv6`.
   */
  async dress(guest: Namespace = this.guest, device: string = GUEST_DEVICE): Promise<string> {
    const index = this.guests.indexOf(guest);
    const address = `192.168.30.${index < 0 ? 90 : 50 + index}`;
    await guest.address(device, `${address}/24`);
    await guest.ip("route", "replace", "default", "via", NAT.host, "dev", device);
    await until(
      `an answer of the virtual host to ${guest.name}`,
      async () => {
        await guest.ip("neigh", "flush", "dev", device);
        return (await guest.run(["ping", "-nc1", "-W0.5", NAT.host])).exitCode === 0;
      },
      { deadlineMs: 20_000, everyMs: 50 },
    );
    return address;
  }

  /** Until router advertisements have given the guest an address and a default route; gives the address. */
  async waitIpv6(guest: Namespace = this.guest, device: string = GUEST_DEVICE): Promise<string> {
    return until(
      `an IPv6 address of ${guest.name}`,
      async () => {
        const route = await guest.ip("-6", "route", "show", "default", "dev", device);
        const shown = await guest.ip("-6", "-j", "addr", "show", "dev", device, "scope", "global");
        const [found] = JSON.parse(shown.stdout || "[]") as { addr_info?: { local?: string }[] }[];
        return route.stdout !== "" && found?.addr_info?.[0]?.local;
      },
      { deadlineMs: 20_000, everyMs: 50 },
    );
  }

  /**
   * A web server, at inet unless told: GET /noise/BYTES gives bytes that never repeat, POST answers with the count and SHA-256 of
   * the body in JSON, GET / the address of who asks.
   */
  async serveWeb(at: Namespace = this.inet): Promise<Running> {
    const web = at.spawn([process.execPath, NAT_PEER, String(WEB_PORT)]);
    await at.waitListening(WEB_PORT);
    return web;
  }

  async serveIperf(): Promise<void> {
    this.inet.spawn(["iperf3", "-s", "-p", String(IPERF_PORT)]);
    await this.inet.waitListening(IPERF_PORT);
  }

  /** A DNS server at inet, which knows INET_NAME, and no other. */
  async serveDns(...flags: string[]): Promise<void> {
    const names = [OUTSIDE.inet, OUTSIDE.inet6].map((at) => `--host-record=${INET_NAME},${at}`);
    const quiet = ["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null"];
    this.inet.spawn(["dnsmasq", ...quiet, "--port=53", ...names, ...flags]);
    await this.inet.waitListening(53);
  }
}

/** IPv6 addresses are good at once, and routers are asked for at once. */
async function hasty(at: Namespace): Promise<Namespace> {
  for (const which of ["all", "default"]) {
    const base = `net.ipv6.conf.${which}`;
    await at.check([
      "sysctl",
      "-qw",
      `${base}.accept_dad=0`,
      `${base}.router_solicitation_delay=0`,
    ]);
  }
  return at;
}
