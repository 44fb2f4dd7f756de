import type { Clock, Timer } from "../base/clock.ts";
import { IPV4_ANY, type Ipv4 } from "../base/ip.ts";
import { MAX_ADDRESS_PROBES } from "../base/limits.ts";
import { MAC_BROADCAST, MAC_ZERO, type MacAddress } from "../base/mac.ts";
import type { HostLink } from "../ip-host/link.ts";
import { outbox } from "../ip-host/outbox.ts";
import { ARP_OPERATION, type ArpPacket } from "../wire/arp.ts";
import { sendArp } from "../ip-host/arp-sender.ts";

interface Probe {
  readonly timer: Timer;
  done: (owner: MacAddress | undefined) => void;
}

/** Asks a network whether somebody in it has an address, before somebody else gets it (RFC 5227 2.1.1). */
export class AddressProbes {
  readonly #clock: Clock;
  readonly #link: HostLink;
  readonly #probes = new Map<Ipv4, Probe>();

  constructor(clock: Clock, link: HostLink) {
    this.#clock = clock;
    this.#link = link;
  }

  /**
   * Calls `done` after `ms` with undefined, or with who answers before. While very many are going on no further one
   * begins: the address counts as free, as it would without probes. Who asks for an address that is being probed takes the
   * place of whoever asked before, who is called with undefined at once: one client waits for one address.
   */
  probe(address: Ipv4, ms: number, done: (owner: MacAddress | undefined) => void): void {
    const known = this.#probes.get(address);
    if (known !== undefined) {
      const before = known.done;
      known.done = done;
      return before(undefined);
    }
    if (ms <= 0 || this.#probes.size >= MAX_ADDRESS_PROBES) return done(undefined);
    const timer = this.#clock.after(ms, () => {
      this.#end(address, undefined);
      outbox.drain();
    });
    this.#probes.set(address, { timer, done });
    sendArp(this.#link, {
      operation: ARP_OPERATION.REQUEST,
      senderMac: this.#link.mac,
      senderIp: IPV4_ANY,
      targetMac: MAC_ZERO,
      targetIp: address,
      to: MAC_BROADCAST,
    });
  }

  /** An ARP packet of somebody else: whoever sends from an address has it. */
  heard({ senderIp, senderMac }: ArpPacket): void {
    if (this.#probes.size > 0 && this.#probes.has(senderIp)) this.#end(senderIp, senderMac);
  }

  close(): void {
    for (const { timer } of this.#probes.values()) timer.cancel();
    this.#probes.clear();
  }

  #end(address: Ipv4, owner: MacAddress | undefined): void {
    const probe = this.#probes.get(address);
    if (probe === undefined) return;
    this.#probes.delete(address);
    probe.timer.cancel();
    probe.done(owner);
  }
}
