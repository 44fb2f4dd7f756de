import { formatAddress, type IpAddress } from "../base/ip.ts";
import { VpnError } from "../base/errors.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import type { Hub } from "../hub/hub.ts";

/** An entry of a hub's MAC table; ages in seconds. */
export interface MacSnapshot {
  /** The entry's own for as long as it is there. */
  readonly id: number;
  readonly mac: string;
  /** 0 for none. */
  readonly vlan: number;
  readonly session: string;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
}

/** An entry of a hub's IP table; ages in seconds. */
export interface IpSnapshot {
  readonly id: number;
  readonly address: string;
  readonly mac: string;
  readonly session: string;
  /** A DHCP server gave it. */
  readonly dhcp: boolean;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
}

/** The one heard last first, as in all lists of tables. */
export function macRows(hub: Hub, now: number): MacSnapshot[] {
  return hub.macTable().map(({ id, mac, vlanId, port, created, updated }) => ({
    id,
    mac: formatMac(mac),
    vlan: vlanId,
    session: port.name,
    ageSeconds: Math.round((now - created) / 1000),
    idleSeconds: Math.round((now - updated) / 1000),
  }));
}

export function ipRows(hub: Hub, now: number): IpSnapshot[] {
  return hub.ipTable().map(({ id, address, mac, port, isLeased, created, updated }) => ({
    id,
    address: formatAddress(address.bytes),
    mac: formatMac(mac),
    session: port.name,
    dhcp: isLeased,
    ageSeconds: Math.round((now - created) / 1000),
    idleSeconds: Math.round((now - updated) / 1000),
  }));
}

/** An entry of one of the two tables, as administrators name it. */
export type TableEntry =
  | { readonly kind: "mac"; readonly mac: MacAddress; readonly vlan: number }
  | { readonly kind: "ip"; readonly address: IpAddress };

/** @throws VpnError `entry_not_found` */
export function removeEntry(hub: Hub, entry: TableEntry): void {
  const isRemoved =
    entry.kind === "mac" ? hub.removeMac(entry.mac, entry.vlan) : hub.removeIp(entry.address);
  if (isRemoved) return;
  const where =
    entry.kind === "ip"
      ? `${formatAddress(entry.address.bytes)} is not in the IP table`
      : `${formatMac(entry.mac)} ${entry.vlan === 0 ? "without a VLAN" : `in VLAN ${entry.vlan}`} is not in the MAC table`;
  throw new VpnError("entry_not_found", `${where} of hub ${hub.name}`);
}
