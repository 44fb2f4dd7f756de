// What the user-mode NAT follows: one flow is one way through it, with its own socket of this machine.
import type { Clock } from "../base/clock.ts";
import type { IpAddress } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import type { SecureNatConfig } from "../config/secure-nat-config.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import type { HostLink } from "../ip-host/link.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import type { Epoll } from "../platform/epoll.ts";

export type FlowProtocol = "tcp" | "udp" | "icmp";

/** Between whom a flow is, as the inner host sees it. Of an echo `innerPort` is its identifier and `outerPort` 0. */
export interface FlowEnds {
  readonly protocol: FlowProtocol;
  readonly inner: IpAddress;
  readonly innerPort: number;
  readonly outer: IpAddress;
  readonly outerPort: number;
  /** Where the socket really goes, if not there: the virtual host's port 53 is a resolver's. */
  readonly dial?: FlowDial;
}

/** A target in the place of the one that a guest has named. */
export interface FlowDial {
  readonly address: IpAddress;
  readonly port: number;
  /** How long it may take to accept, if not as long as others. */
  readonly timeoutMs?: number;
  readonly guard?: StreamGuard;
  /** Whether the target has accepted in that time. */
  settled?(isThere: boolean): void;
}

/** Looks at what a guest says before the target hears it. */
export interface StreamGuard {
  /**
   * False, from then on, if the connection must end instead. The bytes, an array of struct iovec at an offset of packet memory, begin
   * with the first that has not been taken.
   */
  passes(vectorAt: number, vectors: number, bytes: number): boolean;
  /** So many of them went on. */
  taken(bytes: number): void;
}

/** States of a TCP flow as lists show them (hub.md 11.5), but for that of sending a reset, which takes no time here. */
export type FlowState = "connecting" | "connected" | "established" | "disconnecting";

/** What lists show of a flow. */
export interface FlowInfo {
  /** Of TCP only. */
  readonly state?: FlowState;
  /** Milliseconds of the monotonic clock. */
  readonly created: number;
  readonly lastUsed: number;
  /** Payload: from the inside to the outside, and back. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/** Why a flow ends: by itself, since it was idle, by an administrator, to make room, or with all others. */
export type FlowEnd = "done" | "idle" | "deleted" | "limit" | "closing";

export interface Flow {
  readonly ends: FlowEnds;
  readonly info: FlowInfo;
  /** A packet of this flow from the inside, its checksum found right; also the one that made the flow. */
  receive(packet: PacketView): void;
  /** The event is over, and `soil` was called in it: now much may be sent, with `outbox.drain()` between. */
  flush(): void;
  /** The configuration is another: its time to be idle may be shorter. Ends nothing before the event is over. */
  reconfigured?(): void;
  /** Frees all that it holds. Tells the inner host where its protocol can. Calls nothing of its host; may be called twice. */
  close(end: FlowEnd): void;
}

/** The NAT as a flow sees it. */
export interface FlowHost {
  readonly link: HostLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly epoll: Epoll;
  /** As it is now. */
  readonly config: SecureNatConfig;
  /** Improvements of `nat-errors` (hub.md 17) are switched off. */
  readonly isPlain: boolean;
  /** Of the virtual host: whom ICMP errors of our own come from. */
  addressOf(family: 4 | 6): IpAddress;
  /** Asks for one `flush` of the flow at the end of the event. */
  soil(flow: Flow): void;
  /** A TCP flow is not half-open any more: its target has accepted (the NAT counts half-open ones, and bounds them). */
  opened(flow: Flow): void;
  /** The flow has ended by itself and freed what it held: it leaves the table. */
  ended(flow: Flow): void;
  readonly drops: HostDrops;
  /** Packets that are not forwarded, and why, for logs: once a flow at most. */
  readonly log: FlowLog;
}

export interface FlowLog {
  /** A warning for the operator, told at most once a minute for each event. */
  warn(event: string, text: string): void;
}

/** Makes the flow of a first packet, which it receives next; undefined if there cannot be one, which it has answered. */
export type FlowFactory = (
  ends: FlowEnds,
  host: FlowHost,
  first: PacketView,
  innerMac: MacAddress,
) => Flow | undefined;
