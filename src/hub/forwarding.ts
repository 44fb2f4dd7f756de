// The way of a frame through the switch. A run is walked once and leaves in sub-runs that point into it:
// length and header -> checks on arrival -> learn the source -> look up the destination -> checks on admission -> emit.
import type { Clock } from "../base/clock.ts";
import {
  MAX_FORWARD_BYTES,
  MAX_FORWARD_DEPTH,
  MAX_FRAME_BYTES,
  MIN_FRAME_BYTES,
} from "../base/limits.ts";
import { type MacAddress, readMac } from "../base/mac.ts";
import { Delivery, lose } from "./delivery.ts";
import { DROP, PASS, TAKEN } from "./drop-reason.ts";
import { type Fdb, LEARNT, MOVED, UNLEARNT } from "./fdb.ts";
import type { FrameCheck } from "./frame-check.ts";
import { ETHERTYPE, FrameView, MIN_ETHERTYPE } from "./frame-view.ts";
import type { HubLog } from "./hub-log.ts";
import type { HubPort } from "./hub-port.ts";
import type { HubSettings } from "./hub-settings.ts";
import {
  bridgeIdAt,
  CUT,
  isBadSource,
  isGroup,
  isPause,
  lowerDestination,
  vlanIdOf,
} from "./layer2.ts";
import { emptyRun, type FrameRun, releaseRun, shareRun } from "./port.ts";
import type { PortCounters } from "./port-counters.ts";
import type { LoopGuard } from "./loop-guard.ts";
import { ETHER_TYPE_PROBE } from "./loop-probe.ts";
import { DROPPED, FLOOD, FLOOD_GROUP, NOWHERE, STATION } from "./route.ts";
import type { HubStation } from "./station.ts";
import { STATION_MAC_HIGH } from "./station-address.ts";

const PREFIX_BYTES = 4;
const NO_VLAN_YET = -2;
const NO_BYTES = new Uint8Array(0);

export class Forwarding {
  private readonly slots: readonly (HubPort | undefined)[];
  private readonly fdb: Fdb;
  private readonly log: HubLog;
  private readonly clock: Clock;
  private readonly departed: PortCounters;
  private readonly loops: LoopGuard;
  /** Last word of the station's MAC, and the first of a frame to it. */
  private readonly ownLow: number;
  private readonly ownWord0: number;
  private readonly frame = new FrameView();
  private readonly delivery: Delivery;
  /** One reused run for each depth of forwarding: ports in the process may answer within deliver(). */
  private readonly outs: FrameRun[] = [];
  depth = 0;
  private tagType: number = ETHERTYPE.VLAN;
  /** VLAN ids are part of what is learnt (option NoManageVlanId). */
  private keepsVlans = true;
  /** What is learnt of a frame of the spanning tree is the bridge that it tells of (option NoLookBPDUBridgeId). */
  private learnsBridgeIds = true;
  /** Group addresses may be sources, as in the reference (hub.md 2.7 c). */
  private allowsGroups = false;

  /** The lists are the hub's own; `departed` counts what ports lost that are gone. */
  constructor(
    lists: {
      readonly slots: readonly (HubPort | undefined)[];
      readonly monitors: readonly HubPort[];
      readonly fdb: Fdb;
    },
    deps: {
      readonly clock: Clock;
      readonly log: HubLog;
      readonly departed: PortCounters;
      readonly queuedBytes: () => number;
      readonly station: HubStation;
      readonly loops: LoopGuard;
    },
  ) {
    this.slots = lists.slots;
    this.fdb = lists.fdb;
    this.log = deps.log;
    this.clock = deps.clock;
    this.departed = deps.departed;
    this.loops = deps.loops;
    this.ownLow = deps.station.address.macLow;
    this.ownWord0 = (STATION_MAC_HIGH << 16) | (this.ownLow >>> 16);
    const { slots, monitors } = lists;
    const { departed, queuedBytes, station } = deps;
    this.delivery = new Delivery(slots, monitors, this.frame, departed, queuedBytes, station);
  }

  /** Applies the hub's options on VLAN tags, parsing, learning and floods. */
  configure({ options, compat }: HubSettings): void {
    this.tagType = options.VlanTypeId || ETHERTYPE.VLAN;
    this.keepsVlans = options.NoManageVlanId === 0;
    this.learnsBridgeIds = options.NoLookBPDUBridgeId === 0;
    this.allowsGroups = compat.has("mac-rules");
    this.frame.configure(this.tagType, options.DisableIPParsing === 0);
    this.delivery.floodQuota = options.FloodingSendQueueBufferQuota;
  }

  /**
   * Walks a run from `from`. Delayed frames come with no checks on arrival, and with what the access list has said.
   */
  enter(run: FrameRun, from: HubPort, isJudged: boolean, arrival: readonly FrameCheck[]): void {
    if (!from.isAttached) return lose(this.departed, DROP.port_closed, run.count);
    if (from.kind === "monitor") return lose(from.counters, DROP.monitor_port, run.count);
    if (this.depth === MAX_FORWARD_DEPTH) return lose(from.counters, DROP.loop, run.count);
    const out = (this.outs[this.depth] ??= emptyRun(NO_BYTES));
    this.depth += 1;
    try {
      this.walk(run, from, out, isJudged, arrival);
    } finally {
      this.depth -= 1;
      // Nothing of the giver's memory is kept.
      releaseRun(out);
      this.frame.release();
    }
  }

  private walk(
    run: FrameRun,
    from: HubPort,
    out: FrameRun,
    wasJudged: boolean,
    arrival: readonly FrameCheck[],
  ): void {
    const { view, end } = run;
    const now = this.clock.now();
    const { frame, tagType, keepsVlans, allowsGroups, ownLow } = this;
    const { admission, flooding } = from.program;
    this.fdb.expire(now);
    shareRun(out, run);
    // The sub-run that is being gathered, where it goes, and whether the access list has done with it.
    let target = NOWHERE;
    let targetJudged = wasJudged;
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
      let isJudged = wasJudged;
      if (size < MIN_FRAME_BYTES || size > MAX_FRAME_BYTES || next > end) {
        route = DROPPED - DROP.frame_length;
      } else {
        const word0 = view.getInt32(start);
        let word1 = view.getInt32(start + 4);
        let word2 = view.getInt32(start + 8);
        const type = view.getUint16(start + 12);
        let vlan = 0;
        if (type < MIN_ETHERTYPE || type === ETHERTYPE.VLAN || type === tagType) {
          vlan = vlanIdOf(view, start, size, type, tagType);
          if (vlan !== CUT && !keepsVlans) vlan = 0;
          const mayTell = type < MIN_ETHERTYPE && vlan !== CUT && this.learnsBridgeIds;
          const bridge = mayTell ? bridgeIdAt(view, start, type) : -1;
          if (bridge >= 0) {
            word1 = (word1 & 0xffff0000) | view.getUint16(bridge);
            word2 = view.getInt32(bridge + 2);
          }
        }
        route = PASS;
        const isStation = (word1 & 0xffff) === STATION_MAC_HIGH;
        // Before all checks, since a port that is shut has to be heard, and no rule may hide a loop.
        if (isStation && type === ETHER_TYPE_PROBE && word2 !== ownLow)
          this.loops.heard(run.bytes.subarray(start, next), from);
        if (isStation && word2 === ownLow) {
          route = this.returned(run, start, next, from, now);
          lastVlan = NO_VLAN_YET;
        } else if (arrival.length > 0) {
          if (vlan === CUT) route = DROPPED - DROP.frame_header;
          else if (isBadSource(word0, word1, word2, allowsGroups)) route = DROPPED - DROP.src_mac;
          else {
            frame.aim(view, start, next, type);
            frame.from = from;
            frame.to = undefined;
            frame.isFlood = false;
            frame.isJudged = wasJudged;
            route = this.ask(arrival, from, now);
            isJudged = frame.isJudged;
          }
        }
        if (route !== PASS) {
          // Decided on arrival.
        } else if (word0 === last0 && word1 === last1 && word2 === last2 && vlan === lastVlan) {
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
        const isFlood = route === FLOOD || route === FLOOD_GROUP;
        const checks = isFlood ? flooding : admission;
        if (checks.length > 0 && route > DROPPED && route !== NOWHERE) {
          frame.look(view, start, next);
          frame.from = from;
          frame.isFlood = isFlood;
          frame.to = route < 0 ? undefined : this.slots[route];
          frame.isJudged = isJudged;
          const answer = this.ask(checks, from, now);
          if (answer !== PASS) route = answer;
        }
      }
      if (route !== target || isJudged !== targetJudged || next - begin > MAX_FORWARD_BYTES) {
        if (count > 0) {
          this.delivery.emit(from, target, out, begin, at, count, targetJudged, now);
          // Ports may have come, gone or answered meanwhile: decide afresh.
          lastVlan = NO_VLAN_YET;
        }
        target = route;
        targetJudged = isJudged;
        begin = at;
        count = 0;
      }
      count += 1;
      at = next;
    }
    if (count > 0) this.delivery.emit(from, target, out, begin, at, count, targetJudged, now);
  }

  /** A frame with the hub's own MAC as source: a probe that has come round, or forged. */
  private returned(
    { bytes }: FrameRun,
    start: number,
    end: number,
    from: HubPort,
    now: number,
  ): number {
    if (this.loops.returned(bytes.subarray(start, end), from)) return NOWHERE;
    this.log.refused(DROP.mac_spoof, from.name, readMac(bytes, start + 6), now);
    return DROPPED - DROP.mac_spoof;
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
    if (isBadSource(word0, word1, word2, this.allowsGroups)) return DROPPED - DROP.src_mac;
    if (isPause(word0, word1)) return DROPPED - DROP.pause_frame;

    const srcHigh = word1 & 0xffff;
    const learnt = this.fdb.learn(from, srcHigh, word2, vlan, now);
    if (learnt !== PASS) {
      const mac = (srcHigh * 2 ** 32 + (word2 >>> 0)) as MacAddress;
      if (learnt === UNLEARNT) {
        from.counters.unlearnt += 1;
      } else if (learnt === LEARNT) {
        this.log.registered(mac, vlan, from.name, now);
      } else if (learnt === MOVED) {
        // The station of another hub is behind each of two ways to it, in turns.
        if (srcHigh !== STATION_MAC_HIGH)
          this.log.moved(mac, vlan, this.slots[this.fdb.movedFrom]?.name, from.name, now);
      } else {
        this.log.refused(learnt, from.name, mac, now);
        return DROPPED - learnt;
      }
    }
    if (isGroup(word0)) return FLOOD_GROUP;
    if (word0 === this.ownWord0 && word1 >>> 16 === (this.ownLow & 0xffff)) return STATION;
    const owner = this.fdb.lookup(word0 >>> 16, lowerDestination(word0, word1), vlan);
    if (owner < 0) return FLOOD;
    return owner === from.index ? DROPPED - DROP.same_port : owner;
  }

  /** Asks checks about the frame at hand: PASS, NOWHERE if one has taken it, or where it ends. */
  private ask(checks: readonly FrameCheck[], from: HubPort, now: number): number {
    for (let i = 0; i < checks.length; i += 1) {
      const code = checks[i]!.check(this.frame, now);
      if (code === PASS) continue;
      if (code === TAKEN) return NOWHERE;
      this.log.refused(code, from.name, this.frame.source, now);
      return DROPPED - code;
    }
    return PASS;
  }
}
