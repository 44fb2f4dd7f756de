// What an access list asks of a frame, in two forms: a few words by which frames of one flow are recognized, and one
// number for each dimension that rules speak of.
import { ETHERTYPE, type FrameView, IP_PROTOCOL, TCP_FLAG } from "../frame-view.ts";

/** The dimensions of a rule. Each is a range of numbers; what a frame does not have is NONE, which is in no range. */
export const DIM = {
  /** 4 or 6, 0 for what is neither. ARP counts as IPv4 without a protocol where it is asked about at all. */
  FAMILY: 0,
  /** Four words of an IPv6 address, the first of them alone for IPv4. */
  SOURCE: 1,
  DESTINATION: 5,
  PROTOCOL: 9,
  SOURCE_PORT: 10,
  DESTINATION_PORT: 11,
  /** ESTABLISHED or OPENING. */
  TCP_STATE: 12,
  SOURCE_MAC: 13,
  DESTINATION_MAC: 14,
} as const;
const DIMENSIONS = 15;
export const NONE = -1;
export const ESTABLISHED = 0;
/** SYN without ACK: the first segment of a connection. */
export const OPENING = 1;

const PORT_BYTES = 4;
/** Bits of the first word: family, protocol + 1, state + 1, and what cannot be told from the other words. */
const PROTOCOL_SHIFT = 4;
const STATE_SHIFT = 13;
const HAS_PORTS = 1 << 15;
const NO_SOURCE = 1 << 16;
const NO_DESTINATION = 1 << 17;

const PORTS_AT = 1;
const SOURCE_AT = 2;
const DESTINATION_AT = 3;
/** As they stand in the frame: destination 0..3 | destination 4..5, source 0..1 | source 2..5. */
const MACS_AT = 4;
const SHORT_WORDS = 4;
const MAC_WORDS = 7;
/** The other words of two IPv6 addresses. */
const WIDE_AT = 7;
export const FLOW_WORDS = 13;

const IPV6_HEADER_BYTES = 40;
const MAX_EXTENSIONS = 8;

/** The frame at hand, as far as rules ask; one for all frames of a hub. */
export class FlowKey {
  /** The first `length` of them tell flows apart. */
  readonly words = new Int32Array(FLOW_WORDS);
  length = 0;
  readonly #usesMacs: boolean;
  readonly #judgesArp: boolean;
  readonly #values = new Float64Array(DIMENSIONS);

  constructor(asks: { readonly usesMacs: boolean; readonly judgesArp: boolean }) {
    this.#usesMacs = asks.usesMacs;
    this.#judgesArp = asks.judgesArp;
  }

  /** Turns to a frame; false for ARP that no rule is asked about (hub.md 7.2). */
  read(frame: FrameView): boolean {
    frame.parse();
    const { words } = this;
    words[PORTS_AT] = 0;
    switch (frame.layer3) {
      case "ipv4":
        this.#readIpv4(frame);
        break;
      case "ipv6":
        this.#readIpv6(frame);
        break;
      case "arp":
        if (!this.#judgesArp) return false;
        this.#readArp(frame);
        break;
      case "other":
        // ARP that is not of Ethernet and IPv4 is ARP all the same.
        if (!this.#judgesArp && isArp(frame)) return false;
        words[0] = words[SOURCE_AT] = words[DESTINATION_AT] = 0;
        this.length = SHORT_WORDS;
    }
    if (this.#usesMacs) {
      const { view, start } = frame;
      words[MACS_AT] = view.getInt32(start);
      words[MACS_AT + 1] = view.getInt32(start + 4);
      words[MACS_AT + 2] = view.getInt32(start + 8);
      if (this.length < MAC_WORDS) this.length = MAC_WORDS;
    }
    return true;
  }

  /** The same for the rules: one number for each of DIM. Good until the next frame. */
  values(): Float64Array {
    const { words } = this;
    const values = this.#values;
    const meta = words[0]!;
    const hasPorts = (meta & HAS_PORTS) !== 0;
    const family = meta & 15;
    values[DIM.FAMILY] = family;
    values[DIM.PROTOCOL] = ((meta >>> PROTOCOL_SHIFT) & 511) - 1;
    values[DIM.TCP_STATE] = ((meta >>> STATE_SHIFT) & 3) - 1;
    values[DIM.SOURCE_PORT] = hasPorts ? words[PORTS_AT]! >>> 16 : NONE;
    values[DIM.DESTINATION_PORT] = hasPorts ? words[PORTS_AT]! & 0xffff : NONE;
    values[DIM.SOURCE] = (meta & NO_SOURCE) === 0 ? words[SOURCE_AT]! >>> 0 : NONE;
    values[DIM.DESTINATION] = (meta & NO_DESTINATION) === 0 ? words[DESTINATION_AT]! >>> 0 : NONE;
    for (let i = 0; i < 3; i += 1) {
      const isWide = family === 6;
      values[DIM.SOURCE + 1 + i] = isWide ? words[WIDE_AT + i]! >>> 0 : NONE;
      values[DIM.DESTINATION + 1 + i] = isWide ? words[WIDE_AT + 3 + i]! >>> 0 : NONE;
    }
    const [first, middle, last] = [words[MACS_AT]!, words[MACS_AT + 1]!, words[MACS_AT + 2]!];
    values[DIM.DESTINATION_MAC] = (first >>> 0) * 65_536 + (middle >>> 16);
    values[DIM.SOURCE_MAC] = (middle & 0xffff) * 2 ** 32 + (last >>> 0);
    return values;
  }

  #readIpv4(frame: FrameView): void {
    const { words } = this;
    const { view, layer3At: at } = frame;
    // Later fragments have a protocol, too.
    words[0] = 4 | ((view.getUint8(at + 9) + 1) << PROTOCOL_SHIFT);
    words[SOURCE_AT] = view.getInt32(at + 12);
    words[DESTINATION_AT] = view.getInt32(at + 16);
    this.length = SHORT_WORDS;
    this.#readLayer4(frame);
  }

  #readIpv6(frame: FrameView): void {
    const { words } = this;
    const { view, layer3At: at, layer4 } = frame;
    words[0] = 6 | (((layer4 === NONE ? laterProtocol(frame) : layer4) + 1) << PROTOCOL_SHIFT);
    words[SOURCE_AT] = view.getInt32(at + 8);
    words[DESTINATION_AT] = view.getInt32(at + 24);
    for (let i = 0; i < 3; i += 1) {
      words[WIDE_AT + i] = view.getInt32(at + 12 + i * 4);
      words[WIDE_AT + 3 + i] = view.getInt32(at + 28 + i * 4);
    }
    this.length = FLOW_WORDS;
    this.#readLayer4(frame);
  }

  #readLayer4(frame: FrameView): void {
    const { layer4, layer4At: at, layer4End, view } = frame;
    if (layer4 !== IP_PROTOCOL.TCP && layer4 !== IP_PROTOCOL.UDP) return;
    if (at + PORT_BYTES > layer4End) return;
    const { words } = this;
    words[PORTS_AT] = view.getInt32(at);
    let bits = HAS_PORTS;
    const flags = frame.tcpFlags;
    if (flags >= 0) {
      const isOpening = (flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) === TCP_FLAG.SYN;
      bits |= ((isOpening ? OPENING : ESTABLISHED) + 1) << STATE_SHIFT;
    }
    words[0] = words[0]! | bits;
  }

  #readArp({ view, start, layer3At: at }: FrameView): void {
    const { words } = this;
    const sender = view.getInt32(at + 14);
    const target = view.getInt32(at + 24);
    // Hubs that ask whether a host is there do so from a MAC of their own (hub.md 2.4).
    const isHub = view.getUint16(start + 6) === 0x00ae;
    words[0] =
      4 | (isAsked(sender, isHub) ? 0 : NO_SOURCE) | (isAsked(target, isHub) ? 0 : NO_DESTINATION);
    words[SOURCE_AT] = sender;
    words[DESTINATION_AT] = target;
    this.length = SHORT_WORDS;
  }
}

/** Addresses in ARP that a condition can meet: none, all and those of hubs' polls are not (hub.md 7.2). */
function isAsked(address: number, isHub: boolean): boolean {
  if (address === 0 || address === -1) return false;
  const third = (address >>> 8) & 255;
  const fourth = address & 255;
  const isPoll =
    address >>> 16 === 0xac1f && third > 0 && third < 255 && fourth > 0 && fourth < 255;
  return !(isHub && isPoll);
}

function isArp({ view, start, layer3At: at }: FrameView): boolean {
  return at - 2 > start && view.getUint16(at - 2) === ETHERTYPE.ARP;
}

/** The protocol of a fragment that is not the first, or NONE (RFC 8200 4.5). */
function laterProtocol({ view, layer3At: at, end }: FrameView): number {
  let next = view.getUint8(at + 6);
  let header = at + IPV6_HEADER_BYTES;
  for (let i = 0; i < MAX_EXTENSIONS && header + 8 <= end; i += 1) {
    if (next === 44) return view.getUint8(header);
    if (next !== 0 && next !== 43 && next !== 60) return NONE;
    next = view.getUint8(header);
    header += (view.getUint8(header + 1) + 1) * 8;
  }
  return NONE;
}
