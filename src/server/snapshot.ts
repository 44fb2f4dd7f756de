import type { CascadeStatus } from "../cascade/cascade-status.ts";
import type { Clock } from "../base/clock.ts";
import { formatAddress, formatIpv4 } from "../base/ip.ts";
import { formatMac } from "../base/mac.ts";
import { BUILD_DATE, COMMIT, VERSION } from "../base/version.ts";
import type { CounterRow } from "../config/counter-store.ts";
import type { Hub } from "../hub/hub.ts";
import type { HubPort } from "../hub/hub-port.ts";
import type { CounterRecord } from "../hub/port-counters.ts";
import type { StationAddress } from "../hub/station-address.ts";
import { streamStatus, type StreamStatus } from "../session/stream-status.ts";
import type { L3SwitchStatus } from "../l3-switch/l3-status.ts";
import type { BridgeStatus } from "./hub-bridges.ts";
import type { LogStats } from "../observe/server-logs.ts";
import type { HubHost } from "./hub-host.ts";
import type { NatSnapshot } from "./nat-snapshot.ts";
import type { InnerKind } from "./inner-session.ts";
import { ipRows, macRows, type IpSnapshot, type MacSnapshot } from "./hub-tables.ts";
import type { ListenerState } from "./listeners.ts";
import type { OutsideStats } from "./outside-authorities.ts";
import type { OpenSession } from "./stay.ts";

/** State of a server as plain JSON: what `vpn status --json` prints. Times are ISO 8601, ages seconds. */
export interface ServerSnapshot {
  readonly version: string;
  readonly commit: string;
  readonly buildDate: string;
  readonly pid: number;
  readonly started: string;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  readonly listeners: readonly ListenerState[];
  readonly hubs: readonly HubSnapshot[];
  readonly l3Switches: readonly L3SwitchStatus[];
  readonly connections: {
    /** Accepted, not logged in yet. */
    readonly pending: number;
    /** How connections ended that did not become part of a session, and `data` for those that did. */
    readonly outcomes: Readonly<Record<string, number>>;
    /** How connections ended that were part of a session. */
    readonly ends: Readonly<Record<string, number>>;
  };
  /** Lines of log files, and what was lost of them; left out where there are none. */
  readonly logs: LogStats | undefined;
}

export interface HubSnapshot {
  readonly name: string;
  readonly online: boolean;
  readonly users: number;
  readonly logins: number;
  /** The hub's own addresses, from which it asks silent hosts whether they are there. */
  readonly station: { readonly mac: string; readonly ipv4: string; readonly ipv6: string };
  readonly sessions: readonly SessionSnapshot[];
  /** Sessions of the server's own: local bridges, cascades, SecureNAT. */
  readonly innerSessions: readonly InnerSnapshot[];
  readonly cascades: readonly CascadeStatus[];
  /** Local bridges, those that are offline included. */
  readonly bridges: readonly BridgeStatus[];
  /** Left out where the hub has none. */
  readonly secureNat?: NatSnapshot;
  readonly macTable: readonly MacSnapshot[];
  readonly ipTable: readonly IpSnapshot[];
  readonly traffic: CounterRecord;
  /** In all its time, earlier runs of the server included. */
  readonly lifetime: HubLifetime;
  /** What RADIUS servers were asked and told, and what they answered; left out without them. */
  readonly outside: OutsideStats;
}

export interface SessionSnapshot extends StreamStatus {
  readonly name: string;
  readonly user: string;
  readonly mode: string;
  readonly address: string;
  readonly client: string;
  readonly clientVersion: number;
  readonly clientBuild: number;
  readonly host: string;
  readonly os: string;
  readonly since: string;
  /** `none` where the stream goes in clear. */
  readonly cipher: string;
  readonly timeoutSeconds: number;
  readonly blocked?: BlockSnapshot;
  readonly traffic: CounterRecord;
}

/** Why nothing passes a session's port, and until when at least. */
export interface BlockSnapshot {
  readonly reason: "loop";
  /** The session at the other end of the loop; its own name if frames come back to itself. */
  readonly other: string;
  readonly until: string;
}

/** What is kept of a hub from one run to the next; booked every ten seconds (hub.md 2.17). */
export interface HubLifetime {
  readonly created: string;
  /** Sessions that lived for half a minute. */
  readonly logins: number;
  /** Null for never. */
  readonly lastLogin: string | null;
  readonly lastTraffic: string | null;
  readonly inBytes: number;
  readonly outBytes: number;
}

export interface InnerSnapshot {
  readonly name: string;
  readonly kind: InnerKind;
  readonly user: string;
  readonly host: string;
  readonly since: string;
  readonly blocked?: BlockSnapshot;
  readonly traffic: CounterRecord;
}

export function takeSnapshot(of: {
  startedAt: number;
  clock: Clock;
  listeners: readonly ListenerState[];
  hubs: readonly HubHost[];
  cascades: (hub: string) => readonly CascadeStatus[];
  l3Switches: readonly L3SwitchStatus[];
  pending: number;
  outcomes: ReadonlyMap<string, number>;
  ends: ReadonlyMap<string, number>;
  logs: LogStats | undefined;
}): ServerSnapshot {
  return {
    version: VERSION,
    commit: COMMIT,
    buildDate: BUILD_DATE,
    pid: process.pid,
    started: new Date(of.startedAt).toISOString(),
    uptimeSeconds: Math.round((of.clock.wall() - of.startedAt) / 1000),
    residentBytes: residentBytes(),
    listeners: of.listeners,
    hubs: of.hubs.map((host) => ({
      ...hubSnapshot(host, of.clock),
      cascades: of.cascades(host.config.name),
    })),
    l3Switches: of.l3Switches,
    connections: {
      pending: of.pending,
      outcomes: Object.fromEntries(of.outcomes),
      ends: Object.fromEntries(of.ends),
    },
    logs: of.logs,
  };
}

function hubSnapshot(host: HubHost, clock: Clock): Omit<HubSnapshot, "cascades"> {
  const now = clock.now();
  return {
    name: host.config.name,
    online: host.config.online,
    users: host.accounts.size,
    logins: host.logins,
    station: stationSnapshot(host.hub.address),
    sessions: [...host.sessions.values()].map((open) => ({
      ...sessionSnapshot(open),
      ...blockSnapshot(host.hub, open.port, clock),
    })),
    innerSessions: host.innerSessions.map(({ name, kind, user, host: caption, since, port }) => ({
      name,
      kind,
      user,
      host: caption,
      since: new Date(since).toISOString(),
      ...blockSnapshot(host.hub, port, clock),
      traffic: port.counters.record(),
    })),
    bridges: host.bridges,
    ...(host.nat.status === undefined ? {} : { secureNat: host.nat.status }),
    macTable: macRows(host.hub, now),
    ipTable: ipRows(host.hub, now),
    traffic: host.hub.totals(),
    lifetime: lifetimeOf(host.ledger.row("hub", "")),
    outside: host.outsideStats,
  };
}

/** What the books say; all of it none for somebody who is not in them. */
export function lifetimeOf(row: CounterRow | undefined): HubLifetime {
  const dateOf = (wall = 0) => (wall === 0 ? null : new Date(wall).toISOString());
  const [, inUnicast = 0, , inGroup = 0, , outUnicast = 0, , outGroup = 0] = row?.traffic ?? [];
  return {
    created: new Date(row?.created ?? 0).toISOString(),
    logins: row?.logins ?? 0,
    lastLogin: dateOf(row?.lastLogin),
    lastTraffic: dateOf(row?.lastTraffic),
    inBytes: inUnicast + inGroup,
    outBytes: outUnicast + outGroup,
  };
}

function stationSnapshot({ mac, ipv4, ipv6 }: StationAddress): HubSnapshot["station"] {
  return { mac: formatMac(mac), ipv4: formatIpv4(ipv4), ipv6: formatAddress(ipv6) };
}

function blockSnapshot(hub: Hub, port: HubPort, clock: Clock): { blocked?: BlockSnapshot } {
  const block = hub.blockOf(port);
  if (block === undefined) return {};
  const until = new Date(clock.wall() + block.until - clock.now()).toISOString();
  return { blocked: { reason: "loop", other: block.other, until } };
}

function sessionSnapshot({ session, port, user, mode, address, request, since }: OpenSession) {
  const { connections, welcome } = session;
  return {
    name: session.name,
    user,
    mode,
    address,
    client: request.clientProduct,
    clientVersion: request.clientVersion,
    clientBuild: request.clientBuild,
    host: request.hostName,
    os: request.osName,
    since: new Date(since).toISOString(),
    ...streamStatus(session),
    cipher: connections[0]?.link.cipher ?? "",
    timeoutSeconds: welcome.timeoutMs / 1000,
    traffic: port.counters.record(),
  };
}

/** 0 where the system does not tell, as when no descriptor is left to ask it with: the rest is worth more then. */
function residentBytes(): number {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
}
