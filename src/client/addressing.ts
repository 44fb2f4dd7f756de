import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { formatNet, writeIpv4, type Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import type { NicConfig } from "../config/client-config.ts";
import type { FrameSink } from "../hub/port.ts";
import { DhcpClient } from "./dhcp-client.ts";
import type { DhcpLease } from "./dhcp-lease.ts";
import { DhcpTap } from "./dhcp-tap.ts";
import type { HubNetwork } from "./host-settings.ts";
import type { VirtualNic } from "./nic.ts";
import type { ClientEvent } from "./status.ts";
import { startSystemDhcp, type SystemDhcp } from "./system-dhcp.ts";

/** Gives the adapter its addresses, and keeps them over lost sessions so that routes survive. */
export interface Addressing {
  /** What sessions are plugged into: the adapter, or a place before it. */
  readonly sink: FrameSink;
  /** A session stands and frames can be sent. */
  begin(session: FrameSink): void;
  /** The session is gone; another may follow. */
  pause(): void;
  /** The client ends: what the hub should know is said while a session stands. */
  stop(): Promise<void>;
}

export interface AddressingDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly stateDir: string;
  /** PATH of the environment. */
  readonly searchPath: string;
  readonly onEvent: (event: ClientEvent) => void;
  /** The interface has its addresses, or the server has said more about the network they are in. */
  readonly onNetwork?: (network: HubNetwork) => void;
  /** The metric of a network that the interface is to be in, where it must not be the kernel's own choice. */
  readonly metricOf?: (net: Net) => number | undefined;
}

export function createAddressing(
  config: NicConfig,
  mac: MacAddress,
  nic: VirtualNic,
  deps: AddressingDeps,
): Addressing {
  switch (config.address.kind) {
    case "none":
      return new StaticAddressing(nic, [], deps);
    case "static":
      return new StaticAddressing(nic, config.address.nets, deps);
    case "dhcp":
      return config.dhcpClient === "own"
        ? new OwnDhcp(nic, mac, deps)
        : new SystemDhcpAddressing(nic, deps);
  }
}

/** Addresses that were written down, or none. */
class StaticAddressing implements Addressing {
  readonly sink: FrameSink;
  readonly #nic: VirtualNic;
  readonly #nets: readonly Net[];
  readonly #deps: AddressingDeps;
  #isDone = false;

  constructor(nic: VirtualNic, nets: readonly Net[], deps: AddressingDeps) {
    this.#nic = nic;
    this.sink = nic.port;
    this.#nets = nets;
    this.#deps = deps;
  }

  begin(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    for (const net of this.#nets) this.#nic.addAddress(net, this.#deps.metricOf?.(net));
    this.#deps.onNetwork?.({ nets: this.#nets });
    if (this.#nets.length === 0) return;
    this.#deps.onEvent({ event: "address", addresses: this.#nets.map(formatNet), from: "static" });
  }

  pause(): void {
    // The addresses stay.
  }

  async stop(): Promise<void> {
    // They go with the interface.
  }
}

/** Our own DHCP client on the cable. */
class OwnDhcp implements Addressing {
  readonly sink: DhcpTap;
  readonly #client: DhcpClient;
  readonly #nic: VirtualNic;
  readonly #deps: AddressingDeps;
  #net: Net | undefined;

  constructor(nic: VirtualNic, mac: MacAddress, deps: AddressingDeps) {
    this.#nic = nic;
    this.#deps = deps;
    this.sink = new DhcpTap(nic.port, deps.clock);
    this.#client = new DhcpClient({
      mac,
      hostname: hostname(),
      clock: deps.clock,
      random: deps.random,
      send: (frame) => this.sink.send(frame),
      onLease: (lease) => this.#take(lease),
      onLost: (reason) => {
        this.#drop();
        deps.onEvent({ event: "address_lost", reason });
      },
    });
    this.sink.client = this.#client;
  }

  begin(session: FrameSink): void {
    this.sink.connect(session);
    this.#client.start();
  }

  pause(): void {
    this.#client.stop({ release: false });
    this.sink.connect(undefined);
  }

  async stop(): Promise<void> {
    this.#client.stop({ release: true });
    this.sink.connect(undefined);
  }

  #take(lease: DhcpLease): void {
    const bytes = new Uint8Array(4);
    writeIpv4(bytes, 0, lease.address);
    const net: Net = { family: 4, bytes, prefix: lease.prefix };
    const isNew = this.#net === undefined || formatNet(this.#net) !== formatNet(net);
    if (isNew && !this.#tryUse(net)) return;
    const { gateway, routes, dns, domain } = lease;
    this.#deps.onNetwork?.({ nets: [net], gateway, routes, dns, domain });
  }

  #tryUse(net: Net): boolean {
    this.#drop();
    try {
      this.#nic.addAddress(net, this.#deps.metricOf?.(net));
    } catch (error) {
      // A fault of the system, and not of the session that has just brought the lease.
      const message = `Cannot use ${formatNet(net)}: ${messageOf(error)}`;
      this.#deps.onEvent({ event: "warning", code: "address_failed", message });
      return false;
    }
    this.#net = net;
    this.#deps.onEvent({ event: "address", addresses: [formatNet(net)], from: "dhcp" });
    return true;
  }

  #drop(): void {
    if (this.#net !== undefined) this.#nic.removeAddress(this.#net);
    this.#net = undefined;
  }
}

/** The machine's own DHCP client, which sets addresses, routes and name servers as it is used to. */
class SystemDhcpAddressing implements Addressing {
  readonly sink: FrameSink;
  readonly #nic: VirtualNic;
  readonly #deps: AddressingDeps;
  #program: SystemDhcp | undefined;

  constructor(nic: VirtualNic, deps: AddressingDeps) {
    this.#nic = nic;
    this.sink = nic.port;
    this.#deps = deps;
  }

  begin(): void {
    const { stateDir, searchPath: path, onEvent, onNetwork } = this.#deps;
    // The program keeps to itself what it is told: routes of the account are on the link.
    onNetwork?.({ nets: [] });
    this.#program ??= startSystemDhcp({
      device: this.#nic.device,
      stateDir,
      path,
      onExit: (program, code) => {
        this.#program = undefined;
        onEvent({
          event: "warning",
          code: "dhcp_client_ended",
          message: `${program} has ended with code ${code ?? "none"}; the next session starts it again`,
        });
      },
    });
  }

  pause(): void {
    // It keeps its lease and asks again by itself.
  }

  async stop(): Promise<void> {
    await this.#program?.stop();
    this.#program = undefined;
  }
}
