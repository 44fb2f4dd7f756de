// DHCPv6 without addresses: hosts make these of the router's advertisements, and ask here for the rest (RFC 8415 6.1).
import { DHCPV6_LIMITS } from "../../base/limits.ts";
import { type MacAddress, writeMac } from "../../base/mac.ts";
import { isLinkLocal } from "../../ip-host/ipv6-address.ts";
import {
  DHCPV6_OPTION,
  DHCPV6_STATUS,
  DHCPV6_TYPE,
  type Dhcpv6Message,
  type Dhcpv6Option,
  dhcpv6Option,
  encodeDhcpv6,
  encodeDhcpv6Options,
  linkLayerDuid,
  requestedOptions,
  tryParseDhcpv6,
} from "../../wire/dhcpv6.ts";

/** How long what was told is good for, and how often a host asks that got nothing (RFC 8415 7.6, 21.23 to 21.25). */
const REFRESH_S = 14_400;
const MAX_RETRY_S = 3_600;
/** Identity, two times, then options (RFC 8415 21.4, 21.21); of temporary addresses the identity alone (21.5). */
const ASSOCIATION_BYTES = 12;
const TEMPORARY_BYTES = 4;

/** What hosts are told. */
export interface Dhcpv6Facts {
  readonly mac: MacAddress;
  readonly dns: readonly Uint8Array[];
  /** In the form of `tryEncodeDnsName`. */
  readonly search: readonly Uint8Array[];
}

export interface Dhcpv6Stats {
  /** Answered, by what was asked for: parameters, or addresses that are not given here. */
  informed: number;
  declined: number;
  malformed: number;
  /** For another server, or nothing to be answered by one without addresses. */
  ignored: number;
}

/** Where a message came from. */
export interface Dhcpv6Source {
  readonly address: Uint8Array;
  /** It went to the group of all servers, as hosts have to (RFC 8415 16). */
  readonly isMulticast: boolean;
}

type Association = "addresses" | "temporary" | "prefixes";
const ASSOCIATIONS = new Map<number, Association>([
  [DHCPV6_OPTION.IA_NA, "addresses"],
  [DHCPV6_OPTION.IA_TA, "temporary"],
  [DHCPV6_OPTION.IA_PD, "prefixes"],
]);

/** Answers messages; it keeps nothing of who asked. */
export class Dhcpv6Server {
  readonly stats: Dhcpv6Stats = { informed: 0, declined: 0, malformed: 0, ignored: 0 };
  readonly #facts: Dhcpv6Facts;
  readonly #duid: Uint8Array;

  constructor(facts: Dhcpv6Facts) {
    this.#facts = facts;
    const mac = new Uint8Array(6);
    writeMac(mac, 0, facts.mac);
    this.#duid = linkLayerDuid(mac);
  }

  /** The answer to a client's datagram, which is borrowed; undefined where there is none. */
  receive(bytes: Uint8Array, from: Dhcpv6Source): Uint8Array | undefined {
    const message = tryParseDhcpv6(bytes);
    const client = message && dhcpv6Option(message, DHCPV6_OPTION.CLIENT_ID);
    if (message === undefined || (client?.length ?? 0) > DHCPV6_LIMITS.duidBytes) {
      this.stats.malformed += 1;
      return undefined;
    }
    const answer = this.#isForUs(message, from) ? this.#answer(message) : undefined;
    if (answer === undefined) {
      this.stats.ignored += 1;
      return undefined;
    }
    return encodeDhcpv6(answer);
  }

  #isForUs(message: Dhcpv6Message, { address, isMulticast }: Dhcpv6Source): boolean {
    const server = dhcpv6Option(message, DHCPV6_OPTION.SERVER_ID);
    const isOurs = server !== undefined && Buffer.compare(server, this.#duid) === 0;
    return isMulticast && isLinkLocal(address) && (server === undefined || isOurs);
  }

  #answer(message: Dhcpv6Message): Dhcpv6Message | undefined {
    const isNamed = dhcpv6Option(message, DHCPV6_OPTION.SERVER_ID) !== undefined;
    const hasClient = dhcpv6Option(message, DHCPV6_OPTION.CLIENT_ID) !== undefined;
    switch (message.type) {
      case DHCPV6_TYPE.INFORMATION_REQUEST:
        return this.#inform(message);
      case DHCPV6_TYPE.SOLICIT:
        // That there are none saves hosts from asking again and again (RFC 8415 18.3.9).
        return hasClient && !isNamed ? this.#decline(message, DHCPV6_TYPE.ADVERTISE) : undefined;
      case DHCPV6_TYPE.REQUEST:
      case DHCPV6_TYPE.RENEW:
      case DHCPV6_TYPE.RELEASE:
      case DHCPV6_TYPE.DECLINE:
        return hasClient && isNamed ? this.#decline(message, DHCPV6_TYPE.REPLY) : undefined;
      default:
        // Nothing is known here of what other servers gave (RFC 8415 18.3.3, 18.3.5).
        return undefined;
    }
  }

  #inform(message: Dhcpv6Message): Dhcpv6Message | undefined {
    // RFC 8415 16.12.
    if (message.options.some(({ code }) => ASSOCIATIONS.has(code))) return undefined;
    this.stats.informed += 1;
    return this.#reply(message, DHCPV6_TYPE.REPLY, this.#parameters(message));
  }

  /** None of the addresses or prefixes that are asked for, but what else there is to tell. */
  #decline(message: Dhcpv6Message, type: number): Dhcpv6Message {
    this.stats.declined += 1;
    const options: Dhcpv6Option[] = [];
    for (const { code, value } of message.options) {
      const kind = ASSOCIATIONS.get(code);
      if (kind === undefined || options.length === DHCPV6_LIMITS.associations) continue;
      const declined = tryDecline(value, kind, statusOf(message.type, kind));
      if (declined !== undefined) options.push({ code, value: declined });
    }
    if (message.type === DHCPV6_TYPE.RELEASE || message.type === DHCPV6_TYPE.DECLINE) {
      options.push(status(DHCPV6_STATUS.SUCCESS));
    } else options.push(...this.#parameters(message));
    return this.#reply(message, type, options);
  }

  #reply(message: Dhcpv6Message, type: number, options: readonly Dhcpv6Option[]): Dhcpv6Message {
    const client = dhcpv6Option(message, DHCPV6_OPTION.CLIENT_ID);
    const identities: Dhcpv6Option[] = [{ code: DHCPV6_OPTION.SERVER_ID, value: this.#duid }];
    if (client !== undefined) identities.push({ code: DHCPV6_OPTION.CLIENT_ID, value: client });
    return { type, transaction: message.transaction, options: [...identities, ...options] };
  }

  /** What the client asks for; name servers and domains for one that names nothing. */
  #parameters(message: Dhcpv6Message): Dhcpv6Option[] {
    const asked = requestedOptions(message);
    const { dns, search } = this.#facts;
    const { DNS_SERVERS, DOMAIN_LIST, INF_MAX_RT, REFRESH_TIME, SOL_MAX_RT } = DHCPV6_OPTION;
    const known: Dhcpv6Option[] = [
      { code: DNS_SERVERS, value: joined(dns) },
      { code: DOMAIN_LIST, value: joined(search) },
      { code: REFRESH_TIME, value: seconds(REFRESH_S) },
      { code: SOL_MAX_RT, value: seconds(MAX_RETRY_S) },
      { code: INF_MAX_RT, value: seconds(MAX_RETRY_S) },
    ];
    const wanted = asked.size === 0 ? new Set<number>([DNS_SERVERS, DOMAIN_LIST]) : asked;
    return known.filter(({ code, value }) => value.length > 0 && wanted.has(code));
  }
}

function statusOf(type: number, kind: Association): number {
  const isNew = type === DHCPV6_TYPE.SOLICIT || type === DHCPV6_TYPE.REQUEST;
  if (!isNew) return DHCPV6_STATUS.NO_BINDING;
  return kind === "prefixes" ? DHCPV6_STATUS.NO_PREFIXES : DHCPV6_STATUS.NO_ADDRESSES;
}

/** The association with nothing in it but why; undefined for one that is cut. */
function tryDecline(value: Uint8Array, kind: Association, code: number): Uint8Array | undefined {
  const bytes = kind === "temporary" ? TEMPORARY_BYTES : ASSOCIATION_BYTES;
  if (value.length < bytes) return undefined;
  const head = new Uint8Array(bytes);
  // The identity; both times are zero.
  head.set(value.subarray(0, TEMPORARY_BYTES));
  return joined([head, encodeDhcpv6Options([status(code)])]);
}

/** Without a text. */
function status(code: number): Dhcpv6Option {
  return { code: DHCPV6_OPTION.STATUS_CODE, value: Uint8Array.of(0, code) };
}

function seconds(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
