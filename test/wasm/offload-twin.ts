// The plain version of src/wasm/*.as.ts: what cutting and merging mean, written for reading and not for speed.
import { ACK, ECE, FIN, PSH, wordSum } from "./random-frames.ts";

const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_UDP = 5;
const CWR = 0x80;

export type CutResult = Uint8Array[] | "malformed" | "too-long";

/** Cuts a virtio-net header and a frame as the kernel's `tcp_gso_segment` and `__udp_gso_segment` would. */
export function plainCut(read: Uint8Array, maxFrame: number): CutResult {
  const frame = read.slice(10);
  const vnet = new DataView(read.buffer, read.byteOffset);
  if (frame.length < 14) return "malformed";
  const gso = read[1]! & 0x7f;
  const needsChecksum = (read[0]! & 1) !== 0;
  const [size, start, field] = [4, 6, 8].map((at) => vnet.getUint16(at, true)) as [
    number,
    number,
    number,
  ];
  if (gso === 0) {
    if (frame.length > maxFrame) return "too-long";
    if (!needsChecksum) return [frame];
    if (start + field + 2 > frame.length) return "malformed";
    if (field === 8 && isSctp(frame, start)) {
      frame.fill(0, start + 8, start + 12);
      const crc = crc32c(frame.subarray(start));
      new DataView(frame.buffer).setUint32(start + 8, crc, true);
      return [frame];
    }
    const sum = ~wordSum(frame.subarray(start)) & 0xffff;
    new DataView(frame.buffer).setUint16(start + field, sum === 0 && field === 6 ? 0xffff : sum);
    return [frame];
  }
  return needsChecksum ? segment(frame, gso, size, start, maxFrame) : "malformed";
}

function isSctp(frame: Uint8Array, start: number): boolean {
  const view = new DataView(frame.buffer);
  let l3 = 14;
  while (l3 < 22 && l3 + 4 <= frame.length && isTag(view.getUint16(l3 - 2))) l3 += 4;
  if (start + 12 > frame.length || l3 > frame.length) return false;
  const type = view.getUint16(l3 - 2);
  if (type === 0x0800) return l3 + 20 <= start && frame[l3 + 9] === 132;
  return type === 0x86dd && l3 + 40 <= start && frame[l3 + 6] === 132;
}

/** RFC 9260 appendix A, by polynomial division. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : 0x82f63b78);
  }
  return ~crc >>> 0;
}

function segment(
  frame: Uint8Array,
  gso: number,
  size: number,
  l4: number,
  maxFrame: number,
): CutResult {
  const view = new DataView(frame.buffer);
  let l3 = 14;
  while (l3 < 22 && l3 + 4 <= frame.length && isTag(view.getUint16(l3 - 2))) l3 += 4;
  const type = view.getUint16(l3 - 2);
  if (size === 0 || (type !== 0x0800 && type !== 0x86dd)) return "malformed";
  const isV6 = type === 0x86dd;
  if (gso !== GSO_UDP && gso !== (isV6 ? GSO_TCPV6 : GSO_TCPV4)) return "malformed";
  if (l4 < l3 + (isV6 ? 40 : 20) || (!isV6 && l4 > l3 + 60)) return "malformed";
  const isTcp = gso !== GSO_UDP;
  if (l4 + (isTcp ? 20 : 8) > frame.length) return "malformed";
  const l4Header = isTcp ? (frame[l4 + 12]! >> 4) * 4 : 8;
  const headers = l4 + l4Header;
  if ((isTcp && l4Header < 20) || headers >= frame.length) return "malformed";
  const payload = frame.subarray(headers);
  if (headers + Math.min(size, payload.length) > maxFrame) return "too-long";
  const field = l4 + (isTcp ? 16 : 6);
  // The field holds the pseudo-header's sum for the whole: exchange the length in it.
  const pseudo = wordSum(
    new Uint8Array(0),
    view.getUint16(field) + (~(frame.length - l4) & 0xffff),
  );
  const made: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const part = payload.subarray(at, at + size);
    const copy = joined(frame.subarray(0, headers), part);
    const out = new DataView(copy.buffer);
    if (isV6) {
      out.setUint16(l3 + 4, copy.length - l3 - 40);
    } else {
      out.setUint16(l3 + 2, copy.length - l3);
      out.setUint16(l3 + 4, view.getUint16(l3 + 4) + made.length);
      out.setUint16(l3 + 10, 0);
      out.setUint16(l3 + 10, ~wordSum(copy.subarray(l3, l4)));
    }
    if (isTcp) {
      out.setUint32(l4 + 4, view.getUint32(l4 + 4) + at);
      if (at + size < payload.length) copy[l4 + 13]! &= ~(FIN | PSH);
      if (at > 0) copy[l4 + 13]! &= ~CWR;
    } else {
      out.setUint16(l4 + 4, copy.length - l4);
    }
    out.setUint16(field, 0);
    const sum = ~wordSum(copy.subarray(l4), pseudo + copy.length - l4) & 0xffff;
    out.setUint16(field, sum === 0 && !isTcp ? 0xffff : sum);
    made.push(copy);
  }
  return made;
}

/** What one write to the TAP carries: the frames it is made of, by number, and its bytes with the virtio-net header. */
export interface PlainJob {
  frames: number[];
  bytes: Uint8Array;
}

/** A segment that could be merged, with all that must be equal in one `sameness`. */
interface Mergeable {
  sameness: string;
  headers: number;
  l3: number;
  l4: number;
  isV6: boolean;
  payload: number;
  sequence: number;
  id: number;
  dontFragment: boolean;
  last: boolean;
}

/** Merges as `merge` does, collisions of its flow table included. */
export function plainMerge(frames: readonly Uint8Array[]): PlainJob[] {
  const jobs: {
    frames: number[];
    first?: Mergeable;
    idStep?: number;
    next: Mergeable | undefined;
  }[] = [];
  const openByFlow = new Map<number, (typeof jobs)[number]>();
  for (const [n, frame] of frames.entries()) {
    const { flow, candidate } = examine(frame);
    const open = flow === undefined ? undefined : openByFlow.get(flow);
    if (
      flow !== undefined &&
      open !== undefined &&
      candidate !== undefined &&
      open.next !== undefined
    ) {
      const step = (candidate.id - open.next.id) & 0xffff;
      const first = open.first!;
      const length = first.headers - first.l3 + open.frames.length * first.payload;
      if (
        candidate.sameness === open.next.sameness &&
        candidate.sequence === open.next.sequence &&
        candidate.payload <= first.payload &&
        length + candidate.payload <= 65_535 &&
        open.frames.length < 63 &&
        (candidate.isV6 || isAllowedStep(step, open.idStep, candidate.dontFragment))
      ) {
        open.frames.push(n);
        open.idStep = step;
        open.next = { ...candidate, sequence: (candidate.sequence + candidate.payload) >>> 0 };
        if (candidate.last || candidate.payload < first.payload) open.next = undefined;
        continue;
      }
    }
    const job: (typeof jobs)[number] = { frames: [n], next: undefined };
    jobs.push(job);
    if (flow === undefined) continue;
    openByFlow.delete(flow);
    if (candidate === undefined || candidate.last) continue;
    job.first = candidate;
    job.next = { ...candidate, sequence: (candidate.sequence + candidate.payload) >>> 0 };
    openByFlow.set(flow, job);
  }
  return jobs.map((job) => ({
    frames: job.frames,
    bytes: jobBytes(job.frames, job.first, frames),
  }));
}

function isAllowedStep(step: number, known: number | undefined, dontFragment: boolean): boolean {
  if (known !== undefined) return step === known;
  return step === 1 || (step === 0 && dontFragment);
}

/** The flow table's slot of a well-formed TCP segment, and the segment itself if it may be merged. */
export function examine(frame: Uint8Array): { flow?: number; candidate?: Mergeable } {
  if (frame.length < 18) return {};
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const l3 = isTag(view.getUint16(12)) ? 18 : 14;
  const type = view.getUint16(l3 - 2);
  if (type !== 0x0800 && type !== 0x86dd) return {};
  const isV6 = type === 0x86dd;
  const l4 = l3 + (isV6 ? 40 : 20);
  if (frame.length < l4 + 20) return {};
  if (isV6) {
    if (frame[l3]! >> 4 !== 6 || frame[l3 + 6] !== 6) return {};
    if (view.getUint16(l3 + 4) !== frame.length - l4) return {};
  } else {
    if (frame[l3] !== 0x45 || frame[l3 + 9] !== 6 || (view.getUint16(l3 + 6) & 0x3fff) !== 0)
      return {};
    if (view.getUint16(l3 + 2) !== frame.length - l3) return {};
  }
  const headers = l4 + (frame[l4 + 12]! >> 4) * 4;
  if (headers < l4 + 20 || headers > frame.length) return {};
  const hex = (from: number, to: number) => frame.subarray(from, to).toHex();
  const addresses = isV6 ? [l3 + 8, l3 + 40] : [l3 + 12, l3 + 20];
  const [from, to] = addresses as [number, number];
  // Flows of one slot push each other out: it is made of the last word of each address and the ports.
  const words = [(from + to) / 2 - 4, to - 4, l4].map((at) => view.getUint32(at, true));
  const flow = Math.imul(words[0]! ^ words[1]! ^ words[2]!, 0x9e3779b1) >>> 26;

  const flags = frame[l4 + 13]!;
  const payload = frame.length - headers;
  const pseudo = wordSum(frame.subarray(from, to), 6 + frame.length - l4);
  const isRight =
    (isV6 || wordSum(frame.subarray(l3, l4)) === 0xffff) &&
    wordSum(frame.subarray(l4), pseudo) === 0xffff;
  if (
    payload === 0 ||
    (flags & ACK) === 0 ||
    (flags & ~(ACK | ECE | PSH | FIN)) !== 0 ||
    !isRight
  ) {
    return { flow };
  }
  const network = isV6
    ? hex(l3, l3 + 4) + hex(l3 + 7, l3 + 40)
    : hex(l3 + 1, l3 + 2) + hex(l3 + 6, l3 + 9) + hex(from, to);
  const transport =
    hex(l4, l4 + 4) +
    hex(l4 + 8, l4 + 13) +
    String(flags & ECE) +
    hex(l4 + 14, l4 + 16) +
    hex(l4 + 18, headers);
  return {
    flow,
    candidate: {
      sameness: `${hex(0, l3)} ${network} ${transport}`,
      headers,
      l3,
      l4,
      isV6,
      payload,
      sequence: view.getUint32(l4 + 4),
      id: isV6 ? 0 : view.getUint16(l3 + 4),
      dontFragment: !isV6 && (frame[l3 + 6]! & 0x40) !== 0,
      last: (flags & (PSH | FIN)) !== 0,
    },
  };
}

function jobBytes(
  numbers: readonly number[],
  first: Mergeable | undefined,
  frames: readonly Uint8Array[],
): Uint8Array {
  const parts = numbers.map((n) => frames[n]!);
  if (first === undefined || parts.length === 1) return joined(new Uint8Array(10), parts[0]!);
  const { headers, l3, l4, isV6 } = first;
  const bodies = parts.map((part) => part.subarray(headers));
  const frame = joined(parts[0]!.subarray(0, headers), ...bodies);
  const view = new DataView(frame.buffer);
  if (isV6) {
    view.setUint16(l3 + 4, frame.length - l4);
  } else {
    view.setUint16(l3 + 2, frame.length - l3);
    view.setUint16(l3 + 10, 0);
    view.setUint16(l3 + 10, ~wordSum(frame.subarray(l3, l4)));
  }
  frame[l4 + 13]! |= parts.at(-1)![l4 + 13]! & (PSH | FIN);
  const addresses = isV6 ? frame.subarray(l3 + 8, l3 + 40) : frame.subarray(l3 + 12, l3 + 20);
  view.setUint16(l4 + 16, wordSum(addresses, 6 + frame.length - l4));
  const vnet = new DataView(new ArrayBuffer(10));
  vnet.setUint8(0, 1);
  vnet.setUint8(1, isV6 ? GSO_TCPV6 : GSO_TCPV4);
  vnet.setUint16(2, headers, true);
  vnet.setUint16(4, first.payload, true);
  vnet.setUint16(6, l4, true);
  vnet.setUint16(8, 16, true);
  return joined(new Uint8Array(vnet.buffer), frame);
}

function isTag(type: number): boolean {
  return type === 0x8100 || type === 0x88a8;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Bun.concatArrayBuffers([...parts]));
}
