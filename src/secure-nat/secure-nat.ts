// SecureNAT: a host in software on a hub, with DHCP, DNS and a way out (hub.md 11). This file puts its parts together;
// what a packet meets, in order: software-port (ip-host) -> virtual-host -> nat -> a flow with a socket of its own.
import { type IpAddress, type Ipv4, readIpv4, ipv4Address } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { SecureNatConfig } from "../config/secure-nat-config.ts";
import { type HostDrops, noHostDrops } from "../ip-host/host-drops.ts";
import { IcmpErrors } from "../ip-host/icmp-error.ts";
import type { HostLink } from "../ip-host/link.ts";
import { outbox } from "../ip-host/outbox.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { Reassembly } from "../ip-host/reassembly.ts";
import { SoftwarePort } from "../ip-host/software-port.ts";
import { Epoll } from "../platform/epoll.ts";
import { IP_PROTOCOL } from "../wire/ipv4.ts";
import { DestinationRule } from "./destination-rule.ts";
import type { DhcpReply } from "./dhcp/dhcp-reply.ts";
import { DhcpServer } from "./dhcp/dhcp-server.ts";
import type { Lease } from "./dhcp/lease.ts";
import { DnsRelay } from "./dns/dns-relay.ts";
import { systemDnsTransport } from "./dns/dns-socket.ts";
import { HostResolvers } from "./dns/host-resolvers.ts";
import { sendUdp } from "./datagram.ts";
import type { Ipv6Services } from "./ipv6/ipv6-services.ts";
import { tryMakeIpv6 } from "./ipv6/make-ipv6.ts";
import { echoFlows } from "./echo-flow.ts";
import type { FlowEnds } from "./flow.ts";
import { KernelNat } from "./kernel-nat.ts";
import { type Nat, type NatEntry, UserNat } from "./nat.ts";
import type { SecureNatDeps } from "./secure-nat-deps.ts";
import type { SecureNatStatus } from "./secure-nat-status.ts";
import { udpFlows } from "./udp-flow.ts";
import { DNS_PORT, HOST_TTL, type HostAddresses, VirtualHost } from "./virtual-host.ts";
import { tcpFlows } from "./tcp-flow.ts";
import { TcpStack } from "./tcp/tcp-stack.ts";
import { WarningGate } from "./warning-gate.ts";

/** The port goes into a hub; whoever opens this closes it. */
export class SecureNat {
  readonly port: SoftwarePort;
  readonly #deps: SecureNatDeps;
  readonly #link: HostLink;
  readonly #drops: HostDrops = noHostDrops();
  readonly #epoll: Epoll;
  readonly #icmp: IcmpErrors;
  readonly #tcp: TcpStack;
  readonly #reassembly: Reassembly;
  readonly #dhcp: DhcpServer;
  readonly #resolvers: HostResolvers;
  readonly #dns: DnsRelay;
  /** Undefined where IPv6 is off. */
  readonly #ipv6: Ipv6Services | undefined;
  readonly #nat: Nat | undefined;
  readonly #kernel: KernelNat | undefined;
  /** Carries what is for the host's own DNS port. */
  readonly #user: UserNat;
  readonly #host: VirtualHost;
  #rule: DestinationRule;
  #config: SecureNatConfig;
  #isClosed = false;

  /**
   * @throws SystemError if there are no descriptors left
   * @throws VpnError, with `nat` "kernel", as KernelNat does
   */
  constructor(config: SecureNatConfig, deps: SecureNatDeps) {
    const { clock, hub, log, random } = deps;
    this.#config = config;
    this.#deps = deps;
    this.#link = this.#makeLink();
    // The first of what must be closed, since there may be none.
    this.#epoll = Epoll.open();
    this.#ipv6 = tryMakeIpv6(config, { ...deps, link: this.#link, drops: this.#drops });
    this.#icmp = new IcmpErrors(clock);
    this.#rule = this.#makeRule();
    this.#tcp = new TcpStack({
      clock,
      random,
      link: this.#link,
      isPlainReset: deps.compat.natErrors,
    });
    this.#reassembly = new Reassembly({
      clock,
      drops: this.#drops,
      expired: (quote) => {
        if (deps.compat.natErrors) return;
        const from = { link: this.#link, address: this.#addressOf(quote.version) };
        this.#icmp.aboutQuote(quote, "reassembly_time_exceeded", from);
        outbox.drain();
      },
    });
    this.#kernel = config.nat === "kernel" ? this.#makeKernelNat() : undefined;
    this.#epoll.afterTurn = () => this.#afterTurn();
    this.#resolvers = new HostResolvers({
      clock,
      configured: config.resolvers,
      isOwn: (address) => this.#isOwn(address),
    });
    this.#dns = new DnsRelay({
      clock,
      random,
      transport: systemDnsTransport(this.#epoll),
      resolvers: () => this.#resolvers.current(),
      hostName: deps.hostName,
      settled: () => outbox.drain(),
    });
    this.#dhcp = new DhcpServer(config, {
      hub,
      clock,
      log,
      isPlain: deps.compat.dhcp,
      store: deps.leases,
      send: (reply) => this.#sendDhcp(reply),
      probe: (address, ms, done) => this.#host.probe(address, ms, done),
      userAddressOf: (mac) => deps.userAddressOf(mac),
    });
    this.#user = this.#makeUserNat();
    this.#nat = config.nat === "user" ? this.#user : this.#kernel;
    this.#host = new VirtualHost({
      clock,
      log,
      hub,
      link: this.#link,
      addresses: this.#addresses,
      drops: this.#drops,
      icmp: this.#icmp,
      reassembly: this.#reassembly,
      services: {
        dhcp: this.#dhcp,
        dns: this.#dns,
        ipv6: this.#ipv6,
        nat: this.#nat,
        withoutNat: config.isRefusing === true ? "reset" : "no_route",
        dnsStreams: this.#user,
      },
      reset: (packet) => this.#reset(packet),
      isPlain: deps.compat.natErrors,
      handled: () => this.#tcp.flush(),
    });
    this.port = new SoftwarePort("securenat", this.#host, {
      drops: this.#drops,
      onClose: () => this.close(),
    });
  }

  /**
   * Applies what can change while flows go on. False for what makes another host of it: its addresses, its MAC, its
   * MTU, the kind of NAT; then it is to be closed and made anew.
   */
  reconfigure(config: SecureNatConfig): boolean {
    if (!isSameHost(this.#config, config)) return false;
    const before = this.#config;
    this.#config = config;
    this.#user.reconfigure(config);
    if (before.allowHost !== config.allowHost) {
      this.#rule = this.#makeRule();
      this.#user.endForbidden();
      this.#tcp.flush();
    }
    this.#kernel?.reconfigure(config);
    this.#dhcp.reconfigure(config);
    this.#ipv6?.reconfigure(config.dhcp);
    if (!Bun.deepEquals(before.resolvers, config.resolvers)) {
      this.#resolvers.reconfigure(config.resolvers);
    }
    return true;
  }

  /** The port is in its hub: hosts there are told who has come. */
  start(): void {
    this.#host.announce();
    this.#ipv6?.start();
    outbox.drain();
  }

  get status(): SecureNatStatus {
    return {
      mode: this.#config.nat,
      entries: this.#user.counts,
      leases: this.#dhcp.list().length,
      drops: { ...this.#drops },
      icmp: { ...this.#icmp.stats },
      dns: { ...this.#dns.stats },
      dhcp: { ...this.#dhcp.counters },
      ipv6: this.#ipv6?.stats,
      tcp: this.#tcp.totals,
      tcpRejected: this.#tcp.rejected,
    };
  }

  get entries(): readonly NatEntry[] {
    return this.#user.entries;
  }

  get leases(): readonly Lease[] {
    return this.#dhcp.list();
  }

  /** Ends the NAT entry of this number; false if there is none. */
  removeEntry(id: number): boolean {
    const isDone = this.#user.remove(id);
    this.#tcp.flush();
    return isDone;
  }

  /** Frees a lease; false if there is none. */
  removeLease(address: Ipv4): boolean {
    return this.#dhcp.remove(address);
  }

  /** The session that a MAC was behind is over: what its user had is free. */
  sessionEnded(mac: MacAddress): void {
    this.#dhcp.sessionEnded(mac);
  }

  /** Ends all flows; guests are told where their protocol can. May be called twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#user.close();
    this.#kernel?.close();
    this.#tcp.close();
    this.#dhcp.close();
    this.#dns.close();
    this.#ipv6?.close();
    this.#host.close();
    this.#reassembly.close();
    outbox.drain();
    this.#epoll.close();
    this.port.close({ code: "secure_nat_closed" });
  }

  get #addresses(): HostAddresses {
    const { address, prefix } = this.#config;
    return { v4: address, prefix, v6: this.#ipv6?.addresses };
  }

  #makeLink(): HostLink {
    const sinkOf = () => this.port.sink ?? NOWHERE;
    return {
      mac: this.#config.mac ?? this.#deps.identity.mac,
      mtu: this.#config.mtu,
      get sink() {
        return sinkOf();
      },
    };
  }

  #makeRule(): DestinationRule {
    const { clock, own } = this.#deps;
    return new DestinationRule(clock, { allowHost: this.#config.allowHost, own });
  }

  #makeKernelNat(): KernelNat {
    const { clock, events, hub, log, own } = this.#deps;
    try {
      return new KernelNat(this.#config, {
        hub,
        clock,
        log,
        link: this.#link,
        addresses: this.#addresses,
        drops: this.#drops,
        own,
        lost: (reason) => events.lost?.(reason),
      });
    } catch (thrown) {
      // What is told of routes goes on until it is closed.
      this.#ipv6?.close();
      this.#epoll.close();
      throw thrown;
    }
  }

  #makeUserNat(): UserNat {
    const { clock, compat, events, hub, log, random } = this.#deps;
    return new UserNat({
      link: this.#link,
      clock,
      random,
      epoll: this.#epoll,
      config: this.#config,
      isPlain: compat.natErrors,
      log: new WarningGate(hub, { clock, log }),
      addressOf: (family) => this.#addressOf(family),
      seed: new DataView(random.bytes(4).buffer).getInt32(0),
      drops: this.#drops,
      factories: {
        tcp: tcpFlows(this.#tcp, this.#icmp),
        udp: udpFlows(this.#icmp),
        icmp: echoFlows(this.#icmp),
      },
      dialOf: (ends) => this.#dialOf(ends),
      mayReach: ({ outer, outerPort }) =>
        this.#rule.refuses(outer.bytes, 0, outer.bytes.length as 4 | 16, outerPort) === undefined,
      prohibited: (packet) => this.#prohibited(packet),
      reset: (packet) => this.#reset(packet),
      began: (id, ends, mac) => events.began(id, ends, mac),
      finished: (id, flow) => events.finished(id, flow),
    });
  }

  #afterTurn(): void {
    if (this.#isClosed) return;
    this.#user.handled();
    this.#tcp.flush();
    outbox.drain();
  }

  #addressOf(family: 4 | 6): IpAddress {
    const { v4, v6 } = this.#addresses;
    return family === 4 || v6 === undefined ? ipv4Address(v4) : { family: 6, bytes: v6.global };
  }

  #isOwn({ family, bytes }: IpAddress): boolean {
    if (family === 4) return readIpv4(bytes, 0) === this.#config.address;
    return this.#ipv6?.isOwn(bytes) === true;
  }

  /** Questions by TCP to the host go to a resolver. */
  #dialOf({ protocol, outer, outerPort }: FlowEnds): FlowEnds["dial"] {
    if (protocol !== "tcp" || outerPort !== DNS_PORT || !this.#isOwn(outer)) return undefined;
    return this.#dns.stream();
  }

  #prohibited(packet: PacketView): void {
    if (packet.protocol === IP_PROTOCOL.TCP) this.#reset(packet);
    else {
      const from = { link: this.#link, address: this.#addressOf(packet.version) };
      this.#icmp.about(packet, "prohibited", from);
    }
  }

  /** Of packets to the host itself nobody has looked at the checksum before. */
  #reset(packet: PacketView): void {
    if (packet.hasRightSum) this.#tcp.reject(packet);
    else this.#drops.checksum += 1;
  }

  #sendDhcp({ message, toMac, toIp, toPort }: DhcpReply): void {
    sendUdp(this.#link, toMac, {
      source: ipv4Address(this.#config.address),
      sourcePort: 67,
      destination: ipv4Address(toIp),
      destinationPort: toPort,
      ttl: HOST_TTL[4],
      payload: message,
    });
  }
}

/** Before there is a cable, frames are lost. */
const NOWHERE = {
  ready: true,
  onReady: undefined,
  deliver: () => undefined,
  flush: () => undefined,
};

/** What a change of which makes another host. */
function isSameHost(a: SecureNatConfig, b: SecureNatConfig): boolean {
  const keys = [
    "address",
    "prefix",
    "mac",
    "nat",
    "isRefusing",
    "ipv6",
    "ipv6Prefix",
    "mtu",
  ] as const;
  return keys.every((key) => Bun.deepEquals(a[key], b[key]));
}
