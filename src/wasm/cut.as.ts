// From the device: one read, a virtio-net header and a frame of up to 64 KiB, becomes frames as they go over the wire.
//
// 1. complete: a frame whose checksum the kernel left to the "hardware" gets it
// 2. segment: a super-frame (TSO, USO) is cut into frames of `gso_size` payload
import { copyAndSum, copyHeaders, fold, sum, wireWord } from "./checksum.as";
import { crc32c } from "./crc32c.as";
import * as h from "./headers.as";

/** Answers of `cut` that are no length. */
export const CUT_MALFORMED: i32 = -1;
export const CUT_NO_ROOM: i32 = -2;
export const CUT_TOO_LONG: i32 = -3;

const SIZE_BYTES: i32 = 4;
/** Two tags are read, as everywhere in this program. */
const MAX_TAGS: i32 = 2;
const MAX_IPV4_HEADER_BYTES: i32 = 60;

let framesCut: i32 = 0;

/** Frames that the last successful `cut` made. */
export function cutFrames(): i32 {
  return framesCut;
}

/**
 * Cuts what was read at `at`, `bytes` long with its virtio-net header, to `[u32 size][frame]...` at `out`.
 * Gives the bytes written, or CUT_MALFORMED, CUT_NO_ROOM (more than `room`), CUT_TOO_LONG (frames over `maxFrame`).
 * The input is changed. Input and output do not overlap.
 */
export function cut(at: usize, bytes: i32, out: usize, room: i32, maxFrame: i32): i32 {
  framesCut = 0;
  const frame = at + h.VNET_BYTES;
  const length = bytes - h.VNET_BYTES;
  if (length < h.ETHERNET_BYTES) return CUT_MALFORMED;
  const gso = load<u8>(at + h.VNET_GSO_TYPE) & ~h.GSO_ECN;
  const needsChecksum = (load<u8>(at + h.VNET_FLAGS) & h.NEEDS_CHECKSUM) != 0;
  const start = <i32>load<u16>(at + h.VNET_CHECKSUM_START);
  if (gso != h.GSO_NONE) {
    // The kernel never asks to cut what it has checksummed; and the sum of the pseudo-header comes from the field.
    if (!needsChecksum) return CUT_MALFORMED;
    const size = <i32>load<u16>(at + h.VNET_GSO_SIZE);
    return segment(frame, length, gso, size, start, out, room, maxFrame);
  }
  if (length > maxFrame) return CUT_TOO_LONG;
  if (length + SIZE_BYTES > room) return CUT_NO_ROOM;
  if (needsChecksum) {
    const field = <i32>load<u16>(at + h.VNET_CHECKSUM_OFFSET);
    if (start + field + 2 > length) return CUT_MALFORMED;
    if (field == <i32>h.SCTP_CHECKSUM && isSctp(frame, length, start))
      completeSctp(frame, length, start);
    else complete(frame, length, start, field);
  }
  store<u32>(out, bswap<u32>(length));
  memory.copy(out + SIZE_BYTES, frame, length);
  framesCut = 1;
  return length + SIZE_BYTES;
}

/* 1. Complete */

/** Finishes the sum that the field was left with: that of the pseudo-header (virtio 1.2, 5.1.6.2). */
function complete(frame: usize, length: i32, start: i32, field: i32): void {
  const at = frame + start + field;
  const value = ~fold(sum(frame + start, length - start));
  // UDP sends zero as all ones, zero meaning "none" (RFC 768). Where the field lies tells UDP from the others.
  store<u16>(at, value == 0 && field == <i32>h.UDP_CHECKSUM ? 0xffff : value);
}

/** What the kernel leaves to the hardware at interfaces that say they can. There is no sum of a pseudo-header. */
function completeSctp(frame: usize, length: i32, start: i32): void {
  const field = frame + start + h.SCTP_CHECKSUM;
  store<u32>(field, 0);
  store<u32>(field, crc32c(frame + start, length - start));
}

function isSctp(frame: usize, length: i32, start: i32): bool {
  if (start + <i32>h.SCTP_CHECKSUM + 4 > length) return false;
  const l3 = networkOffset(frame, length);
  if (l3 < 0) return false;
  const ethertype = load<u16>(frame + l3 - 2);
  if (ethertype == h.IPV4_WIRE && l3 + h.IPV4_BYTES <= start)
    return load<u8>(frame + l3 + h.IPV4_PROTOCOL) == h.PROTOCOL_SCTP;
  return (
    ethertype == h.IPV6_WIRE &&
    l3 + h.IPV6_BYTES <= start &&
    load<u8>(frame + l3 + h.IPV6_NEXT_HEADER) == h.PROTOCOL_SCTP
  );
}

/* 2. Segment */

function segment(
  frame: usize,
  length: i32,
  gso: u8,
  size: i32,
  l4: i32,
  out: usize,
  room: i32,
  maxFrame: i32,
): i32 {
  const l3 = networkOffset(frame, length);
  if (l3 < 0 || size == 0) return CUT_MALFORMED;
  const ethertype = load<u16>(frame + l3 - 2);
  const isV6 = ethertype == h.IPV6_WIRE;
  if (!isV6 && ethertype != h.IPV4_WIRE) return CUT_MALFORMED;
  if (gso != h.GSO_UDP && gso != (isV6 ? h.GSO_TCPV6 : h.GSO_TCPV4)) return CUT_MALFORMED;
  // IP options and extension headers lie between and are repeated as they are.
  if (l4 < l3 + (isV6 ? h.IPV6_BYTES : h.IPV4_BYTES)) return CUT_MALFORMED;
  if (!isV6 && l4 > l3 + MAX_IPV4_HEADER_BYTES) return CUT_MALFORMED;

  const isTcp = gso != h.GSO_UDP;
  let headerBytes = l4 + (isTcp ? h.TCP_BYTES : h.UDP_BYTES);
  if (headerBytes > length) return CUT_MALFORMED;
  if (isTcp) {
    const tcpBytes = (<i32>(load<u8>(frame + l4 + h.TCP_DATA_OFFSET) >> 4)) << 2;
    headerBytes = l4 + tcpBytes;
    if (tcpBytes < h.TCP_BYTES || headerBytes > length) return CUT_MALFORMED;
  }
  const payload = length - headerBytes;
  if (payload == 0) return CUT_MALFORMED;
  const count = (payload + size - 1) / size;
  if (headerBytes + min(size, payload) > maxFrame) return CUT_TOO_LONG;
  if (count * (SIZE_BYTES + headerBytes) + payload > room) return CUT_NO_ROOM;

  // What stays the same in all segments is summed once.
  const l4Header = frame + l4;
  const field = isTcp ? h.TCP_CHECKSUM : h.UDP_CHECKSUM;
  let l3Sum: u64 = 0;
  if (!isV6) {
    l3Sum = sum(frame + l3, l4 - l3);
    l3Sum -= <u64>load<u16>(frame + l3 + h.IPV4_LENGTH) + <u64>load<u16>(frame + l3 + h.IPV4_ID);
    l3Sum -= <u64>load<u16>(frame + l3 + h.IPV4_CHECKSUM);
  }
  // The field holds the sum of the pseudo-header with the length of the whole, which is taken out by adding its
  // complement. So it comes right with a routing header as well, where the last hop's address is not in sight.
  let l4Sum: u64 = sum(l4Header, headerBytes - l4) + <u64>~wireWord(length - l4);
  if (isTcp) {
    l4Sum -=
      <u64>load<u16>(l4Header + h.TCP_SEQUENCE) + <u64>load<u16>(l4Header + h.TCP_SEQUENCE + 2);
    l4Sum -= <u64>load<u16>(l4Header + h.TCP_DATA_OFFSET);
  } else {
    l4Sum -= <u64>load<u16>(l4Header + h.UDP_LENGTH);
  }
  const firstId = <i32>bswap<u16>(load<u16>(frame + l3 + h.IPV4_ID));
  const firstSequence = bswap<u32>(load<u32>(l4Header + h.TCP_SEQUENCE));
  const flags = load<u8>(l4Header + h.TCP_FLAGS);

  let to = out;
  let n = 0;
  for (let done = 0; done < payload; n += 1) {
    const part = min(size, payload - done);
    const total = headerBytes + part;
    const copy = to + SIZE_BYTES;
    store<u32>(to, bswap<u32>(total));
    copyHeaders(copy, frame, headerBytes);

    if (isV6) {
      store<u16>(copy + l3 + h.IPV6_LENGTH, wireWord(total - l3 - h.IPV6_BYTES));
    } else {
      const ipLength = wireWord(total - l3);
      const id = wireWord(firstId + n);
      store<u16>(copy + l3 + h.IPV4_LENGTH, ipLength);
      store<u16>(copy + l3 + h.IPV4_ID, id);
      store<u16>(copy + l3 + h.IPV4_CHECKSUM, ~fold(l3Sum + <u64>ipLength + <u64>id));
    }

    const l4Copy = copy + l4;
    const l4Length = wireWord(total - l4);
    let total16 =
      l4Sum + <u64>l4Length + copyAndSum(copy + headerBytes, frame + headerBytes + done, part);
    if (isTcp) {
      const sequence = bswap<u32>(firstSequence + done);
      store<u32>(l4Copy + h.TCP_SEQUENCE, sequence);
      let partFlags = flags;
      if (done + part < payload) partFlags &= ~(h.FIN | h.PSH);
      if (n > 0) partFlags &= ~h.CWR;
      store<u8>(l4Copy + h.TCP_FLAGS, partFlags);
      total16 += <u64>(sequence & 0xffff) + <u64>(sequence >> 16);
      total16 += <u64>load<u16>(l4Copy + h.TCP_DATA_OFFSET);
    } else {
      store<u16>(l4Copy + h.UDP_LENGTH, l4Length);
      total16 += <u64>l4Length;
    }
    const checksum = ~fold(total16);
    store<u16>(l4Copy + field, checksum == 0 && !isTcp ? 0xffff : checksum);

    to = copy + total;
    done += part;
  }
  framesCut = n;
  return <i32>(to - out);
}

/** Offset of the network header behind the VLAN tags, or -1 if the frame ends before it. */
function networkOffset(frame: usize, length: i32): i32 {
  let at = h.ETHERNET_BYTES;
  for (let tags = 0; tags < MAX_TAGS && isTagAt(frame, at, length); tags += 1) at += h.TAG_BYTES;
  return at > length ? -1 : at;
}

function isTagAt(frame: usize, at: i32, length: i32): bool {
  return at + h.TAG_BYTES <= length && h.isTag(load<u16>(frame + at - 2));
}
