// Switches between a hub and its hosts may forward groups only to where somebody said that he listens (RFC 4541). A host
// that did not say so would not be found behind them (RFC 3810 5.2.12, 6).
import type { Clock, Timer } from "../base/clock.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { ALL_REPORT_LISTENERS, encodeMldReport, MLD_RECORD, tryReadMldQuery } from "../wire/mld.ts";
import { groupMacOf, isLinkLocal } from "./ipv6-address.ts";
import { IPV6_HEADER_BYTES, type PacketView } from "./packet-view.ts";

/** A report may be lost: it is made twice (RFC 3810 9.1, 9.11). */
const REPEAT_MS = 1_000;
/** The longest that a query is kept waiting, whatever it allows (RFC 3810 9.3). */
const MAX_ANSWER_MS = 10_000;

export interface GroupListenerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly linkLocal: Uint8Array;
  /** Other than all nodes, of which nobody reports. */
  readonly groups: readonly Uint8Array[];
  /** Sends an IPv6 packet to a station. */
  readonly send: (to: MacAddress, packet: Uint8Array) => void;
  /** A timer has run: what was sent may go. */
  readonly settled: () => void;
}

/** Reports the groups that a host listens to. */
export class GroupListener {
  readonly #options: GroupListenerOptions;
  readonly #groups: readonly Uint8Array[];
  #timer: Timer | undefined;
  #isOpen = false;

  constructor(options: GroupListenerOptions) {
    this.#options = options;
    const byText = new Map(options.groups.map((group) => [group.toHex(), group]));
    this.#groups = [...byText.values()];
  }

  start(): void {
    this.#isOpen = true;
    this.#report(MLD_RECORD.JOIN);
    this.#reportWithin(REPEAT_MS, MLD_RECORD.JOIN);
  }

  /** A packet of somebody who wants to know. False if it is no query of this link (RFC 3810 5.1.14, 6.2). */
  queried(packet: PacketView): boolean {
    const { ipAt, ipEnd, l4At, sourceAt, ttl } = packet;
    // A router alert stands before the message.
    const isAlert = l4At > ipAt + IPV6_HEADER_BYTES;
    const isOfLink = isLinkLocal(PACKET_BYTES.subarray(sourceAt, sourceAt + 16));
    if (ttl !== 1 || !isAlert || !isOfLink || !packet.hasRightSum) return false;
    const within = tryReadMldQuery(PACKET_BYTES.subarray(l4At, ipEnd));
    if (within === undefined) return false;
    if (this.#isOpen) this.#reportWithin(Math.min(within, MAX_ANSWER_MS), MLD_RECORD.IS_JOINED);
    return true;
  }

  /** May be called twice. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#timer?.cancel();
    this.#report(MLD_RECORD.LEAVE);
  }

  /** One that is due already serves as the answer. */
  #reportWithin(ms: number, record: Parameters<typeof encodeMldReport>[1]): void {
    const { clock, random, settled } = this.#options;
    this.#timer ??= clock.after(random.fraction() * ms, () => {
      this.#timer = undefined;
      this.#report(record);
      settled();
    });
  }

  #report(record: Parameters<typeof encodeMldReport>[1]): void {
    const { linkLocal, send } = this.#options;
    const packet = encodeMldReport(linkLocal, record, this.#groups);
    send(groupMacOf(ALL_REPORT_LISTENERS), packet);
  }
}
