// A kernel's TCP on one side of a cable that loses, doubles and holds frames by a script, and on the other side either
// SecureNAT's machine in this process or another kernel: what the two do can be compared.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { readMac } from "../../src/base/mac.ts";
import { systemClock } from "../../src/base/clock.ts";
import { type MacAddress } from "../../src/base/mac.ts";
import { systemRandom } from "../../src/base/random.ts";
import { DevicePort } from "../../src/bridge/device-port.ts";
import type { FrameRun, FrameSink } from "../../src/hub/port.ts";
import { outbox } from "../../src/ip-host/outbox.ts";
import type { PacketView } from "../../src/ip-host/packet-view.ts";
import { SoftwarePort } from "../../src/ip-host/software-port.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../../src/platform/packet-memory.ts";
import { sharedPoller } from "../../src/platform/shared-poller.ts";
import { openTap } from "../../src/platform/tap.ts";
import type { TcpConnection } from "../../src/secure-nat/tcp/tcp-connection.ts";
import type { TcpState } from "../../src/secure-nat/tcp/tcp-io.ts";
import { TcpStack } from "../../src/secure-nat/tcp/tcp-stack.ts";
import type { TcpStats } from "../../src/secure-nat/tcp/tcp-stats.ts";
import { TCP_FLAG } from "../../src/wire/tcp.ts";
import { FakeIo } from "../secure-nat/tcp/tcp-world.ts";
import { framesOf, runOf } from "./array-port.ts";
import type { Namespace, World } from "./namespace.ts";
import { check, until } from "./process.ts";

const HOST_MAC = 0x02_00_00_00_aa_01 as MacAddress;
const GUEST = { 4: "192.168.30.10", 6: "fd00:30::10" } as const;
const HOST = { 4: "192.168.30.1", 6: "fd00:30::1" } as const;
const PORT = 8080;
const HELD_MS = { hold: 4, late: 800 } as const;
const PATTERN = Buffer.from(Uint8Array.from({ length: 251 * 4096 }, (_, n) => n % 251));

/** What happens to a frame on the way; those behind it overtake one that is held, and the other side one that is late. */
export type Fate = "pass" | "drop" | "double" | keyof typeof HELD_MS;
/** @param frame counts those of its direction that carry payload or FIN, from 0; others pass */
export type Script = (frame: number, direction: "up" | "down", isFin: boolean) => Fate;

/** What an end does (tcp-end.py). */
export interface EndPlan {
  readonly send?: number;
  /** Bytes after which it takes no more; all if missing. */
  readonly take?: number;
  readonly readAfter?: number;
  readonly close?: "half" | "full" | "reset";
}

export interface EndReport {
  readonly received?: number;
  readonly digest?: string;
  readonly end?: boolean;
  readonly sendError?: number;
  readonly receiveError?: number;
  readonly connectError?: number;
  readonly seconds: number;
}

export interface HostReport {
  readonly received: number;
  readonly digest: string;
  readonly retransmits: number;
  readonly events: readonly string[];
  readonly states: readonly TcpState[];
  readonly stats: Readonly<TcpStats> | undefined;
}

export function digestOf(bytes: number): string {
  const hash = createHash("sha256");
  for (let left = bytes; left > 0; left -= PATTERN.length) {
    hash.update(left >= PATTERN.length ? PATTERN : PATTERN.subarray(0, left));
  }
  return hash.digest("hex");
}

/** One direction of the cable. */
class ScriptedWay implements FrameSink {
  readonly ready = true;
  onReady: (() => void) | undefined;
  readonly #to: FrameSink;
  readonly #direction: "up" | "down";
  readonly #script: Script;
  readonly #timers = new Set<Timer>();
  #count = 0;

  constructor(to: FrameSink, direction: "up" | "down", script: Script) {
    this.#to = to;
    this.#direction = direction;
    this.#script = script;
  }

  deliver(run: FrameRun): void {
    const passed: Uint8Array[] = [];
    for (const frame of framesOf(run)) {
      const fate = this.#fateOf(frame);
      if (fate === "hold" || fate === "late") this.#hold(frame, HELD_MS[fate]);
      else if (fate !== "drop") passed.push(frame);
      if (fate === "double") passed.push(frame);
    }
    if (passed.length > 0) this.#to.deliver(runOf(passed));
  }

  flush(): void {
    this.#to.flush();
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #fateOf(frame: Uint8Array): Fate {
    const isV6 = frame[12] === 0x86;
    const l4 = isV6 ? 54 : 34;
    if (frame.length < l4 + 20 || frame[isV6 ? 20 : 23] !== 6) return "pass";
    const total = isV6
      ? 54 + ((frame[18]! << 8) | frame[19]!)
      : 14 + ((frame[16]! << 8) | frame[17]!);
    const payload = total - l4 - (frame[l4 + 12]! >>> 4) * 4;
    const isFin = (frame[l4 + 13]! & TCP_FLAG.FIN) !== 0;
    if (payload === 0 && !isFin) return "pass";
    return this.#script(this.#count++, this.#direction, isFin);
  }

  #hold(frame: Uint8Array, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#to.deliver(runOf([frame]));
      this.#to.flush();
    }, ms);
    this.#timers.add(timer);
  }
}

type Timer = ReturnType<typeof setTimeout>;

export class TcpLab {
  readonly #world: World;
  readonly #family: 4 | 6;
  readonly guest: Namespace;
  #taps = 0;

  private constructor(world: World, guest: Namespace, family: 4 | 6) {
    this.#world = world;
    this.guest = guest;
    this.#family = family;
  }

  static async open(world: World, family: 4 | 6 = 4): Promise<TcpLab> {
    return new TcpLab(world, await world.namespace("guest"), family);
  }

  /** The guest against SecureNAT's machine. */
  async withMachine(
    script: Script,
    guest: EndPlan,
    host: EndPlan & { readonly refuses?: boolean } = {},
  ): Promise<{ readonly guest: EndReport; readonly host: HostReport }> {
    await using cleanup = new AsyncDisposableStack();
    const guestPort = await this.#tap(this.guest, GUEST, HOST, HOST_MAC, cleanup);
    const machine = new Machine(host, this.#family);
    const down = new ScriptedWay(guestPort, "down", script);
    const up = new ScriptedWay(machine.port, "up", script);
    machine.plug(down);
    guestPort.plug(up);
    cleanup.defer(() => {
      down.close();
      up.close();
      machine.close();
    });
    const report = await this.#end(this.guest, "client", guest);
    if (host.refuses !== true) await machine.settled();
    return { guest: report, host: machine.report };
  }

  /** The same against another kernel. */
  async withKernel(
    script: Script,
    guest: EndPlan,
    host: EndPlan = {},
  ): Promise<{
    readonly guest: EndReport;
    readonly host: EndReport;
    readonly retransmits: number;
  }> {
    await using cleanup = new AsyncDisposableStack();
    const name = `host${(this.#taps += 1)}`;
    const hostSpace = await this.#world.namespace(name);
    const hostPort = await this.#tap(hostSpace, HOST, GUEST, undefined, cleanup);
    const mac = readMac(macBytes(await hostSpace.macOf("tap0")), 0);
    const guestPort = await this.#tap(this.guest, GUEST, HOST, mac, cleanup);
    const guestMac = await this.guest.macOf("tap0");
    await this.#neighbor(hostSpace, GUEST, guestMac);
    const down = new ScriptedWay(guestPort, "down", script);
    const up = new ScriptedWay(hostPort, "up", script);
    cleanup.defer(() => {
      down.close();
      up.close();
    });
    guestPort.plug(up);
    hostPort.plug(down);
    const server = this.#end(hostSpace, "server", host);
    await hostSpace.waitListening(PORT);
    const report = await this.#end(this.guest, "client", guest);
    const hostReport = await server;
    const counted = await hostSpace.check(["cat", "/proc/net/snmp"]);
    return { guest: report, host: hostReport, retransmits: retransmitsOf(counted.stdout) };
  }

  async #tap(
    at: Namespace,
    own: Record<4 | 6, string>,
    other: Record<4 | 6, string>,
    otherMac: MacAddress | undefined,
    cleanup: AsyncDisposableStack,
  ): Promise<DevicePort> {
    const name = `tl${process.pid % 100_000}x${(this.#taps += 1)}`;
    const device = openTap({ name });
    const port = new DevicePort({ device, poller: sharedPoller });
    cleanup.defer(() => port.close({ code: "test" }));
    await check(["ip", "link", "set", name, "netns", at.netns, "name", "tap0"]);
    await at.address("tap0", `${own[4]}/24`, `${own[6]}/64`);
    if (otherMac !== undefined) {
      const text = otherMac
        .toString(16)
        .padStart(12, "0")
        .replace(/..(?!$)/g, "$&:");
      await this.#neighbor(at, other, text);
    }
    return port;
  }

  async #neighbor(at: Namespace, of: Record<4 | 6, string>, mac: string): Promise<void> {
    for (const address of [of[4], of[6]]) {
      await at.ip("neigh", "replace", address, "lladdr", mac, "dev", "tap0", "nud", "permanent");
    }
  }

  async #end(at: Namespace, role: "client" | "server", plan: EndPlan): Promise<EndReport> {
    const { send = 0, take = -1, readAfter = 0, close = "half" } = plan;
    const address = HOST[this.#family];
    const whole = { role, address, port: PORT, send, take, readAfter, close };
    const program = join(import.meta.dir, "tcp-end.py");
    const done = await at.check(["python3", program, JSON.stringify(whole)], {
      deadlineMs: 40_000,
    });
    return JSON.parse(done.stdout) as EndReport;
  }
}

/** SecureNAT's machine with a target that does as planned. */
class Machine {
  readonly port: SoftwarePort;
  readonly #plan: EndPlan & { readonly refuses?: boolean };
  readonly #family: 4 | 6;
  readonly #io = new FakeIo();
  readonly #hash = createHash("sha256");
  readonly #states: TcpState[] = [];
  #stack: TcpStack | undefined;
  #connection: TcpConnection | undefined;
  #written = 0;
  #isFinished = false;

  constructor(plan: EndPlan & { readonly refuses?: boolean }, family: 4 | 6) {
    this.#plan = plan;
    this.#family = family;
    this.port = new SoftwarePort("MACHINE", {
      mac: HOST_MAC,
      packet: (packet) => this.#receive(packet),
      arp: () => undefined,
      handled: () => {
        this.#pump();
        this.#stack?.flush();
      },
    });
  }

  plug(sink: FrameSink): void {
    const link = { mac: HOST_MAC, sink, mtu: 1500 };
    this.#stack = new TcpStack({
      clock: systemClock,
      random: systemRandom,
      link,
      isPlainReset: false,
    });
    const deliver = this.#io.deliver.bind(this.#io);
    this.#io.deliver = (at, vectors, bytes) => {
      const taken = deliver(at, vectors, bytes);
      for (const part of this.#io.taken.splice(0)) this.#hash.update(part);
      return taken;
    };
  }

  get report(): HostReport {
    const stats = this.#connection?.stats;
    return {
      received: this.#io.takenBytes,
      digest: this.#hash.copy().digest("hex"),
      retransmits: stats?.retransmits ?? 0,
      events: this.#io.events.filter((event) => event !== "room"),
      states: this.#states,
      stats,
    };
  }

  /** Until nothing is to come any more. */
  settled(): Promise<unknown> {
    const isOver = () => {
      const state = this.#connection?.state;
      return state === "closed" || state === "time-wait";
    };
    return until("the machine's connection to be over", isOver, {
      explain: () =>
        JSON.stringify([this.#io.events, this.#connection?.details, this.#connection?.stats]),
    });
  }

  close(): void {
    this.#stack?.close();
    outbox.drain();
    this.port.close({ code: "test" });
  }

  #receive(packet: PacketView): void {
    if (packet.protocol !== 6 || this.#stack === undefined || packet.version !== this.#family)
      return;
    if (!packet.hasRightSum) return;
    if (this.#connection === undefined) {
      const { sourceAt, destinationAt, addressBytes, l4At } = packet;
      const ends = {
        inner: {
          family: packet.version,
          bytes: PACKET_BYTES.slice(sourceAt, sourceAt + addressBytes),
        },
        innerPort: PACKET_VIEW.getUint16(l4At),
        outer: {
          family: packet.version,
          bytes: PACKET_BYTES.slice(destinationAt, destinationAt + addressBytes),
        },
        outerPort: PACKET_VIEW.getUint16(l4At + 2),
      };
      const mac = readMac(PACKET_BYTES, packet.frameAt + 6);
      this.#connection = this.#stack.connect(ends, mac, this.#io);
      this.#connection.receive(packet);
      if (this.#plan.refuses === true) this.#connection.refuse();
      else this.#connection.open();
    } else this.#connection.receive(packet);
    const state = this.#connection.state;
    if (this.#states.at(-1) !== state) this.#states.push(state);
  }

  #pump(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#stack === undefined) return;
    const { send = 0, close = "half" } = this.#plan;
    while (this.#written < send && connection.sendRoom > 0) {
      const chunk = this.#stack.chunks.take();
      if (chunk === undefined) return;
      const bytes = Math.min(connection.sendRoom, send - this.#written, chunk.bytes.length);
      const phase = this.#written % 251;
      chunk.bytes.set(PATTERN.subarray(phase, phase + bytes));
      chunk.end = bytes;
      connection.write(chunk);
      this.#written += bytes;
      if (outbox.waitingBytes > 49_152) outbox.drain();
    }
    const isDue = this.#written === send && this.#io.events.includes("established");
    if (isDue && close !== "full" && !this.#isFinished) {
      this.#isFinished = true;
      connection.finish();
      const { state } = connection;
      if (this.#states.at(-1) !== state) this.#states.push(state);
    }
  }
}

function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

function retransmitsOf(snmp: string): number {
  const [names, values] = snmp.split("\n").filter((line) => line.startsWith("Tcp:"));
  const at = names!.split(" ").indexOf("RetransSegs");
  return Number(values!.split(" ")[at]);
}
