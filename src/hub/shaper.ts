// Upload and download limits of a policy (hub.md 2.14): a token bucket for each direction of a port.
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import { type FrameView, IP_PROTOCOL, TCP_FLAG } from "./frame-view.ts";
import type { PortIdentity } from "./port-identity.ts";

/**
 * How much of the rate may come at once: more than the 200 ms after which TCP sends again at the earliest. With less, a
 * flow on a short path that waits for that leaves half of its rate unused.
 */
const BURST_MS = 250;
const ENDS_OF_FLOW = TCP_FLAG.SYN | TCP_FLAG.FIN | TCP_FLAG.RST;

/** By port, so that another policy or other settings of the hub do not fill them anew. */
const upload = new WeakMap<PortIdentity, TokenBucket>();
const download = new WeakMap<PortIdentity, TokenBucket>();

/** The limit on what the port sends (step 9). */
export function uploadShaper(port: PortIdentity): readonly FrameCheck[] {
  return shaper(upload, port, port.policy.max_upload, DROP.max_upload);
}

/** The limit on what it gets, monitoring ports as well; the last of the checks, since what passes is counted. */
export function downloadShaper(port: PortIdentity): readonly FrameCheck[] {
  return shaper(download, port, port.policy.max_download, DROP.max_download);
}

function shaper(
  buckets: WeakMap<PortIdentity, TokenBucket>,
  port: PortIdentity,
  bitsPerSecond: number,
  drop: number,
): readonly FrameCheck[] {
  if (bitsPerSecond === 0) {
    buckets.delete(port);
    return [];
  }
  let bucket = buckets.get(port);
  if (bucket === undefined) buckets.set(port, (bucket = new TokenBucket(bitsPerSecond)));
  bucket.setRate(bitsPerSecond);
  return [new Shaper(bucket, drop)];
}

class Shaper implements FrameCheck {
  private readonly bucket: TokenBucket;
  private readonly drop: number;

  constructor(bucket: TokenBucket, drop: number) {
    this.bucket = bucket;
    this.drop = drop;
  }

  check(frame: FrameView, now: number): number {
    frame.parse();
    if (isExempt(frame)) return PASS;
    return this.bucket.take((frame.end - frame.start) * 8, now) ? PASS : this.drop;
  }
}

/** What a network does not work without, and what ends flows: it is neither counted nor stopped. */
function isExempt(frame: FrameView): boolean {
  switch (frame.layer3) {
    case "arp":
      return true;
    case "ipv4":
      if (frame.layer4 === IP_PROTOCOL.TCP) return endsFlow(frame);
      return frame.layer4 === IP_PROTOCOL.ICMP || frame.isDhcp;
    case "ipv6":
      // Neighbour discovery is ICMPv6 (RFC 4861).
      if (frame.layer4 === IP_PROTOCOL.TCP) return endsFlow(frame);
      return frame.layer4 === IP_PROTOCOL.ICMPV6 || frame.isDhcpv6;
    case "other":
      return false;
  }
}

function endsFlow(frame: FrameView): boolean {
  const flags = frame.tcpFlags;
  return flags >= 0 && (flags & ENDS_OF_FLOW) !== 0;
}

/**
 * Lets through as much as flows in. What passes may exceed what is there by less than a frame, which is owed then: so
 * the rate holds however low it is, and large frames pass at any rate.
 */
export class TokenBucket {
  private bitsPerMs: number;
  private capacity: number;
  private bits: number;
  private filledAt = -Infinity;

  /** Begins full. */
  constructor(bitsPerSecond: number) {
    this.bitsPerMs = bitsPerSecond / 1000;
    this.bits = this.capacity = this.bitsPerMs * BURST_MS;
  }

  setRate(bitsPerSecond: number): void {
    this.bitsPerMs = bitsPerSecond / 1000;
    this.capacity = this.bitsPerMs * BURST_MS;
    this.bits = Math.min(this.bits, this.capacity);
  }

  /** @param now milliseconds of a clock that does not go back */
  take(bits: number, now: number): boolean {
    if (now > this.filledAt) {
      if (this.filledAt !== -Infinity)
        this.bits = Math.min(this.capacity, this.bits + (now - this.filledAt) * this.bitsPerMs);
      this.filledAt = now;
    }
    if (this.bits <= 0) return false;
    this.bits -= bits;
    return true;
  }
}
