import { swapBytes } from "../base/swap-bytes.ts";
import type { RunRewriter } from "./frame-check.ts";
import { emptyRun, type FrameRun } from "./port.ts";
import type { HubParts } from "./port-program.ts";
import { runScratch } from "./run-scratch.ts";

// TCP flows that pass are told to send segments of a certain size at most: the option of their SYNs is brought down to
// it (hub.md 2.13, RFC 9293 3.7.1).

/* Specification constants. */
const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const TCP_BYTES = 20;
const TAG_BYTES = 4;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_PROVIDER_VLAN = 0x88a8;
const PROTOCOL_TCP = 6;
const FLAG_SYN = 0x02;
const TCP_FLAGS_AT = 13;
const TCP_CHECKSUM_AT = 16;
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;

/** Tags, both headers and all options: a longer frame is no SYN that anybody sends, or carries data already. */
const MAX_SYN_FRAME_BYTES = ETHERNET_BYTES + TAG_BYTES + IPV6_BYTES + 60;
const MIN_SYN_FRAME_BYTES = ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES + 4;

/** No flow is told less than this, however small the value asked for. */
const MIN_MSS = 64;

/** The clamp of what a port sends: option AdjustTcpMssValue (step 1). */
export function hubMssClamp({ settings }: HubParts): readonly RunRewriter[] {
  const { AdjustTcpMssValue, DisableAdjustTcpMss, VlanTypeId } = settings.options;
  if (AdjustTcpMssValue === 0 || DisableAdjustTcpMss !== 0) return [];
  const tagType = VlanTypeId || ETHERTYPE_VLAN;
  return [new MssClamp(AdjustTcpMssValue, { tagType, copy: (run) => runScratch.copy(run) })];
}

/** Brings the SYNs of runs down to a segment size. */
export class MssClamp implements RunRewriter {
  readonly #mss: number;
  readonly #tagType: number;
  readonly #copy: (run: FrameRun) => FrameRun;

  /**
   * @param mss of IPv4 without a tag; with larger headers it is as much less
   * @param options.tagType another type of tags, besides the two of IEEE 802.1Q
   * @param options.copy copies a run that is changed; without it into new memory
   */
  constructor(mss: number, options: { tagType?: number; copy?: (run: FrameRun) => FrameRun } = {}) {
    this.#mss = mss;
    this.#tagType = options.tagType ?? ETHERTYPE_VLAN;
    this.#copy = options.copy ?? freshCopy;
  }

  /** The run itself, or a copy of it with SYNs changed: a run is only lent. */
  rewrite(run: FrameRun): FrameRun {
    let copy: FrameRun | undefined;
    for (let at = run.start; at + 4 <= run.end;) {
      const size = run.view.getUint32(at);
      const frame = at + 4;
      at = frame + size;
      if (size < MIN_SYN_FRAME_BYTES || size > MAX_SYN_FRAME_BYTES || at > run.end) continue;
      const option = this.#tooLarge(run.view, frame, size);
      if (option === 0) continue;
      copy ??= this.#copy(run);
      const moved = copy.start - run.start;
      const tcp = this.#tcpAt(run.view, frame);
      lower(copy.view, tcp + moved, option + moved, this.#allowed(run.view, frame));
    }
    return copy ?? run;
  }

  /** Where the value of an option stands that is larger than it may be; 0 if there is none. */
  #tooLarge(view: DataView, frame: number, size: number): number {
    const tcp = this.#tcpAt(view, frame);
    const end = frame + size;
    if (tcp === 0 || tcp + TCP_BYTES > end) return 0;
    if ((view.getUint8(tcp + TCP_FLAGS_AT) & FLAG_SYN) === 0) return 0;
    const value = mssAt(view, tcp, end);
    return value > 0 && view.getUint16(value) > this.#allowed(view, frame) ? value : 0;
  }

  #allowed(view: DataView, frame: number): number {
    const tag = this.#tagBytes(view, frame);
    const isV6 = view.getUint16(frame + 12 + tag) === ETHERTYPE_IPV6;
    return Math.max(MIN_MSS, this.#mss - tag - (isV6 ? IPV6_BYTES - IPV4_BYTES : 0));
  }

  #tagBytes(view: DataView, frame: number): number {
    const type = view.getUint16(frame + 12);
    const isTag =
      type === ETHERTYPE_VLAN || type === ETHERTYPE_PROVIDER_VLAN || type === this.#tagType;
    return isTag ? TAG_BYTES : 0;
  }

  /** Where the TCP header stands in a frame of at least MIN_SYN_FRAME_BYTES; 0 if it holds none, or a fragment. */
  #tcpAt(view: DataView, frame: number): number {
    const ip = frame + ETHERNET_BYTES + this.#tagBytes(view, frame);
    switch (view.getUint16(ip - 2)) {
      case ETHERTYPE_IPV4: {
        const isFragment = (view.getUint16(ip + 6) & 0x3fff) !== 0;
        if (view.getUint8(ip + 9) !== PROTOCOL_TCP || isFragment) return 0;
        return ip + (view.getUint8(ip) & 15) * 4;
      }
      case ETHERTYPE_IPV6:
        return view.getUint8(ip + 6) === PROTOCOL_TCP ? ip + IPV6_BYTES : 0;
      default:
        return 0;
    }
  }
}

/** With room before it, where the run's taker may write a unit's block count. */
function freshCopy(run: FrameRun): FrameRun {
  const copy = emptyRun(new Uint8Array(4 + run.end - run.start));
  copy.bytes.set(run.bytes.subarray(run.start, run.end), 4);
  copy.start = 4;
  copy.end = copy.bytes.length;
  copy.count = run.count;
  return copy;
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
