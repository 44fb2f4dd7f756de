// The language of pcap-filter(7), as far as it is about addresses, ports, protocols, VLANs and lengths. As there:
// "and" and "or" bind alike and to the left, "not" binds more; an address or a number alone is taken as the one
// before it was ("port 80 or 443"); "vlan" moves all that is asked after it. Names of hosts and services are not
// looked up, and there is no arithmetic on bytes.
import { MAX_FILTER_DEPTH } from "../../base/limits.ts";
import type { FrameTest } from "./filter-frame.ts";
import {
  idTest,
  isWordOfLanguage,
  PROTOCOL_WORDS,
  type IdKind,
  type ProtocolWord,
  type Qualifiers,
} from "./filter-id.ts";
import {
  and,
  etherHost,
  etherMulticast,
  ip6Multicast,
  IP_PROTOCOL,
  ip6Protocol,
  ipMulticast,
  ipProtocol,
  LINK_TYPE,
  linkType,
  longerThan,
  not,
  or,
  shorterThan,
  vlan,
  type Direction,
} from "./filter-primitive.ts";
import { MAC_BROADCAST } from "../../base/mac.ts";
import { FilterError, tokensOf, type Token } from "./filter-token.ts";

const MAX_VLAN_ID = 4095;
const MAX_LENGTH = 65_535;

/** @throws FilterError with the column of what is wrong */
export function parseFilter(text: string): FrameTest {
  return new FilterParser(tokensOf(text)).parse();
}

class FilterParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;
  /** How far the tags named so far have moved what follows. */
  #link = 0;
  /** What a number or an address alone means: what was said of the one before it. */
  #last: Qualifiers | undefined;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): FrameTest {
    if (this.#isAtEnd) throw this.#fault("a filter that says nothing");
    const test = this.#expression();
    if (!this.#isAtEnd) throw this.#expected('"and", "or" or the end');
    return test;
  }

  #expression(): FrameTest {
    let test = this.#term();
    for (;;) {
      if (this.#take("and")) test = and(test, this.#term());
      else if (this.#take("or")) test = or(test, this.#term());
      else return test;
    }
  }

  #term(): FrameTest {
    this.#depth += 1;
    if (this.#depth > MAX_FILTER_DEPTH)
      throw this.#fault(`more than ${MAX_FILTER_DEPTH} levels deep`);
    const test = this.#deeper();
    this.#depth -= 1;
    return test;
  }

  #deeper(): FrameTest {
    if (this.#take("not")) return not(this.#term());
    if (!this.#take("(")) return this.#primitive();
    const test = this.#expression();
    if (!this.#take(")")) throw this.#expected('")"');
    return test;
  }

  #primitive(): FrameTest {
    const token = this.#next;
    if (token.kind !== "word") throw this.#expected("what is wanted");
    if (isId(token.text) && !isWordOfLanguage(token.text)) {
      if (this.#last === undefined) throw this.#expected('"host", "net", "port" or a protocol');
      return this.#id(this.#last);
    }
    const alone = this.#standsAlone();
    if (alone !== undefined) {
      this.#last = undefined;
      return alone;
    }
    const protocol = this.#protocol();
    if (protocol !== undefined) {
      const whole = this.#wholeProtocol(protocol);
      if (whole !== undefined) {
        this.#last = undefined;
        return whole;
      }
    }
    const direction = this.#direction();
    const kind = this.#kind();
    if (protocol === undefined && direction === undefined && kind === undefined) {
      throw this.#expected('a word such as "host", "net", "port", "tcp", "ip6", "arp" or "vlan"');
    }
    if (kind === "proto" && direction !== undefined)
      throw this.#fault('"src" and "dst" go with addresses and ports');
    const qualifiers: Qualifiers = {
      protocol,
      direction: direction ?? "either",
      kind: kind ?? "host",
    };
    this.#last = qualifiers;
    // "port (80 or 443)"
    if (this.#next.kind === "(") return this.#term();
    return this.#id(qualifiers);
  }

  /** Words that need no address, port or protocol. */
  #standsAlone(): FrameTest | undefined {
    switch (this.#next.text) {
      case "broadcast":
        this.#skip();
        return etherHost(MAC_BROADCAST, "dst");
      case "multicast":
        this.#skip();
        return etherMulticast;
      case "less":
        this.#skip();
        return shorterThan(this.#number("a length", MAX_LENGTH));
      case "greater":
        this.#skip();
        return longerThan(this.#number("a length", MAX_LENGTH));
      case "vlan": {
        this.#skip();
        const isNamed = this.#next.kind === "word" && /^\d/.test(this.#next.text);
        const id = isNamed ? this.#number("a VLAN", MAX_VLAN_ID) : undefined;
        const found = vlan(id, this.#link);
        this.#link = found.link;
        return found.test;
      }
      default:
        return undefined;
    }
  }

  #protocol(): ProtocolWord | undefined {
    const { text } = this.#next;
    const word = PROTOCOL_WORDS.find((known) => known === text);
    if (word !== undefined) this.#skip();
    return word;
  }

  /** A protocol with nothing behind it, or with the kind of destination that it has. */
  #wholeProtocol(protocol: ProtocolWord): FrameTest | undefined {
    const { text } = this.#next;
    const link = this.#link;
    if (text === "broadcast" && protocol === "ether") {
      this.#skip();
      return etherHost(MAC_BROADCAST, "dst");
    }
    if (text === "broadcast")
      throw this.#fault("no broadcast address is known, but of Ethernet: ether broadcast");
    if (text === "multicast" && ["ether", "ip", "ip6"].includes(protocol)) {
      this.#skip();
      if (protocol === "ether") return etherMulticast;
      return protocol === "ip" ? ipMulticast(link) : ip6Multicast(link);
    }
    const goesOn = this.#next.kind === "word" || this.#next.kind === "(";
    if (goesOn) return undefined;
    switch (protocol) {
      case "ether":
        throw this.#expected('"host", "proto", "broadcast" or "multicast"');
      case "ip":
      case "ip6":
      case "arp":
      case "rarp":
        return linkType(LINK_TYPE[protocol], link);
      case "icmp":
      case "igmp":
      case "vrrp":
        return ipProtocol(IP_PROTOCOL[protocol], link);
      case "icmp6":
        return ip6Protocol(IP_PROTOCOL.icmp6, link);
      default:
        return or(
          ipProtocol(IP_PROTOCOL[protocol], link),
          ip6Protocol(IP_PROTOCOL[protocol], link),
        );
    }
  }

  #direction(): Direction | undefined {
    const first = this.#next.text;
    if (first !== "src" && first !== "dst") return undefined;
    this.#skip();
    const other = first === "src" ? "dst" : "src";
    const [joint, second] = [this.#next, this.#tokens[this.#at + 1]];
    const isPair = (joint.kind === "and" || joint.kind === "or") && second?.text === other;
    if (!isPair) return first;
    this.#skip();
    this.#skip();
    return joint.kind === "and" ? "both" : "either";
  }

  #kind(): IdKind | undefined {
    const { text } = this.#next;
    const kind = KINDS.find((known) => known === text);
    if (kind !== undefined) this.#skip();
    return kind;
  }

  #id(qualifiers: Qualifiers): FrameTest {
    const token = this.#next;
    if (token.kind !== "word" || isWordOfLanguage(token.text)) {
      throw this.#expected(WANTED[qualifiers.kind]);
    }
    this.#skip();
    let mask: Token | undefined;
    if (qualifiers.kind === "net" && this.#next.text === "mask") {
      this.#skip();
      mask = this.#next;
      this.#skip();
    }
    return idTest(token, mask, qualifiers, this.#link);
  }

  #number(what: string, most: number): number {
    const { kind, text } = this.#next;
    const value = kind === "word" && /^\d{1,7}$/.test(text) ? Number(text) : most + 1;
    if (value > most) throw this.#expected(`${what} from 0 to ${most}`);
    this.#skip();
    return value;
  }

  get #isAtEnd(): boolean {
    return this.#next.kind === "end";
  }

  get #next(): Token {
    return this.#tokens[this.#at]!;
  }

  /** The last token is the end, which stays. */
  #skip(): void {
    if (this.#at < this.#tokens.length - 1) this.#at += 1;
  }

  #take(kind: Token["kind"]): boolean {
    const isIt = this.#next.kind === kind;
    if (isIt) this.#skip();
    return isIt;
  }

  #expected(what: string): FilterError {
    const { kind, text } = this.#next;
    return this.#fault(`expected ${what}, found ${kind === "end" ? "the end" : `"${text}"`}`);
  }

  #fault(message: string): FilterError {
    return new FilterError(message, this.#next.column);
  }
}

const WANTED: Readonly<Record<IdKind, string>> = {
  host: "an address",
  net: "a network",
  port: "a port",
  portrange: "two ports",
  proto: "a protocol",
};
const KINDS = Object.keys(WANTED) as readonly IdKind[];

/** An address, a network or a number: no word of the language begins with a digit or has a colon. */
function isId(text: string): boolean {
  return /^\d|:/.test(text);
}
