// Checksums that a peer's stack has left to hardware which the frame then never met (hub.md 2.5 step 4, 2.6). IPv6 with
// extension headers is no case: no stack leaves it to hardware.
import { finishChecksum, sumWords } from "../wire/checksum.ts";
import type { RunRewriter } from "./frame-check.ts";
import { ETHERTYPE, IP_PROTOCOL } from "./frame-view.ts";
import type { FrameRun } from "./port.ts";
import type { PortIdentity, PortKind } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";
import { runScratch } from "./run-scratch.ts";

const PREFIX_BYTES = 4;
const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const IPV4_BYTES = 20;
const IPV4_CHECKSUM_AT = 10;
const IPV6_BYTES = 40;
const TCP_BYTES = 20;
const TCP_CHECKSUM_AT = 16;
const UDP_BYTES = 8;
const UDP_CHECKSUM_AT = 6;
const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_OFFSET = 0x1fff;

/** Ports of the server itself complete their own. */
const FAR_KINDS: ReadonlySet<PortKind> = new Set(["client", "bridge", "cascade"]);

/** The completion of what a port sends, unless option DisableCorrectIpOffloadChecksum is set. */
export function checksumCompletion(
  port: PortIdentity,
  { settings }: HubParts,
): readonly RunRewriter[] {
  const isOff = settings.options.DisableCorrectIpOffloadChecksum !== 0;
  return isOff || !FAR_KINDS.has(port.kind)
    ? []
    : [new ChecksumCompletion(settings.options.VlanTypeId || ETHERTYPE.VLAN)];
}

export class ChecksumCompletion implements RunRewriter {
  private readonly tagType: number;

  /** @param tagType another type of tags, besides that of IEEE 802.1Q */
  constructor(tagType: number = ETHERTYPE.VLAN) {
    this.tagType = tagType;
  }

  /** The run itself, or a copy with checksums filled in: nearly always all of them are there. */
  rewrite(run: FrameRun): FrameRun {
    const { view, end } = run;
    let copy: FrameRun | undefined;
    for (let at = run.start; at + PREFIX_BYTES <= end;) {
      const frame = at + PREFIX_BYTES;
      at = frame + view.getUint32(at);
      if (at > end) break;
      if (frame + ETHERNET_BYTES + IPV4_BYTES > at) continue;
      let ip = frame + ETHERNET_BYTES;
      let type = view.getUint16(ip - 2);
      if (type === ETHERTYPE.VLAN || type === this.tagType) {
        ip += TAG_BYTES;
        type = view.getUint16(ip - 2);
      }
      if (type === ETHERTYPE.IPV4 ? !lacksIpv4(view, ip, at) : !lacksIpv6(view, ip, at, type))
        continue;
      copy ??= runScratch.copy(run);
      const moved = copy.start - run.start;
      if (type === ETHERTYPE.IPV4) completeIpv4(copy, ip + moved, at + moved);
      else completeIpv6(copy, ip + moved);
    }
    return copy ?? run;
  }
}

/** True if a checksum of the packet is to be filled in; `end` is that of the frame. */
function lacksIpv4(view: DataView, ip: number, end: number): boolean {
  if (ip + IPV4_BYTES > end) return false;
  const headerBytes = (view.getUint8(ip) & 15) * 4;
  const packetEnd = ip + view.getUint16(ip + 2);
  if (headerBytes < IPV4_BYTES || ip + headerBytes > packetEnd || packetEnd > end) return false;
  return view.getUint16(ip + IPV4_CHECKSUM_AT) === 0 || lacksLayer4(view, ip, packetEnd);
}

/** The same of what an IPv4 packet with a sound header carries. */
function lacksLayer4(view: DataView, ip: number, packetEnd: number): boolean {
  const fragment = view.getUint16(ip + 6);
  if ((fragment & FRAGMENT_OFFSET) !== 0) return false;
  const layer4 = ip + (view.getUint8(ip) & 15) * 4;
  const protocol = view.getUint8(ip + 9);
  if (protocol === IP_PROTOCOL.TCP) {
    if ((fragment & MORE_FRAGMENTS) !== 0 || layer4 + TCP_BYTES > packetEnd) return false;
    const sum = view.getUint16(layer4 + TCP_CHECKSUM_AT);
    return sum === 0 || isPartial(sum, pseudoIpv4(view, ip, protocol, packetEnd - layer4));
  }
  if (protocol === IP_PROTOCOL.UDP) {
    if (layer4 + UDP_BYTES > packetEnd) return false;
    const sum = view.getUint16(layer4 + UDP_CHECKSUM_AT);
    const bytes = view.getUint16(layer4 + 4);
    return sum !== 0 && isPartial(sum, pseudoIpv4(view, ip, protocol, bytes));
  }
  return false;
}

function completeIpv4(run: FrameRun, ip: number, end: number): void {
  const { bytes, view } = run;
  const headerBytes = (view.getUint8(ip) & 15) * 4;
  const packetEnd = Math.min(end, ip + view.getUint16(ip + 2));
  if (view.getUint16(ip + IPV4_CHECKSUM_AT) === 0)
    view.setUint16(ip + IPV4_CHECKSUM_AT, finishChecksum(sumWords(bytes, ip, ip + headerBytes)));
  if (!lacksLayer4(view, ip, packetEnd)) return;
  const layer4 = ip + headerBytes;
  const protocol = view.getUint8(ip + 9);
  if (protocol === IP_PROTOCOL.TCP) {
    const pseudo = pseudoIpv4(view, ip, protocol, packetEnd - layer4);
    fillIn(run, layer4, packetEnd, layer4 + TCP_CHECKSUM_AT, pseudo);
    return;
  }
  const udpEnd = layer4 + view.getUint16(layer4 + 4);
  const isWhole = (view.getUint16(ip + 6) & MORE_FRAGMENTS) === 0 && udpEnd <= packetEnd;
  // Over parts of a datagram there is no sum, and over IPv4 it may be left out (RFC 768).
  if (!isWhole) view.setUint16(layer4 + UDP_CHECKSUM_AT, 0);
  else fillInUdp(run, layer4, udpEnd, pseudoIpv4(view, ip, protocol, udpEnd - layer4));
}

function lacksIpv6(view: DataView, ip: number, end: number, type: number): boolean {
  if (type !== ETHERTYPE.IPV6 || ip + IPV6_BYTES + UDP_BYTES > end) return false;
  const layer4 = ip + IPV6_BYTES;
  const packetEnd = layer4 + view.getUint16(ip + 4);
  const protocol = view.getUint8(ip + 6);
  if (packetEnd > end) return false;
  if (protocol === IP_PROTOCOL.TCP) {
    if (layer4 + TCP_BYTES > packetEnd) return false;
    const sum = view.getUint16(layer4 + TCP_CHECKSUM_AT);
    return sum === 0 || isPartial(sum, pseudoIpv6(view, ip, protocol, packetEnd - layer4));
  }
  if (protocol !== IP_PROTOCOL.UDP || layer4 + UDP_BYTES > packetEnd) return false;
  const bytes = view.getUint16(layer4 + 4);
  const sum = view.getUint16(layer4 + UDP_CHECKSUM_AT);
  if (sum === 0 || bytes < UDP_BYTES || layer4 + bytes > packetEnd) return false;
  return isPartial(sum, pseudoIpv6(view, ip, protocol, bytes));
}

function completeIpv6(run: FrameRun, ip: number): void {
  const { view } = run;
  const layer4 = ip + IPV6_BYTES;
  const protocol = view.getUint8(ip + 6);
  if (protocol === IP_PROTOCOL.TCP) {
    const bytes = view.getUint16(ip + 4);
    const pseudo = pseudoIpv6(view, ip, protocol, bytes);
    fillIn(run, layer4, layer4 + bytes, layer4 + TCP_CHECKSUM_AT, pseudo);
  } else {
    const bytes = view.getUint16(layer4 + 4);
    fillInUdp(run, layer4, layer4 + bytes, pseudoIpv6(view, ip, protocol, bytes));
  }
}

function fillInUdp(run: FrameRun, start: number, end: number, pseudo: number): void {
  fillIn(run, start, end, start + UDP_CHECKSUM_AT, pseudo);
  // A sum of 0 would say that there is none (RFC 768).
  if (run.view.getUint16(start + UDP_CHECKSUM_AT) === 0)
    run.view.setUint16(start + UDP_CHECKSUM_AT, 0xffff);
}

function fillIn(run: FrameRun, start: number, end: number, at: number, pseudo: number): void {
  run.view.setUint16(at, 0);
  run.view.setUint16(at, finishChecksum(sumWords(run.bytes, start, end, pseudo)));
}

/** What a stack puts in for hardware to go on from: the sum of the pseudo header, or its complement. */
function isPartial(sum: number, pseudo: number): boolean {
  let folded = (pseudo & 0xffff) + (pseudo >>> 16);
  folded = (folded & 0xffff) + (folded >>> 16);
  return sum === folded || sum === (~folded & 0xffff);
}

function pseudoIpv4(view: DataView, ip: number, protocol: number, bytes: number): number {
  const src = view.getUint32(ip + 12);
  const dst = view.getUint32(ip + 16);
  return (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + bytes;
}

/** RFC 8200 section 8.1. */
function pseudoIpv6(view: DataView, ip: number, protocol: number, bytes: number): number {
  let sum = protocol + bytes;
  for (let at = ip + 8; at < ip + IPV6_BYTES; at += 4) {
    const word = view.getUint32(at);
    sum += (word >>> 16) + (word & 0xffff);
  }
  return sum;
}
