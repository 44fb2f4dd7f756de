// The one memory that packets live in: read areas, batches, queues, tables for system calls (architecture.md 3).
// It is a WebAssembly memory, so that the offload code works in it, and has an address, so that system calls do.
// Nothing of it is resident before it is used.
import { addressOf, hasLibc, libc } from "./libc.ts";

/**
 * Size, fixed for the life of the process. Being untouched it costs no resident memory, yet it is not free: the
 * garbage collector counts it as heap and lets garbage grow to about twice of it under load, hence not larger.
 */
export const PACKET_MEMORY_BYTES = 64 << 20;

const WASM_PAGE_BYTES = 65_536;
const PAGE_BYTES = hasLibc ? libc.getpagesize() : WASM_PAGE_BYTES;
/** Granule of slots; one byte of `slotOwner` per granule finds slots that are given back twice. */
const GRANULE_BYTES = 4096;
const MADV_DONTNEED = 4;

/** Offset 0 stays unused, so that no slot is mistaken for "none"; the offload module keeps its globals there. */
const FIRST_OFFSET = WASM_PAGE_BYTES;

export const PACKET_MEMORY = new WebAssembly.Memory({
  initial: PACKET_MEMORY_BYTES / WASM_PAGE_BYTES,
  maximum: PACKET_MEMORY_BYTES / WASM_PAGE_BYTES,
});
/** All of it, for ever at the same address: the memory cannot grow, so the view is never detached. */
export const PACKET_BYTES = new Uint8Array(PACKET_MEMORY.buffer);
export const PACKET_VIEW = new DataView(PACKET_MEMORY.buffer);
/** Address of offset 0 for system calls. */
export const PACKET_BASE: number = hasLibc ? addressOf(PACKET_BYTES) : 0;

const slotOwner = new Uint8Array(PACKET_MEMORY_BYTES / GRANULE_BYTES);
const pools: SlotPool[] = [];
let nextFree = FIRST_OFFSET;

/** True if the bytes lie in packet memory: `byteOffset` is then their offset, and a system call may have them. */
export function isPacketMemory(bytes: Uint8Array): boolean {
  return bytes.buffer === PACKET_MEMORY.buffer;
}

/**
 * Sets an area aside for the life of the process and gives its offset, a multiple of 64.
 * @throws Error if the memory is used up: areas are made at start, by code, never at a peer's will
 */
export function reserve(bytes: number): number {
  const offset = tryCarve(bytes, 64);
  if (offset === undefined) throw new Error(`Cannot reserve ${bytes} bytes of packet memory`);
  return offset;
}

function tryCarve(bytes: number, align: number): number | undefined {
  const offset = Math.ceil(nextFree / align) * align;
  if (offset + bytes > PACKET_MEMORY_BYTES) return undefined;
  nextFree = offset + bytes;
  return offset;
}

/**
 * Slots of one size, carved from packet memory as they are needed and used again in the order last in, first out.
 * A slot's contents are undefined when it is taken. Make pools in module scope: what was carved stays the pool's.
 */
export class SlotPool {
  readonly slotBytes: number;
  readonly maxSlots: number;
  readonly #id: number;
  /** Free slots whose pages are resident, and those whose pages went back to the system. */
  readonly #warm: number[] = [];
  readonly #cold: number[] = [];
  #carved = 0;
  #taken = 0;
  /** Fewest warm slots since the last trim: so many were not needed. */
  #idle = 0;

  /** @param slotBytes rounded up to whole 4 KiB */
  constructor(slotBytes: number, maxSlots: number) {
    this.slotBytes = Math.ceil(slotBytes / GRANULE_BYTES) * GRANULE_BYTES;
    this.maxSlots = maxSlots;
    this.#id = pools.push(this);
    if (this.#id > 255) throw new Error("Cannot make a slot pool: 255 exist");
  }

  /** Slots in use. */
  get taken(): number {
    return this.#taken;
  }

  /** The offset of a slot that is the caller's until `give`; undefined if `maxSlots` are in use or memory is used up. */
  take(): number | undefined {
    let offset = this.#warm.pop();
    if (offset !== undefined) {
      if (this.#warm.length < this.#idle) this.#idle = this.#warm.length;
    } else {
      offset = this.#cold.pop() ?? this.#tryCarve();
      if (offset === undefined) return undefined;
    }
    slotOwner[offset / GRANULE_BYTES] = this.#id;
    this.#taken += 1;
    return offset;
  }

  /** Takes a slot back. @throws Error if it is not a slot of this pool that is in use */
  give(offset: number): void {
    if (slotOwner[offset / GRANULE_BYTES] !== this.#id) {
      throw new Error(`Cannot take back slot ${offset}: it is not in use`);
    }
    slotOwner[offset / GRANULE_BYTES] = 0;
    this.#taken -= 1;
    this.#warm.push(offset);
  }

  /** Gives the pages of slots that nobody needed since the last call back to the system. */
  trim(): void {
    for (; this.#idle > 0; this.#idle -= 1) {
      // The bottom of the stack has lain there longest; few slots are idle for long, so shifting is cheap enough.
      const offset = this.#warm.shift()!;
      releasePages(offset, this.slotBytes);
      this.#cold.push(offset);
    }
    this.#idle = this.#warm.length;
  }

  #tryCarve(): number | undefined {
    if (this.#carved >= this.maxSlots) return undefined;
    const offset = tryCarve(this.slotBytes, GRANULE_BYTES);
    if (offset !== undefined) this.#carved += 1;
    return offset;
  }
}

/**
 * Trims every pool: after a burst resident memory returns to what is needed. The process calls it every second or
 * so; a slot goes back to the system only if it lay unused for a whole interval, so steady load never pays for it.
 */
export function trimPacketMemory(): void {
  for (const pool of pools) pool.trim();
}

/** Bytes carved so far, for metrics: an upper bound of what can be resident. */
export function carvedPacketBytes(): number {
  return nextFree;
}

function releasePages(offset: number, bytes: number): void {
  if (!hasLibc) return;
  const from = Math.ceil(offset / PAGE_BYTES) * PAGE_BYTES;
  const to = Math.floor((offset + bytes) / PAGE_BYTES) * PAGE_BYTES;
  // A refusal costs nothing but the memory staying resident.
  if (to > from) libc.madvise(PACKET_BASE + from, to - from, MADV_DONTNEED);
}
