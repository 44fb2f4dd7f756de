// The switch's socket for one cable. Frames enter by deliver() and leave by egress().
import { DROP } from "./drop-reason.ts";
import type { MacHold, MacOwner } from "./fdb.ts";
import { type FrameCheck, IpLimit } from "./ip-limit.ts";
import type { IpTable } from "./ip-table.ts";
import { emptyRun, type FrameRun, type FrameSink, type Port } from "./port.ts";
import { PortCounters } from "./port-counters.ts";
import { isUrgent } from "./urgent.ts";
import {
  ipLimitsOf,
  KIND_RULES,
  macLimitOf,
  type PortAccess,
  type PortKind,
} from "./port-rules.ts";

const NO_BYTES = new Uint8Array(0);

/** What a socket needs of the switch that it is built into. */
export interface Switch {
  forward(run: FrameRun, from: HubPort): void;
  /** Sends what the forwarding has put into ports. */
  flush(): void;
  /** The port was given something: it wants a flush. */
  soil(port: HubPort): void;
  detach(port: HubPort): void;
}

/** One port of a hub: the sink that the cable is plugged into, with its rules and counters. */
export class HubPort implements FrameSink, MacOwner {
  readonly name: string;
  readonly kind: PortKind;
  readonly user: string;
  readonly index: number;
  readonly counters = new PortCounters();
  readonly isNetworkSession: boolean;
  readonly macHold: MacHold;
  checksMac = false;
  macLimit = 0;
  macLimitDrops = false;
  /** Checks that look past the two addresses; empty when nothing is switched on. */
  admission: readonly FrameCheck[] = [];
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
  private readonly ipTable: IpTable;

  constructor(within: Switch, ipTable: IpTable, index: number, cable: Port, access: PortAccess) {
    this.within = within;
    this.ipTable = ipTable;
    this.index = index;
    this.cable = cable;
    this.name = cable.name;
    this.kind = access.kind;
    this.user = access.user;
    this.isNetworkSession = KIND_RULES[access.kind].isNetworkSession;
    this.macHold = KIND_RULES[access.kind].macHold;
    this.reconfigure(access.policy);
  }

  /** Compiles another policy; frames from now on meet it. */
  reconfigure(policy: PortAccess["policy"]): void {
    const limit = macLimitOf({ kind: this.kind, user: this.user, policy });
    this.macLimit = limit.macLimit;
    this.macLimitDrops = limit.macLimitDrops;
    this.checksMac = KIND_RULES[this.kind].checksMac || policy.check_mac;
    const ip = ipLimitsOf(policy);
    this.admission =
      ip.ipv4 === Infinity && ip.ipv6 === Infinity
        ? []
        : [new IpLimit(this.ipTable, this.index, ip)];
  }

  deliver(run: FrameRun): void {
    this.within.forward(run, this);
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
    this.cable.deliver(run);
  }

  /** The few frames of a run that a full cable takes all the same; the others are dropped. */
  private egressUrgent(run: FrameRun, isGroup: boolean): void {
    const { view } = run;
    const one = (this.one ??= emptyRun(run.bytes));
    one.bytes = run.bytes;
    one.view = view;
    one.count = 1;
    for (let at = run.start; at < run.end; at = one.end) {
      const size = view.getUint32(at);
      one.start = at;
      one.end = at + 4 + size;
      if (isUrgent(view, at + 4, size) && this.cable.deliverUrgent?.(one) === true) {
        this.counters.countEgress(isGroup, 1, size);
      } else {
        this.counters.drops[DROP.queue_full]! += 1;
      }
    }
    one.bytes = NO_BYTES;
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
