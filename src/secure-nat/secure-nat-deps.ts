import type { Clock } from "../base/clock.ts";
import type { VpnError } from "../base/errors.ts";
import type { Ipv4, Net } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import type { Log } from "../observe/log.ts";
import type { OwnPlaces } from "./destination-rule.ts";
import type { LeaseBook } from "./dhcp/lease-keeper.ts";
import type { Flow, FlowEnds } from "./flow.ts";

/** What a SecureNAT is given by whoever opens it. */
export interface SecureNatDeps {
  readonly hub: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What the configuration does not say, made once and kept. */
  readonly identity: { readonly mac: MacAddress; readonly ipv6Prefix: Net };
  /** Improvements that are switched off (hub.md 17). */
  readonly compat: { readonly natErrors: boolean; readonly dhcp: boolean };
  /** Where guests must not go. */
  readonly own: OwnPlaces;
  readonly hostName: () => string;
  readonly leases: LeaseBook;
  /** The address of the user whose session the MAC is behind. */
  userAddressOf(mac: MacAddress): Ipv4 | undefined;
  readonly events: SecureNatEvents;
}

export interface SecureNatEvents {
  began(id: number, ends: FlowEnds, mac: MacAddress): void;
  finished(id: number, flow: Flow): void;
  /** Guests have no way out any more, as where somebody deleted the TUN: it is to be closed, and may be made anew. */
  lost?(reason: VpnError): void;
}
