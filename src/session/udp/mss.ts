import { swapBytes } from "../../base/swap-bytes.ts";
import { emptyRun, type FrameRun } from "../../hub/port.ts";

// TCP flows that are carried are told to send segments small enough for a datagram that needs no cutting: the option
// of their SYNs is brought down to that, in both directions (protocol.md 17.4, RFC 9293 3.7.1).

/* Specification constants. */
const PATH_BYTES = 1454;
const OUTER_IP_BYTES = { 4: 20, 6: 40 } as const;
const OUTER_BYTES = 8 + 4 + 8 + 8 + 2 + 1;
const CIPHER_BYTES = 40;
const ETHERNET_BYTES = 14;
const INNER_IPV4_BYTES = 20;
const INNER_IPV6_BYTES = 40;
const TCP_BYTES = 20;
const TAG_BYTES = 4;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_TAGS: readonly number[] = [0x8100, 0x88a8];
const PROTOCOL_TCP = 6;
const FLAG_SYN = 0x02;
const TCP_FLAGS_AT = 13;
const TCP_CHECKSUM_AT = 16;
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;

/** Tags, both headers and all options: a longer frame is no SYN that anybody sends, or carries data already. */
const MAX_SYN_FRAME_BYTES = ETHERNET_BYTES + TAG_BYTES + INNER_IPV6_BYTES + 60;
const MIN_SYN_FRAME_BYTES = ETHERNET_BYTES + INNER_IPV4_BYTES + TCP_BYTES + 4;

/** Most payload of a segment of IPv4 without a tag, in a datagram over IP of this version. */
export function carriedMss(outer: 4 | 6, isEncrypted: boolean): number {
  const inner = ETHERNET_BYTES + INNER_IPV4_BYTES + TCP_BYTES;
  const cipher = isEncrypted ? CIPHER_BYTES : 0;
  return PATH_BYTES - OUTER_IP_BYTES[outer] - OUTER_BYTES - cipher - inner;
}

/** Brings the SYNs of runs down to a segment size. */
export class MssClamp {
  readonly #mss: number;
  readonly #copy: FrameRun = emptyRun(new Uint8Array(0));

  /** @param mss of IPv4 without a tag */
  constructor(mss: number) {
    this.#mss = mss;
  }

  /** The run itself, or a copy of it with SYNs changed, good until the next call. A run is only lent, so not changed. */
  apply(run: FrameRun): FrameRun {
    let isCopied = false;
    for (let at = run.start; at + 4 <= run.end;) {
      const size = run.view.getUint32(at);
      const frame = at + 4;
      at = frame + size;
      if (size < MIN_SYN_FRAME_BYTES || size > MAX_SYN_FRAME_BYTES || at > run.end) continue;
      const option = this.#tooLarge(run.view, frame, size);
      if (option === 0) continue;
      if (!isCopied) this.#take(run);
      isCopied = true;
      const moved = this.#copy.start - run.start;
      lower(
        this.#copy.view,
        tcpAt(run.view, frame) + moved,
        option + moved,
        this.#allowed(run.view, frame),
      );
    }
    return isCopied ? this.#copy : run;
  }

  /** Where the value of an option stands that is larger than it may be; 0 if there is none. */
  #tooLarge(view: DataView, frame: number, size: number): number {
    const tcp = tcpAt(view, frame);
    const end = frame + size;
    if (tcp === 0 || tcp + TCP_BYTES > end) return 0;
    if ((view.getUint8(tcp + TCP_FLAGS_AT) & FLAG_SYN) === 0) return 0;
    const value = mssAt(view, tcp, end);
    return value > 0 && view.getUint16(value) > this.#allowed(view, frame) ? value : 0;
  }

  #allowed(view: DataView, frame: number): number {
    const tag = isTagged(view, frame) ? TAG_BYTES : 0;
    const isV6 = view.getUint16(frame + 12 + tag) === ETHERTYPE_IPV6;
    return this.#mss - tag - (isV6 ? INNER_IPV6_BYTES - INNER_IPV4_BYTES : 0);
  }

  #take(run: FrameRun): void {
    const copy = this.#copy;
    // With room before it, where the run's taker may write a unit's block count.
    const bytes = new Uint8Array(4 + run.end - run.start);
    bytes.set(run.bytes.subarray(run.start, run.end), 4);
    copy.bytes = bytes;
    copy.view = new DataView(bytes.buffer);
    copy.start = 4;
    copy.end = bytes.length;
    copy.count = run.count;
  }
}

function isTagged(view: DataView, frame: number): boolean {
  return ETHERTYPE_TAGS.includes(view.getUint16(frame + 12));
}

/** Where the TCP header stands in a frame of at least MIN_SYN_FRAME_BYTES; 0 if it holds none, or a fragment. */
function tcpAt(view: DataView, frame: number): number {
  const ip = frame + ETHERNET_BYTES + (isTagged(view, frame) ? TAG_BYTES : 0);
  switch (view.getUint16(ip - 2)) {
    case ETHERTYPE_IPV4: {
      const isFragment = (view.getUint16(ip + 6) & 0x3fff) !== 0;
      if (view.getUint8(ip + 9) !== PROTOCOL_TCP || isFragment) return 0;
      return ip + (view.getUint8(ip) & 15) * 4;
    }
    case ETHERTYPE_IPV6:
      return view.getUint8(ip + 6) === PROTOCOL_TCP ? ip + INNER_IPV6_BYTES : 0;
    default:
      return 0;
  }
}

/** Where the value of the option stands, 0 if there is none or the options are broken. */
function mssAt(view: DataView, tcp: number, frameEnd: number): number {
  const end = Math.min(frameEnd, tcp + (view.getUint8(tcp + 12) >> 4) * 4);
  for (let at = tcp + TCP_BYTES; at < end;) {
    const kind = view.getUint8(at);
    if (kind === OPTION_END) return 0;
    if (kind === OPTION_NOP) {
      at += 1;
      continue;
    }
    const bytes = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (bytes < 2 || at + bytes > end) return 0;
    if (kind === OPTION_MSS) return bytes === 4 ? at + 2 : 0;
    at += bytes;
  }
  return 0;
}

/** Writes the value and mends the checksum by the difference (RFC 1624 eqn. 3). */
function lower(view: DataView, tcp: number, option: number, mss: number): void {
  // In a field that lies across two words of the sum, its octets stand swapped in them.
  const isOdd = ((option - tcp) & 1) === 1;
  const word = (value: number) => (isOdd ? swapBytes(value) >>> 16 : value);
  const before = view.getUint16(option);
  view.setUint16(option, mss);
  let sum =
    (~view.getUint16(tcp + TCP_CHECKSUM_AT) & 0xffff) + (~word(before) & 0xffff) + word(mss);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(tcp + TCP_CHECKSUM_AT, ~sum & 0xffff);
}
