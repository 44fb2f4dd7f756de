import { formatAddress, formatIpv4, type Ipv4 } from "../base/ip.ts";
import { MAX_ADDRESS_LINES_PER_MINUTE, MAX_LOG_REPEATS_PER_MINUTE } from "../base/limits.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import type { HubOptions } from "../config/hub-options.ts";
import type { Log } from "../observe/log.ts";
import { DROP, type DropReason } from "./drop-reason.ts";
import type { FrameView } from "./frame-view.ts";
import type { IpTable } from "./ip-table.ts";

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

/** What DoNotSaveHeavySecurityLogs keeps out: lines that single frames cause (hub.md 3). */
const HEAVY: ReadonlySet<string> = new Set([
  "storm",
  "mac_limit",
  "mac_spoof",
  "ip_limit",
  "ip_conflict",
  "ip_not_leased",
  "mac_registered",
  "dhcp_lease",
  "no_server",
  "no_server_v6",
  "dhcp_no_server",
  "dhcpv6_no_server",
]);

/** An address that a DHCP server has given. */
export interface LeaseNews {
  readonly address: Ipv4;
  readonly mac: MacAddress;
  /** Name of the port that the host is behind; `server` is that of its server. */
  readonly port: string;
  readonly server: string;
  readonly serverMac: MacAddress;
  readonly serverAddress: Ipv4;
}

/** Tells of what a hub learns and refuses, each kind of line at most ten times a minute (robustness.md 1.5). */
export class HubLog {
  private readonly hub: string;
  private readonly log: Log;
  private keepsHeavy = true;
  private tellsRegistrations = false;
  private readonly repeats = new Map<string, { since: number; lines: number; left: number }>();

  constructor(hub: string, log: Log) {
    this.hub = hub;
    this.log = log;
  }

  configure({ DoNotSaveHeavySecurityLogs, NoMacAddressLog }: HubOptions): void {
    this.keepsHeavy = DoNotSaveHeavySecurityLogs === 0;
    this.tellsRegistrations = NoMacAddressLog === 0;
  }

  /** A MAC that was not known; told where the option NoMacAddressLog is off. */
  registered(mac: MacAddress, vlanId: number, port: string, now: number): void {
    if (!this.tellsRegistrations) return;
    const suppressed = this.admit("mac_registered", now, MAX_ADDRESS_LINES_PER_MINUTE);
    if (suppressed === undefined) return;
    this.log.info("mac_registered", "MAC address learned", {
      hub: this.hub,
      mac: formatMac(mac),
      vlan: vlanId || undefined,
      port,
      suppressed: suppressed || undefined,
    });
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

  leased(news: LeaseNews, now: number): void {
    const suppressed = this.admit("dhcp_lease", now, MAX_ADDRESS_LINES_PER_MINUTE);
    if (suppressed === undefined) return;
    this.log.info("dhcp_lease", "A DHCP server has given an address to a host", {
      hub: this.hub,
      address: formatIpv4(news.address),
      mac: formatMac(news.mac),
      port: news.port,
      server: news.server,
      server_mac: formatMac(news.serverMac),
      server_address: formatIpv4(news.serverAddress),
      suppressed: suppressed || undefined,
    });
  }

  /** The address that was sought in `table` is fresh at `owner`, and another port used it. */
  conflict(
    table: IpTable,
    port: string,
    mac: MacAddress,
    owner: string | undefined,
    now: number,
  ): void {
    const suppressed = this.admit("ip_conflict", now);
    if (suppressed === undefined) return;
    this.log.info("ip_conflict", "Frame dropped: its source address belongs to another port", {
      hub: this.hub,
      address: formatAddress(table.address.bytes),
      port,
      mac: formatMac(mac),
      owner,
      owner_mac: formatMac(table.mac),
      leased: table.isLeased,
      suppressed: suppressed || undefined,
    });
  }

  /** The address that was sought in `table` was not given to the port by DHCP, though its policy asks for that. */
  notLeased(table: IpTable, port: string, mac: MacAddress, now: number): void {
    const suppressed = this.admit("ip_not_leased", now);
    if (suppressed === undefined) return;
    this.log.info("ip_not_leased", "Frame dropped: no DHCP server gave its source address", {
      hub: this.hub,
      address: formatAddress(table.address.bytes),
      port,
      mac: formatMac(mac),
      suppressed: suppressed || undefined,
    });
  }

  /** A flow of floods from this port, `rate` frames a second, is being limited. */
  storm(port: string, frame: FrameView, rate: number, now: number): void {
    const suppressed = this.admit("storm", now);
    if (suppressed === undefined) return;
    this.log.warn("storm", "Broadcast storm: its frames are thinned out until it is over", {
      hub: this.hub,
      port,
      mac: formatMac(frame.source),
      address: frame.sourceAddress,
      frames_per_second: rate,
      suppressed: suppressed || undefined,
    });
  }

  /** A probe has come back: `port` is shut, at the other end of the loop is `other`. */
  loopFound(port: string, other: string, seconds: number, now: number): void {
    const suppressed = this.admit("loop_found", now);
    if (suppressed === undefined) return;
    this.log.warn("loop_found", `Loop between ${port} and ${other}: ${port} is blocked`, {
      hub: this.hub,
      port,
      other,
      seconds,
      suppressed: suppressed || undefined,
    });
  }

  loopOver(port: string, other: string, now: number): void {
    const suppressed = this.admit("loop_over", now);
    if (suppressed === undefined) return;
    this.log.info("loop_over", `${port} is open again: no probe has come round any more`, {
      hub: this.hub,
      port,
      other,
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
  private admit(
    event: string,
    now: number,
    linesPerMinute = MAX_LOG_REPEATS_PER_MINUTE,
  ): number | undefined {
    if (!this.keepsHeavy && HEAVY.has(event)) return undefined;
    let repeat = this.repeats.get(event);
    if (repeat === undefined) this.repeats.set(event, (repeat = { since: now, lines: 0, left: 0 }));
    if (now - repeat.since >= MINUTE_MS) {
      repeat.since = now;
      repeat.lines = 0;
    }
    if (repeat.lines >= linesPerMinute) {
      repeat.left += 1;
      return undefined;
    }
    repeat.lines += 1;
    const suppressed = repeat.left;
    repeat.left = 0;
    return suppressed;
  }
}
