import type { MacAddress } from "../base/mac.ts";
import type { HostLink } from "./link.ts";
import { outbox } from "./outbox.ts";
import { PACKET_BYTES } from "../platform/packet-memory.ts";
import { ARP_BYTES, type ArpPacket, encodeArp } from "../wire/arp.ts";
import { ETHER_TYPE } from "../wire/ethernet.ts";

/** Puts an ARP packet into the outbox. @param packet goes to its target unless `to` says otherwise */
export function sendArp(link: HostLink, packet: ArpPacket & { readonly to?: MacAddress }): void {
  const at = outbox.begin(link, packet.to ?? packet.targetMac, ETHER_TYPE.ARP, ARP_BYTES);
  if (at < 0) return;
  PACKET_BYTES.set(encodeArp(packet), at);
  outbox.end(ARP_BYTES);
}
