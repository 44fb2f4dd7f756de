import type { Clock, Timer } from "../base/clock.ts";
import { EXIT, ExitError, messageOf } from "../base/errors.ts";
import {
  formatIpv4,
  netContains,
  tryParseAddress,
  type IpAddress,
  type Ipv4,
  type Net,
} from "../base/ip.ts";
import { MAX_SERVER_ADDRESSES } from "../base/limits.ts";
import type { AccountConfig, NicConfig } from "../config/client-config.ts";
import { refuseDefaultRouter } from "../platform/interface-setting.ts";
import { tryGetLink } from "../platform/link.ts";
import { systemLookup, type Lookup } from "../transport/host-addresses.ts";
import { DnsKeeper } from "./dns-keeper.ts";
import { HostWatch } from "./host-watch.ts";
import { findNft, type TunnelPeer } from "./kill-switch.ts";
import { KillSwitch } from "./kill-switch-keeper.ts";
import { RouteKeeper } from "./route-keeper.ts";
import type { TunnelNetwork } from "./route-plan.ts";
import { RouterList } from "./router-list.ts";
import { ServerNames } from "./server-names.ts";
import type { ClientEvent, HostStatus } from "./status.ts";
import { recover, type UndoDeps } from "./undo.ts";
import { UndoFile } from "./undo-file.ts";

/** What the hub's DHCP server said, or what was written down in its place. */
export interface HubNetwork extends TunnelNetwork {
  readonly dns?: readonly Ipv4[] | undefined;
  readonly domain?: string | undefined;
}

/** How an account changes the network of the machine it runs on: routes, name servers, packet filter. */
export interface HostSettings {
  /** Addresses of a host that is to be dialled: for use in place of the system's resolver. */
  readonly lookup: Lookup;
  /** Prepares the way to a server or proxy, and lets nothing else out: call it before connecting. @throws VpnError */
  admit(address: string, port: number): void;
  /** A session stands. */
  confirm(): void;
  /** The machine has its addresses on the hub. */
  setNetwork(network: HubNetwork): void;
  /** The metric of a network that the tunnel's interface is to be in. */
  metricOf(net: Net): number | undefined;
  status(): HostStatus;
  /** Takes everything back. May be called twice. */
  close(): Promise<void>;
}

export interface HostSettingsOptions {
  /** The account's name, as for its socket. */
  readonly name: string;
  readonly account: Pick<AccountConfig, "defaultRoute" | "dns" | "routes" | "killSwitch">;
  readonly nic: Pick<NicConfig, "device" | "address" | "dhcpClient">;
  readonly stateDir: string;
  /** PATH of the environment. */
  readonly searchPath: string;
  readonly processId: number;
  readonly clock: Clock;
  readonly onEvent: (event: ClientEvent) => void;
}

/** A name's new address is known this long after the change at the latest, if a session stands. */
const REFRESH_MS = 600_000;
/** Behind the routes of every program that manages networks. */
const LAST_METRIC = 1_000_000;
/** resolv.conf(5). */
const RESOLV_CONF = "/etc/resolv.conf";

export type OpenHostSettings = (options: HostSettingsOptions) => Promise<HostSettings>;

/**
 * Takes back what crashed processes left, and gets ready for an account whose interface exists and is down.
 * @throws ExitError 64 for wishes that contradict each other, 69 where nft is missing
 */
export const openHostSettings: OpenHostSettings = async (options) => {
  const { account, nic, name, stateDir, searchPath, onEvent } = options;
  const asksDhcp = account.defaultRoute || account.dns;
  if (asksDhcp && (nic.address.kind !== "dhcp" || nic.dhcpClient !== "own")) {
    const what = account.defaultRoute ? "default_route" : "dns";
    throw new ExitError(
      EXIT.usage,
      `"${what}" is taken from the hub's DHCP server: it needs address = "dhcp" and dhcp_client = "own"`,
    );
  }
  const nft = account.killSwitch ? findNft(searchPath) : undefined;
  const deps: UndoDeps = {
    searchPath,
    onWarning: (code, message) => onEvent({ event: "warning", code, message }),
  };
  const peers = await recover(stateDir, { name, keepsKillSwitch: nft !== undefined }, deps);
  const settings = new LinuxHostSettings(options, deps, nft, peers);
  try {
    settings.open();
  } catch (error) {
    await settings.close();
    throw error;
  }
  return settings;
};

class LinuxHostSettings implements HostSettings {
  readonly #options: HostSettingsOptions;
  readonly #deps: UndoDeps;
  readonly #undo: UndoFile;
  readonly #names: ServerNames;
  /** The last ones first; those of a crashed process whose switch still stands are among them. */
  #peers: readonly TunnelPeer[];
  readonly #watch: HostWatch;
  readonly #remembers: boolean;
  #refresh: Timer | undefined;
  readonly #killSwitch: KillSwitch | undefined;
  #routes: RouteKeeper | undefined;
  #dns: DnsKeeper | undefined;
  #routers: RouterList | undefined;
  #network: HubNetwork = { nets: [] };
  #router: IpAddress | undefined;
  #isWatched = false;
  /** Rules and filter agree with `#peers`. */
  #isReady = false;
  #isClosed = false;

  constructor(
    options: HostSettingsOptions,
    deps: UndoDeps,
    nft: string | undefined,
    peers: readonly TunnelPeer[],
  ) {
    const { name, account, stateDir, processId, clock } = options;
    this.#options = options;
    this.#deps = deps;
    this.#peers = peers;
    this.#undo = new UndoFile(stateDir, name, processId);
    this.#remembers = account.defaultRoute || account.dns || account.killSwitch;
    this.#names = new ServerNames({
      clock,
      rememberFirst: this.#remembers,
      lookup: systemLookup,
    });
    this.#watch = new HostWatch(clock);
    if (nft !== undefined) {
      const { device } = options.nic;
      const [undo, watch] = [this.#undo, this.#watch];
      this.#killSwitch = new KillSwitch({ nft, account: name, device, undo, watch, deps });
    }
    this.#names.inherit(peers.map(({ address }) => address));
  }

  open(): void {
    const { name, account, nic, searchPath, clock } = this.#options;
    const { onWarning } = this.#deps;
    const undo = this.#undo;
    const { device } = nic;
    const link = tryGetLink(device);
    if (link === undefined) throw new Error(`interface ${device} is not there`);
    // The kernel would take the hub's IPv6 routers for the machine's, asked or not, and mix them with the uplink's. The
    // system's own DHCP client is for those who want things as the system has them.
    if (nic.dhcpClient === "own") {
      refuseDefaultRouter(device, (error) =>
        onWarning("ipv6_router", `Cannot keep IPv6 routers of the hub out: ${messageOf(error)}`),
      );
    }
    this.#routes = new RouteKeeper({ wishes: account, device: link.index, undo, onWarning });
    if (this.#routes.wantsRouter) this.#listenForRouters(link.index);
    if (account.dns) {
      this.#dns = new DnsKeeper({
        path: RESOLV_CONF,
        device,
        account: name,
        searchPath,
        clock,
        undo,
        onWarning,
      });
    }
  }

  readonly lookup: Lookup = (host, family) => this.#names.find(host, family);

  /** Peers that were admitted before stay: their connections may still carry the session. */
  admit(dialled: string, port: number): void {
    // A zone names the interface of a link-local address: neither a rule nor a filter's set takes one.
    const address = dialled.split("%")[0]!;
    const isKnown = this.#peers.some((peer) => peer.address === address && peer.port === port);
    if (this.#isClosed || (isKnown && this.#isReady)) return;
    const others = this.#peers.filter((peer) => peer.address !== address || peer.port !== port);
    this.#peers = [{ address, port }, ...others].slice(0, MAX_SERVER_ADDRESSES);
    this.#isReady = false;
    this.#routes?.setServers([...new Set(this.#peers.map((peer) => peer.address))]);
    this.#killSwitch?.raise(this.#peers);
    this.#isReady = true;
  }

  confirm(): void {
    this.#names.confirm();
    if (this.#remembers) {
      this.#refresh ??= this.#options.clock.every(REFRESH_MS, () => void this.#names.refresh());
    }
  }

  /**
   * Where the hub's network has the server in it, as when one connects from the LAN that the hub is bridged to, the
   * machine's own way there must stay the better one.
   */
  metricOf(net: Net): number | undefined {
    const servers = this.#peers.map(({ address }) => tryParseAddress(address));
    const isInside = servers.some((server) => server !== undefined && netContains(net, server));
    return isInside ? LAST_METRIC : undefined;
  }

  setNetwork(network: HubNetwork): void {
    if (this.#isClosed) return;
    this.#network = network;
    this.#route();
    const servers = (network.dns ?? []).map(formatIpv4);
    void this.#dns?.set({ servers, domain: network.domain });
  }

  status(): HostStatus {
    return {
      ...(this.#routes?.summary ?? { defaultRoute: [], routes: 0 }),
      dns: this.#dns?.servers ?? [],
      killSwitch: this.#killSwitch?.isUp === true,
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#refresh?.cancel();
    this.#watch.close();
    this.#routers?.close();
    // What cannot be taken back, as on a full disk, must not keep the others: least of all the kill switch.
    for (const keeper of [this.#dns, this.#routes, this.#killSwitch]) {
      try {
        await keeper?.close();
      } catch (error) {
        this.#deps.onWarning("undo_failed", `Cannot put all back: ${messageOf(error)}`);
      }
    }
  }

  #route(): void {
    try {
      this.#routes?.setNetwork({ ...this.#network, router: this.#router });
      if (this.#routes?.hasRoutes === true) this.#watchNetwork();
    } catch (error) {
      this.#deps.onWarning("routes_failed", `Cannot set the routes: ${messageOf(error)}`);
    }
  }

  /** A router that is gone stays the way out until there is another: nothing is to leave beside the tunnel. */
  #listenForRouters(index: number): void {
    const routers = new RouterList(this.#options.clock, (router) => {
      this.#router = router ?? this.#router;
      this.#route();
    });
    this.#routers = routers;
    try {
      this.#watch.onRouter(index, (advertisement) => routers.take(advertisement));
    } catch (error) {
      this.#deps.onWarning("ipv6_router", `IPv6 stays beside the tunnel: ${messageOf(error)}`);
    }
  }

  #watchNetwork(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    this.#watch.onNetwork(() => this.#lookAtNetwork());
  }

  /** The routes of an interface that was down come back with it (FI-06), those that went with an address at once. */
  #lookAtNetwork(): void {
    try {
      this.#routes?.repair();
    } catch (error) {
      this.#deps.onWarning("routes_failed", `Cannot put the routes back: ${messageOf(error)}`);
    }
  }
}
