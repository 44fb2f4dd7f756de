// To the TAP: frames of a run become jobs, one `writev` each. Consecutive TCP segments of a flow share a job.
//
// 1. walk: every frame of the run, in order
// 2. parse: is it a plain TCP segment whose every byte is accounted for?
// 3. place: at the end of its flow's open job if the kernel, cutting that job again, would give the same frames back
// 4. seal: a job of several segments gets a header of its own
//
// A job says to the kernel "checksum verified": a segment with a wrong checksum is never merged but passed as it is, for
// the kernel to refuse. The order within a flow is kept; flows may overtake each other within a run, as on any network
// with several queues. The run is only read: headers that change are copied to the job's own place first.
import { copyHeaders, fold, sum, wireWord } from "./checksum.as";
import * as h from "./headers.as";

/* Tables, set aside by the caller; platform/offload.ts has the same numbers. */
const MAX_JOBS: i32 = 128;
const MAX_VECTORS: i32 = 64;
const VECTOR_BYTES: usize = 16;
const JOB_BYTES: usize = 64;
/** virtio-net header, Ethernet with one tag, IPv6 and TCP at their longest: 10 + 18 + 40 + 60. */
const HEADER_BYTES: usize = 128;
const SIZE_BYTES: usize = 4;
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

/** Flows found by hash; two of one hash take the place in turns, which costs merges and nothing else. */
const FLOW_SLOTS: u32 = 64;

let jobTable: usize = 0;
let vectorTable: usize = 0;
let headerTable: usize = 0;
let flowTable: usize = 0;
let memoryBase: u64 = 0;
let shortest: i32 = 0;
let longest: i32 = 0;

let jobCount: i32 = 0;
let refusedFrames: i32 = 0;

/* The frame being looked at, as `parse` found it. */
let l3: i32 = 0;
let l4: i32 = 0;
let headerBytes: i32 = 0;
let payload: i32 = 0;
let isV6: bool = false;
let flowHash: u32 = 0;

/**
 * Tells where the tables are (offsets), at which address offset 0 is for the system, and which frame lengths pass.
 * Bytes: jobs MAX_JOBS * 64, vectors MAX_JOBS * MAX_VECTORS * 16, headers MAX_JOBS * 128, flows 64.
 */
export function init(
  jobsAt: usize,
  vectorsAt: usize,
  headersAt: usize,
  flowsAt: usize,
  base: u64,
  minFrame: i32,
  maxFrame: i32,
): void {
  jobTable = jobsAt;
  vectorTable = vectorsAt;
  headerTable = headersAt;
  flowTable = flowsAt;
  memoryBase = base;
  shortest = minFrame;
  longest = maxFrame;
}

/** Jobs that the last `merge` made. */
export function jobs(): i32 {
  return jobCount;
}

/** Frames that the last `merge` left out for their length. */
export function refused(): i32 {
  return refusedFrames;
}

/* 1. Walk */

/**
 * Makes jobs of the run `[u32 size][frame]...` from `at` to `end`. Gives the offset of what it had no more jobs for, or
 * `end`. A size that runs past the end counts as one refused frame and ends the run.
 */
export function merge(at: usize, end: usize): usize {
  jobCount = 0;
  refusedFrames = 0;
  memory.fill(flowTable, 0, FLOW_SLOTS);
  while (at + SIZE_BYTES <= end && jobCount < MAX_JOBS) {
    const size = bswap<u32>(load<u32>(at));
    const frame = at + SIZE_BYTES;
    if (size > <u32>(end - frame)) {
      refusedFrames += 1;
      at = end;
      break;
    }
    at = frame + size;
    if (size < <u32>shortest || size > <u32>longest) {
      refusedFrames += 1;
      continue;
    }
    if (parse(frame, size)) place(frame, size);
    else single(frame, size);
  }
  for (let job = 0; job < jobCount; job += 1) seal(job);
  return at;
}

/* 2. Parse */

/**
 * True for a TCP segment, untagged or with one tag, in an IP packet without fragments, options or extension headers,
 * which ends where the frame ends: padding behind it would be lost by merging.
 */
function parse(frame: usize, size: i32): bool {
  if (size < h.ETHERNET_BYTES + h.TAG_BYTES) return false;
  l3 = h.ETHERNET_BYTES;
  if (h.isTag(load<u16>(frame + h.ETHERTYPE))) l3 += h.TAG_BYTES;
  const ethertype = load<u16>(frame + l3 - 2);
  const ip = frame + l3;
  let flow: u32 = 0;
  if (ethertype == h.IPV4_WIRE) {
    isV6 = false;
    l4 = l3 + h.IPV4_BYTES;
    if (size < l4 + h.TCP_BYTES || load<u8>(ip) != 0x45) return false;
    if (load<u8>(ip + h.IPV4_PROTOCOL) != h.PROTOCOL_TCP) return false;
    if ((load<u16>(ip + h.IPV4_FRAGMENT) & h.FRAGMENTED_WIRE) != 0) return false;
    if (<i32>bswap<u16>(load<u16>(ip + h.IPV4_LENGTH)) != size - l3) return false;
    flow = load<u32>(ip + h.IPV4_ADDRESSES) ^ load<u32>(ip + h.IPV4_ADDRESSES + 4);
  } else if (ethertype == h.IPV6_WIRE) {
    isV6 = true;
    l4 = l3 + h.IPV6_BYTES;
    if (size < l4 + h.TCP_BYTES || load<u8>(ip) >> 4 != 6) return false;
    if (load<u8>(ip + h.IPV6_NEXT_HEADER) != h.PROTOCOL_TCP) return false;
    if (<i32>bswap<u16>(load<u16>(ip + h.IPV6_LENGTH)) != size - l4) return false;
    flow = load<u32>(ip + h.IPV6_ADDRESSES + 12) ^ load<u32>(ip + h.IPV6_ADDRESSES + 28);
  } else {
    return false;
  }
  const tcp = frame + l4;
  const tcpBytes = (<i32>(load<u8>(tcp + h.TCP_DATA_OFFSET) >> 4)) << 2;
  headerBytes = l4 + tcpBytes;
  payload = size - headerBytes;
  // An odd multiplier spreads ports over the upper bits.
  flowHash = ((load<u32>(tcp) ^ flow) * 0x9e37_79b1) >> 26;
  return tcpBytes >= h.TCP_BYTES && payload >= 0;
}

/* 3. Place */

function place(frame: usize, size: i32): void {
  const flags = load<u8>(frame + l4 + h.TCP_FLAGS);
  // CWR must stay on the segment that has it, SYN, RST and URG are events of their own; all pass alone.
  const allowed: u8 = h.ACK | h.ECE | h.PSH | h.FIN;
  const mergeable =
    payload > 0 && (flags & h.ACK) != 0 && (flags & ~allowed) == 0 && isVerified(frame, size);

  const slot = flowTable + <usize>flowHash;
  const found = <i32>load<u8>(slot) - 1;
  if (found >= 0) {
    const job = jobTable + <usize>found * JOB_BYTES;
    if (mergeable && load<i32>(job + JOB_OPEN) != 0 && continues(job, frame, flags)) {
      append(found, job, frame, flags);
      return;
    }
    // Whatever comes now of this flow must not get into a job before this frame.
    store<i32>(job + JOB_OPEN, 0);
  }
  const index = single(frame, size);
  // A segment with PSH or FIN ends what is merged: the kernel sets them on the last one only.
  if (!mergeable || (flags & (h.PSH | h.FIN)) != 0) {
    store<u8>(slot, 0);
    return;
  }
  store<u8>(slot, <u8>(index + 1));
  openJob(jobTable + <usize>index * JOB_BYTES, frame);
}

/** True if header and payload are what the sender summed up (RFC 791, RFC 9293 3.1). */
function isVerified(frame: usize, size: i32): bool {
  const ip = frame + l3;
  if (!isV6 && fold(sum(ip, h.IPV4_BYTES)) != 0xffff) return false;
  return fold(pseudoSum(ip, size - l4) + sum(frame + l4, size - l4)) == 0xffff;
}

function pseudoSum(ip: usize, l4Bytes: i32): u64 {
  const addresses = isV6 ? sum(ip + h.IPV6_ADDRESSES, 32) : sum(ip + h.IPV4_ADDRESSES, 8);
  return addresses + <u64>wireWord(h.PROTOCOL_TCP) + <u64>wireWord(l4Bytes);
}

/**
 * True if the frame is the next segment of the job in every respect, as Linux's own GRO asks for, and beyond that in
 * the window, which GRO lets go: nothing that the sender said is changed.
 */
function continues(job: usize, frame: usize, flags: u8): bool {
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

function append(index: i32, job: usize, frame: usize, flags: u8): void {
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

/** A job for one frame as it is, behind a header that asks for nothing. */
function single(frame: usize, size: i32): i32 {
  const index = jobCount;
  jobCount += 1;
  const header = headerTable + <usize>index * HEADER_BYTES;
  store<u64>(header, 0);
  store<u16>(header, 0, 8);
  setVector(index, 0, header, h.VNET_BYTES);
  setVector(index, 1, frame, size);
  const job = jobTable + <usize>index * JOB_BYTES;
  store<i32>(job + JOB_VECTORS, 2);
  store<i32>(job + JOB_OPEN, 0);
  return index;
}

function openJob(job: usize, frame: usize): void {
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

/* 4. Seal */

/** Gives a job of several segments the header that the kernel cuts it by. A single stays byte for byte what it was. */
function seal(index: i32): void {
  const job = jobTable + <usize>index * JOB_BYTES;
  if (load<i32>(job + JOB_VECTORS) <= 2) return;
  l3 = load<i32>(job + JOB_L3);
  l4 = load<i32>(job + JOB_L4);
  headerBytes = load<i32>(job + JOB_HEADER_BYTES);
  isV6 = load<i32>(job + JOB_V6) != 0;
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
  store<u16>(tcp + h.TCP_CHECKSUM, fold(pseudoSum(ip, length - l4)));
  setVector(index, 0, vnet, h.VNET_BYTES + headerBytes);
}

/** One struct iovec: the address as the system sees it, and the length. */
function setVector(index: i32, vector: i32, at: usize, bytes: i32): void {
  const entry = vectorTable + <usize>(index * MAX_VECTORS + vector) * VECTOR_BYTES;
  store<u64>(entry, memoryBase + <u64>at);
  store<u64>(entry + 8, <u64>bytes);
}
