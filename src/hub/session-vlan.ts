// The VLAN of a session (hub.md 2.12): what it sends gets a tag, it gets the frames of that VLAN alone, without it.
import { MIN_FRAME_BYTES } from "../base/limits.ts";
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck, RunRewriter } from "./frame-check.ts";
import { ETHERTYPE, type FrameView } from "./frame-view.ts";
import type { FrameRun } from "./port.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";
import { runScratch } from "./run-scratch.ts";

const PREFIX_BYTES = 4;
const TAG_BYTES = 4;
/** Where a tag stands: behind both addresses. */
const TAG_AT = 12;
const VLAN_ID_BITS = 0xfff;

interface SessionVlan {
  /** Puts the tag on, also on frames that have one already. */
  readonly ingress: readonly RunRewriter[];
  /** Lets frames pass whose outer tag is this one, to monitoring ports as well. */
  readonly departure: readonly FrameCheck[];
  /** Takes the tag off. */
  readonly egress: readonly RunRewriter[];
}

const OFF: SessionVlan = { ingress: [], departure: [], egress: [] };

/** Of a port whose policy has a VLAN id. */
export function sessionVlan({ policy }: PortIdentity, { settings }: HubParts): SessionVlan {
  const id = policy.vlan_id;
  if (id === 0) return OFF;
  const tagType = settings.options.VlanTypeId || ETHERTYPE.VLAN;
  return {
    ingress: [new Tagger(tagType, id)],
    departure: [new VlanCheck(tagType, id)],
    egress: [new Untagger(tagType, id)],
  };
}

class VlanCheck implements FrameCheck {
  private readonly tagType: number;
  private readonly id: number;

  constructor(tagType: number, id: number) {
    this.tagType = tagType;
    this.id = id;
  }

  check(frame: FrameView): number {
    return isTagged(frame.view, frame.start, frame.end, this.tagType, this.id)
      ? PASS
      : DROP.vlan_id;
  }
}

class Tagger implements RunRewriter {
  private readonly tag: number;

  constructor(tagType: number, id: number) {
    this.tag = tagType * 2 ** 16 + id;
  }

  rewrite(run: FrameRun): FrameRun {
    const added = run.count * TAG_BYTES;
    const out = runScratch.take(run.end - run.start + added);
    const { bytes, view } = out;
    // The frames are put behind the room that all tags take, and move up one after the other.
    bytes.set(run.bytes.subarray(run.start, run.end), out.start + added);
    const end = out.start + added + run.end - run.start;
    let to = out.start;
    for (let at = out.start + added; at + PREFIX_BYTES <= end;) {
      const size = view.getUint32(at);
      const next = Math.min(at + PREFIX_BYTES + size, end);
      const rest = at + PREFIX_BYTES + TAG_AT;
      if (size < MIN_FRAME_BYTES || at + PREFIX_BYTES + size > end) {
        // The switch drops it, and counts.
        bytes.copyWithin(to, at, next);
        to += next - at;
      } else {
        bytes.copyWithin(to, at, rest);
        view.setUint32(to, size + TAG_BYTES);
        view.setUint32(to + PREFIX_BYTES + TAG_AT, this.tag);
        bytes.copyWithin(to + PREFIX_BYTES + TAG_AT + TAG_BYTES, rest, next);
        to += next - at + TAG_BYTES;
      }
      at = next;
    }
    out.end = to;
    out.count = run.count;
    return out;
  }
}

class Untagger implements RunRewriter {
  private readonly tagType: number;
  private readonly id: number;

  constructor(tagType: number, id: number) {
    this.tagType = tagType;
    this.id = id;
  }

  rewrite(run: FrameRun): FrameRun {
    const out = runScratch.copy(run);
    const { bytes, view, end } = out;
    let to = out.start;
    for (let at = out.start; at < end;) {
      const size = view.getUint32(at);
      const start = at + PREFIX_BYTES;
      const next = start + size;
      const rest = start + TAG_AT;
      // Frames of the hub itself come without a tag.
      if (isTagged(view, start, next, this.tagType, this.id)) {
        bytes.copyWithin(to, at, rest);
        view.setUint32(to, size - TAG_BYTES);
        bytes.copyWithin(to + PREFIX_BYTES + TAG_AT, rest + TAG_BYTES, next);
        to += PREFIX_BYTES + size - TAG_BYTES;
      } else {
        bytes.copyWithin(to, at, next);
        to += next - at;
      }
      at = next;
    }
    out.end = to;
    return out;
  }
}

function isTagged(view: DataView, start: number, end: number, type: number, id: number): boolean {
  return (
    start + TAG_AT + TAG_BYTES + 2 <= end &&
    view.getUint16(start + TAG_AT) === type &&
    (view.getUint16(start + TAG_AT + 2) & VLAN_ID_BITS) === id
  );
}
