// Flows by protocol, addresses and ports. Look-ups cost the same however many there are (hub.md 11.6).
import type { IpAddress } from "../base/ip.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { PACKET_VIEW } from "../platform/packet-memory.ts";
import type { Flow, FlowEnds, FlowProtocol } from "./flow.ts";

/** Protocol with family, two ports in one word, two addresses of four words. */
const KEY_WORDS = 10;
const LEAST_BUCKETS = 64;
const NONE = -1;
const PROTOCOL_NUMBER: Readonly<Record<FlowProtocol, number>> = { tcp: 6, udp: 17, icmp: 1 };

export class FlowTable {
  readonly #seed: number;
  #keys = new Int32Array(LEAST_BUCKETS * KEY_WORDS);
  #hashes = new Int32Array(LEAST_BUCKETS);
  /** The next entry of the same bucket. */
  #nexts = new Int32Array(LEAST_BUCKETS);
  /** The first entry of each bucket; as many as there is room for entries. */
  #buckets = new Int32Array(LEAST_BUCKETS).fill(NONE);
  readonly #flows: (Flow | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #indexes = new Map<Flow, number>();
  readonly #key = new Int32Array(KEY_WORDS);
  /** Where the last look-up ended: packets come in trains. */
  #last = NONE;

  /** @param seed keeps guests from choosing addresses that share a bucket */
  constructor(seed: number) {
    this.#seed = seed;
  }

  get size(): number {
    return this.#indexes.size;
  }

  /** In the order in which they began. */
  flows(): Iterable<Flow> {
    return this.#indexes.keys();
  }

  /** The flow of a packet from the inside with these ports. */
  find(
    packet: PacketView,
    protocol: FlowProtocol,
    innerPort: number,
    outerPort: number,
  ): Flow | undefined {
    const key = this.#key;
    key[0] = PROTOCOL_NUMBER[protocol] * 8 + packet.version;
    key[1] = (innerPort << 16) | outerPort;
    if (packet.version === 4) {
      key[2] = PACKET_VIEW.getInt32(packet.sourceAt);
      key[6] = PACKET_VIEW.getInt32(packet.destinationAt);
      key[3] = key[4] = key[5] = key[7] = key[8] = key[9] = 0;
    } else {
      for (let word = 0; word < 4; word += 1) {
        key[2 + word] = PACKET_VIEW.getInt32(packet.sourceAt + word * 4);
        key[6 + word] = PACKET_VIEW.getInt32(packet.destinationAt + word * 4);
      }
    }
    return this.#flowAt(this.#find());
  }

  /** The flow between these. */
  findEnds(ends: FlowEnds): Flow | undefined {
    this.#aim(ends);
    return this.#flowAt(this.#find());
  }

  /** @throws Error if there is a flow between the same ends */
  add(flow: Flow): void {
    this.#aim(flow.ends);
    if (this.#find() !== NONE) throw new Error("Cannot add a flow: there is one between its ends");
    const index = this.#free.pop() ?? this.#flows.length;
    if (index >= this.#buckets.length) this.#grow();
    const hash = this.#hash();
    this.#keys.set(this.#key, index * KEY_WORDS);
    this.#hashes[index] = hash;
    this.#chain(index, hash);
    this.#flows[index] = flow;
    this.#indexes.set(flow, index);
  }

  /** False if it is not there. */
  remove(flow: Flow): boolean {
    const index = this.#indexes.get(flow);
    if (index === undefined) return false;
    const bucket = this.#bucketOf(this.#hashes[index]!);
    const next = this.#nexts[index]!;
    let at = this.#buckets[bucket]!;
    if (at === index) this.#buckets[bucket] = next;
    else {
      while (this.#nexts[at] !== index) at = this.#nexts[at]!;
      this.#nexts[at] = next;
    }
    this.#indexes.delete(flow);
    this.#flows[index] = undefined;
    this.#free.push(index);
    if (this.#last === index) this.#last = NONE;
    if (this.#indexes.size === 0) this.#shrink();
    return true;
  }

  #flowAt(index: number): Flow | undefined {
    return index === NONE ? undefined : this.#flows[index];
  }

  #aim({ protocol, inner, innerPort, outer, outerPort }: FlowEnds): void {
    const key = this.#key;
    key[0] = PROTOCOL_NUMBER[protocol] * 8 + inner.family;
    key[1] = (innerPort << 16) | outerPort;
    writeWords(key, 2, inner);
    writeWords(key, 6, outer);
  }

  #find(): number {
    if (this.#last !== NONE && this.#isAt(this.#last)) return this.#last;
    const hash = this.#hash();
    let index = this.#buckets[this.#bucketOf(hash)]!;
    while (index !== NONE && !(this.#hashes[index] === hash && this.#isAt(index))) {
      index = this.#nexts[index]!;
    }
    if (index !== NONE) this.#last = index;
    return index;
  }

  #isAt(index: number): boolean {
    const at = index * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word += 1) {
      if (this.#keys[at + word] !== this.#key[word]) return false;
    }
    return true;
  }

  #hash(): number {
    let hash = this.#seed;
    for (let word = 0; word < KEY_WORDS; word += 1) {
      hash = Math.imul(hash ^ this.#key[word]!, 0x9e37_79b1);
      hash ^= hash >>> 15;
    }
    return hash | 0;
  }

  #bucketOf(hash: number): number {
    return hash & (this.#buckets.length - 1);
  }

  #chain(index: number, hash: number): void {
    const bucket = this.#bucketOf(hash);
    this.#nexts[index] = this.#buckets[bucket]!;
    this.#buckets[bucket] = index;
  }

  #grow(): void {
    const size = this.#buckets.length * 2;
    this.#keys = copied(this.#keys, size * KEY_WORDS);
    this.#hashes = copied(this.#hashes, size);
    this.#nexts = new Int32Array(size);
    this.#buckets = new Int32Array(size).fill(NONE);
    for (const index of this.#indexes.values()) this.#chain(index, this.#hashes[index]!);
  }

  /** An empty table gives back what a crowd has left. */
  #shrink(): void {
    this.#flows.length = 0;
    this.#free.length = 0;
    this.#last = NONE;
    if (this.#buckets.length === LEAST_BUCKETS) return;
    this.#keys = new Int32Array(LEAST_BUCKETS * KEY_WORDS);
    this.#hashes = new Int32Array(LEAST_BUCKETS);
    this.#nexts = new Int32Array(LEAST_BUCKETS);
    this.#buckets = new Int32Array(LEAST_BUCKETS).fill(NONE);
  }
}

function writeWords(key: Int32Array, at: number, { bytes }: IpAddress): void {
  for (let word = 0; word < 4; word += 1) {
    key[at + word] = word * 4 < bytes.length ? wordAt(bytes, word * 4) : 0;
  }
}

/** Four octets as a signed number. Without a view, whose buffer every address would keep from then on. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function copied(words: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const next = new Int32Array(size);
  next.set(words);
  return next;
}
