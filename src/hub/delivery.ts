// The second half of the switch: what was admitted goes to monitoring ports and to its destinations.
import { DROP, PASS, TAKEN } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import type { FrameView } from "./frame-view.ts";
import type { HubPort } from "./hub-port.ts";
import { emptyRun, type FrameRun, releaseRun, shareRun } from "./port.ts";
import type { PortCounters } from "./port-counters.ts";
import { DROPPED, FLOOD_GROUP, NOWHERE, STATION } from "./route.ts";
import { runScratch } from "./run-scratch.ts";
import type { HubStation } from "./station.ts";

const PREFIX_BYTES = 4;
const NO_BYTES = new Uint8Array(0);

export class Delivery {
  private readonly slots: readonly (HubPort | undefined)[];
  private readonly monitors: readonly HubPort[];
  private readonly frame: FrameView;
  private readonly departed: PortCounters;
  private readonly station: HubStation;
  /** Reused runs: ports in the process may answer within deliver(). */
  private readonly passing: FrameRun[] = [];
  private level = 0;
  /** Bytes that may wait in sessions before floods spare them; 0 is any number. */
  floodQuota = 0;
  private readonly queuedBytes: () => number;

  /**
   * `slots` and `monitors` are the hub's own lists; `departed` counts what ports lost that are gone.
   * @param queuedBytes that wait in all sessions of the process
   */
  constructor(
    slots: readonly (HubPort | undefined)[],
    monitors: readonly HubPort[],
    frame: FrameView,
    departed: PortCounters,
    queuedBytes: () => number,
    station: HubStation,
  ) {
    this.queuedBytes = queuedBytes;
    this.slots = slots;
    this.monitors = monitors;
    this.frame = frame;
    this.departed = departed;
    this.station = station;
  }

  /** Sends `count` frames on, which lie at begin..end of the run being walked. */
  emit(
    from: HubPort,
    target: number,
    out: FrameRun,
    begin: number,
    end: number,
    count: number,
    isJudged: boolean,
    now: number,
  ): void {
    if (!from.isAttached) return lose(this.departed, DROP.port_closed, count);
    const { counters } = from;
    if (target <= DROPPED) return lose(counters, DROPPED - target, count);
    if (target === NOWHERE) return;
    out.start = begin;
    out.end = end;
    out.count = count;
    // What hosts answer to polls is no traffic of theirs.
    if (target === STATION) return this.station.hear(out, from);
    const isGroup = target === FLOOD_GROUP;
    const bytes = end - begin - count * PREFIX_BYTES;
    counters.countIngress(isGroup, count, bytes);
    const { frame } = this;
    frame.release();
    const to = target < 0 ? undefined : this.slots[target];
    if (target >= 0 && to === undefined) lose(counters, DROP.port_closed, count);
    for (let i = 0; i < this.monitors.length; i += 1) {
      const monitor = this.monitors[i]!;
      if (monitor.program.departure.length === 0) monitor.egress(out, bytes, isGroup);
      else this.depart(out, from, monitor, to, isGroup, isJudged, now);
    }
    if (to !== undefined) {
      if (to.program.departure.length === 0) to.egress(out, bytes, isGroup);
      else this.depart(out, from, to, to, isGroup, isJudged, now);
    }
    if (target < 0) this.flood(out, from, bytes, isGroup, isJudged, now);
    if (isGroup && this.station.listens) this.station.hear(out, from);
  }

  private flood(
    out: FrameRun,
    from: HubPort,
    bytes: number,
    isGroup: boolean,
    isJudged: boolean,
    now: number,
  ): void {
    let checked = 0;
    const sparesQueues = this.floodQuota !== 0 && this.queuedBytes() >= this.floodQuota;
    for (let i = 0; i < this.slots.length; i += 1) {
      const port = this.slots[i];
      if (port === undefined || port === from || port.kind === "monitor") continue;
      if (sparesQueues && goesByNetwork(port)) lose(port.counters, DROP.flood_quota, out.count);
      else if (port.program.departure.length === 0) port.egress(out, bytes, isGroup);
      else checked += 1;
    }
    if (checked === 0) return;
    // One frame after the other, each to all ports that ask about it: so it is looked into once.
    const { start, end, count } = out;
    for (let at = start; at < end; at = out.end) {
      out.start = at;
      out.end = at + PREFIX_BYTES + out.view.getUint32(at);
      out.count = 1;
      for (let i = 0; i < this.slots.length; i += 1) {
        const port = this.slots[i];
        if (port === undefined || port === from || port.kind === "monitor") continue;
        if (port.program.departure.length > 0 && !(sparesQueues && goesByNetwork(port)))
          this.depart(out, from, port, undefined, isGroup, isJudged, now);
      }
    }
    out.start = start;
    out.end = end;
    out.count = count;
  }

  /** Hands on to `port` what its checks let pass, in as long runs as there are. */
  private depart(
    run: FrameRun,
    from: HubPort,
    port: HubPort,
    to: HubPort | undefined,
    isGroup: boolean,
    isJudged: boolean,
    now: number,
  ): void {
    const { frame } = this;
    const { view, end } = run;
    const passing = (this.passing[this.level] ??= emptyRun(NO_BYTES));
    this.level += 1;
    try {
      let begin = run.start;
      let count = 0;
      for (let at = begin, next = at; at < end; at = next) {
        next = at + PREFIX_BYTES + view.getUint32(at);
        frame.look(view, at + PREFIX_BYTES, next);
        frame.from = from;
        frame.to = to;
        frame.isFlood = to === undefined;
        frame.isJudged = isJudged;
        const code = this.refusal(port.program.departure, now);
        if (code === PASS) {
          count += 1;
          continue;
        }
        if (code !== TAKEN) port.counters.drops[code]! += 1;
        if (count > 0) hand(run, begin, at, count, passing, port, isGroup);
        begin = next;
        count = 0;
      }
      if (count > 0) hand(run, begin, end, count, passing, port, isGroup);
    } finally {
      this.level -= 1;
    }
  }

  private refusal(checks: readonly FrameCheck[], now: number): number {
    for (let i = 0; i < checks.length; i += 1) {
      const code = checks[i]!.check(this.frame, now);
      if (code !== PASS) return code;
    }
    return PASS;
  }
}

/** Hands the `count` frames at begin..end of a run to a port, as a run of their own. */
function hand(
  run: FrameRun,
  begin: number,
  end: number,
  count: number,
  part: FrameRun,
  port: HubPort,
  isGroup: boolean,
): void {
  shareRun(part, run);
  part.start = begin;
  part.end = end;
  part.count = count;
  const depth = runScratch.depth;
  try {
    // A sink may write before the run that it is given (port.ts), and the frame there is still to go to others.
    const isAmidst = port.kind === "monitor" && begin !== run.start;
    const bytes = end - begin - count * PREFIX_BYTES;
    port.egress(isAmidst ? runScratch.copy(part) : part, bytes, isGroup);
  } finally {
    runScratch.release(depth);
    releaseRun(part);
  }
}

/** Ports whose frames wait for a socket. */
function goesByNetwork(port: HubPort): boolean {
  return port.isNetworkSession || port.kind === "cascade";
}

/** Counts frames as lost for a reason. */
export function lose(counters: PortCounters, code: number, count: number): void {
  counters.drops[code]! += count;
}
