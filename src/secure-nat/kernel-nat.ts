// The way out of a hub by the kernel's own NAT (hub.md 11.4): guests' packets go into a TUN, the kernel forwards and
// masquerades them, and its answers come back out of the TUN. It needs root, and keeps up with the wire.
//
// Flows are the kernel's: their entries, time-outs and logs are not ours (conntrack(8) shows them).
import type { Clock } from "../base/clock.ts";
import { SystemError, VpnError } from "../base/errors.ts";
import { type Ipv4, type Net, netContains, ipv4Address } from "../base/ip.ts";
import { MAC_BROADCAST, MAC_ZERO, type MacAddress, readMac } from "../base/mac.ts";
import { DeviceIngress } from "../bridge/device-ingress.ts";
import { emptyDeviceStats } from "../bridge/device-stats.ts";
import type { SecureNatConfig } from "../config/secure-nat-config.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import type { HostLink } from "../ip-host/link.ts";
import { outbox } from "../ip-host/outbox.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import type { Log } from "../observe/log.ts";
import { trySetting, writeSetting } from "../platform/interface-setting.ts";
import { addRoute } from "../platform/ip-route.ts";
import { changeLink } from "../platform/link.ts";
import { applyNft, removeNftTable, replaceNftTable } from "../platform/nftables.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import type { Poller } from "../platform/poller.ts";
import { sharedPoller } from "../platform/shared-poller.ts";
import { openTun, type Tun } from "../platform/tun.ts";
import { ARP_OPERATION } from "../wire/arp.ts";
import { sendArp } from "../ip-host/arp-sender.ts";
import type { OwnPlaces } from "./destination-rule.ts";
import { GuestDevice } from "./kernel-nat-device.ts";
import {
  releaseForwarding,
  removeLeftovers,
  requireForwarding,
  TABLE_PREFIX,
  TUN_PREFIX,
} from "./kernel-nat-forwarding.ts";
import { GuestTable } from "./kernel-nat-guests.ts";
import {
  expectFree,
  kernelNatName,
  netsOf,
  networkOf,
  tryDeleteLink,
  waitGone,
} from "./kernel-nat-place.ts";
import { kernelNatRules, type KernelNatPlace } from "./kernel-nat-rules.ts";
import type { Nat, NatCounts, NatEntry } from "./nat.ts";
import { type HostAddresses } from "./virtual-host.ts";

/** Ports that we listen on change seldom; they are looked at so often, while packets pass. */
const LOOK_MS = 1000;
/** Between two questions who has an address. */
const ASK_MS = 50;

export interface KernelNatDeps {
  readonly hub: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly link: HostLink;
  readonly addresses: HostAddresses;
  readonly drops: HostDrops;
  readonly own: OwnPlaces;
  /** The kernel's part has gone, as where somebody deleted the TUN: guests have no way out any more. */
  readonly lost?: (reason: VpnError) => void;
  readonly poller?: Poller;
}

export class KernelNat implements Nat {
  /** It puts together what it must, and cuts it again as it was. */
  readonly takesFragments = true;
  readonly #deps: KernelNatDeps;
  readonly #table: string;
  readonly #place: KernelNatPlace;
  readonly #guests: GuestTable;
  readonly #device: GuestDevice;
  readonly #ingress: DeviceIngress;
  #config: SecureNatConfig;
  readonly #index: number;
  #rules = "";
  #lookedAt = -Infinity;
  #askedAt = -Infinity;
  #isClosed = false;

  /**
   * Makes the TUN, the table and the routes.
   * @throws SystemError that says what to do: without root, without TUN
   * @throws VpnError `nft_missing`, `nft_rights`, `nft_failed`, `forwarding`, or `nat_subnet` where the network is taken already
   */
  constructor(config: SecureNatConfig, deps: KernelNatDeps) {
    const { addresses, clock, hub, link } = deps;
    this.#config = config;
    this.#deps = deps;
    const name = kernelNatName(hub);
    const device = TUN_PREFIX + name;
    this.#table = TABLE_PREFIX + name;
    const wanted = netsOf(addresses, config.ipv6).map(networkOf);
    waitGone(device);
    removeLeftovers();
    expectFree(wanted, hub);
    const tun = openTun(device, link.mtu);
    this.#index = tun.index;
    try {
      // A machine may have IPv6 switched off, and has none on links of less than 1280 bytes.
      const hasV6 = trySetting(`ipv6/conf/${device}/disable_ipv6`) === "0";
      const nets = wanted.filter(({ family }) => family === 4 || hasV6);
      this.#place = { device, v4: nets[0]!, v6: nets[1] };
      this.#setUp(tun, nets);
      this.#guests = new GuestTable(clock);
      this.#device = new GuestDevice(tun, this.#guests, link.mac, (address) => {
        deps.drops.not_served += 1;
        if (address !== undefined) this.#ask(address);
      });
      const poller = deps.poller ?? sharedPoller;
      // The kernel counts what goes by its interface.
      const stats = emptyDeviceStats();
      this.#ingress = new DeviceIngress(this.#device, poller, stats, (errno) => this.#lost(errno));
    } catch (thrown) {
      tun.close();
      this.#removeRules();
      throw thrown;
    }
    this.#ingress.start(sinkOf(link));
  }

  #setUp(tun: Tun, nets: readonly Net[]): void {
    const { device } = this.#place;
    // The kernel itself has nothing to say there: no address of its own making, no solicitations.
    quietly(`ipv6/conf/${device}/addr_gen_mode`, "1");
    quietly(`ipv6/conf/${device}/accept_ra`, "0");
    this.#applyRules();
    requireForwarding(nets.map(({ family }) => family));
    changeLink(tun.index, { isUp: true });
    // Not the host's address: the kernel would answer for it on bridged interfaces, too.
    for (const to of nets) addRoute({ to, device: tun.index });
  }

  receive(packet: PacketView): void {
    if (this.#isClosed) return;
    const { drops, clock } = this.#deps;
    const { addressBytes, sourceAt } = packet;
    if (packet.version === 6 && this.#place.v6 === undefined) return void (drops.not_served += 1);
    if (!this.#isGuest(sourceAt, addressBytes)) return void (drops.martian += 1);
    const mac = readMac(PACKET_BYTES, packet.frameAt + 6);
    if (!this.#guests.heard(PACKET_BYTES, sourceAt, addressBytes, mac)) {
      return void (drops.arp_spoof += 1);
    }
    if (clock.now() - this.#lookedAt >= LOOK_MS) this.#look();
    if (this.#device.send(packet) < 0) drops.socket_full += 1;
  }

  heard(address: Ipv4, mac: MacAddress): void {
    const { v4 } = this.#place;
    const { bytes } = ipv4Address(address);
    if (netContains(v4, { family: 4, bytes })) this.#guests.heard(bytes, 0, 4, mac);
  }

  handled(): void {
    // Packets went to the kernel as they came.
  }

  reconfigure(config: SecureNatConfig): void {
    this.#config = config;
    this.#applyRules();
  }

  /** The kernel has them. */
  get entries(): readonly NatEntry[] {
    return [];
  }

  get counts(): NatCounts {
    return { tcp: 0, udp: 0, icmp: 0 };
  }

  remove(): boolean {
    return false;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#ingress.stop();
    // Closing it would do, but a little later: a wait for it may still be ending.
    tryDeleteLink(this.#index);
    this.#device.close();
    this.#guests.clear();
    this.#removeRules();
  }

  /**
   * Somebody forwards to a guest that has not spoken yet: by the time the sender tries again it has answered. Few are
   * asked for, since whoever sends to a whole network would have all asked for.
   */
  #ask(address: Ipv4): void {
    const { addresses, clock, link } = this.#deps;
    const now = clock.now();
    if (this.#isClosed || address === addresses.v4 || now - this.#askedAt < ASK_MS) return;
    this.#askedAt = now;
    sendArp(link, {
      operation: ARP_OPERATION.REQUEST,
      senderMac: link.mac,
      senderIp: addresses.v4,
      targetMac: MAC_ZERO,
      targetIp: address,
      to: MAC_BROADCAST,
    });
    queueMicrotask(() => outbox.drain());
  }

  #isGuest(at: number, length: 4 | 16): boolean {
    const net = length === 4 ? this.#place.v4 : this.#place.v6;
    if (net === undefined) return false;
    const whole = net.prefix >> 3;
    for (let n = 0; n < whole; n += 1) if (PACKET_BYTES[at + n] !== net.bytes[n]) return false;
    const rest = net.prefix & 7;
    return rest === 0 || (PACKET_BYTES[at + whole]! ^ net.bytes[whole]!) >>> (8 - rest) === 0;
  }

  /** Whether the ports that are ours are still the same. */
  #look(): void {
    this.#lookedAt = this.#deps.clock.now();
    try {
      this.#applyRules();
    } catch (thrown) {
      if (!(thrown instanceof VpnError)) throw thrown;
      const { hub, log } = this.#deps;
      log.warn("nat_kernel_rules", `Hub ${hub}: ${thrown.message}`, { hub, code: thrown.code });
    }
  }

  #applyRules(): void {
    const { own } = this.#deps;
    const { allowHost, maxEntries, maxEntriesPerAddress } = this.#config;
    const rules = kernelNatRules(this.#place, {
      allowHost,
      maxEntries,
      maxEntriesPerAddress,
      listeningPorts: own.listeningPorts(),
      tunnelServers: own.tunnelServers(),
    });
    if (rules === this.#rules) return;
    applyNft(replaceNftTable(this.#table, rules));
    this.#rules = rules;
  }

  #removeRules(): void {
    try {
      applyNft(removeNftTable(this.#table));
      releaseForwarding();
    } catch (thrown) {
      // A close that fails must not keep others from theirs; the next start removes what is left.
      const { hub, log } = this.#deps;
      const { message } = thrown as Error;
      log.warn("nat_kernel_left", `Hub ${hub} leaves rules of the packet filter: ${message}`, {
        hub,
      });
    }
  }

  #lost(errno: number): void {
    const { hub, lost } = this.#deps;
    this.close();
    lost?.(new SystemError("read", errno, `use TUN "${this.#place.device}" of hub ${hub}`));
  }
}

/** What DeviceIngress hands over goes where the host's frames go, which is known only once there is a cable. */
function sinkOf(link: HostLink): Parameters<DeviceIngress["start"]>[0] {
  return {
    ready: true,
    onReady: undefined,
    deliver: (run) => link.sink.deliver(run),
    flush: () => link.sink.flush(),
  };
}

/** A setting that matters little, and that kernels without IPv6 do not have. */
function quietly(place: string, value: string): void {
  if (trySetting(place) === undefined) return;
  try {
    writeSetting(place, value);
  } catch (thrown) {
    // Read-only under systemd's ProtectKernelTunables: the guests see a few packets that mean nothing to them.
    if (!(thrown instanceof Error)) throw thrown;
  }
}
