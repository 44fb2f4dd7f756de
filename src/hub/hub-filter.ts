// Kinds of frames that a hub takes from nobody: its options Filter... (hub.md 3, step 11).
import type { HubOptions } from "../config/hub-options.ts";
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import { ETHERTYPE, type FrameView, IP_PROTOCOL } from "./frame-view.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";

/** Discovery and session stages (RFC 2516 section 4). */
const PPPOE_DISCOVERY = 0x8863;
const PPPOE_SESSION = 0x8864;
const TAG_BYTES = 4;

/** The filter of frames from the port. */
export function hubFilter(port: PortIdentity, { settings }: HubParts): readonly FrameCheck[] {
  const { options } = settings;
  const isOn =
    options.FilterPPPoE +
      options.FilterOSPF +
      options.FilterIPv4 +
      options.FilterIPv6 +
      options.FilterNonIP +
      options.FilterBPDU !==
    0;
  return isOn ? [new HubFilter(options, port.policy.vlan_id === 0 ? 0 : TAG_BYTES)] : [];
}

class HubFilter implements FrameCheck {
  private readonly dropsPppoe: boolean;
  private readonly dropsOspf: boolean;
  private readonly dropsIpv4: boolean;
  private readonly dropsIpv6: boolean;
  private readonly dropsNonIp: boolean;
  private readonly dropsBpdu: boolean;
  /** Of the tag that the hub itself has put on all frames of the port. */
  private readonly tagBytes: number;

  constructor(options: HubOptions, tagBytes: number) {
    this.dropsPppoe = options.FilterPPPoE !== 0;
    this.dropsOspf = options.FilterOSPF !== 0;
    this.dropsIpv4 = options.FilterIPv4 !== 0;
    this.dropsIpv6 = options.FilterIPv6 !== 0;
    this.dropsNonIp = options.FilterNonIP !== 0;
    this.dropsBpdu = options.FilterBPDU !== 0;
    this.tagBytes = tagBytes;
  }

  check(frame: FrameView): number {
    const type =
      this.tagBytes === 0
        ? frame.etherType
        : frame.view.getUint16(frame.start + 12 + this.tagBytes);
    if (this.dropsPppoe && (type === PPPOE_DISCOVERY || type === PPPOE_SESSION))
      return DROP.hub_filter_pppoe;
    if (this.dropsOspf) {
      frame.parse();
      if (frame.ipv4Protocol === IP_PROTOCOL.OSPF) return DROP.hub_filter_ospf;
    }
    if (type === ETHERTYPE.IPV4 || type === ETHERTYPE.ARP) {
      if (this.dropsIpv4) return DROP.hub_filter_ipv4;
    } else if (type === ETHERTYPE.IPV6) {
      if (this.dropsIpv6) return DROP.hub_filter_ipv6;
    } else if (this.dropsNonIp) {
      return DROP.hub_filter_non_ip;
    }
    if (this.dropsBpdu) {
      frame.parse();
      if (frame.isBpdu) return DROP.hub_filter_bpdu;
    }
    return PASS;
  }
}
