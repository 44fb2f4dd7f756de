import type { Neighbor } from "../ip-host/neighbors.ts";
import { PACKET_VIEW } from "../platform/packet-memory.ts";
import type { L3Interface } from "./l3-interface.ts";

/** Writes both MACs of a frame that goes to a neighbour. */
export function address(frame: number, neighbor: Neighbor, egress: L3Interface): void {
  PACKET_VIEW.setInt32(frame, neighbor.macHigh);
  PACKET_VIEW.setInt32(frame + 4, (neighbor.macLow << 16) | egress.sourceHigh);
  PACKET_VIEW.setInt32(frame + 8, egress.sourceLow);
}

/** Takes one from the TTL and mends the checksum by the difference (RFC 1624 eqn. 3). `word8` is TTL to checksum. */
export function countHopV4(ip: number, word8: number): void {
  // ~m + m' for a TTL that is one less: 0xfeff, whatever the protocol beside it.
  const sum = (~word8 & 0xffff) + 0xfeff;
  const folded = (sum & 0xffff) + (sum >>> 16);
  PACKET_VIEW.setInt32(ip + 8, ((word8 - 0x0100_0000) & 0xffff_0000) | (~folded & 0xffff));
}
