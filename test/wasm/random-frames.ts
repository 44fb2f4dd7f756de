// Frames for tests of cutting and merging: valid TCP and UDP in all dresses, from a seed that a failure can be run again with.

/** Deterministic numbers (mulberry32). */
export class Seeded {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  /** Uniform in 0..below-1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let n = 0; n < count; n += 1) bytes[n] = this.below(256);
    return bytes;
  }
}

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const URG = 32;
export const ECE = 64;
export const CWR = 128;

/** What a segment is made of; `tags` are VLAN tags as [TPID, TCI], `l3Options` bytes after the IP header. */
export interface Segment {
  v6: boolean;
  tags: readonly (readonly [number, number])[];
  source: number;
  destination: number;
  sourcePort: number;
  destinationPort: number;
  tos: number;
  ttl: number;
  id: number;
  dontFragment: boolean;
  sequence: number;
  acknowledgement: number;
  flags: number;
  window: number;
  options: Uint8Array;
  payload: Uint8Array;
}

export const SEGMENT: Segment = {
  v6: false,
  tags: [],
  source: 1,
  destination: 2,
  sourcePort: 40_000,
  destinationPort: 443,
  tos: 0,
  ttl: 64,
  id: 7,
  dontFragment: true,
  sequence: 1000,
  acknowledgement: 5000,
  flags: ACK,
  window: 501,
  options: Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2),
  payload: new Uint8Array(1448).fill(0x61),
};

/** Sum of big-endian words as RFC 1071 has it, not complemented, folded. */
export function wordSum(bytes: Uint8Array, start = 0): number {
  let total = start;
  for (let n = 0; n < bytes.length; n += 2) total += (bytes[n]! << 8) | (bytes[n + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 65_536);
  return total;
}

/** The Ethernet frame of a segment, all checksums right. */
export function tcpFrame(segment: Segment): Uint8Array {
  const tcp = new Uint8Array(20 + segment.options.length + segment.payload.length);
  const tcpView = new DataView(tcp.buffer);
  tcpView.setUint16(0, segment.sourcePort);
  tcpView.setUint16(2, segment.destinationPort);
  tcpView.setUint32(4, segment.sequence >>> 0);
  tcpView.setUint32(8, segment.acknowledgement >>> 0);
  tcp[12] = ((20 + segment.options.length) / 4) << 4;
  tcp[13] = segment.flags;
  tcpView.setUint16(14, segment.window);
  tcp.set(segment.options, 20);
  tcp.set(segment.payload, 20 + segment.options.length);
  return ipFrame(segment, 6, tcp, 16);
}

/** Wraps a transport header with payload in IP, tags and Ethernet, and fills its checksum in at `field`. */
export function ipFrame(
  segment: Segment,
  protocol: number,
  body: Uint8Array,
  field: number,
): Uint8Array {
  const ip = new Uint8Array(segment.v6 ? 40 : 20);
  const view = new DataView(ip.buffer);
  const size = segment.v6 ? 16 : 4;
  const addressAt = segment.v6 ? 8 : 12;
  if (segment.v6) {
    view.setUint32(0, 0x6000_0000 | (segment.tos << 20) | (segment.source & 0xfffff));
    view.setUint16(4, body.length);
    ip[6] = protocol;
    ip[7] = segment.ttl;
    ip[8] = ip[24] = 0xfd;
  } else {
    ip[0] = 0x45;
    ip[1] = segment.tos;
    view.setUint16(2, 20 + body.length);
    view.setUint16(4, segment.id & 0xffff);
    view.setUint16(6, segment.dontFragment ? 0x4000 : 0);
    ip[8] = segment.ttl;
    ip[9] = protocol;
    ip[12] = ip[16] = 10;
  }
  view.setUint16(addressAt + size - 2, segment.source);
  view.setUint16(addressAt + 2 * size - 2, segment.destination);
  if (!segment.v6) view.setUint16(10, ~wordSum(ip));
  const pseudo = wordSum(ip.subarray(addressAt, addressAt + 2 * size), protocol + body.length);
  const sum = ~wordSum(body, pseudo) & 0xffff;
  new DataView(body.buffer).setUint16(field, sum === 0 && protocol === 17 ? 0xffff : sum);
  const header = [2, 0, 0, 0, 0, segment.destination & 255, 2, 0, 0, 0, 0, segment.source & 255];
  for (const [tpid, tci] of segment.tags) header.push(tpid >> 8, tpid & 255, tci >> 8, tci & 255);
  header.push(...(segment.v6 ? [0x86, 0xdd] : [0x08, 0x00]));
  return new Uint8Array(Bun.concatArrayBuffers([Uint8Array.from(header), ip, body]));
}

/** Frames as they lie in a run. */
export function runOf(frames: readonly Uint8Array[]): Uint8Array {
  const run = new Uint8Array(frames.reduce((sum, frame) => sum + 4 + frame.length, 0));
  const view = new DataView(run.buffer);
  let at = 0;
  for (const frame of frames) {
    view.setUint32(at, frame.length);
    run.set(frame, at + 4);
    at += 4 + frame.length;
  }
  return run;
}

/** The frames of a run; throws if sizes do not add up. */
export function framesOf(run: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const view = new DataView(run.buffer, run.byteOffset, run.byteLength);
  let at = 0;
  while (at < run.length) {
    const size = view.getUint32(at);
    if (at + 4 + size > run.length) throw new Error(`Cannot read a run: size ${size} at ${at}`);
    frames.push(run.slice(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return frames;
}

/** Several flows, each a stream of segments that mostly follow upon each other, interleaved. */
export function randomFrames(random: Seeded, count: number, flowCount: number): Uint8Array[] {
  const flows = Array.from({ length: flowCount }, (_, n) => newFlow(random, n));
  const frames: Uint8Array[] = [];
  while (frames.length < count) {
    const flow = random.pick(flows);
    for (let burst = 1 + random.below(12); burst > 0; burst -= 1)
      frames.push(nextFrame(random, flow));
  }
  return frames;
}

function newFlow(random: Seeded, n: number): Segment & { mss: number; idStep: number } {
  const vlan = 1 + random.below(4094);
  return {
    ...SEGMENT,
    v6: random.chance(2),
    tags: random.pick([
      [],
      [],
      [[0x8100, vlan]],
      [[0x88a8, vlan]],
      [
        [0x88a8, 5],
        [0x8100, vlan],
      ],
    ]),
    source: 1 + random.below(3),
    destination: 10 + random.below(3),
    sourcePort: 1024 + n,
    sequence: random.chance(3) ? 0xffff_ff00 : random.below(2 ** 32),
    id: random.chance(3) ? 0xfffd : random.below(65_536),
    dontFragment: !random.chance(4),
    options: random.pick([new Uint8Array(0), SEGMENT.options, random.bytes(40)]),
    mss: random.pick([1, 7, 88, 536, 1000, 1428, 1447, 1448]),
    idStep: random.chance(4) ? 0 : 1,
  };
}

function nextFrame(random: Seeded, flow: Segment & { mss: number; idStep: number }): Uint8Array {
  const size = random.chance(10) ? random.below(flow.mss + 1) : flow.mss;
  const odd = random.chance(12);
  const segment: Segment = {
    ...flow,
    payload: random.chance(4) ? random.bytes(size) : new Uint8Array(size).fill(random.below(256)),
    flags: odd
      ? random.pick([
          ACK | PSH,
          ACK | FIN | PSH,
          ACK | FIN,
          ACK | ECE,
          ACK | CWR,
          ACK | URG,
          SYN,
          0,
        ])
      : ACK,
  };
  flow.sequence = (flow.sequence + size + (random.chance(25) ? 1 : 0)) >>> 0;
  flow.id = (flow.id + flow.idStep + (random.chance(25) ? 1 : 0)) & 0xffff;
  if (random.chance(25)) flow.window ^= 1;
  if (random.chance(25)) flow.acknowledgement += 100;
  if (random.chance(30)) flow.tos ^= 3;
  if (random.chance(40)) flow.ttl ^= 1;
  const frame = tcpFrame(segment);
  if (random.chance(25)) frame[random.below(frame.length)]! ^= 1 << random.below(8);
  return random.chance(25) ? Uint8Array.from([...frame, ...random.bytes(random.below(7))]) : frame;
}

/** Frames as text: to compare by, since comparing arrays byte by byte takes the runner long. */
export function hexOf(frames: readonly Uint8Array[]): string[] {
  return frames.map((frame) => frame.toHex());
}
