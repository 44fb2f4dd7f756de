import type { Clock, Timer } from "../base/clock.ts";
import type { Ipv4 } from "../base/ip.ts";
import { afterLong } from "../base/long-timer.ts";
import type { MacAddress } from "../base/mac.ts";
import type { Random } from "../base/random.ts";
import { DHCP_OPTION, tryReadAddress } from "../wire/dhcp-option.ts";
import { DHCP_TYPE, type DhcpMessage } from "../wire/dhcp.ts";
import { ETHERNET_HEADER_BYTES } from "../wire/ethernet.ts";
import { AddressProbe } from "./address-probe.ts";
import { looksLikeReply, tryReadReply } from "./dhcp-frame.ts";
import { tryReadLease, type DhcpLease } from "./dhcp-lease.ts";
import {
  addressOption,
  encodeRequest,
  parameterOptions,
  serverOption,
  type DhcpRequest,
} from "./dhcp-request.ts";
import { renewalGapMs, renewalMs, retryMs } from "./dhcp-timing.ts";

// The host's side of RFC 2131 4.4. Down the file: what the owner asks for, the search for an address, its
// renewal, what comes in and what follows from it, and last how steps are timed. An answer may come while its
// request is still being sent, from a server in the same process: so a state is complete before it sends.

/** Rest after an address that another host has (RFC 2131 3.1.5). */
const CONFLICT_REST_MS = 10_000;
/** Requests for an offered address, and for the one of before, until a new search begins: ours to choose. */
const MAX_REQUESTS = 4;
const MAX_REBOOT_REQUESTS = 2;

/** Why a lease is gone: its time is over, the server took it back, or another host has the address. */
export type DhcpLoss = "expired" | "refused" | "conflict";

export interface DhcpClientOptions {
  readonly mac: MacAddress;
  /** Sent as option 12 where given. */
  readonly hostname?: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Takes an Ethernet frame for the session; the bytes are the receiver's. */
  readonly send: (frame: Uint8Array) => void;
  /** An address was granted or renewed: this lease takes the place of the one before. */
  readonly onLease: (lease: DhcpLease) => void;
  /** The lease is gone and its address must not be used any more; the search goes on by itself. */
  readonly onLost: (reason: DhcpLoss) => void;
}

interface HeldLease {
  readonly lease: DhcpLease;
  /** When the request that was granted went out: all times of the lease run from there. */
  readonly since: number;
  /** Where the grant came from, the server or the relay before it: renewals go there. */
  readonly serverMac: MacAddress;
}

type State =
  | { readonly kind: "stopped" | "resting" | "selecting" | "bound" }
  | { readonly kind: "requesting"; readonly offer: DhcpLease }
  | { readonly kind: "rebooting" | "renewing" | "rebinding"; readonly held: HeldLease };

/** A DHCPv4 client on the cable between an adapter and a session. It sends frames and is fed those that come. */
export class DhcpClient {
  readonly #options: DhcpClientOptions;
  readonly #probe: AddressProbe;
  #state: State = { kind: "stopped" };
  /** Outlives stop(), so that the next start() asks for the same address. */
  #held: HeldLease | undefined;
  #xid = 0;
  #begunAt = 0;
  #secs = 0;
  #requestedAt = 0;
  #tries = 0;
  /** Refusals in a row. */
  #refusals = 0;
  /** The next step of the state. */
  #timer: Timer | undefined;
  /** The end of the held lease. */
  #expiry: Timer | undefined;
  /** Frames to this client that hold together badly or that no state waits for. */
  ignored = 0;

  constructor(options: DhcpClientOptions) {
    this.#options = options;
    const { mac, clock, send } = options;
    this.#probe = new AddressProbe({ mac, clock, send, onConflict: () => this.#conflict() });
  }

  /** The lease in force; none while stopped. */
  get lease(): DhcpLease | undefined {
    return this.#state.kind === "stopped" ? undefined : this.#held?.lease;
  }

  /** Asks for the address of before while its lease runs, else for any. The first message goes out at once. */
  start(): void {
    if (this.#state.kind !== "stopped") return;
    this.#refusals = 0;
    const held = this.#held;
    const leftMs = held === undefined ? 0 : this.#until(held.since + held.lease.leaseMs);
    if (held === undefined) this.#discover();
    else if (leftMs <= 0) this.#expired();
    else {
      this.#armExpiry(leftMs);
      this.#beginTransaction();
      this.#enter({ kind: "rebooting", held });
      this.#request();
    }
  }

  /** Ends every timer. With `release` the address is given back, else the next start() asks for it again. */
  stop(options: { readonly release: boolean }): void {
    if (this.#state.kind === "stopped") return;
    if (options.release && this.#held !== undefined) this.#release(this.#held);
    if (options.release) this.#held = undefined;
    this.#enter({ kind: "stopped" });
    this.#expiry?.cancel();
    this.#probe.stop();
  }

  /** True if feed() should see this frame; a look at a few bytes. */
  wants(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#state.kind === "stopped" || end - start < ETHERNET_HEADER_BYTES) return false;
    return this.#probe.wants(bytes, start) || looksLikeReply(bytes, start, end, this.#options.mac);
  }

  /** Takes a frame of the session; true if it was for this client, false if the adapter must see it. */
  feed(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.wants(bytes, start, end)) return false;
    if (this.#probe.wants(bytes, start)) {
      this.#probe.observe(bytes, start, end);
      return false;
    }
    const reply = tryReadReply(bytes, start, end, this.#options.mac);
    if (reply === undefined || !this.#take(reply.message, reply.from)) this.ignored++;
    return true;
  }

  /** INIT: a new search. */
  #discover(): void {
    this.#beginTransaction();
    this.#enter({ kind: "selecting" });
    this.#sendDiscover();
  }

  #sendDiscover(): void {
    this.#tries++;
    this.#secs = Math.min(0xffff, Math.floor((this.#now() - this.#begunAt) / 1000));
    this.#next(retryMs(this.#tries, this.#options.random), () => this.#sendDiscover());
    this.#send({ type: DHCP_TYPE.DISCOVER, options: this.#parameters() });
  }

  /** Asks for the offered address, or again for the one of before (INIT-REBOOT). */
  #request(): void {
    const state = this.#state;
    if (state.kind !== "requesting" && state.kind !== "rebooting") return;
    // A grant may answer the first of several requests: time counts from there, to be on the safe side.
    if (this.#tries === 0) this.#requestedAt = this.#now();
    this.#tries++;
    const isReboot = state.kind === "rebooting";
    const wanted = "held" in state ? state.held.lease : state.offer;
    const chosen = isReboot ? [] : [serverOption(wanted)];
    const options = [addressOption(wanted), ...chosen, ...this.#parameters()];
    const isLast = this.#tries >= (isReboot ? MAX_REBOOT_REQUESTS : MAX_REQUESTS);
    this.#next(retryMs(this.#tries, this.#options.random), () =>
      isLast ? this.#discover() : this.#request(),
    );
    this.#send({ type: DHCP_TYPE.REQUEST, options });
  }

  /** T1: asks the server that granted the lease, again after half of what is left until T2. */
  #renew(held: HeldLease): void {
    this.#beginTransaction();
    this.#enter({ kind: "renewing", held });
    this.#requestedAt = this.#now();
    const leftMs = this.#until(held.since + held.lease.t2Ms);
    const gapMs = renewalGapMs(leftMs);
    if (gapMs < leftMs) this.#next(gapMs, () => this.#renew(held));
    else this.#next(leftMs, () => this.#rebind(held));
    const { address: ciaddr, server: address } = held.lease;
    const to = { mac: held.serverMac, address };
    this.#send({ type: DHCP_TYPE.REQUEST, ciaddr, to, options: this.#parameters() });
  }

  /** T2: asks any server until the lease is over. */
  #rebind(held: HeldLease): void {
    this.#beginTransaction();
    this.#enter({ kind: "rebinding", held });
    this.#requestedAt = this.#now();
    const leftMs = this.#until(held.since + held.lease.leaseMs);
    this.#next(renewalGapMs(leftMs), () => this.#rebind(held));
    const { address: ciaddr } = held.lease;
    this.#send({ type: DHCP_TYPE.REQUEST, ciaddr, options: this.#parameters() });
  }

  /** Hands a message to the state; false if the state does not wait for it. */
  #take(message: DhcpMessage, from: MacAddress): boolean {
    const state = this.#state;
    if (message.xid !== this.#xid) return false;
    switch (state.kind) {
      case "selecting":
        return this.#takeOffer(message);
      case "requesting":
        return this.#takeAnswer(message, from, state.offer.server);
      case "renewing":
        return this.#takeAnswer(message, from, state.held.lease.server);
      case "rebooting":
      case "rebinding":
        return this.#takeAnswer(message, from, undefined);
      case "stopped":
      case "resting":
      case "bound":
        return false;
      default:
        return state satisfies never;
    }
  }

  /** The first offer that would make a lease is taken: waiting for others only costs time. */
  #takeOffer(message: DhcpMessage): boolean {
    const offer = message.type === DHCP_TYPE.OFFER ? tryReadLease(message) : undefined;
    if (offer === undefined) return false;
    this.#enter({ kind: "requesting", offer });
    this.#tries = 0;
    this.#request();
    return true;
  }

  /** A grant or a refusal, of the server that was asked where only one was. */
  #takeAnswer(message: DhcpMessage, from: MacAddress, asked: Ipv4 | undefined): boolean {
    const server = tryReadAddress(message.options, DHCP_OPTION.SERVER_ID);
    if (asked !== undefined && server !== asked) return false;
    if (message.type === DHCP_TYPE.NAK) {
      this.#refused();
      return true;
    }
    const lease = message.type === DHCP_TYPE.ACK ? tryReadLease(message) : undefined;
    if (lease === undefined) return false;
    this.#bind(lease, from);
    return true;
  }

  #bind(lease: DhcpLease, serverMac: MacAddress): void {
    const isNew = this.#held?.lease.address !== lease.address;
    const held = { lease, since: this.#requestedAt, serverMac };
    this.#held = held;
    this.#refusals = 0;
    this.#enter({ kind: "bound" });
    const renewAt = held.since + renewalMs(lease, this.#options.random);
    this.#next(this.#until(renewAt), () => this.#renew(held));
    this.#armExpiry(this.#until(held.since + lease.leaseMs));
    this.#options.onLease(lease);
    const isStillOurs = this.#held === held && this.#state.kind === "bound";
    if (isNew && isStillOurs) this.#probe.start(lease.address);
  }

  #refused(): void {
    const isOfferRefused = this.#state.kind === "requesting";
    // The first refusal is acted upon at once: a host gets it that comes back to another network.
    const restMs = this.#refusals === 0 ? 0 : retryMs(this.#refusals, this.#options.random);
    this.#refusals++;
    this.#enter({ kind: "resting" });
    if (!isOfferRefused) this.#lose("refused");
    this.#resume(restMs);
  }

  #expired(): void {
    const isSearching = ["selecting", "requesting", "resting"].includes(this.#state.kind);
    if (isSearching) return this.#lose("expired");
    this.#enter({ kind: "resting" });
    this.#lose("expired");
    this.#resume(0);
  }

  #conflict(): void {
    const lease = this.#held?.lease;
    if (lease === undefined) return;
    this.#beginTransaction();
    this.#enter({ kind: "resting" });
    const options = [addressOption(lease), serverOption(lease)];
    this.#send({ type: DHCP_TYPE.DECLINE, options });
    this.#lose("conflict");
    this.#resume(CONFLICT_REST_MS);
  }

  #lose(reason: DhcpLoss): void {
    this.#held = undefined;
    this.#expiry?.cancel();
    this.#probe.stop();
    this.#options.onLost(reason);
  }

  #release(held: HeldLease): void {
    const { address: ciaddr, server: address } = held.lease;
    const to = { mac: held.serverMac, address };
    this.#beginTransaction();
    this.#send({ type: DHCP_TYPE.RELEASE, ciaddr, to, options: [serverOption(held.lease)] });
  }

  /** Searches again after a rest, unless the owner was told of a loss and stopped the client. */
  #resume(restMs: number): void {
    if (this.#state.kind !== "resting") return;
    if (restMs === 0) this.#discover();
    else this.#next(restMs, () => this.#discover());
  }

  #enter(state: State): void {
    this.#timer?.cancel();
    this.#state = state;
  }

  #next(ms: number, step: () => void): void {
    this.#timer?.cancel();
    this.#timer = afterLong(this.#options.clock, ms, step);
  }

  #armExpiry(ms: number): void {
    this.#expiry?.cancel();
    this.#expiry = afterLong(this.#options.clock, ms, () => this.#expired());
  }

  #beginTransaction(): void {
    const word = this.#options.random.bytes(4);
    this.#xid = new DataView(word.buffer, word.byteOffset).getUint32(0);
    this.#begunAt = this.#now();
    this.#secs = 0;
    this.#tries = 0;
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #until(at: number): number {
    return at - this.#now();
  }

  #parameters(): DhcpRequest["options"] {
    return parameterOptions(this.#options.hostname);
  }

  #send(request: Omit<DhcpRequest, "xid" | "secs">): void {
    const { mac, send } = this.#options;
    send(encodeRequest(mac, { ...request, xid: this.#xid, secs: this.#secs }));
  }
}
