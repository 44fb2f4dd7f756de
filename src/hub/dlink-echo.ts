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

/** The last such frame that a port was sent. */
interface Sent {
  bytes: Uint8Array;
  at: number;
}

/** By port, so that another policy or other settings of the hub do not forget it. */
const lastSent = new WeakMap<PortIdentity, Sent>();

const OFF: Checks = { arrival: [], departure: [] };

/** Drops what a port has just been sent; the database lets the others pass. */
export function dlinkEcho(port: PortIdentity, { settings }: HubParts): Checks {
  const { FixForDLinkBPDU, NoLookBPDUBridgeId } = settings.options;
  if (!FixForDLinkBPDU || !checksMac(port, settings.options)) return OFF;
  let sent = lastSent.get(port);
  if (sent === undefined) lastSent.set(port, (sent = { bytes: NO_BYTES, at: -Infinity }));
  const last = sent;
  const isDlink = (frame: FrameView) => isFromDlink(frame, NoLookBPDUBridgeId === 0);
  return {
    arrival: [
      {
        check(frame, now) {
          const isEcho =
            isDlink(frame) &&
            now - last.at < ECHO_MS &&
            Buffer.compare(bytesOf(frame), last.bytes) === 0;
          return isEcho ? DROP.mac_spoof : PASS;
        },
      },
    ],
    departure: [
      {
        check(frame, now) {
          if (isDlink(frame)) {
            last.bytes = bytesOf(frame).slice();
            last.at = now;
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
