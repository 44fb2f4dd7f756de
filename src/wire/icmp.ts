// ICMP for both versions of IP: RFC 792 with RFC 1122 3.2.2 and RFC 1812 5.2.7, and RFC 4443.

/** Type, code, checksum, and a word that each type uses in its own way; a quote or data lies behind. */
export const ICMP_HEADER_BYTES = 8;
export const ICMP_WORD_AT = 4;
/** Of echo messages. */
export const ICMP_ID_AT = 4;

export const ICMP_TYPE = {
  ECHO_REPLY: 0,
  UNREACHABLE: 3,
  SOURCE_QUENCH: 4,
  REDIRECT: 5,
  ECHO_REQUEST: 8,
  TIME_EXCEEDED: 11,
  PARAMETER_PROBLEM: 12,
} as const;

export const ICMPV6_TYPE = {
  UNREACHABLE: 1,
  TOO_BIG: 2,
  TIME_EXCEEDED: 3,
  PARAMETER_PROBLEM: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
  REDIRECT: 137,
} as const;

/** What can be wrong with a packet, told to its sender. */
export type IcmpFault =
  | "no_route"
  | "host_unreachable"
  | "beyond_scope"
  | "protocol_unreachable"
  | "port_unreachable"
  | "prohibited"
  | "too_big"
  | "time_exceeded"
  | "reassembly_time_exceeded";

interface TypeAndCode {
  readonly type: number;
  readonly code: number;
}

const V4: Readonly<Record<IcmpFault, TypeAndCode>> = {
  no_route: { type: ICMP_TYPE.UNREACHABLE, code: 0 },
  host_unreachable: { type: ICMP_TYPE.UNREACHABLE, code: 1 },
  // Which IPv4 has no word for (RFC 7915 5.2).
  beyond_scope: { type: ICMP_TYPE.UNREACHABLE, code: 1 },
  protocol_unreachable: { type: ICMP_TYPE.UNREACHABLE, code: 2 },
  port_unreachable: { type: ICMP_TYPE.UNREACHABLE, code: 3 },
  too_big: { type: ICMP_TYPE.UNREACHABLE, code: 4 },
  prohibited: { type: ICMP_TYPE.UNREACHABLE, code: 13 },
  time_exceeded: { type: ICMP_TYPE.TIME_EXCEEDED, code: 0 },
  reassembly_time_exceeded: { type: ICMP_TYPE.TIME_EXCEEDED, code: 1 },
};

const V6: Readonly<Record<IcmpFault, TypeAndCode>> = {
  no_route: { type: ICMPV6_TYPE.UNREACHABLE, code: 0 },
  host_unreachable: { type: ICMPV6_TYPE.UNREACHABLE, code: 3 },
  beyond_scope: { type: ICMPV6_TYPE.UNREACHABLE, code: 2 },
  // An unrecognized next header; the word says where it stands (RFC 4443 3.4).
  protocol_unreachable: { type: ICMPV6_TYPE.PARAMETER_PROBLEM, code: 1 },
  port_unreachable: { type: ICMPV6_TYPE.UNREACHABLE, code: 4 },
  too_big: { type: ICMPV6_TYPE.TOO_BIG, code: 0 },
  prohibited: { type: ICMPV6_TYPE.UNREACHABLE, code: 1 },
  time_exceeded: { type: ICMPV6_TYPE.TIME_EXCEEDED, code: 0 },
  reassembly_time_exceeded: { type: ICMPV6_TYPE.TIME_EXCEEDED, code: 1 },
};

/** Type and code that tell of the fault. */
export function icmpOfFault(version: 4 | 6, fault: IcmpFault): TypeAndCode {
  return (version === 4 ? V4 : V6)[fault];
}

/** Codes of IPv4's unreachable that say about the same as another does (RFC 1812 5.2.7.1). */
const V4_UNREACHABLE: Readonly<Record<number, IcmpFault>> = {
  0: "no_route",
  1: "host_unreachable",
  2: "protocol_unreachable",
  3: "port_unreachable",
  4: "too_big",
  6: "no_route",
  7: "host_unreachable",
  9: "prohibited",
  10: "prohibited",
  11: "no_route",
  12: "host_unreachable",
  13: "prohibited",
};

const V6_UNREACHABLE: Readonly<Record<number, IcmpFault>> = {
  0: "no_route",
  1: "prohibited",
  3: "host_unreachable",
  4: "port_unreachable",
  5: "prohibited",
  6: "no_route",
};

/** What an error message tells; undefined for other messages and those that senders do not act upon. */
export function tryFaultOfIcmp(version: 4 | 6, type: number, code: number): IcmpFault | undefined {
  if (version === 4) {
    if (type === ICMP_TYPE.UNREACHABLE) return V4_UNREACHABLE[code];
    if (type === ICMP_TYPE.TIME_EXCEEDED) return timeExceeded(code);
    return undefined;
  }
  if (type === ICMPV6_TYPE.UNREACHABLE) return V6_UNREACHABLE[code];
  if (type === ICMPV6_TYPE.TOO_BIG) return "too_big";
  if (type === ICMPV6_TYPE.TIME_EXCEEDED) return timeExceeded(code);
  return type === ICMPV6_TYPE.PARAMETER_PROBLEM && code === 1 ? "protocol_unreachable" : undefined;
}

function timeExceeded(code: number): IcmpFault | undefined {
  if (code === 0) return "time_exceeded";
  return code === 1 ? "reassembly_time_exceeded" : undefined;
}

/** True for messages that no error may be sent about (RFC 1122 3.2.2; RFC 4443 2.4 e). */
export function isIcmpError(version: 4 | 6, type: number): boolean {
  if (version === 6) return type < ICMPV6_TYPE.ECHO_REQUEST || type === ICMPV6_TYPE.REDIRECT;
  return (
    type === ICMP_TYPE.UNREACHABLE ||
    type === ICMP_TYPE.SOURCE_QUENCH ||
    type === ICMP_TYPE.REDIRECT ||
    type === ICMP_TYPE.TIME_EXCEEDED ||
    type === ICMP_TYPE.PARAMETER_PROBLEM
  );
}
