import { formatAddress, formatNet } from "../base/ip.ts";
import { formatMac } from "../base/mac.ts";
import type { L3SwitchConfig } from "../config/l3-switch-config.ts";
import { HOST_DROP_REASONS, type HostDropReason, type HostDrops } from "../ip-host/host-drops.ts";
import type { IcmpErrorStats } from "../ip-host/icmp-error.ts";
import type { NeighborState } from "../ip-host/neighbors.ts";
import type { L3Interface } from "./l3-interface.ts";
import type { L3Switch } from "./l3-switch.ts";

/** How a switch stands, as lists show it. */
export interface L3SwitchStatus {
  readonly name: string;
  /** Stopped by the file or by a command; waiting for one of its hubs; online. */
  readonly state: "stopped" | "waiting" | "online";
  /** What it waits for, in words; null unless it waits. */
  readonly problem: string | null;
  readonly ra: boolean;
  readonly mtu: number;
  readonly interfaces: readonly L3InterfaceStatus[];
  readonly routes: readonly L3RouteStatus[];
  /** Packets that wait for somebody's MAC. */
  readonly waiting: number;
  /** Of packets in parts that were for the switch itself; others are counted where they came in. */
  readonly drops: Partial<Record<HostDropReason, number>>;
  /** What senders were told, and not told. */
  readonly icmpErrors: IcmpErrorStats;
}

export interface L3InterfaceStatus {
  readonly hub: string;
  readonly addresses: readonly string[];
  /** Null while the switch is not online. */
  readonly session: string | null;
  readonly mac: string | null;
  /** How many, by family: who they are is asked for by the switch, since they may be thousands. */
  readonly neighborCounts: { readonly ipv4: number; readonly ipv6: number };
  readonly drops: Partial<Record<HostDropReason, number>>;
}

export interface L3Neighbor {
  readonly hub: string;
  readonly address: string;
  /** Null while nobody has answered. */
  readonly mac: string | null;
  readonly state: NeighborState;
}

/** One switch with all that it knows. */
export interface L3SwitchDetail extends L3SwitchStatus {
  readonly neighbors: readonly L3Neighbor[];
}

export interface L3RouteStatus {
  readonly to: string;
  readonly via: string;
  readonly metric: number;
  /** The hub in which the router is; null while the switch is not online. */
  readonly hub: string | null;
}

/** `sessionOf` names the session of an interface in its hub. */
export function l3SwitchStatus(
  config: L3SwitchConfig,
  running:
    { readonly at: L3Switch; readonly sessionOf: (one: L3Interface) => string | null } | undefined,
  standing: Pick<L3SwitchStatus, "state" | "problem">,
): L3SwitchStatus {
  const { name, ra, mtu, interfaces, routes } = config;
  return {
    name,
    ...standing,
    ra,
    mtu,
    interfaces: interfaces.map(({ hub, addresses }) => {
      const one = running?.at.interfaces.find((each) => each.hub === hub);
      return {
        hub,
        addresses: addresses.map(formatNet),
        session: one === undefined ? null : (running?.sessionOf(one) ?? null),
        mac: one === undefined ? null : formatMac(one.mac),
        neighborCounts: {
          ipv4: one?.neighbors(4).size ?? 0,
          ipv6: one?.neighbors(6).size ?? 0,
        },
        drops: one === undefined ? {} : dropsOf(one),
      };
    }),
    routes: routes.map(({ to, via, metric }) => ({
      to: formatNet(to),
      via: formatAddress(via.bytes),
      metric,
      hub:
        running?.at.routes.find((each) => each.to === to && each.via === via)?.egress.hub ?? null,
    })),
    waiting: running?.at.waiting ?? 0,
    drops: running === undefined ? {} : dropsOf(running.at),
    icmpErrors: { ...(running?.at.icmpErrors ?? { sent: 0, limited: 0, withheld: 0 }) },
  };
}

/** In the order of the interfaces, IPv4 first. */
export function neighborsOf({ interfaces }: L3Switch): readonly L3Neighbor[] {
  return interfaces.flatMap((one) =>
    [...one.neighbors(4).list(), ...one.neighbors(6).list()].map(
      ({ address, isUsable, mac, state }) => ({
        hub: one.hub,
        address: formatAddress(address.bytes),
        mac: isUsable ? formatMac(mac) : null,
        state,
      }),
    ),
  );
}

function dropsOf({ drops }: { readonly drops: HostDrops }): L3InterfaceStatus["drops"] {
  return Object.fromEntries(
    HOST_DROP_REASONS.filter((reason) => drops[reason] > 0).map((reason) => [
      reason,
      drops[reason],
    ]),
  );
}
