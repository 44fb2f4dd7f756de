import { MAX_LOG_REPEATS_PER_MINUTE } from "../base/limits.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import type { Log } from "../observe/log.ts";
import { DROP, type DropReason } from "./drop-reason.ts";

const MINUTE_MS = 60_000;

const REFUSALS: Partial<Record<DropReason, string>> = {
  mac_limit: "Frame dropped: the port has as many MAC addresses as it may have",
  mac_spoof: "Frame dropped: its source MAC belongs to another port",
  mac_flap: "Frame dropped: its source MAC moves between ports too often",
  fdb_full: "Frame dropped: the hub has no room for another MAC address",
  ip_limit: "Frame dropped: the port has as many IP addresses as it may have",
  no_server: "Frame dropped: no TCP server may be behind the port",
  no_server_v6: "Frame dropped: no TCP server may be behind the port",
  dhcp_no_server: "Frame dropped: no DHCP server may be behind the port",
  dhcpv6_no_server: "Frame dropped: no DHCP server may be behind the port",
  loop: "Frame dropped: it came round to the hub once more",
};
const TEXTS = new Map(
  Object.entries(REFUSALS).map(([reason, text]) => [DROP[reason as DropReason], { reason, text }]),
);

/** Tells of what a hub learns and refuses, each kind of line at most ten times a minute (robustness.md 1.5). */
export class HubLog {
  private readonly hub: string;
  private readonly log: Log;
  private readonly repeats = new Map<string, { since: number; lines: number; left: number }>();

  constructor(hub: string, log: Log) {
    this.hub = hub;
    this.log = log;
  }

  moved(mac: MacAddress, vlanId: number, from: string | undefined, to: string, now: number): void {
    const suppressed = this.admit("mac_moved", now);
    if (suppressed === undefined) return;
    this.log.info("mac_moved", "MAC address moved to another port", {
      hub: this.hub,
      mac: formatMac(mac),
      vlan: vlanId || undefined,
      from,
      to,
      suppressed: suppressed || undefined,
    });
  }

  /** `code` is a drop code; reasons that are no news about a port are not told. */
  refused(code: number, port: string, mac: MacAddress, now: number): void {
    const told = TEXTS.get(code);
    if (told === undefined) return;
    const suppressed = this.admit(told.reason, now);
    if (suppressed === undefined) return;
    this.log.info(told.reason, told.text, {
      hub: this.hub,
      port,
      mac: formatMac(mac),
      suppressed: suppressed || undefined,
    });
  }

  /** Undefined if the line is one too many, else how many lines were left out before it. */
  private admit(event: string, now: number): number | undefined {
    let repeat = this.repeats.get(event);
    if (repeat === undefined) this.repeats.set(event, (repeat = { since: now, lines: 0, left: 0 }));
    if (now - repeat.since >= MINUTE_MS) {
      repeat.since = now;
      repeat.lines = 0;
    }
    if (repeat.lines >= MAX_LOG_REPEATS_PER_MINUTE) {
      repeat.left += 1;
      return undefined;
    }
    repeat.lines += 1;
    const suppressed = repeat.left;
    repeat.left = 0;
    return suppressed;
  }
}
