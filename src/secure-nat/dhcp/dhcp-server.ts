// The DHCPv4 server of a SecureNAT (hub.md 11.5, RFC 2131 4.3). Down the file: what comes in, by kind of message, and what
// the owner asks for. Who has which address, and until when, is the affair of leases.ts.
import type { Clock } from "../../base/clock.ts";
import { formatIpv4, IPV4_ANY, type Ipv4 } from "../../base/ip.ts";
import { formatMac, isGroupMac, MAC_BROADCAST, MAC_ZERO, type MacAddress } from "../../base/mac.ts";
import type { Log } from "../../observe/log.ts";
import { DHCP_OPTION, tryReadAddress } from "../../wire/dhcp-option.ts";
import { DHCP_TYPE, tryParseDhcp } from "../../wire/dhcp.ts";
import type { Entitlement } from "./address-plan.ts";
import {
  DhcpReplies,
  type DhcpQuestion,
  type DhcpReply,
  type DhcpServerConfig,
} from "./dhcp-reply.ts";
import { hostNameOf, isOtherSecureNat } from "./host-name.ts";
import type { LeaseBook } from "./lease-keeper.ts";
import type { Binding, Lease } from "./lease.ts";
import { Leases } from "./leases.ts";
import { GroupAnswers } from "../../ip-host/group-answers.ts";
import { WarningGate } from "../warning-gate.ts";

/** hub.md 11.1. */
const MIN_LEASE_MS = 15_000;
/** What they tell stays so for as long as leases last. */
const WARNING_INTERVAL_MS = 600_000;
/** Addresses that are probed for one client: by then it has asked again. */
const MAX_PROBES_IN_A_ROW = 8;

export interface DhcpServerDeps {
  /** As logs name it. */
  readonly hub: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The improvements called `dhcp` (hub.md 17) are switched off. */
  readonly isPlain: boolean;
  readonly store: LeaseBook;
  send(reply: DhcpReply): void;
  /** Calls `done` after `ms` with undefined, or before with who has the address. */
  probe(address: Ipv4, ms: number, done: (owner: MacAddress | undefined) => void): void;
  /** The address of the user whose session the MAC is behind; undefined for one without. */
  userAddressOf(mac: MacAddress): Ipv4 | undefined;
}

/** Messages by what became of them; numbers only grow. */
export interface DhcpCounters {
  /** Cut, damaged, or no message of a client. */
  malformed: number;
  /** Not for this server, or not for anybody. */
  ignored: number;
  offers: number;
  acks: number;
  naks: number;
  /** DISCOVERs that found no free address. */
  exhausted: number;
  /** Answers to all that were not sent, since there were too many. */
  limited: number;
}

interface Sender {
  readonly mac: MacAddress;
  readonly sourceIp: Ipv4;
  readonly sourcePort: number;
}

/**
 * Hands out the addresses of one network.
 *
 * A client is the Ethernet address that its frames come from, as in the reference: the hub has checked and counted that
 * one, while `chaddr` and option 61 are what a guest likes to write. So two hosts with one identifier (RFC 2131 4.2, clones
 * of one disk) get an address each, one host with ever new identifiers has one, and the limit of MACs of a port is the
 * limit of its leases.
 */
export class DhcpServer {
  readonly counters: DhcpCounters = {
    malformed: 0,
    ignored: 0,
    offers: 0,
    acks: 0,
    naks: 0,
    exhausted: 0,
    limited: 0,
  };
  readonly #deps: DhcpServerDeps;
  readonly #leases: Leases;
  readonly #warnings: WarningGate;
  readonly #groupAnswers: GroupAnswers;
  /** The latest DISCOVER of clients whose address is being probed. */
  readonly #waiting = new Map<Binding, DhcpQuestion>();
  #config: DhcpServerConfig;
  #replies: DhcpReplies;
  #isClosed = false;

  /** Takes up the leases of the store. @throws ExitError where one is damaged */
  constructor(config: DhcpServerConfig, deps: DhcpServerDeps) {
    this.#deps = deps;
    this.#config = config;
    this.#replies = new DhcpReplies(config, deps.isPlain);
    this.#leases = new Leases(config, deps);
    this.#groupAnswers = new GroupAnswers(deps.clock);
    this.#warnings = new WarningGate(deps.hub, deps, WARNING_INTERVAL_MS);
  }

  /** A datagram to port 67. The bytes are the caller's. */
  receive(bytes: Uint8Array, from: Sender): void {
    if (this.#isClosed || !this.#config.dhcp.enable) return;
    // Options are kept while an address is probed.
    const message = tryParseDhcp(bytes.slice());
    if (message?.op !== "request") return void (this.counters.malformed += 1);
    const hostname = hostNameOf(message.options);
    if (from.mac === MAC_ZERO || isGroupMac(from.mac) || isOtherSecureNat(hostname)) {
      return void (this.counters.ignored += 1);
    }
    this.#leases.expire();
    const question = { message, hostname, ...from };
    switch (message.type) {
      case DHCP_TYPE.DISCOVER:
        return this.#discover(question);
      case DHCP_TYPE.REQUEST:
        return this.#request(question);
      case DHCP_TYPE.INFORM:
        this.counters.acks += 1;
        return this.#send(question, this.#replies.inform(question));
      case DHCP_TYPE.RELEASE:
        return this.#release(question);
      case DHCP_TYPE.DECLINE:
        return this.#decline(question);
      default:
        // What only servers say.
        this.counters.malformed += 1;
    }
  }

  #discover(question: DhcpQuestion, probes = 0): void {
    const { mac, message, sourceIp } = question;
    const requested = tryReadAddress(message.options, DHCP_OPTION.REQUESTED_ADDRESS) ?? sourceIp;
    const found = this.#leases.plan.choose(mac, requested);
    if (found === undefined) return this.#exhausted(mac);
    const { address } = found;
    const held = this.#leases.at(address);
    if (held === undefined) return this.#offerNew(question, found, probes);
    if (held.hold === "probing") return void this.#waiting.set(held, question);
    if (held.hold === "offered") this.#leases.extendOffer(held);
    this.#sendOffer(question, address);
  }

  /** An address that nobody had is offered when it is clear that nobody uses it either (RFC 2131 3.1.2). */
  #offerNew(question: DhcpQuestion, found: Entitlement, probes: number): void {
    const { mac, hostname } = question;
    const { probeMs } = this.#config.dhcp;
    const mustProbe = probeMs > 0 && !this.#deps.isPlain && found.origin === "pool";
    const binding = this.#leases.offer({ ...found, mac, hostname }, mustProbe);
    if (!mustProbe) return this.#sendOffer(question, found.address);
    this.#waiting.set(binding, question);
    this.#deps.probe(found.address, probeMs, (owner) => this.#probed(binding, owner, probes + 1));
  }

  #probed(binding: Binding, owner: MacAddress | undefined, probes: number): void {
    const question = this.#waiting.get(binding);
    this.#waiting.delete(binding);
    const { address, mac } = binding;
    const isOver = this.#leases.at(address) !== binding || binding.hold !== "probing";
    if (this.#isClosed || question === undefined || isOver) return;
    if (owner === undefined || owner === mac) {
      this.#leases.extendOffer(binding);
      return this.#sendOffer(question, address);
    }
    const text = `${formatMac(owner)} uses ${formatIpv4(address)} without a lease`;
    this.#warnings.warn("nat_address_in_use", text, {
      mac: formatMac(owner),
      address: formatIpv4(address),
    });
    this.#leases.rest(address, owner);
    if (probes < MAX_PROBES_IN_A_ROW) this.#discover(question, probes);
  }

  #sendOffer(question: DhcpQuestion, address: Ipv4): void {
    this.counters.offers += 1;
    const { leaseMs } = this.#config.dhcp;
    this.#send(question, this.#replies.grant(question, DHCP_TYPE.OFFER, address, leaseMs));
  }

  /**
   * SELECTING, INIT-REBOOT, RENEWING and REBINDING (RFC 2131 4.3.2). Nobody else serves this network, so a client with a
   * free address of the pool is told that it may keep it, also where no lease is known.
   */
  #request(question: DhcpQuestion): void {
    const { mac, message, sourceIp, hostname } = question;
    const server = tryReadAddress(message.options, DHCP_OPTION.SERVER_ID);
    if (server !== undefined && server !== this.#config.address && !this.#deps.isPlain) {
      // Another server was chosen: what was offered here is free again.
      this.#leases.forgetOffer(mac);
      return void (this.counters.ignored += 1);
    }
    const requested = tryReadAddress(message.options, DHCP_OPTION.REQUESTED_ADDRESS) ?? IPV4_ANY;
    const ciaddr = this.#deps.isPlain ? IPV4_ANY : message.ciaddr;
    const wanted = requested || ciaddr || sourceIp;
    const found =
      wanted === IPV4_ANY
        ? this.#leases.plan.choose(mac, IPV4_ANY)
        : this.#leases.plan.mayHave(mac, wanted as Ipv4);
    const isElsewhere = [ciaddr, sourceIp].some(
      (claimed) => claimed !== IPV4_ANY && claimed !== found?.address,
    );
    if (found === undefined || isElsewhere) return this.#refuse(question, wanted as Ipv4);
    const leaseMs = this.#leases.lengthOf(found);
    // An address that is no longer to be given away: its holder looks for another one before the end.
    if (leaseMs < MIN_LEASE_MS) return this.#refuse(question, found.address);
    const lease = this.#leases.grant({ ...found, mac, hostname }, leaseMs);
    this.#waiting.delete(lease);
    this.counters.acks += 1;
    this.#send(question, this.#replies.grant(question, DHCP_TYPE.ACK, found.address, leaseMs));
  }

  #refuse(question: DhcpQuestion, wanted: Ipv4): void {
    const fixed = this.#leases.plan.fixedOf(question.mac);
    if (fixed?.origin === "user") this.#checkUser(question.mac, fixed.address);
    const why = this.#leases.plan.isOfHost(wanted)
      ? `${formatIpv4(wanted)} is not for this host`
      : `${formatIpv4(wanted)} is no address of this network`;
    this.counters.naks += 1;
    this.#send(question, this.#replies.refuse(question, why));
  }

  #send({ mac }: DhcpQuestion, reply: DhcpReply): void {
    if (reply.toMac !== MAC_BROADCAST || this.#groupAnswers.take(mac)) this.#deps.send(reply);
    else this.counters.limited += 1;
  }

  #release({ mac, message }: DhcpQuestion): void {
    const lease = this.#leases.of(mac);
    // The address is named as the sender's own (RFC 2131 table 5): nobody gives back that of somebody else.
    const isOwn = lease !== undefined && lease.address === message.ciaddr;
    if (!isOwn || this.#deps.isPlain || !this.#isForUs(message.options)) {
      return void (this.counters.ignored += 1);
    }
    this.#leases.end(lease, "released");
  }

  #decline({ mac, message }: DhcpQuestion): void {
    const address = tryReadAddress(message.options, DHCP_OPTION.REQUESTED_ADDRESS);
    const held = address === undefined ? undefined : this.#leases.at(address);
    const isOwn = held?.mac === mac && held.hold !== "resting";
    if (!isOwn || this.#deps.isPlain || !this.#isForUs(message.options)) {
      return void (this.counters.ignored += 1);
    }
    const text = `${formatMac(mac)} says that somebody else uses ${formatIpv4(held.address)}`;
    this.#warnings.warn("nat_address_declined", text, {
      mac: formatMac(mac),
      address: formatIpv4(held.address),
    });
    this.#leases.rest(held.address, mac);
  }

  #isForUs(options: DhcpQuestion["message"]["options"]): boolean {
    const server = tryReadAddress(options, DHCP_OPTION.SERVER_ID);
    return server === undefined || server === this.#config.address;
  }

  #exhausted(mac: MacAddress): void {
    this.counters.exhausted += 1;
    const fixed = this.#leases.plan.fixedOf(mac);
    if (fixed === undefined) {
      const { first, last } = this.#config.dhcp;
      const text = `No address is free in ${formatIpv4(first)}-${formatIpv4(last)}`;
      this.#warnings.warn("nat_pool_exhausted", `${text}: widen dhcp.range or shorten dhcp.lease`);
    } else if (fixed.origin === "user") this.#checkUser(mac, fixed.address);
  }

  /** Warns where a user's address cannot be given to anybody. */
  #checkUser(mac: MacAddress, address: Ipv4): void {
    if (this.#leases.plan.mayHave(mac, address) !== undefined) return;
    const why = this.#leases.plan.pool.contains(address)
      ? "it lies in dhcp.range"
      : this.#leases.plan.isOfHost(address)
        ? "somebody else has it"
        : "it is none of this network";
    const text = `A user cannot have the address ${formatIpv4(address)}: ${why}`;
    this.#warnings.warn("nat_user_address", text, { address: formatIpv4(address) });
  }

  /* The owner */

  /** Other settings. Leases stay until they are over, but for those of another network (robustness.md DH-14). */
  reconfigure(next: DhcpServerConfig): void {
    this.#config = next;
    this.#replies = new DhcpReplies(next, this.#deps.isPlain);
    this.#leases.reconfigure(next);
  }

  /** The oldest first. */
  list(): readonly Lease[] {
    return this.#leases.list();
  }

  /** Ends a lease, as an administrator wants it. False where there is none. */
  remove(address: Ipv4): boolean {
    const lease = this.#leases.at(address);
    if (lease?.hold !== "leased") return false;
    this.#leases.end(lease, "deleted");
    return true;
  }

  /** The session that a MAC was behind is over, and with it the lease of its user's address. */
  sessionEnded(mac: MacAddress): void {
    this.#leases.endUser(mac);
  }

  /** Writes what is not kept yet. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
    this.#leases.close();
  }
}
