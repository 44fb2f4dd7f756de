import { formatAddress, formatIpv4, formatNet, type Ipv4 } from "../base/ip.ts";
import { formatMac } from "../base/mac.ts";
import type { SecureNatConfig } from "../config/secure-nat-config.ts";
import type { MadeIdentity } from "../config/secure-nat-state.ts";
import type { Lease, LeaseOrigin } from "../secure-nat/dhcp/lease.ts";
import type { FlowProtocol, FlowState } from "../secure-nat/flow.ts";
import type { NatEntry } from "../secure-nat/nat.ts";
import type { SecureNatStatus } from "../secure-nat/secure-nat-status.ts";

// SecureNAT of a hub as plain JSON: what `vpn nat` prints. Times are ISO 8601, ages seconds.

export interface NatSnapshot extends ConfigSnapshot {
  readonly status: "operating" | "error" | "offline";
  /** Why it does not operate, with what to do about it. */
  readonly problem?: string;
  /** SID-SECURENAT-2, while it operates. */
  readonly session?: string;
  /** While it operates. */
  readonly traffic?: SecureNatStatus;
}

/** What the configuration says, with what was made where it is silent. */
interface ConfigSnapshot {
  /** Null of one that has never operated. */
  readonly mac: string | null;
  /** With the prefix length of its network. */
  readonly address: string;
  readonly nat: SecureNatConfig["nat"];
  /** Null where it is off. */
  readonly ipv6Prefix: string | null;
  readonly mtu: number;
  readonly dhcp: {
    readonly enabled: boolean;
    /** The pool, both included. */
    readonly first: string;
    readonly last: string;
  };
}

export interface NatEntrySnapshot {
  /** Given to no other entry while this SecureNAT operates. */
  readonly id: number;
  readonly protocol: FlowProtocol;
  readonly inner: string;
  /** Of an echo: its identifier. */
  readonly innerPort: number;
  readonly outer: string;
  readonly outerPort: number;
  /** Of TCP only. */
  readonly state?: FlowState;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
  /** Payload, from the hub outwards and back. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

export interface LeaseSnapshot {
  readonly id: number;
  readonly address: string;
  readonly mac: string;
  /** As the host calls itself, "" for none: text of a stranger. */
  readonly hostName: string;
  /** Whose the address is: anybody's of the pool, that of a MAC by the table `static`, or a user's. */
  readonly origin: LeaseOrigin;
  readonly leased: string;
  /** Null for never. */
  readonly expires: string | null;
}

/** What administrators can take away. */
export type NatTarget =
  | { readonly kind: "entry"; readonly id: number }
  | { readonly kind: "lease"; readonly address: Ipv4 };

export function configSnapshot(
  { address, prefix, mac, nat, ipv6, ipv6Prefix, mtu, dhcp }: SecureNatConfig,
  made: MadeIdentity | undefined,
): ConfigSnapshot {
  const station = mac ?? made?.mac;
  const net = ipv6 ? (ipv6Prefix ?? made?.ipv6Prefix) : undefined;
  return {
    mac: station === undefined ? null : formatMac(station),
    address: `${formatIpv4(address)}/${prefix}`,
    nat,
    ipv6Prefix: net === undefined ? null : formatNet(net),
    mtu,
    dhcp: {
      enabled: dhcp.enable,
      first: formatIpv4(dhcp.first),
      last: formatIpv4(dhcp.last),
    },
  };
}

export function entrySnapshot(
  { id, flow: { ends, info } }: NatEntry,
  now: number,
): NatEntrySnapshot {
  return {
    id,
    protocol: ends.protocol,
    inner: formatAddress(ends.inner.bytes),
    innerPort: ends.innerPort,
    outer: formatAddress(ends.outer.bytes),
    outerPort: ends.outerPort,
    ...(info.state === undefined ? {} : { state: info.state }),
    ageSeconds: Math.round((now - info.created) / 1000),
    idleSeconds: Math.round((now - info.lastUsed) / 1000),
    bytesOut: info.bytesOut,
    bytesIn: info.bytesIn,
  };
}

export function leaseSnapshot(lease: Lease): LeaseSnapshot {
  return {
    id: lease.id,
    address: formatIpv4(lease.address),
    mac: formatMac(lease.mac),
    hostName: lease.hostname,
    origin: lease.origin,
    leased: new Date(lease.leasedAt).toISOString(),
    expires: lease.expires === undefined ? null : new Date(lease.expires).toISOString(),
  };
}
