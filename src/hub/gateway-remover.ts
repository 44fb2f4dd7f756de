// A DHCP server on the hub must not become this computer's own way to the network: the tunnel would be sent into itself
// (hub.md 2.5 step 6, option RemoveDefGwOnDhcpForLocalhost). Answers to its interfaces lose the default gateway.
import type { MacAddress } from "../base/mac.ts";
import { finishChecksum, sumWords } from "../wire/checksum.ts";
import type { RunRewriter } from "./frame-check.ts";
import { ETHERTYPE, FrameView, IP_PROTOCOL } from "./frame-view.ts";
import type { FrameRun } from "./port.ts";
import type { HubParts } from "./port-program.ts";
import { runScratch } from "./run-scratch.ts";

const PREFIX_BYTES = 4;
/** Ethernet, IPv4, UDP, and BOOTP with its cookie (RFC 2131 section 2). */
const MIN_FRAME_BYTES = 14 + 20 + 8 + 240;
const IPV4_PROTOCOL_AT = 9;
const UDP_BYTES = 8;
const UDP_CHECKSUM_AT = 6;
const HARDWARE_AT = 1;
/** Ethernet, and addresses of six bytes. */
const ETHERNET_HARDWARE = 0x0106;
const CHADDR_AT = 28;
const OPTIONS_AT = 240;

/** RFC 2132, RFC 3442, and the number that Windows used before that. */
const OPTION = { PAD: 0, ROUTER: 3, STATIC_ROUTES: 121, OLD_STATIC_ROUTES: 249, END: 255 } as const;
const ROUTER_BYTES = 4;

/** Of every port: the DHCP server may be behind any of them. */
export function gatewayRemover({ settings, isLocalMac }: HubParts): readonly RunRewriter[] {
  const { RemoveDefGwOnDhcpForLocalhost, DisableIPParsing, VlanTypeId } = settings.options;
  if (RemoveDefGwOnDhcpForLocalhost === 0 || DisableIPParsing !== 0) return [];
  return [new GatewayRemover(VlanTypeId || ETHERTYPE.VLAN, isLocalMac)];
}

class GatewayRemover implements RunRewriter {
  private readonly frame = new FrameView();
  private readonly tagType: number;
  private readonly isLocalMac: (mac: MacAddress) => boolean;

  constructor(tagType: number, isLocalMac: (mac: MacAddress) => boolean) {
    this.tagType = tagType;
    this.isLocalMac = isLocalMac;
    this.frame.configure(tagType, true);
  }

  rewrite(run: FrameRun): FrameRun {
    const { view, end } = run;
    let copy: FrameRun | undefined;
    for (let at = run.start; at + PREFIX_BYTES <= end;) {
      const start = at + PREFIX_BYTES;
      at = start + view.getUint32(at);
      if (start + MIN_FRAME_BYTES > at || at > end || !this.isForThisComputer(view, start, at))
        continue;
      copy ??= runScratch.copy(run);
      const moved = copy.start - run.start;
      const { layer4At, layer4End } = this.frame;
      removeGateway(copy, layer4At + moved, layer4End + moved);
    }
    this.frame.release();
    return copy ?? run;
  }

  /** True for an answer of a DHCP server to an interface of this computer; the view is on it then. */
  private isForThisComputer(view: DataView, start: number, end: number): boolean {
    const type = view.getUint16(start + 12);
    let ip = start + 14;
    if (type === ETHERTYPE.VLAN || type === this.tagType) ip += 4;
    else if (type !== ETHERTYPE.IPV4) return false;
    // Nearly every frame is done with here.
    if (view.getUint8(ip + IPV4_PROTOCOL_AT) !== IP_PROTOCOL.UDP) return false;
    const { frame } = this;
    frame.aim(view, start, end, type);
    frame.parse();
    if (!frame.isDhcpReply) return false;
    const bootp = frame.layer4At + UDP_BYTES;
    if (view.getUint16(bootp + HARDWARE_AT) !== ETHERNET_HARDWARE) return false;
    const chaddr =
      view.getUint16(bootp + CHADDR_AT) * 2 ** 32 + view.getUint32(bootp + CHADDR_AT + 2);
    return this.isLocalMac(chaddr as MacAddress);
  }
}

/** Options stay where they are: what goes away becomes padding, and lengths need not change. */
function removeGateway(run: FrameRun, udp: number, end: number): void {
  const { bytes, view } = run;
  const body = udp + UDP_BYTES;
  const before = sumWords(bytes, body, end);
  for (let at = body + OPTIONS_AT; at < end && bytes[at] !== OPTION.END;) {
    const code = bytes[at]!;
    if (code === OPTION.PAD) {
      at += 1;
      continue;
    }
    const value = at + 2;
    const next = value + (bytes[at + 1] ?? 0);
    if (value > end || next > end) break;
    if (code === OPTION.ROUTER) bytes.fill(OPTION.PAD, at, next);
    if (code === OPTION.STATIC_ROUTES || code === OPTION.OLD_STATIC_ROUTES)
      removeDefaultRoutes(bytes, at, next);
    at = next;
  }
  const checksum = view.getUint16(udp + UDP_CHECKSUM_AT);
  // 0 says that there is none (RFC 768); else it changes by the difference (RFC 1624 eqn. 3).
  if (checksum === 0) return;
  const difference =
    finishChecksum(before) + (~finishChecksum(sumWords(bytes, body, end)) & 0xffff);
  view.setUint16(
    udp + UDP_CHECKSUM_AT,
    finishChecksum((~checksum & 0xffff) + difference) || 0xffff,
  );
}

/** Of one option at start..end, a list of routes; one that does not add up is left alone. */
function removeDefaultRoutes(bytes: Uint8Array, start: number, end: number): void {
  let at = start + 2;
  while (at < end) at = behindRoute(bytes, at);
  if (at !== end) return;
  let to = start + 2;
  for (at = to; at < end;) {
    const next = behindRoute(bytes, at);
    if (bytes[at] !== 0) {
      bytes.copyWithin(to, at, next);
      to += next - at;
    }
    at = next;
  }
  const kept = to - start - 2;
  if (kept === 0) to = start;
  else bytes[start + 1] = kept;
  bytes.fill(OPTION.PAD, to, end);
}

/** A route is the length of a prefix in bits, so much of the prefix as it has bits, and a router. */
function behindRoute(bytes: Uint8Array, at: number): number {
  const prefixBits = bytes[at]!;
  return prefixBits > 32 ? Infinity : at + 1 + Math.ceil(prefixBits / 8) + ROUTER_BYTES;
}
