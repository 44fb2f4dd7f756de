// What the virtual DHCP server says, and where it sends it (hub.md 11.5, RFC 2131 4.1 and 4.3).
import { IPV4_ANY, IPV4_BROADCAST, type Ipv4, maskOfPrefix, readIpv4 } from "../../base/ip.ts";
import { MAC_BROADCAST, type MacAddress } from "../../base/mac.ts";
import type { SecureNatConfig } from "../../config/secure-nat-config.ts";
import {
  DHCP_OPTION,
  encodeAddresses,
  encodeNumber,
  encodeRoutes,
  tryReadNumber,
} from "../../wire/dhcp-option.ts";
import {
  DHCP_TYPE,
  type DhcpMessage,
  type DhcpType,
  encodeDhcp,
  MIN_DHCP_PACKET_BYTES,
} from "../../wire/dhcp.ts";
import { IPV4_HEADER_BYTES } from "../../wire/ipv4.ts";
import { UDP_HEADER_BYTES } from "../../wire/udp.ts";

const HEADER_BYTES = IPV4_HEADER_BYTES + UDP_HEADER_BYTES;
/** RFC 2131 3.3. */
const FOR_EVER_S = 0xffff_ffff;
/** RFC 2131 4.4.5. */
const T1 = 0.5;
const T2 = 0.875;

/** What the server must know of the network that it is in. */
export type DhcpServerConfig = Pick<SecureNatConfig, "address" | "prefix" | "mtu" | "dhcp">;

/** A datagram to send, from port 67 of the virtual host. */
export interface DhcpReply {
  /** Its payload. */
  readonly message: Uint8Array;
  readonly toMac: MacAddress;
  readonly toIp: Ipv4;
  readonly toPort: number;
}

/** A client's message with where it came from. */
export interface DhcpQuestion {
  readonly message: DhcpMessage;
  /** Of the frame: this is whom the hub knows, whatever the message says (hub.md 11.5). */
  readonly mac: MacAddress;
  readonly sourceIp: Ipv4;
  readonly sourcePort: number;
  readonly hostname: string;
}

/** Writes answers. What all of them have in common is encoded once. */
export class DhcpReplies {
  readonly #config: DhcpServerConfig;
  readonly #isPlain: boolean;
  readonly #server: readonly [number, Uint8Array];
  readonly #mask: readonly [number, Uint8Array];
  readonly #network: readonly (readonly [number, Uint8Array])[];
  readonly #extra: readonly (readonly [number, Uint8Array])[];
  readonly #domain: readonly (readonly [number, Uint8Array])[];

  /** `isPlain`: as the reference answers, without what it lacks. */
  constructor(config: DhcpServerConfig, isPlain: boolean) {
    const { gateway, dns, domain, ntp } = config.dhcp;
    this.#config = config;
    this.#isPlain = isPlain;
    const mask = maskOfPrefix(config.prefix);
    const routes = encodedRoutes(config, isPlain);
    const option = (code: number, value: Uint8Array) =>
      value.length === 0 ? [] : [[code, value] as const];
    this.#server = [DHCP_OPTION.SERVER_ID, encodeAddresses([config.address])];
    this.#mask = [DHCP_OPTION.SUBNET_MASK, encodeAddresses([mask])];
    const hasDomain = !isPlain || dns.length > 0;
    this.#domain = hasDomain ? option(DHCP_OPTION.DOMAIN, new TextEncoder().encode(domain)) : [];
    this.#network = [
      ...option(DHCP_OPTION.ROUTER, encodeAddresses(gateway === undefined ? [] : [gateway])),
      ...option(DHCP_OPTION.DNS, encodeAddresses(dns)),
      ...option(DHCP_OPTION.CLASSLESS_ROUTES, routes),
      ...option(DHCP_OPTION.OLD_CLASSLESS_ROUTES, routes),
    ];
    this.#extra = option(DHCP_OPTION.NTP, encodeAddresses(ntp));
  }

  /** An address for so long: OFFER or ACK. */
  grant(question: DhcpQuestion, type: DhcpType, address: Ipv4, leaseMs: number): DhcpReply {
    const seconds = Math.min(FOR_EVER_S, Math.floor(leaseMs / 1000));
    const isEnding = seconds !== FOR_EVER_S && !this.#isPlain;
    const share = (part: number) => encodeNumber(Math.floor(seconds * part), 4);
    return this.#reply(question, type, address, [
      [DHCP_OPTION.LEASE_TIME, encodeNumber(seconds, 4)],
      ...this.#domain,
      this.#mask,
      ...this.#network,
      ...(isEnding
        ? ([
            [DHCP_OPTION.RENEWAL_TIME, share(T1)],
            [DHCP_OPTION.REBINDING_TIME, share(T2)],
          ] as const)
        : []),
      ...this.#extra,
    ]);
  }

  /** The answer to an INFORM: settings, no address and no times (RFC 2131 4.3.5). */
  inform(question: DhcpQuestion): DhcpReply {
    const options = [...this.#domain, this.#mask, ...this.#network, ...this.#extra];
    return this.#reply(question, DHCP_TYPE.ACK, IPV4_ANY, options);
  }

  refuse(question: DhcpQuestion, why: string): DhcpReply {
    // RFC 2131 table 3: a NAK has no settings. The reference sends the mask.
    const text = [DHCP_OPTION.MESSAGE, new TextEncoder().encode(why)] as const;
    return this.#reply(question, DHCP_TYPE.NAK, IPV4_ANY, [this.#isPlain ? this.#mask : text]);
  }

  #reply(
    question: DhcpQuestion,
    type: DhcpType,
    yiaddr: Ipv4,
    options: readonly (readonly [number, Uint8Array])[],
  ): DhcpReply {
    const { message, mac, sourcePort } = question;
    const isPlain = this.#isPlain;
    // RFC 6842: a client that named itself by an identifier finds it in the answer.
    const id = isPlain ? undefined : message.options.get(DHCP_OPTION.CLIENT_ID);
    const all = new Map([this.#server, ...options]);
    const reply: DhcpMessage = {
      op: "reply",
      type,
      xid: message.xid,
      secs: 0,
      wantsBroadcast: !isPlain && message.wantsBroadcast,
      ciaddr: IPV4_ANY,
      yiaddr,
      siaddr: !isPlain && type === DHCP_TYPE.NAK ? IPV4_ANY : this.#config.address,
      // What a guest says about relays is not acted upon (robustness.md DH-12): there are none inside a hub.
      giaddr: IPV4_ANY,
      chaddr: message.chaddr,
      options: id === undefined ? all : new Map([...all, [DHCP_OPTION.CLIENT_ID, id]]),
    };
    const toIp = this.#destination(question, type, yiaddr);
    const isToAll = toIp === IPV4_BROADCAST;
    return {
      message: this.#fit(reply, message),
      toIp,
      toMac: isToAll ? MAC_BROADCAST : mac,
      toPort: sourcePort,
    };
  }

  /** RFC 2131 4.1. The reference broadcasts whatever has no source address, also where a client can do without. */
  #destination(question: DhcpQuestion, type: DhcpType, yiaddr: Ipv4): Ipv4 {
    const { message, sourceIp, mac } = question;
    if (this.#isPlain) return sourceIp === IPV4_ANY ? IPV4_BROADCAST : sourceIp;
    if (type === DHCP_TYPE.NAK) return IPV4_BROADCAST;
    if (message.ciaddr !== IPV4_ANY) return message.ciaddr;
    if (sourceIp !== IPV4_ANY) return sourceIp;
    // A bridge that sends under its own MAC cannot take in what is for a client behind it.
    const isDirect = mac === message.chaddr && yiaddr !== IPV4_ANY && !message.wantsBroadcast;
    return isDirect ? yiaddr : IPV4_BROADCAST;
  }

  /**
   * The bytes. A client that takes only short messages (RFC 2132 9.10) is spared the second copy of the routes if it asked
   * for the first; an identifier that leaves no room in one packet is not repeated. Settings are never left out.
   */
  #fit(reply: DhcpMessage, asked: DhcpMessage): Uint8Array {
    const whole = encodeDhcp(reply);
    if (this.#isPlain) return whole;
    const wanted = asked.options.get(DHCP_OPTION.PARAMETER_LIST) ?? new Uint8Array();
    const told = tryReadNumber(asked.options, DHCP_OPTION.MAX_MESSAGE_SIZE, 2) ?? 0;
    const most = Math.max(MIN_DHCP_PACKET_BYTES, told) - HEADER_BYTES;
    const options = new Map(reply.options);
    const isTwice =
      wanted.includes(DHCP_OPTION.CLASSLESS_ROUTES) &&
      !wanted.includes(DHCP_OPTION.OLD_CLASSLESS_ROUTES);
    if (whole.length > most && isTwice) options.delete(DHCP_OPTION.OLD_CLASSLESS_ROUTES);
    const shorter = encodeDhcp({ ...reply, options });
    if (shorter.length <= this.#config.mtu - HEADER_BYTES) return shorter;
    options.delete(DHCP_OPTION.CLIENT_ID);
    return encodeDhcp({ ...reply, options });
  }
}

/** Options 121 and 249. A client that reads them looks at no option 3 (RFC 3442), so the gateway is among them. */
function encodedRoutes({ dhcp }: DhcpServerConfig, isPlain: boolean): Uint8Array {
  const routes = dhcp.routes.map(({ to, via }) => ({
    network: readIpv4(to.bytes, 0),
    prefix: to.prefix,
    via,
  }));
  const hasDefault = routes.some(({ prefix }) => prefix === 0);
  const isMissing = routes.length > 0 && !hasDefault && !isPlain && dhcp.gateway !== undefined;
  return encodeRoutes(
    isMissing ? [...routes, { network: IPV4_ANY, prefix: 0, via: dhcp.gateway }] : routes,
  );
}
