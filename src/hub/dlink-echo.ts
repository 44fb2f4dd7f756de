// Old D-Link switches send their spanning tree frames from an address that all of them share. Where two of them meet
// at a port that checks MACs, each would silence the other: so their frames are told by their bytes there (option
// FixForDLinkBPDU, hub.md 2.7).
import { MIN_ETHERTYPE, type FrameView } from "./frame-view.ts";
import { DROP, PASS } from "./drop-reason.ts";
import { isDlinkMac } from "./fdb.ts";
import type { FrameCheck } from "./frame-check.ts";
import { bridgeIdAt } from "./layer2.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";
import { checksMac } from "./port-rules.ts";

/** A frame that comes back this soon is the one that went out. */
const ECHO_MS = 750;
const NO_BYTES = new Uint8Array(0);

interface Checks {
  readonly arrival: readonly FrameCheck[];
  readonly departure: readonly FrameCheck[];
}

const OFF: Checks = { arrival: [], departure: [] };

/** Drops what a port has just been sent; the database lets the others pass. */
export function dlinkEcho(port: PortIdentity, { settings }: HubParts): Checks {
  const { FixForDLinkBPDU, NoLookBPDUBridgeId } = settings.options;
  if (!FixForDLinkBPDU || !checksMac(port, settings.options)) return OFF;
  let sent = NO_BYTES;
  let sentAt = -Infinity;
  const isDlink = (frame: FrameView) => isFromDlink(frame, NoLookBPDUBridgeId === 0);
  return {
    arrival: [
      {
        check(frame, now) {
          const isEcho =
            isDlink(frame) && now - sentAt < ECHO_MS && Buffer.compare(bytesOf(frame), sent) === 0;
          return isEcho ? DROP.mac_spoof : PASS;
        },
      },
    ],
    departure: [
      {
        check(frame, now) {
          if (isDlink(frame)) {
            sent = bytesOf(frame).slice();
            sentAt = now;
          }
          return PASS;
        },
      },
    ],
  };
}

/** By the address that is learnt of the frame. */
function isFromDlink({ view, start, etherType }: FrameView, learnsBridgeIds: boolean): boolean {
  const bridge =
    learnsBridgeIds && etherType < MIN_ETHERTYPE ? bridgeIdAt(view, start, etherType) : -1;
  const at = bridge >= 0 ? bridge : start + 6;
  return isDlinkMac(view.getUint16(at), view.getInt32(at + 2));
}

function bytesOf({ view, start, end }: FrameView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + start, end - start);
}
