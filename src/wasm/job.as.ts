// Jobs: what one `writev` hands to the kernel, a vector of a virtio-net header with headers behind it, then payloads.
import { copyHeaders, fold, sum, wireWord } from "./checksum.as";
import * as h from "./headers.as";
import { headerBytes, isV6, l3, l4, payload, pseudoSum } from "./segment.as";

/* Tables, set aside by the caller; platform/offload.ts has the same numbers. */
export const MAX_JOBS: i32 = 128;
const MAX_VECTORS: i32 = 64;
const VECTOR_BYTES: usize = 16;
const JOB_BYTES: usize = 64;
/** virtio-net header, Ethernet with one tag, IPv6 and TCP at their longest: 10 + 18 + 40 + 60. */
const HEADER_BYTES: usize = 128;
/** Of a super-frame from its network header on: both IP length fields must hold it, and it fits hdr_len's 16 bits. */
const MAX_DATAGRAM_BYTES: i32 = 65535;

/* Fields of a job. JOB_VECTORS and JOB_HEADER_BYTES are read by the caller. */
const JOB_VECTORS: usize = 0;
const JOB_FRAME: usize = 4;
const JOB_L3: usize = 8;
const JOB_L4: usize = 12;
const JOB_HEADER_BYTES: usize = 16;
const JOB_SEGMENT: usize = 20;
const JOB_NEXT_SEQUENCE: usize = 24;
const JOB_PAYLOAD: usize = 28;
const JOB_OPEN: usize = 32;
const JOB_V6: usize = 36;
const JOB_FLAGS: usize = 40;
const JOB_LAST_ID: usize = 44;
const JOB_ID_STEP: usize = 48;
const ID_STEP_OPEN: i32 = -1;

let jobTable: usize = 0;
let vectorTable: usize = 0;
let headerTable: usize = 0;
let memoryBase: u64 = 0;

/** Jobs made since `clearJobs`. */
export let jobCount: i32 = 0;

/** Tells where the tables are, and at which address offset 0 is for the system. */
export function setTables(jobsAt: usize, vectorsAt: usize, headersAt: usize, base: u64): void {
  jobTable = jobsAt;
  vectorTable = vectorsAt;
  headerTable = headersAt;
  memoryBase = base;
}

export function clearJobs(): void {
  jobCount = 0;
}

/** Adds a job for one frame as it is, behind a header that asks for nothing, and gives its number. */
export function addSingle(frame: usize, size: i32): i32 {
  const index = jobCount;
  jobCount += 1;
  const header = headerTable + <usize>index * HEADER_BYTES;
  store<u64>(header, 0);
  store<u16>(header, 0, 8);
  setVector(index, 0, header, h.VNET_BYTES);
  setVector(index, 1, frame, size);
  const job = jobAt(index);
  store<i32>(job + JOB_VECTORS, 2);
  store<i32>(job + JOB_OPEN, 0);
  return index;
}

/** Lets the segments that follow upon this one, which is alone in its job, be appended. */
export function openJob(index: i32, frame: usize): void {
  const job = jobAt(index);
  store<i32>(job + JOB_OPEN, 1);
  store<u32>(job + JOB_FRAME, <u32>frame);
  store<i32>(job + JOB_L3, l3);
  store<i32>(job + JOB_L4, l4);
  store<i32>(job + JOB_HEADER_BYTES, headerBytes);
  store<i32>(job + JOB_SEGMENT, payload);
  store<i32>(job + JOB_PAYLOAD, payload);
  store<u32>(job + JOB_NEXT_SEQUENCE, bswap<u32>(load<u32>(frame + l4 + h.TCP_SEQUENCE)) + payload);
  store<i32>(job + JOB_V6, <i32>isV6);
  store<i32>(job + JOB_FLAGS, 0);
  store<i32>(job + JOB_LAST_ID, isV6 ? 0 : <i32>bswap<u16>(load<u16>(frame + l3 + h.IPV4_ID)));
  store<i32>(job + JOB_ID_STEP, ID_STEP_OPEN);
}

/** Whatever comes now is not appended any more. */
export function closeJob(index: i32): void {
  store<i32>(jobAt(index) + JOB_OPEN, 0);
}

/**
 * True if the frame is the next segment of the job in every respect, as Linux's own GRO asks for, and beyond that in
 * the window, which GRO lets go: nothing that the sender said is changed.
 */
export function continues(index: i32, frame: usize, flags: u8): bool {
  const job = jobAt(index);
  if (load<i32>(job + JOB_OPEN) == 0) return false;
  const first = <usize>load<u32>(job + JOB_FRAME);
  if (load<i32>(job + JOB_L4) != l4 || load<i32>(job + JOB_HEADER_BYTES) != headerBytes)
    return false;
  if (load<i32>(job + JOB_V6) != <i32>isV6 || load<i32>(job + JOB_VECTORS) >= MAX_VECTORS)
    return false;
  if (payload > load<i32>(job + JOB_SEGMENT)) return false;
  if (headerBytes - l3 + load<i32>(job + JOB_PAYLOAD) + payload > MAX_DATAGRAM_BYTES) return false;

  // Addresses of all layers, tag, and what the network header says about handling.
  if (load<u64>(frame) != load<u64>(first) || load<u64>(frame, 8) != load<u64>(first, 8))
    return false;
  if (l3 > h.ETHERNET_BYTES && load<u16>(frame, 16) != load<u16>(first, 16)) return false;
  const ip = frame + l3;
  const ip0 = first + l3;
  if (isV6) {
    if (load<u32>(ip) != load<u32>(ip0)) return false;
    if (load<u8>(ip + h.IPV6_HOP_LIMIT) != load<u8>(ip0 + h.IPV6_HOP_LIMIT)) return false;
    for (let n: usize = h.IPV6_ADDRESSES; n < <usize>h.IPV6_BYTES; n += 8) {
      if (load<u64>(ip + n) != load<u64>(ip0 + n)) return false;
    }
  } else {
    if (load<u8>(ip + h.IPV4_TOS) != load<u8>(ip0 + h.IPV4_TOS)) return false;
    if (load<u8>(ip + h.IPV4_TTL) != load<u8>(ip0 + h.IPV4_TTL)) return false;
    if (load<u16>(ip + h.IPV4_FRAGMENT) != load<u16>(ip0 + h.IPV4_FRAGMENT)) return false;
    if (load<u64>(ip + h.IPV4_ADDRESSES) != load<u64>(ip0 + h.IPV4_ADDRESSES)) return false;
    if (!idContinues(job, ip)) return false;
  }

  const tcp = frame + l4;
  const tcp0 = first + l4;
  if (load<u32>(tcp) != load<u32>(tcp0)) return false;
  if (bswap<u32>(load<u32>(tcp + h.TCP_SEQUENCE)) != load<u32>(job + JOB_NEXT_SEQUENCE))
    return false;
  if (load<u32>(tcp + h.TCP_ACKNOWLEDGEMENT) != load<u32>(tcp0 + h.TCP_ACKNOWLEDGEMENT))
    return false;
  if (load<u8>(tcp + h.TCP_DATA_OFFSET) != load<u8>(tcp0 + h.TCP_DATA_OFFSET)) return false;
  if (((flags ^ load<u8>(tcp0 + h.TCP_FLAGS)) & h.ECE) != 0) return false;
  if (load<u16>(tcp + h.TCP_WINDOW) != load<u16>(tcp0 + h.TCP_WINDOW)) return false;
  if (load<u16>(tcp + h.TCP_URGENT) != load<u16>(tcp0 + h.TCP_URGENT)) return false;
  for (let n = h.TCP_OPTIONS; n < <usize>(headerBytes - l4); n += 4) {
    if (load<u32>(tcp + n) != load<u32>(tcp0 + n)) return false;
  }
  return true;
}

/**
 * Cutting counts the identification up by one. With DF it may also stand still, as senders do that leave it at zero:
 * the id of such a packet means nothing and nobody may look at it (RFC 6864 4.1). Not both in one job.
 */
function idContinues(job: usize, ip: usize): bool {
  const step = (<i32>bswap<u16>(load<u16>(ip + h.IPV4_ID)) - load<i32>(job + JOB_LAST_ID)) & 0xffff;
  const known = load<i32>(job + JOB_ID_STEP);
  if (known != ID_STEP_OPEN) return step == known;
  if (step == 1) return true;
  return step == 0 && (load<u16>(ip + h.IPV4_FRAGMENT) & h.DONT_FRAGMENT_WIRE) != 0;
}

/** Appends a segment that continues the job. PSH or FIN, or less payload than in the others, closes it. */
export function append(index: i32, frame: usize, flags: u8): void {
  const job = jobAt(index);
  const vectors = load<i32>(job + JOB_VECTORS);
  if (vectors == 2) {
    // The second segment makes a merged job of a single: header and payload part.
    const first = <usize>load<u32>(job + JOB_FRAME);
    const firstHeader = load<i32>(job + JOB_HEADER_BYTES);
    setVector(index, 1, first + firstHeader, load<i32>(job + JOB_SEGMENT));
  }
  setVector(index, vectors, frame + headerBytes, payload);
  store<i32>(job + JOB_VECTORS, vectors + 1);
  store<i32>(job + JOB_PAYLOAD, load<i32>(job + JOB_PAYLOAD) + payload);
  store<u32>(job + JOB_NEXT_SEQUENCE, load<u32>(job + JOB_NEXT_SEQUENCE) + payload);
  if (!isV6) {
    const id = <i32>bswap<u16>(load<u16>(frame + l3 + h.IPV4_ID));
    store<i32>(job + JOB_ID_STEP, (id - load<i32>(job + JOB_LAST_ID)) & 0xffff);
    store<i32>(job + JOB_LAST_ID, id);
  }
  const last = flags & (h.PSH | h.FIN);
  if (last != 0 || payload < load<i32>(job + JOB_SEGMENT)) {
    store<i32>(job + JOB_FLAGS, last);
    store<i32>(job + JOB_OPEN, 0);
  }
}

/** Gives a job of several segments the header that the kernel cuts it by. A single stays byte for byte what it was. */
export function seal(index: i32): void {
  const job = jobAt(index);
  if (load<i32>(job + JOB_VECTORS) <= 2) return;
  const l3 = load<i32>(job + JOB_L3);
  const l4 = load<i32>(job + JOB_L4);
  const headerBytes = load<i32>(job + JOB_HEADER_BYTES);
  const isV6 = load<i32>(job + JOB_V6) != 0;
  const length = headerBytes + load<i32>(job + JOB_PAYLOAD);

  const vnet = headerTable + <usize>index * HEADER_BYTES;
  store<u8>(vnet + h.VNET_FLAGS, h.NEEDS_CHECKSUM);
  store<u8>(vnet + h.VNET_GSO_TYPE, isV6 ? h.GSO_TCPV6 : h.GSO_TCPV4);
  store<u16>(vnet + h.VNET_HEADER_LENGTH, <u16>headerBytes);
  store<u16>(vnet + h.VNET_GSO_SIZE, <u16>load<i32>(job + JOB_SEGMENT));
  store<u16>(vnet + h.VNET_CHECKSUM_START, <u16>l4);
  store<u16>(vnet + h.VNET_CHECKSUM_OFFSET, <u16>h.TCP_CHECKSUM);

  const header = vnet + h.VNET_BYTES;
  copyHeaders(header, <usize>load<u32>(job + JOB_FRAME), headerBytes);
  const ip = header + l3;
  if (isV6) {
    store<u16>(ip + h.IPV6_LENGTH, wireWord(length - l4));
  } else {
    store<u16>(ip + h.IPV4_LENGTH, wireWord(length - l3));
    store<u16>(ip + h.IPV4_CHECKSUM, 0);
    store<u16>(ip + h.IPV4_CHECKSUM, ~fold(sum(ip, h.IPV4_BYTES)));
  }
  const tcp = header + l4;
  store<u8>(tcp + h.TCP_FLAGS, load<u8>(tcp + h.TCP_FLAGS) | (<u8>load<i32>(job + JOB_FLAGS)));
  store<u16>(tcp + h.TCP_CHECKSUM, fold(pseudoSum(ip, length - l4, isV6)));
  setVector(index, 0, vnet, h.VNET_BYTES + headerBytes);
}

function jobAt(index: i32): usize {
  return jobTable + <usize>index * JOB_BYTES;
}

/** One struct iovec: the address as the system sees it, and the length. */
function setVector(index: i32, vector: i32, at: usize, bytes: i32): void {
  const entry = vectorTable + <usize>(index * MAX_VECTORS + vector) * VECTOR_BYTES;
  store<u64>(entry, memoryBase + <u64>at);
  store<u64>(entry + 8, <u64>bytes);
}
