// Floods spare sessions that have sent nothing for a while (hub.md 2.9, option DetectDormantSessionInterval).
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import type { FrameView } from "./frame-view.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";

/** First octets of the stations of hubs (hub.md 2.4): polls that come through a cascade do not wake anybody. */
const HUB_STATION = 0x00ae;

/** By port, so that another policy does not put it to sleep. */
const wakeups = new WeakMap<PortIdentity, Wakefulness>();

interface Dormancy {
  /** Notes what the port sends (step 8). */
  readonly arrival: readonly FrameCheck[];
  /** Keeps floods from it while it sleeps. */
  readonly departure: readonly FrameCheck[];
}

const OFF: Dormancy = { arrival: [], departure: [] };

/** Of sessions that came over the network; a port that has never sent anything sleeps. */
export function dormancy(port: PortIdentity, { settings }: HubParts): Dormancy {
  const seconds = settings.options.DetectDormantSessionInterval;
  if (seconds === 0 || !port.isNetworkSession || port.kind === "monitor") {
    wakeups.delete(port);
    return OFF;
  }
  let wakefulness = wakeups.get(port);
  if (wakefulness === undefined) wakeups.set(port, (wakefulness = new Wakefulness()));
  return { arrival: [wakefulness], departure: [new Sleep(wakefulness, seconds * 1000)] };
}

class Wakefulness implements FrameCheck {
  lastFrame = -Infinity;

  check(frame: FrameView, now: number): number {
    if (frame.view.getUint16(frame.start + 6) !== HUB_STATION) this.lastFrame = now;
    return PASS;
  }
}

class Sleep implements FrameCheck {
  private readonly wakefulness: Wakefulness;
  private readonly intervalMs: number;

  constructor(wakefulness: Wakefulness, intervalMs: number) {
    this.wakefulness = wakefulness;
    this.intervalMs = intervalMs;
  }

  check(frame: FrameView, now: number): number {
    const isAsleep = now - this.wakefulness.lastFrame > this.intervalMs;
    return isAsleep && frame.isFlood ? DROP.dormant : PASS;
  }
}
