import { DROP_REASONS, type DropReason, dropRecord } from "./drop-reason.ts";

// Places in `traffic`; ingress and egress are seen from the hub.
const INGRESS = 0;
const EGRESS = 4;
const UNICAST = 0;
const GROUP = 2;

/** Numbers that readTraffic() gives: frames and bytes, unicast and group, ingress and egress. */
export const TRAFFIC_FIELDS = 8;

export interface FrameCount {
  readonly frames: number;
  /** Frame bytes, without size prefixes. */
  readonly bytes: number;
}

/** Counters as a value; `group` is broadcast and multicast (hub.md 2.17). */
export interface CounterRecord {
  readonly ingress: { readonly unicast: FrameCount; readonly group: FrameCount };
  readonly egress: { readonly unicast: FrameCount; readonly group: FrameCount };
  readonly drops: Partial<Record<DropReason, number>>;
  /** Frames that were forwarded although their source found no room in the port's share of the FDB. */
  readonly unlearnt: number;
}

/** What a port, or a whole hub, has carried and lost. Only grows. */
export class PortCounters {
  readonly drops = new Float64Array(DROP_REASONS.length);
  unlearnt = 0;
  private readonly traffic = new Float64Array(TRAFFIC_FIELDS);

  countIngress(isGroup: boolean, frames: number, bytes: number): void {
    this.count(INGRESS + (isGroup ? GROUP : UNICAST), frames, bytes);
  }

  countEgress(isGroup: boolean, frames: number, bytes: number): void {
    this.count(EGRESS + (isGroup ? GROUP : UNICAST), frames, bytes);
  }

  add(other: PortCounters): void {
    for (let i = 0; i < this.traffic.length; i += 1) this.traffic[i]! += other.traffic[i]!;
    for (let i = 0; i < this.drops.length; i += 1) this.drops[i]! += other.drops[i]!;
    this.unlearnt += other.unlearnt;
  }

  /** Fills in frames and bytes into the hub, unicast then group, and the same out of it. */
  readTraffic(into: Float64Array): void {
    into.set(this.traffic);
  }

  record(): CounterRecord {
    return {
      ingress: { unicast: this.read(INGRESS + UNICAST), group: this.read(INGRESS + GROUP) },
      egress: { unicast: this.read(EGRESS + UNICAST), group: this.read(EGRESS + GROUP) },
      drops: dropRecord(this.drops),
      unlearnt: this.unlearnt,
    };
  }

  private count(at: number, frames: number, bytes: number): void {
    this.traffic[at]! += frames;
    this.traffic[at + 1]! += bytes;
  }

  private read(at: number): FrameCount {
    return { frames: this.traffic[at]!, bytes: this.traffic[at + 1]! };
  }
}
