// Heads up: RFC 4861 7.2 has the rules. The host only answers; whom it answers it knows from the frame he sent, so a
// guest can teach it nothing (robustness.md IP-02).
import type { Clock } from "../../base/clock.ts";
import { formatAddress } from "../../base/ip.ts";
import { formatMac, type MacAddress } from "../../base/mac.ts";
import type { HostDrops } from "../../ip-host/host-drops.ts";
import { ALL_NODES, groupMacOf, isUnspecified } from "../../ip-host/ipv6-address.ts";
import type { Log } from "../../observe/log.ts";
import {
  encodeNeighborAdvertisement,
  tryParseNeighborAdvertisement,
  tryParseNeighborSolicitation,
} from "../../wire/neighbor-discovery.ts";
import { GroupAnswers } from "../../ip-host/group-answers.ts";

/** As for IPv4 (RFC 5227 2.4 c). */
const DEFEND_INTERVAL_MS = 10_000;

export interface NeighborResponderOptions {
  readonly hub: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly mac: MacAddress;
  /** The host's own, 16 octets each. */
  readonly addresses: readonly Uint8Array[];
  readonly drops: HostDrops;
  /** Sends an IPv6 packet to a station. */
  readonly send: (to: MacAddress, packet: Uint8Array) => void;
}

/**
 * Tells who asks which MAC the host's addresses have. It does not ask whether somebody else has them before it takes
 * them: any guest could end the way out of all others with one answer. Who claims one is contradicted instead.
 */
export class NeighborResponder {
  readonly #options: NeighborResponderOptions;
  readonly #groupAnswers: GroupAnswers;
  #defendedAt = -Infinity;

  constructor(options: NeighborResponderOptions) {
    this.#options = options;
    this.#groupAnswers = new GroupAnswers(options.clock);
  }

  /** Tells everybody, so that those who knew another MAC forget it. */
  announce(): void {
    for (const address of this.#options.addresses) this.#tellAll(address);
  }

  /** An IPv6 packet with a solicitation in it. */
  solicited(packet: Uint8Array, from: MacAddress): void {
    const { addresses, drops } = this.#options;
    const asked = tryParseNeighborSolicitation(packet);
    if (asked === undefined) return void (drops.header += 1);
    const target = addresses.find((address) => isEqual(address, asked.target));
    if (target === undefined) return;
    // Somebody is about to take the address: all are told who has it (RFC 4862 5.4.3).
    if (isUnspecified(asked.source)) {
      if (this.#groupAnswers.take(from)) this.#tellAll(target);
      else drops.limit += 1;
      return;
    }
    this.#tell(target, { address: asked.source, mac: from }, true);
  }

  /** An IPv6 packet with an advertisement in it: nothing is learnt from it. */
  advertised(packet: Uint8Array, from: MacAddress): void {
    const { addresses, clock, drops, hub, log } = this.#options;
    const told = tryParseNeighborAdvertisement(packet);
    if (told === undefined) return void (drops.header += 1);
    const claimed = addresses.find((address) => isEqual(address, told.target));
    if (claimed === undefined) return;
    drops.arp_spoof += 1;
    const now = clock.now();
    if (now - this.#defendedAt < DEFEND_INTERVAL_MS) return;
    this.#defendedAt = now;
    const text = `${formatMac(from)} in hub ${hub} claims ${formatAddress(claimed)}, the address of SecureNAT`;
    log.warn("nat_address_conflict", text, { hub, mac: formatMac(from) });
    this.#tellAll(claimed);
  }

  #tellAll(target: Uint8Array): void {
    this.#tell(target, { address: ALL_NODES, mac: groupMacOf(ALL_NODES) }, false);
  }

  #tell(
    target: Uint8Array,
    to: { readonly address: Uint8Array; readonly mac: MacAddress },
    isSolicited: boolean,
  ): void {
    const { mac, send } = this.#options;
    const packet = encodeNeighborAdvertisement({
      source: target,
      destination: to.address,
      target,
      mac,
      isSolicited,
      isRouter: true,
    });
    send(to.mac, packet);
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((octet, at) => octet === b[at]);
}
