// One TCP flow of the user-mode NAT: the connection of the guest, which ends here, and a connection of this machine to
// the target, with bytes going from one to the other.
//
//   1. dial: the guest's SYN waits until the target has accepted or refused
//   2. upload: payload goes by writev from packet memory; what the socket does not take stays with the connection
//   3. download: reads as far as the guest's window and the buffers go, so that the rest slows the target down
//   4. the end: halves are closed one by one, resets are passed on, idle flows are reset
import { SystemError } from "../base/errors.ts";
import { NAT_CONNECT_MS, NAT_READ_BYTES_PER_TURN } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import type { IcmpErrors } from "../ip-host/icmp-error.ts";
import { outbox } from "../ip-host/outbox.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import { ERRNO } from "../platform/stream-socket.ts";
import type {
  Flow,
  FlowEnd,
  FlowEnds,
  FlowFactory,
  FlowHost,
  FlowInfo,
  FlowState,
} from "./flow.ts";
import { faultOfErrno, shortageOfErrno } from "./outside.ts";
import { SynQuote } from "./syn-quote.ts";
import type { TcpMachine, TcpMachines } from "./tcp-machines.ts";
import { TcpTarget } from "./tcp-target.ts";
import { CHUNK_BYTES, type SendChunk, type TcpCloseReason, type TcpIo } from "./tcp/tcp-io.ts";
import { IDLE_MS } from "./tcp/keepalive.ts";
import { TimerWheel, WheelTimer } from "./tcp/timer-wheel.ts";

/** Frames that wait are sent at this figure: they are still in the cache. */
const DRAIN_BYTES = 49_152;

/** The maker of TCP flows of one SecureNAT. */
export function tcpFlows(machines: TcpMachines, errors: IcmpErrors): FlowFactory {
  let shared: TcpFlows | undefined;
  return (ends, host, first, innerMac) => {
    // Thousands of flows wait at once: one wheel costs them less than a timer each.
    const wheel = () => new TimerWheel(host.clock, () => outbox.drain());
    shared ??= { host, machines, errors, wheel: wheel() };
    return new TcpFlow(ends, shared, first, innerMac);
  };
}

/** What all of them share. */
interface TcpFlows {
  readonly host: FlowHost;
  readonly machines: TcpMachines;
  readonly errors: IcmpErrors;
  readonly wheel: TimerWheel;
}

class TcpFlow implements Flow, TcpIo {
  readonly ends: FlowEnds;
  readonly #shared: TcpFlows;
  readonly #machine: TcpMachine;
  readonly #created: number;
  #lastUsed: number;
  #bytesOut = 0;
  #bytesIn = 0;
  #target: TcpTarget | undefined;
  /** Of the dial, and then of being idle. */
  readonly #timer = new WheelTimer(() => this.#watch());
  /** While the target has not answered. */
  #quote: SynQuote | undefined;
  #phase: "new" | "dialling" | "relaying" | "ended" = "new";
  #isEstablished = false;
  /** The guest has sent its FIN. */
  #isWriteDone = false;

  constructor(ends: FlowEnds, shared: TcpFlows, first: PacketView, innerMac: MacAddress) {
    this.ends = ends;
    this.#shared = shared;
    this.#created = this.#lastUsed = this.#host.clock.now();
    this.#quote = SynQuote.of(first, innerMac);
    this.#machine = shared.machines.connect(ends, innerMac, this);
  }

  get #host(): FlowHost {
    return this.#shared.host;
  }

  get info(): FlowInfo {
    return {
      state: this.#state,
      created: this.#created,
      lastUsed: this.#lastUsed,
      bytesOut: this.#bytesOut,
      bytesIn: this.#bytesIn,
    };
  }

  get #state(): FlowState {
    if (this.#phase === "new" || this.#phase === "dialling") return "connecting";
    const isHalfDone = this.#isWriteDone || this.#target?.isReadDone !== false;
    if (this.#phase === "ended" || isHalfDone) return "disconnecting";
    return this.#isEstablished ? "established" : "connected";
  }

  receive(packet: PacketView): void {
    this.#host.soil(this);
    this.#heard();
    this.#machine.receive(packet);
    if (this.#phase === "new") this.#dial();
  }

  flush(): void {
    this.#pump();
    this.#shared.machines.flush();
  }

  /* 1. Dial */

  #dial(): void {
    this.#phase = "dialling";
    const { dial, outer, outerPort } = this.ends;
    const to = dial ?? { address: outer, port: outerPort };
    try {
      this.#target = TcpTarget.dial({ ...to.address, port: to.port }, this.#host.epoll, (events) =>
        this.#onEvents(events),
      );
    } catch (thrown) {
      if (!(thrown instanceof SystemError)) throw thrown;
      return this.#refuse(thrown.errno);
    }
    const until = this.#host.clock.now() + (dial?.timeoutMs ?? NAT_CONNECT_MS);
    this.#shared.wheel.set(this.#timer, until);
  }

  #dialled(target: TcpTarget, events: number): void {
    const outcome = target.outcome(events);
    if (outcome === "pending") return;
    if (outcome !== "connected") return this.#refuse(outcome.errno);
    target.note(events);
    this.ends.dial?.settled?.(true);
    this.#phase = "relaying";
    this.#quote = undefined;
    this.#used();
    this.#watchIdle();
    this.#host.opened(this);
    this.#machine.open();
  }

  /** The target cannot be reached: the guest learns of it as it would without a NAT. */
  #refuse(errno: number): void {
    const { dial, outer } = this.ends;
    dial?.settled?.(false);
    const shortage = shortageOfErrno(errno);
    if (shortage !== undefined) {
      this.#host.log.warn("nat_socket", `Cannot connect a guest to the outside: ${shortage}`);
    }
    const fault = this.#host.isPlain ? undefined : faultOfErrno(errno);
    if (fault !== undefined) {
      // Before the RST: it says why, and the guest's system listens to the first of them.
      const from = { link: this.#host.link, address: this.#host.addressOf(outer.family) };
      this.#quote?.tell(this.#shared.errors, fault, from);
    }
    this.#free(true);
    this.#machine.refuse();
  }

  /* 2. Upload */

  deliver(vectorAt: number, vectors: number, bytes: number): number {
    this.#used();
    const guard = this.ends.dial?.guard;
    if (guard?.passes(vectorAt, vectors, bytes) === false) this.#target?.giveUp();
    const taken = this.#target?.write(vectorAt, vectors, bytes) ?? bytes;
    guard?.taken(taken);
    this.#bytesOut += taken;
    return taken;
  }

  finished(): void {
    this.#isWriteDone = true;
    if (this.#target?.isReadDone === true) this.#free(false);
    else this.#target?.finish();
  }

  /* 3. Download */

  established(): void {
    this.#isEstablished = true;
    this.#host.soil(this);
  }

  room(): void {
    this.#host.soil(this);
  }

  #onEvents(events: number): void {
    const target = this.#target;
    if (target === undefined) return;
    this.#host.soil(this);
    if (this.#phase === "dialling") this.#dialled(target, events);
    else if (target.note(events)) this.#machine.resume();
  }

  /** Reads while there is something, and the guest takes it, up to this flow's share of a turn. */
  #pump(): void {
    const target = this.#target;
    if (target === undefined) return;
    let bytes = 0;
    while (target.isReadable) {
      // Whole bytes: a read of none looks like the end of all.
      const room = Math.min(Math.floor(this.#machine.sendRoom), CHUNK_BYTES);
      if (room === 0) return;
      if (bytes >= NAT_READ_BYTES_PER_TURN) return target.readLater();
      const chunk = this.#shared.machines.chunks.take();
      if (chunk === undefined) return this.#shared.machines.chunks.whenFree(target.readLater);
      bytes += this.#read(target, chunk, room);
      if (outbox.waitingBytes >= DRAIN_BYTES) outbox.drain();
    }
    // What a target said last goes out in this turn, before the guest is told that it has gone.
    if (target.isBroken && !target.isReadable) {
      if (bytes > 0) target.readLater();
      else this.#abort();
    }
  }

  /** Bytes that were read and given to the guest. */
  #read(target: TcpTarget, chunk: SendChunk, room: number): number {
    const read = target.read(chunk.address, room);
    if (read > 0) {
      chunk.start = 0;
      chunk.end = read;
      this.#bytesIn += read;
      this.#used();
      this.#machine.write(chunk);
      return read;
    }
    this.#shared.machines.chunks.give(chunk);
    if (target.isReadDone) this.#endOfTarget();
    return 0;
  }

  #endOfTarget(): void {
    this.#machine.finish();
    if (this.#isWriteDone) this.#free(false);
  }

  /* 4. The end */

  /** The target has gone: so has the connection, for the guest. */
  #abort(): void {
    this.#free(true);
    this.#machine.abort();
  }

  closed(reason: TcpCloseReason): void {
    const isOrderly = reason === "closed";
    this.#free(!isOrderly);
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#host.ended(this);
  }

  close(_end: FlowEnd): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    this.#free(true);
    this.#machine.abort();
  }

  /** Frees what is outside. What is left of the guest's end costs no descriptor. */
  #free(isReset: boolean): void {
    this.#quote = undefined;
    this.#shared.wheel.cancel(this.#timer);
    if (this.#target === undefined) return;
    this.#shared.machines.chunks.forget(this.#target.readLater);
    this.#target.close(isReset);
    this.#target = undefined;
  }

  /** A guest that keeps its connection alive uses it; one that only answers when it is asked whether it lives does not. */
  #heard(): void {
    const now = this.#host.clock.now();
    if (now - this.#lastUsed < IDLE_MS) this.#lastUsed = now;
  }

  #used(): void {
    this.#lastUsed = this.#host.clock.now();
  }

  reconfigured(): void {
    if (this.#phase === "relaying" && this.#timer.isSet) this.#watchIdle();
  }

  #watchIdle(): void {
    const until = this.#lastUsed + this.#host.config.tcpTimeoutMs;
    this.#shared.wheel.set(this.#timer, until);
  }

  /** The time is over that the target has to answer, or the flow to be used. */
  #watch(): void {
    if (this.#phase === "dialling") return this.#refuse(ERRNO.ETIMEDOUT);
    const { clock, config } = this.#host;
    if (clock.now() - this.#lastUsed < config.tcpTimeoutMs) this.#watchIdle();
    else this.#abort();
  }
}
