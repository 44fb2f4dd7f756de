// The virtual switch: its ports, its tables, and the forwarding between them.
import type { Clock } from "../base/clock.ts";
import { VpnError } from "../base/errors.ts";
import type { IpAddress } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import { type Random, systemRandom } from "../base/random.ts";
import type { Log } from "../observe/log.ts";
import { AccessList } from "./access/access-list.ts";
import type { PacketSink } from "../observe/packet-record.ts";
import { LocalMacs } from "../platform/local-macs.ts";
import { DirtyPorts } from "./dirty-ports.ts";
import { DelayLine, type DelayedFrame } from "./delay-line.ts";
import { Fdb, type FdbEntry } from "./fdb.ts";
import { Forwarding } from "./forwarding.ts";
import { HubLog } from "./hub-log.ts";
import { HubPort, type Switch } from "./hub-port.ts";
import { type LoopBlock, LoopGuard, SHUT_PROGRAM } from "./loop-guard.ts";
import { HubStation, type StationOutlet } from "./station.ts";
import { type StationAddress, stationAddress } from "./station-address.ts";
import { IpCounts, type IpFamily } from "./ip-counts.ts";
import { type IpEntry, IpTable } from "./ip-table.ts";
import { type CloseReason, emptyRun, type FrameRun, type Port } from "./port.ts";
import { type CounterRecord, PortCounters } from "./port-counters.ts";
import type { FrameCheck } from "./frame-check.ts";
import { DEFAULT_HUB_SETTINGS, type HubSettings } from "./hub-settings.ts";
import { PacketLog } from "./packet-log/packet-log.ts";
import type { PortIdentity } from "./port-identity.ts";
import { compilePort, type HubParts, type PortProgram } from "./port-program.ts";
import type { PortAccess } from "./port-rules.ts";

const PREFIX_BYTES = 4;
const NO_CHECKS: readonly FrameCheck[] = [];

/** An entry of the forwarding database; times are milliseconds of the monotonic clock. */
export interface MacTableEntry extends Omit<FdbEntry, "port"> {
  readonly port: HubPort;
}

/** An entry of the IP table. */
export interface IpTableEntry extends Omit<IpEntry, "port"> {
  readonly port: HubPort;
}

export class Hub implements Switch {
  readonly name: string;
  settings: HubSettings;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly log: HubLog;
  /** Where parts of the hub tell of themselves what is not about frames. */
  private readonly plainLog: Log;
  /** By index, which is what tables hold; a place is empty after its port has left. */
  private readonly slots: (HubPort | undefined)[] = [];
  private readonly monitors: HubPort[] = [];
  private readonly fdb: Fdb;
  private readonly ips: IpTable;
  private readonly ipCounts: IpCounts;
  private readonly station: HubStation;
  private readonly loops: LoopGuard;
  private readonly mayPoll: boolean;
  private readonly forwarding: Forwarding;
  private readonly dirty = new DirtyPorts();
  private readonly delays: DelayLine<HubPort>;
  private readonly packetLog: PacketLog | undefined;
  private access: AccessList | undefined;
  private parts: HubParts;
  /** What ports counted that have left. */
  private readonly departed = new PortCounters();
  private readonly isLocalMac: (mac: MacAddress) => boolean;
  private isClosed = false;

  constructor(options: {
    name: string;
    clock: Clock;
    log: Log;
    random?: Random;
    settings?: HubSettings;
    packetSink?: PacketSink | undefined;
    /** Tells interfaces of this computer; by asking the system unless given. */
    isLocalMac?: (mac: MacAddress) => boolean;
    /** Bytes that wait in all sessions of the process. */
    queuedBytes?: () => number;
    /** What tells servers apart: with the name it makes the MAC of the hub's own station. A random one unless given. */
    serverId?: string;
    /** False for hubs that never ask hosts whether they are there: those of the bridge edition (hub.md 2.1). */
    polls?: boolean;
  }) {
    this.name = options.name;
    this.clock = options.clock;
    this.random = options.random ?? systemRandom;
    this.log = new HubLog(options.name, options.log);
    this.plainLog = options.log;
    this.settings = options.settings ?? DEFAULT_HUB_SETTINGS;
    const seeds = new DataView(this.random.bytes(12).buffer);
    this.fdb = new Fdb(this.slots, seeds.getInt32(0));
    this.ips = new IpTable(seeds.getInt32(4));
    this.ipCounts = new IpCounts(seeds.getInt32(8));
    const { slots, monitors, fdb, clock, log, departed, random } = this;
    const outlet = this.makeOutlet();
    const address = stationAddress(options.serverId ?? random.bytes(16).toHex(), options.name);
    const station = new HubStation(address, { clock, table: this.ips, outlet });
    const loops = new LoopGuard(address.mac, {
      clock,
      random,
      log,
      outlet,
      changed: ({ index }) => this.slots[index]?.recompile(),
      forget: ({ index }) => {
        this.fdb.removePort(index);
        this.ips.removePort(index);
      },
    });
    this.mayPoll = options.polls ?? true;
    this.station = station;
    this.loops = loops;
    const queuedBytes = options.queuedBytes ?? (() => 0);
    const deps = { clock, log, departed, queuedBytes, station, loops };
    this.forwarding = new Forwarding({ slots, monitors, fdb }, deps);
    this.delays = new DelayLine(
      options.clock,
      (delayed) => this.forwardDelayed(delayed),
      () => this.flush(),
    );
    const { packetSink } = options;
    this.packetLog = packetSink && new PacketLog(packetSink, clock);
    const localMacs = new LocalMacs(clock);
    this.isLocalMac = options.isLocalMac ?? ((mac) => localMacs.has(mac));
    this.configureTables();
    this.parts = this.makeParts();
  }

  /** Applies other settings to the ports that are there and to those to come. */
  reconfigure(settings: HubSettings): void {
    this.settings = settings;
    this.configureTables();
    this.parts = this.makeParts();
    for (const port of this.ports) port.recompile();
  }

  private configureTables(): void {
    const { settings } = this;
    this.forwarding.configure(settings);
    this.fdb.configure(settings);
    this.log.configure(settings.options);
    this.ips.isLazy = settings.compat.has("mac-rules");
    this.station.configure(settings, this.mayPoll);
    this.loops.switch(!settings.compat.has("loop-probe"));
  }

  private accessFor(settings: HubSettings): AccessList {
    if (this.access?.isFor(settings)) return this.access;
    this.access?.close();
    const { clock, random, plainLog: log } = this;
    return (this.access = new AccessList(settings, { clock, random, log }));
  }

  private makeParts(): HubParts {
    const { settings, clock, random, log, fdb, ips: ipTable, ipCounts } = this;
    return {
      settings,
      access: this.accessFor(settings),
      clock,
      random,
      log,
      fdb,
      ipTable,
      ipCounts,
      portAt: (index) => this.slots[index],
      packetLog: this.packetLog,
      isLocalMac: this.isLocalMac,
      park: (frame, delayMs) => {
        const from = this.slots[frame.from?.index ?? -1];
        return from !== undefined && this.delays.add(frame, from, delayMs);
      },
      send: (frame, to) => this.send(frame, to),
    };
  }

  compile(port: HubPort): PortProgram {
    const isShut = this.loops.blockOf(port) !== undefined;
    return isShut ? SHUT_PROGRAM : compilePort(port, this.parts);
  }

  forward(run: FrameRun, from: HubPort): void {
    this.forwarding.enter(run, from, false, from.program.arrival);
  }

  private forwardDelayed({ run, from, isJudged }: DelayedFrame<HubPort>): void {
    const isShut = this.loops.blockOf(from) !== undefined;
    this.forwarding.enter(run, from, isJudged, isShut ? SHUT_PROGRAM.arrival : NO_CHECKS);
  }

  /** Sends a frame of the hub's own to one port, past all checks; `frame` is without a size prefix. */
  private send(frame: Uint8Array, to: PortIdentity): void {
    const port = this.slots[to.index];
    if (port === undefined || port.name !== to.name) return;
    port.egress(runOfOne(frame), frame.length, (frame[0]! & 1) !== 0);
    // Within a delivery the flush of the outer event does it.
    this.flush();
  }

  private makeOutlet(): StationOutlet {
    return {
      send: (frame, index) => this.slots[index]?.sendOwn(runOfOne(frame)),
      flush: () => this.flush(),
    };
  }

  /** What the hub itself is called on its segment. */
  get address(): StationAddress {
    return this.station.address;
  }

  /** Why nothing passes the port, if it closes a loop. */
  blockOf(port: HubPort): LoopBlock | undefined {
    return this.loops.blockOf(port);
  }

  soil(port: HubPort): void {
    this.dirty.add(port);
  }

  /** Lets ports send what they were given. Within a delivery the flush of the outer event does it. */
  flush(): void {
    if (this.forwarding.depth === 0) this.dirty.flush();
  }

  /** Builds a socket and plugs the port into it. */
  attach(port: Port, access: PortAccess): HubPort {
    if (this.isClosed)
      throw new VpnError("hub_closed", `Cannot attach ${port.name}: hub ${this.name} is closed`);
    // A place that fell empty during a delivery may still be the target of frames on their way.
    const free = this.forwarding.depth > 0 ? -1 : this.slots.indexOf(undefined);
    const index = free < 0 ? this.slots.length : free;
    const hubPort = new HubPort(this, index, port, access);
    this.slots[index] = hubPort;
    if (hubPort.kind === "monitor") this.monitors.push(hubPort);
    this.loops.attach(hubPort);
    port.plug(hubPort);
    return hubPort;
  }

  /** Forgets a port; HubPort.detach() calls it. */
  detach(port: HubPort): void {
    this.slots[port.index] = undefined;
    const monitor = this.monitors.indexOf(port);
    if (monitor >= 0) this.monitors.splice(monitor, 1);
    this.loops.detach(port);
    this.fdb.removePort(port.index);
    this.ips.removePort(port.index);
    this.ipCounts.removePort(port.index);
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

  /** The port behind which a MAC without a VLAN is. */
  portOf(mac: MacAddress): HubPort | undefined {
    this.fdb.expire(this.clock.now());
    return this.slots[this.fdb.lookup(Math.floor(mac / 2 ** 32), mac | 0, 0)];
  }

  /** Forgets one MAC; false if it is not known. */
  removeMac(mac: MacAddress, vlanId: number): boolean {
    return this.fdb.remove(mac, vlanId);
  }

  /** Addresses and the ports that they are behind, the one heard last first. */
  ipTable(): IpTableEntry[] {
    return this.ips.list(this.clock.now()).flatMap((entry) => {
      const port = this.slots[entry.port];
      return port === undefined ? [] : [{ ...entry, port }];
    });
  }

  /** Forgets one address; false if it is not known. */
  removeIp(address: IpAddress): boolean {
    return this.ips.remove(address, this.clock.now());
  }

  /** The host behind one port has come back behind another: what it owned there is free for it (hub.md 5.7). */
  handOver(from: HubPort, to: HubPort): void {
    if (!from.isAttached || !to.isAttached) return;
    this.fdb.removePort(from.index);
    this.ips.handOver(from.index, to.index, this.clock.now());
  }

  /** Addresses that count against the limit of a port; 0 where there is no limit. */
  ipCount(port: HubPort, family: IpFamily): number {
    return port.isAttached ? this.ipCounts.countOf(port.index, family, this.clock.now()) : 0;
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
    this.delays.close();
    this.packetLog?.close();
    this.station.close();
    this.loops.close();
    this.access?.close();
    for (const port of this.ports) port.close(reason);
  }
}

function runOfOne(frame: Uint8Array): FrameRun {
  const run = emptyRun(new Uint8Array(PREFIX_BYTES + frame.length));
  run.view.setUint32(0, frame.length);
  run.bytes.set(frame, PREFIX_BYTES);
  run.end = run.bytes.length;
  run.count = 1;
  return run;
}
