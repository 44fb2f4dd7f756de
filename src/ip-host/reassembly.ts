// Packets put together from fragments (RFC 791 3.2, RFC 8200 4.5). What overlaps is dropped with all that belongs to
// it, for IPv4 too: nobody shall see another packet than a filter that sees its parts in another order (RFC 1858,
// RFC 5722; robustness.md IP-07).
import type { Clock, Timer } from "../base/clock.ts";
import {
  MAX_FRAGMENTS,
  MAX_REASSEMBLIES_PER_ADDRESS,
  MAX_REASSEMBLY_BYTES,
  REASSEMBLY_MS,
} from "../base/limits.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import { rangeSum } from "../platform/offload.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import { FragmentPieces } from "./fragment-pieces.ts";
import type { HostDropReason, HostDrops } from "./host-drops.ts";
import type { PacketQuote } from "./icmp-error.ts";
import { finishIpHeader } from "./ip-writer.ts";
import { IPV6_HEADER_BYTES, type PacketView } from "./packet-view.ts";

const MAX_PAYLOAD_BYTES = 65_535;
const FRAGMENT_HEADER_BYTES = 8;
const FRAGMENT_HEADER = 44;
/** What an error about a packet must quote of its payload at least, and a first fragment of IPv6 must hold. */
const LEAST_PAYLOAD_BYTES = 8;
/** A table entry, an address of text and buffers' own fields. */
const OVERHEAD_BYTES = 512;

/** A header of any length and the largest payload. Behind it readers of whole words find room. */
const wholeAt = reserve(MAX_PAYLOAD_BYTES + 1600);

/** A packet of which parts have come. */
interface Assembly {
  readonly guest: Guest;
  readonly id: number;
  readonly destination: string;
  readonly protocol: number;
  readonly until: number;
  readonly version: 4 | 6;
  pieces: FragmentPieces;
  /** Headers of the first fragment, as the whole will have them. */
  headers: Uint8Array | undefined;
  mac: MacAddress;
  heldBytes: number;
  /** Its parts contradict each other: what else comes of it is dropped as well. */
  isSpoiled: boolean;
}

/** An address that sends fragments. */
interface Guest {
  readonly key: string;
  readonly assemblies: Set<Assembly>;
}

export interface ReassemblyOptions {
  readonly clock: Clock;
  readonly drops: HostDrops;
  /** The first part of a packet was there and others did not come in time; what it gives lasts for the call. */
  readonly expired?: (quote: PacketQuote) => void;
}

/** The packets that one host waits for. */
export class Reassembly {
  readonly #clock: Clock;
  readonly #drops: HostDrops;
  readonly #expired: ((quote: PacketQuote) => void) | undefined;
  readonly #guests = new Map<string, Guest>();
  /** In the order in which they began, which is that in which they expire. */
  readonly #all = new Set<Assembly>();
  #heldBytes = 0;
  #timer: Timer | undefined;

  constructor({ clock, drops, expired }: ReassemblyOptions) {
    this.#clock = clock;
    this.#drops = drops;
    this.#expired = expired;
  }

  /** Packets that are waited for. */
  get size(): number {
    return this.#all.size;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Takes a fragment. True if it was the last that was missing: the packet is now the whole, which stays where it is
   * until the next call of any. False if it waits for others, or was dropped and counted.
   */
  receive(packet: PacketView): boolean {
    const from = payloadAt(packet);
    const bytes = packet.ipEnd - from;
    if (isImpossible(packet, bytes)) return this.#drop("fragment");
    const assembly = this.#find(packet) ?? this.#begin(packet);
    if (assembly.isSpoiled) return this.#drop("fragment");
    const { pieces } = assembly;
    const at = packet.fragmentOffset;
    const part = PACKET_BYTES.subarray(from, packet.ipEnd);
    const fate = pieces.add(at, part, !packet.hasMoreFragments);
    if (fate === "duplicate") return false;
    if (fate === "overlap" || pieces.count > MAX_FRAGMENTS) {
      this.#spoil(assembly);
      return this.#drop("fragment");
    }
    assembly.mac = readMac(PACKET_BYTES, packet.frameAt + 6);
    if (at === 0) assembly.headers = wholeHeaders(packet);
    if (!pieces.isComplete || assembly.headers === undefined) {
      this.#account(assembly);
      return false;
    }
    this.#remove(assembly);
    const fault = this.#aim(packet, assembly.headers, pieces);
    return fault === undefined ? true : this.#drop(fault);
  }

  /** Forgets all. May be called twice, and used again. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#guests.clear();
    this.#all.clear();
    this.#heldBytes = 0;
  }

  #aim(
    packet: PacketView,
    headers: Uint8Array,
    pieces: FragmentPieces,
  ): HostDropReason | undefined {
    const payloadBytes = pieces.bytes;
    const total = headers.length + payloadBytes;
    const lengthField = packet.version === 4 ? total : total - IPV6_HEADER_BYTES;
    if (lengthField > MAX_PAYLOAD_BYTES) return "fragment";
    PACKET_BYTES.set(headers, wholeAt);
    pieces.copyTo(PACKET_BYTES, wholeAt + headers.length);
    if (packet.version === 6) finishIpHeader(wholeAt, lengthField);
    else finishV4(headers.length, total);
    const fault = packet.aimWhole(packet.frameAt, wholeAt, wholeAt + total);
    // Whoever sent it in parts does not mind where it is cut again, also in IPv6.
    packet.mayNotFragment = false;
    return fault;
  }

  #find(packet: PacketView): Assembly | undefined {
    const guest = this.#guests.get(addressKey(packet.sourceAt, packet.addressBytes));
    if (guest === undefined) return undefined;
    const destination = addressKey(packet.destinationAt, packet.addressBytes);
    for (const assembly of guest.assemblies) {
      if (assembly.id !== packet.fragmentId || assembly.destination !== destination) continue;
      // In IPv6 the identification alone stands for the packet: only its first fragment says what it carries.
      if (packet.version === 6 || assembly.protocol === packet.protocol) return assembly;
    }
    return undefined;
  }

  #begin(packet: PacketView): Assembly {
    const key = addressKey(packet.sourceAt, packet.addressBytes);
    const guest = this.#guests.get(key) ?? { key, assemblies: new Set<Assembly>() };
    if (guest.assemblies.size >= MAX_REASSEMBLIES_PER_ADDRESS) this.#evict(guest.assemblies);
    const assembly: Assembly = {
      guest,
      id: packet.fragmentId,
      destination: addressKey(packet.destinationAt, packet.addressBytes),
      protocol: packet.protocol,
      until: this.#clock.now() + REASSEMBLY_MS,
      version: packet.version,
      pieces: new FragmentPieces(),
      headers: undefined,
      mac: readMac(PACKET_BYTES, packet.frameAt + 6),
      heldBytes: 0,
      isSpoiled: false,
    };
    this.#guests.set(key, guest);
    guest.assemblies.add(assembly);
    this.#all.add(assembly);
    this.#account(assembly);
    this.#timer ??= this.#clock.after(REASSEMBLY_MS, () => this.#expire());
    return assembly;
  }

  /** The oldest makes room: it is the likeliest to have lost a part, and whoever begins now does not wait for it. */
  #evict(assemblies: ReadonlySet<Assembly>): void {
    for (const oldest of assemblies) {
      this.#drops.fragment += oldest.pieces.count;
      this.#remove(oldest);
      return;
    }
  }

  #account(assembly: Assembly): void {
    const held = OVERHEAD_BYTES + assembly.pieces.heldBytes;
    this.#heldBytes += held - assembly.heldBytes;
    assembly.heldBytes = held;
    while (this.#heldBytes > MAX_REASSEMBLY_BYTES) this.#evict(this.#all);
  }

  /** Its place is kept, without what it held. */
  #spoil(assembly: Assembly): void {
    this.#drops.fragment += assembly.pieces.count;
    assembly.isSpoiled = true;
    assembly.pieces = new FragmentPieces();
    assembly.headers = undefined;
    this.#account(assembly);
  }

  #remove(assembly: Assembly): void {
    const { guest } = assembly;
    if (!this.#all.delete(assembly)) return;
    this.#heldBytes -= assembly.heldBytes;
    guest.assemblies.delete(assembly);
    if (guest.assemblies.size === 0) this.#guests.delete(guest.key);
    if (this.#all.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #expire(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const assembly of this.#all) {
      if (assembly.until > now) {
        this.#timer = this.#clock.after(assembly.until - now, () => this.#expire());
        return;
      }
      this.#drops.fragment += assembly.pieces.count;
      this.#remove(assembly);
      this.#tellExpired(assembly);
    }
  }

  /** Only whoever has the first fragment can say what has expired (RFC 792, RFC 8200 4.5). */
  #tellExpired({ headers, pieces, version, mac }: Assembly): void {
    const { head } = pieces;
    if (this.#expired === undefined || headers === undefined || head === undefined) return;
    PACKET_BYTES.set(headers, wholeAt);
    PACKET_BYTES.set(head, wholeAt + headers.length);
    const bytes = headers.length + head.length;
    if (version === 6) finishIpHeader(wholeAt, bytes - IPV6_HEADER_BYTES);
    else finishV4(headers.length, bytes);
    this.#expired({ version, at: wholeAt, bytes, toMac: mac });
  }

  #drop(reason: HostDropReason): false {
    this.#drops[reason] += 1;
    return false;
  }
}

/** Where the part of the payload begins that is shared out among fragments. */
function payloadAt({ version, l4At, fragmentHeaderAt }: PacketView): number {
  return version === 4 ? l4At : fragmentHeaderAt + FRAGMENT_HEADER_BYTES;
}

function isImpossible(packet: PacketView, bytes: number): boolean {
  if (bytes <= 0 || packet.fragmentOffset + bytes > MAX_PAYLOAD_BYTES) return true;
  if (packet.hasMoreFragments && bytes % 8 !== 0) return true;
  // All headers are in the first fragment (RFC 7112).
  const isFirst = packet.fragmentOffset === 0;
  return isFirst && packet.version === 6 && packet.ipEnd - packet.l4At < LEAST_PAYLOAD_BYTES;
}

/** The headers of a first fragment, as if it were none; lengths and checksum are yet to be written. */
function wholeHeaders(packet: PacketView): Uint8Array {
  const { ipAt, version, fragmentHeaderAt } = packet;
  if (version === 4) {
    const headers = PACKET_BYTES.slice(ipAt, packet.l4At);
    headers[6] = headers[7] = 0;
    return headers;
  }
  const headers = PACKET_BYTES.slice(ipAt, fragmentHeaderAt);
  let nextAt = 6;
  for (let at = IPV6_HEADER_BYTES; headers[nextAt] !== FRAGMENT_HEADER && at < headers.length;) {
    nextAt = at;
    at += (headers[at + 1]! + 1) * 8;
  }
  headers[nextAt] = PACKET_BYTES[fragmentHeaderAt]!;
  return headers;
}

/** As `finishIpHeader`, for a header that may have options. */
function finishV4(headerBytes: number, totalBytes: number): void {
  PACKET_VIEW.setUint16(wholeAt + 2, totalBytes);
  PACKET_VIEW.setUint16(wholeAt + 10, 0);
  PACKET_VIEW.setUint16(wholeAt + 10, ~rangeSum(wholeAt, headerBytes) & 0xffff);
}

function addressKey(at: number, bytes: 4 | 16): string {
  if (bytes === 4) return String(PACKET_VIEW.getUint32(at));
  const word = (index: number) => PACKET_VIEW.getUint32(at + index * 4);
  return `${word(0)}:${word(1)}:${word(2)}:${word(3)}`;
}
