import { DNS_LIMITS } from "../base/limits.ts";

/* RFC 1035 4.1 and 3.2, RFC 6891 6.1. */
export const DNS_HEADER_BYTES = 12;
const FLAGS_AT = 2;
const QUESTIONS_AT = 4;
const ANSWERS_AT = 6;
const AUTHORITIES_AT = 8;
const ADDITIONALS_AT = 10;
const IS_RESPONSE = 0x8000;
const OPCODE = 0x7800;
const IS_TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const CHECKING_DISABLED = 0x0010;
const RCODE = 0x000f;
/** Type and class behind a question's name; with lifetime and length behind a record's. */
const QUESTION_TAIL_BYTES = 4;
const RECORD_TAIL_BYTES = 10;
const POINTER = 0xc0;

export const DNS_OPCODE = { QUERY: 0, UPDATE: 5 } as const;
export const DNS_TYPE = { A: 1, TXT: 16, AAAA: 28, OPT: 41, IXFR: 251, ANY: 255 } as const;
export const DNS_CLASS = { IN: 1, CHAOS: 3, ANY: 255 } as const;
export const DNS_RCODE = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;
/** What a host takes by UDP that says nothing about it (RFC 1035 4.2.1). */
export const DNS_PLAIN_BYTES = 512;

export interface DnsQuestion {
  /** Labels, each behind its length, and the zero at the end; a label may hold any octet. */
  readonly name: Uint8Array;
  readonly type: number;
  readonly class: number;
}

/** What a relay has to know of a message with one question. */
export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  readonly opcode: number;
  readonly isTruncated: boolean;
  readonly rcode: number;
  readonly question: DnsQuestion;
  /** Where the question ends; it begins behind the header. */
  readonly questionEnd: number;
  /** Answers and authorities; and with additional records. */
  readonly answers: number;
  readonly records: number;
  /** Bytes that the sender takes by UDP; undefined if it does not speak EDNS. */
  readonly udpBytes: number | undefined;
}

/**
 * Reads the header, the one question, and where records lie, the first 64 of them. Undefined for a message that is
 * cut, has not exactly one question, or a name that is over its limits or points anywhere but back.
 */
export function tryParseDns(bytes: Uint8Array): DnsMessage | undefined {
  if (bytes.length < DNS_HEADER_BYTES || bytes.length > DNS_LIMITS.messageBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint16(QUESTIONS_AT) !== 1) return undefined;
  const name: number[] = [];
  const nameEnd = passName(bytes, DNS_HEADER_BYTES, name);
  if (nameEnd < 0 || nameEnd + QUESTION_TAIL_BYTES > bytes.length) return undefined;
  const questionEnd = nameEnd + QUESTION_TAIL_BYTES;
  const answers = view.getUint16(ANSWERS_AT) + view.getUint16(AUTHORITIES_AT);
  const records = answers + view.getUint16(ADDITIONALS_AT);
  let udpBytes: number | undefined;
  let at = questionEnd;
  for (let index = 0; index < records && index < DNS_LIMITS.records; index += 1) {
    const tail = passName(bytes, at);
    if (tail < 0 || tail + RECORD_TAIL_BYTES > bytes.length) return undefined;
    // Of EDNS, the class is the size; a lower one than the plain is the plain (RFC 6891 6.2.3).
    if (index >= answers && view.getUint16(tail) === DNS_TYPE.OPT)
      udpBytes = Math.max(view.getUint16(tail + 2), DNS_PLAIN_BYTES);
    at = tail + RECORD_TAIL_BYTES + view.getUint16(tail + 8);
    if (at > bytes.length) return undefined;
  }
  const flags = view.getUint16(FLAGS_AT);
  return {
    id: view.getUint16(0),
    isResponse: (flags & IS_RESPONSE) !== 0,
    opcode: (flags & OPCODE) >> 11,
    isTruncated: (flags & IS_TRUNCATED) !== 0,
    rcode: flags & RCODE,
    question: {
      name: Uint8Array.from(name),
      type: view.getUint16(nameEnd),
      class: view.getUint16(nameEnd + 2),
    },
    questionEnd,
    answers,
    records,
    udpBytes,
  };
}

/**
 * The offset behind the name at `at`, whose octets go to `into`; -1 for a name that is refused. A pointer must go
 * back before the part that it ends, so no chain of them comes round.
 */
function passName(bytes: Uint8Array, start: number, into?: number[]): number {
  let end = -1;
  let at = start;
  let partAt = start;
  let length = 1;
  for (let jumps = 0; ;) {
    const size = bytes[at];
    if (size === undefined) return -1;
    if (size === 0) {
      into?.push(0);
      return end < 0 ? at + 1 : end;
    }
    if (size >= POINTER) {
      const low = bytes[at + 1];
      if (low === undefined || ++jumps > DNS_LIMITS.pointerJumps) return -1;
      const target = ((size & 0x3f) << 8) | low;
      if (target < DNS_HEADER_BYTES || target >= partAt) return -1;
      if (end < 0) end = at + 2;
      at = partAt = target;
      continue;
    }
    length += 1 + size;
    if (size > DNS_LIMITS.labelBytes || length > DNS_LIMITS.nameBytes) return -1;
    if (at + 1 + size > bytes.length) return -1;
    if (into !== undefined) for (let i = 0; i <= size; i += 1) into.push(bytes[at + i]!);
    at += 1 + size;
  }
}

/** True for the same name, type and class; the letters' case is nobody's concern (RFC 4343). */
export function isSameQuestion(a: DnsQuestion, b: DnsQuestion): boolean {
  if (a.type !== b.type || a.class !== b.class) return false;
  return isSameName(a.name, b.name);
}

/** Compares names in the form of `DnsQuestion`. */
export function isSameName(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) if (lower(a[at]!) !== lower(b[at]!)) return false;
  return true;
}

/** Sizes of labels are below the letters, so that they stay as they are. */
function lower(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
}

/** The name of a text without escapes, in the form of `DnsQuestion`; undefined for one over the limits. */
export function tryEncodeDnsName(text: string): Uint8Array | undefined {
  const name: number[] = [];
  for (const label of text.replace(/\.$/, "").split(".")) {
    const octets = new TextEncoder().encode(label);
    if (octets.length === 0 || octets.length > DNS_LIMITS.labelBytes) return undefined;
    name.push(octets.length, ...octets);
  }
  name.push(0);
  return name.length > DNS_LIMITS.nameBytes ? undefined : Uint8Array.from(name);
}

/** An answer without records to a question, which `asked` was read from. */
export function encodeDnsRefusal(
  question: Uint8Array,
  asked: DnsMessage,
  rcode: number,
): Uint8Array {
  const flags = new DataView(question.buffer, question.byteOffset).getUint16(FLAGS_AT);
  const kept = flags & (OPCODE | RECURSION_DESIRED | CHECKING_DISABLED);
  return encodeBare(question, asked, kept | IS_RESPONSE | RECURSION_AVAILABLE | rcode);
}

/** An answer as it is sent to somebody who takes no longer one by UDP: without records, saying so (RFC 2181 9). */
export function encodeDnsTruncated(answer: Uint8Array, read: DnsMessage): Uint8Array {
  const flags = new DataView(answer.buffer, answer.byteOffset).getUint16(FLAGS_AT);
  return encodeBare(answer, read, flags | IS_TRUNCATED);
}

function encodeBare(message: Uint8Array, read: DnsMessage, flags: number): Uint8Array {
  const hasEdns = read.udpBytes !== undefined;
  const bare = new Uint8Array(read.questionEnd + (hasEdns ? OPT_BYTES : 0));
  bare.set(message.subarray(0, read.questionEnd));
  const view = new DataView(bare.buffer);
  view.setUint16(FLAGS_AT, flags);
  view.setUint16(ANSWERS_AT, 0);
  view.setUint16(AUTHORITIES_AT, 0);
  view.setUint16(ADDITIONALS_AT, hasEdns ? 1 : 0);
  if (!hasEdns) return bare;
  // Who asks with EDNS is answered with it (RFC 6891 6.1.1): the root as name, no options.
  view.setUint16(read.questionEnd + 1, DNS_TYPE.OPT);
  view.setUint16(read.questionEnd + 3, DNS_LIMITS.udpBytes);
  return bare;
}

const OPT_BYTES = 1 + RECORD_TAIL_BYTES;
