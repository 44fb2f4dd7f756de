import type { IpAddress, Net } from "../base/ip.ts";

/** A virtual layer 3 switch: a router between hubs of this server (hub.md 12, config-proposal.md 7.4). */
export interface L3SwitchConfig {
  /** As written; look-ups ignore case. */
  readonly name: string;
  /** Running unless a command has said otherwise. */
  readonly enable: boolean;
  /** In the order of the file; one for each hub. */
  readonly interfaces: readonly L3InterfaceConfig[];
  /** In the order of the file. */
  readonly routes: readonly L3RouteConfig[];
  /** Announces itself as a router to IPv6 hosts (RFC 4861 6.2). */
  readonly ra: boolean;
  /** Of all its interfaces: longer packets are fragmented or refused. */
  readonly mtu: number;
}

/** A leg of the switch in a hub, which need not exist. */
export interface L3InterfaceConfig {
  readonly hub: string;
  /** Addresses with the networks that they are in; never empty, of either family. */
  readonly addresses: readonly Net[];
}

export interface L3RouteConfig {
  /** Host bits are 0. */
  readonly to: Net;
  /** Of the same family, in the network of an interface. */
  readonly via: IpAddress;
  /** Of routes to one network the lowest is taken. */
  readonly metric: number;
}
