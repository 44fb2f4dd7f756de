// The virtual switch. A run enters at forward(), is walked once, and leaves in sub-runs that point into it:
// length and header -> learn the source -> look up the destination -> checks of the port -> emit.
import type { Clock } from "../base/clock.ts";
import { VpnError } from "../base/errors.ts";
import {
  MAX_FORWARD_BYTES,
  MAX_FORWARD_DEPTH,
  MAX_FRAME_BYTES,
  MIN_FRAME_BYTES,
} from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import { type Random, systemRandom } from "../base/random.ts";
import type { Log } from "../observe/log.ts";
import { DirtyPorts } from "./dirty-ports.ts";
import { DROP, PASS } from "./drop-reason.ts";
import { Fdb, type FdbEntry, MOVED, UNLEARNT } from "./fdb.ts";
import { ETHERTYPE, FrameView, MIN_ETHERTYPE } from "./frame-view.ts";
import { HubLog } from "./hub-log.ts";
import { HubPort, type Switch } from "./hub-port.ts";
import { type IpFamily, IpTable } from "./ip-table.ts";
import { CUT, isBadSource, isGroup, isPause, lowerDestination, vlanIdOf } from "./layer2.ts";
import { type CloseReason, emptyRun, type FrameRun, type Port } from "./port.ts";
import { type CounterRecord, PortCounters } from "./port-counters.ts";
import type { PortAccess } from "./port-rules.ts";

// Where frames go: the index of a port, or one of these. Drop code c is DROPPED - c.
const FLOOD = -1;
const FLOOD_GROUP = -2;
const NOWHERE = -3;
const DROPPED = -16;

const PREFIX_BYTES = 4;
const NO_VLAN_YET = -2;
const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

/** An entry of the forwarding database; times are milliseconds of the monotonic clock. */
export interface MacTableEntry extends Omit<FdbEntry, "port"> {
  readonly port: HubPort;
}

export class Hub implements Switch {
  readonly name: string;
  private readonly clock: Clock;
  private readonly log: HubLog;
  /** By index, which is what tables hold; a place is empty after its port has left. */
  private readonly slots: (HubPort | undefined)[] = [];
  private readonly monitors: HubPort[] = [];
  private readonly fdb: Fdb;
  private readonly ipTable: IpTable;
  private readonly frame = new FrameView();
  private readonly dirty = new DirtyPorts();
  /** What ports counted that have left. */
  private readonly departed = new PortCounters();
  /** One reused run for each depth of forwarding: ports in the process may answer within deliver(). */
  private readonly outs: FrameRun[] = [];
  private depth = 0;
  private isClosed = false;

  constructor(options: { name: string; clock: Clock; log: Log; random?: Random }) {
    this.name = options.name;
    this.clock = options.clock;
    this.log = new HubLog(options.name, options.log);
    const seeds = new DataView((options.random ?? systemRandom).bytes(8).buffer);
    this.fdb = new Fdb(this.slots, seeds.getInt32(0));
    this.ipTable = new IpTable(seeds.getInt32(4));
  }

  forward(run: FrameRun, from: HubPort): void {
    if (!from.isAttached) return this.lose(this.departed, DROP.port_closed, run.count);
    if (from.kind === "monitor") return this.lose(from.counters, DROP.monitor_port, run.count);
    if (this.depth === MAX_FORWARD_DEPTH) return this.lose(from.counters, DROP.loop, run.count);
    const out = (this.outs[this.depth] ??= emptyRun(NO_BYTES));
    this.depth += 1;
    try {
      this.walk(run, from, out);
    } finally {
      this.depth -= 1;
      // Nothing of the giver's memory is kept.
      out.bytes = NO_BYTES;
      out.view = NO_VIEW;
      this.frame.view = NO_VIEW;
    }
  }

  private walk(run: FrameRun, from: HubPort, out: FrameRun): void {
    const { view, end } = run;
    const now = this.clock.now();
    this.fdb.expire(now);
    out.bytes = run.bytes;
    out.view = view;
    // The sub-run that is being gathered, and where it goes.
    let target = NOWHERE;
    let begin = run.start;
    let count = 0;
    // The header words of the frame before, and what was decided for it.
    let last0 = 0;
    let last1 = 0;
    let last2 = 0;
    let lastVlan = NO_VLAN_YET;
    let lastRoute = NOWHERE;

    let at = begin;
    while (at + PREFIX_BYTES <= end) {
      const start = at + PREFIX_BYTES;
      const size = view.getUint32(at);
      const next = start + size;
      let route: number;
      if (size < MIN_FRAME_BYTES || size > MAX_FRAME_BYTES || next > end) {
        route = DROPPED - DROP.frame_length;
      } else {
        const word0 = view.getInt32(start);
        const word1 = view.getInt32(start + 4);
        const word2 = view.getInt32(start + 8);
        const type = view.getUint16(start + 12);
        const vlan =
          type >= MIN_ETHERTYPE && type !== ETHERTYPE.VLAN ? 0 : vlanIdOf(view, start, size, type);
        if (word0 === last0 && word1 === last1 && word2 === last2 && vlan === lastVlan) {
          route = lastRoute;
        } else {
          route =
            vlan === CUT
              ? DROPPED - DROP.frame_header
              : this.route(from, word0, word1, word2, vlan, now);
          last0 = word0;
          last1 = word1;
          last2 = word2;
          lastVlan = vlan;
          lastRoute = route;
        }
        if (from.admission.length > 0 && route > DROPPED) {
          this.frame.aim(view, start, next, type);
          route = this.admit(from, route, now);
        }
      }
      if (route !== target || next - begin > MAX_FORWARD_BYTES) {
        if (count > 0) {
          this.emit(from, target, out, begin, at, count);
          // Ports may have come, gone or answered meanwhile: decide afresh.
          lastVlan = NO_VLAN_YET;
        }
        target = route;
        begin = at;
        count = 0;
      }
      count += 1;
      at = next;
    }
    if (count > 0) this.emit(from, target, out, begin, at, count);
  }

  /** Learns the source of a frame and says where it goes. */
  private route(
    from: HubPort,
    word0: number,
    word1: number,
    word2: number,
    vlan: number,
    now: number,
  ): number {
    if (!from.isAttached) return DROPPED - DROP.port_closed;
    if (isBadSource(word0, word1, word2)) return DROPPED - DROP.src_mac;
    if (isPause(word0, word1)) return DROPPED - DROP.pause_frame;

    const srcHigh = word1 & 0xffff;
    const learnt = this.fdb.learn(from, srcHigh, word2, vlan, now);
    if (learnt !== PASS) {
      const mac = (srcHigh * 2 ** 32 + (word2 >>> 0)) as MacAddress;
      if (learnt === UNLEARNT) {
        from.counters.unlearnt += 1;
      } else if (learnt === MOVED) {
        this.log.moved(mac, vlan, this.slots[this.fdb.movedFrom]?.name, from.name, now);
      } else {
        this.log.refused(learnt, from.name, mac, now);
        return DROPPED - learnt;
      }
    }
    if (isGroup(word0)) return FLOOD_GROUP;
    const owner = this.fdb.lookup(word0 >>> 16, lowerDestination(word0, word1), vlan);
    if (owner < 0) return FLOOD;
    return owner === from.index ? DROPPED - DROP.same_port : owner;
  }

  /** Asks the port's checks about the frame at hand; answers `route`, or where it ends. */
  private admit(from: HubPort, route: number, now: number): number {
    const { admission } = from;
    for (let i = 0; i < admission.length; i += 1) {
      const code = admission[i]!.check(this.frame, now);
      if (code === PASS) continue;
      this.log.refused(code, from.name, this.frame.source, now);
      return DROPPED - code;
    }
    return route;
  }

  /** Sends `count` frames on, which lie at begin..end of the run being walked. */
  private emit(
    from: HubPort,
    target: number,
    out: FrameRun,
    begin: number,
    end: number,
    count: number,
  ): void {
    if (!from.isAttached) return this.lose(this.departed, DROP.port_closed, count);
    const { counters } = from;
    if (target <= DROPPED) return this.lose(counters, DROPPED - target, count);
    const isGroup = target === FLOOD_GROUP;
    const bytes = end - begin - count * PREFIX_BYTES;
    counters.countIngress(isGroup, count, bytes);
    out.start = begin;
    out.end = end;
    out.count = count;
    for (let i = 0; i < this.monitors.length; i += 1) this.monitors[i]!.egress(out, bytes, isGroup);
    if (target >= 0) {
      const port = this.slots[target];
      if (port === undefined) this.lose(counters, DROP.port_closed, count);
      else port.egress(out, bytes, isGroup);
      return;
    }
    for (let i = 0; i < this.slots.length; i += 1) {
      const port = this.slots[i];
      if (port !== undefined && port !== from && port.kind !== "monitor")
        port.egress(out, bytes, isGroup);
    }
  }

  private lose(counters: PortCounters, code: number, count: number): void {
    counters.drops[code]! += count;
  }

  soil(port: HubPort): void {
    this.dirty.add(port);
  }

  /** Lets ports send what they were given. Within a delivery the flush of the outer event does it. */
  flush(): void {
    if (this.depth === 0) this.dirty.flush();
  }

  /** Builds a socket and plugs the port into it. */
  attach(port: Port, access: PortAccess): HubPort {
    if (this.isClosed)
      throw new VpnError("hub_closed", `Cannot attach ${port.name}: hub ${this.name} is closed`);
    // A place that fell empty during a delivery may still be the target of frames on their way.
    const free = this.depth > 0 ? -1 : this.slots.indexOf(undefined);
    const index = free < 0 ? this.slots.length : free;
    const hubPort = new HubPort(this, this.ipTable, index, port, access);
    this.slots[index] = hubPort;
    if (hubPort.kind === "monitor") this.monitors.push(hubPort);
    port.plug(hubPort);
    return hubPort;
  }

  /** Forgets a port; HubPort.detach() calls it. */
  detach(port: HubPort): void {
    this.slots[port.index] = undefined;
    const monitor = this.monitors.indexOf(port);
    if (monitor >= 0) this.monitors.splice(monitor, 1);
    this.fdb.removePort(port.index);
    this.ipTable.removePort(port.index);
    this.departed.add(port.counters);
  }

  get ports(): HubPort[] {
    return this.slots.filter((port) => port !== undefined);
  }

  /** Entries of the forwarding database that still forward, the one heard last first. */
  macTable(): MacTableEntry[] {
    return this.fdb.list(this.clock.now()).flatMap((entry) => {
      const port = this.slots[entry.port];
      return port === undefined ? [] : [{ ...entry, port }];
    });
  }

  /** Forgets one MAC; false if it is not known. */
  removeMac(mac: MacAddress, vlanId: number): boolean {
    return this.fdb.remove(mac, vlanId);
  }

  /** Addresses that count against the limit of a port; 0 where there is no limit. */
  ipCount(port: HubPort, family: IpFamily): number {
    return port.isAttached ? this.ipTable.countOf(port.index, family, this.clock.now()) : 0;
  }

  /** All ports together, those that have left included; ingress is what ports sent into the hub. */
  totals(): CounterRecord {
    const sum = new PortCounters();
    sum.add(this.departed);
    for (const port of this.ports) sum.add(port.counters);
    return sum.record();
  }

  /** Ends every port; nothing can be attached afterwards. May be called twice. */
  close(reason: CloseReason = { code: "hub_closed" }): void {
    this.isClosed = true;
    for (const port of this.ports) port.close(reason);
  }
}
