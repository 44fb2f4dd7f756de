// The switch's socket for one cable. Frames enter by deliver() and leave by egress().
import type { Policy } from "../config/policy.ts";
import { DROP } from "./drop-reason.ts";
import type { MacHold, MacOwner } from "./fdb.ts";
import type { RunRewriter } from "./frame-check.ts";
import {
  emptyRun,
  type FrameRun,
  type FrameSink,
  type Port,
  releaseRun,
  shareRun,
} from "./port.ts";
import type { HubSettings } from "./hub-settings.ts";
import { PortCounters } from "./port-counters.ts";
import type { PortIdentity, PortKind } from "./port-identity.ts";
import type { PortProgram } from "./port-program.ts";
import { checksMac, KIND_RULES, macLimitOf, type PortAccess } from "./port-rules.ts";
import { runScratch } from "./run-scratch.ts";
import { isUrgent, MAX_URGENT_BYTES } from "./urgent.ts";

/** Of the tag that egress may take off. */
const TAG_BYTES = 4;

/** What a socket needs of the switch that it is built into. */
export interface Switch {
  forward(run: FrameRun, from: HubPort): void;
  /** Sends what the forwarding has put into ports. */
  flush(): void;
  /** The port was given something: it wants a flush. */
  soil(port: HubPort): void;
  detach(port: HubPort): void;
  compile(port: HubPort): PortProgram;
  readonly settings: HubSettings;
}

/** One port of a hub: the sink that the cable is plugged into, with its rules and counters. */
export class HubPort implements FrameSink, MacOwner, PortIdentity {
  readonly name: string;
  readonly kind: PortKind;
  readonly user: string;
  group: string | undefined;
  readonly remoteAddress: string | undefined;
  readonly index: number;
  readonly counters = new PortCounters();
  readonly isNetworkSession: boolean;
  readonly macHold: MacHold;
  policy: Policy;
  checksMac = false;
  macLimit = 0;
  macLimitDrops = false;
  program: PortProgram;
  /** A hub takes whatever comes: what is full is the port where it should go to. */
  readonly ready = true;
  onReady: (() => void) | undefined = undefined;
  /** False for good once the cable is pulled. */
  isAttached = true;
  /** Holds frames that wait for a flush; kept by the switch. */
  isDirty = false;
  private one: FrameRun | undefined;
  private readonly within: Switch;
  private readonly cable: Port;

  constructor(within: Switch, index: number, cable: Port, access: PortAccess) {
    this.within = within;
    this.index = index;
    this.cable = cable;
    this.name = access.name ?? cable.name;
    this.kind = access.kind;
    this.user = access.user;
    this.group = access.group;
    this.remoteAddress = access.remoteAddress;
    this.isNetworkSession = KIND_RULES[access.kind].isNetworkSession;
    this.macHold = KIND_RULES[access.kind].macHold;
    this.policy = access.policy;
    this.applyMacRules();
    this.program = within.compile(this);
  }

  /** Compiles another policy, and another group of the user; frames from now on meet them. */
  reconfigure(policy: Policy, who: { readonly group: string | undefined } = this): void {
    this.policy = policy;
    this.group = who.group;
    this.recompile();
  }

  /** The settings of the hub have changed. */
  recompile(): void {
    this.applyMacRules();
    this.program = this.within.compile(this);
  }

  private applyMacRules(): void {
    const { policy } = this;
    const limit = macLimitOf({ kind: this.kind, user: this.user, policy });
    this.macLimit = limit.macLimit;
    this.macLimitDrops = limit.macLimitDrops;
    this.checksMac = checksMac(this, this.within.settings.options);
  }

  deliver(run: FrameRun): void {
    const { ingress } = this.program;
    if (ingress.length === 0) return this.within.forward(run, this);
    const depth = runScratch.depth;
    try {
      this.within.forward(rewritten(run, ingress), this);
    } finally {
      runScratch.release(depth);
    }
  }

  flush(): void {
    this.within.flush();
  }

  /** Hands a run to the cable, or drops what can wait while the cable is full. `bytes` are without prefixes. */
  egress(run: FrameRun, bytes: number, isGroup: boolean): void {
    if (!this.cable.ready) {
      this.egressUrgent(run, isGroup);
      return;
    }
    this.counters.countEgress(isGroup, run.count, bytes);
    if (!this.isDirty) this.within.soil(this);
    this.hand(run);
  }

  /** Hands over a frame of the hub's own, uncounted; a cable that is full takes it before what waits, or loses it. */
  sendOwn(run: FrameRun): void {
    if (!this.cable.ready) {
      this.cable.deliverUrgent?.(run);
      return;
    }
    if (!this.isDirty) this.within.soil(this);
    this.hand(run);
  }

  private hand(run: FrameRun): void {
    const { egress } = this.program;
    if (egress.length === 0) return this.cable.deliver(run);
    const depth = runScratch.depth;
    try {
      this.cable.deliver(rewritten(run, egress));
    } finally {
      runScratch.release(depth);
    }
  }

  /** The few frames of a run that a full cable takes all the same; the others are dropped. */
  private egressUrgent(run: FrameRun, isGroup: boolean): void {
    const { view } = run;
    const one = (this.one ??= emptyRun(run.bytes));
    for (let at = run.start, next = at; at < run.end; at = next) {
      const size = view.getUint32(at);
      next = at + 4 + size;
      shareRun(one, run);
      one.start = at;
      one.end = next;
      one.count = 1;
      if (size <= MAX_URGENT_BYTES + TAG_BYTES && this.tookUrgent(one)) {
        this.counters.countEgress(isGroup, 1, size);
      } else {
        this.counters.drops[DROP.queue_full]! += 1;
      }
    }
    releaseRun(one);
  }

  /** Judges the frame as the cable will see it: below the tag that the hub takes off, urgency is not looked for. */
  private tookUrgent(one: FrameRun): boolean {
    const depth = runScratch.depth;
    try {
      const run = rewritten(one, this.program.egress);
      const size = run.end - run.start - 4;
      return isUrgent(run.view, run.start + 4, size) && this.cable.deliverUrgent?.(run) === true;
    } finally {
      runScratch.release(depth);
    }
  }

  /** Lets the cable send what it was given. */
  flushCable(): void {
    this.cable.flush();
  }

  /** Pulls the cable: the hub forgets all it learnt from it. May be called twice, and from within deliver(). */
  detach(): void {
    if (!this.isAttached) return;
    this.isAttached = false;
    this.within.detach(this);
  }

  /** Detaches and ends the port behind the cable. */
  close(reason: Parameters<Port["close"]>[0]): void {
    this.detach();
    this.cable.close(reason);
  }
}

function rewritten(run: FrameRun, by: readonly RunRewriter[]): FrameRun {
  let result = run;
  for (let i = 0; i < by.length; i += 1) result = by[i]!.rewrite(result);
  return result;
}
