// One TCP flow of the user-mode NAT: the connection of the guest, which ends here, and a connection of this machine to
// the target, with bytes going from one to the other.
//
//   1. dial: the guest's SYN waits until the target has accepted or refused
//   2. upload: payload goes by writev from packet memory; what the socket does not take stays with the connection
//   3. download: reads as far as the guest's window and the buffers go, so that the rest slows the target down
//   4. the end: halves are closed one by one, resets are passed on, idle flows are reset
import { SystemError } from "../base/errors.ts";
import type { Timer } from "../base/clock.ts";
import { NAT_CONNECT_MS, NAT_READ_BYTES_PER_TURN } from "../base/limits.ts";
import type { MacAddress } from "../base/mac.ts";
import type { IcmpErrors } from "../ip-host/icmp-error.ts";
import { outbox } from "../ip-host/outbox.ts";
import type { PacketView } from "../ip-host/packet-view.ts";
import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLRDHUP,
  type EpollWatch,
} from "../platform/epoll.ts";
import { ERRNO, StreamSocket } from "../platform/stream-socket.ts";
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
import { socketShare } from "./socket-share.ts";
import { SynQuote } from "./syn-quote.ts";
import {
  CHUNK_BYTES,
  type ChunkSource,
  type TcpCloseReason,
  type TcpControl,
  type TcpIo,
} from "./tcp/tcp-io.ts";

/** Frames that wait are sent at this figure: they are still in the cache. */
const DRAIN_BYTES = 49_152;
const GONE = EPOLLERR | EPOLLHUP;

/** The guest's end of a flow (tcp/tcp-connection.ts). */
export interface TcpMachine extends TcpControl {
  receive(packet: PacketView): void;
}

/** The guests' ends of all flows (tcp/tcp-stack.ts). */
export interface TcpMachines {
  readonly chunks: ChunkSource;
  /** A connection in state "connecting"; its first segment follows by `receive`. */
  connect(ends: FlowEnds, innerMac: MacAddress, io: TcpIo): TcpMachine;
  /** The event is over: sends what connections have to send. */
  flush(): void;
}

/** The maker of TCP flows of one SecureNAT. */
export function tcpFlows(machines: TcpMachines, errors: IcmpErrors): FlowFactory {
  return (ends, host, first, innerMac) =>
    new TcpFlow(ends, host, machines, errors, first, innerMac);
}

class TcpFlow implements Flow, TcpIo {
  readonly ends: FlowEnds;
  readonly #host: FlowHost;
  readonly #machines: TcpMachines;
  readonly #errors: IcmpErrors;
  readonly #machine: TcpMachine;
  readonly #created: number;
  #lastUsed: number;
  #bytesOut = 0;
  #bytesIn = 0;
  #socket: StreamSocket | undefined;
  #watch: EpollWatch | undefined;
  #hasShare = false;
  /** Of the dial, and then of being idle. */
  #timer: Timer | undefined;
  /** While the target has not answered. */
  #quote: SynQuote | undefined;
  #phase: "new" | "dialling" | "relaying" | "ended" = "new";
  #isEstablished = false;
  #isWritable = true;
  #isReadable = false;
  /** The socket has told of an end or an error, which reading on will find. */
  #isEnding = false;
  /** The target has sent its FIN; the guest has. */
  #isReadDone = false;
  #isWriteDone = false;
  /** Writing has failed: the target has gone. */
  #isBroken = false;

  constructor(
    ends: FlowEnds,
    host: FlowHost,
    machines: TcpMachines,
    errors: IcmpErrors,
    first: PacketView,
    innerMac: MacAddress,
  ) {
    this.ends = ends;
    this.#host = host;
    this.#machines = machines;
    this.#errors = errors;
    this.#created = this.#lastUsed = host.clock.now();
    this.#quote = SynQuote.of(first, innerMac);
    this.#machine = machines.connect(ends, innerMac, this);
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
    if (this.#phase === "ended" || this.#isReadDone || this.#isWriteDone) return "disconnecting";
    return this.#isEstablished ? "established" : "connected";
  }

  receive(packet: PacketView): void {
    this.#host.soil(this);
    this.#machine.receive(packet);
    if (this.#phase === "new") this.#dial();
  }

  flush(): void {
    this.#pump();
    this.#machines.flush();
  }

  /* 1. Dial */

  #dial(): void {
    this.#phase = "dialling";
    const { dial, outer, outerPort } = this.ends;
    const to = dial ?? { address: outer, port: outerPort };
    if (!socketShare.take()) return this.#refuse(ERRNO.EMFILE);
    this.#hasShare = true;
    try {
      this.#socket = StreamSocket.connect({ ...to.address, port: to.port });
      this.#watch = this.#host.epoll.add(this.#socket.fd, (events) => this.#onEvents(events));
    } catch (thrown) {
      if (!(thrown instanceof SystemError)) throw thrown;
      return this.#refuse(thrown.errno);
    }
    const onTimeout = () => {
      this.#refuse(ERRNO.ETIMEDOUT);
      outbox.drain();
    };
    this.#timer = this.#host.clock.after(NAT_CONNECT_MS, onTimeout);
  }

  #dialled(events: number): void {
    const error = this.#socket!.connectError();
    if (error !== 0) return this.#refuse(error);
    if ((events & EPOLLOUT) === 0) return;
    this.#phase = "relaying";
    this.#quote = undefined;
    this.#isReadable = (events & EPOLLIN) !== 0;
    this.#isEnding = (events & (EPOLLRDHUP | GONE)) !== 0;
    this.#used();
    this.#timer?.cancel();
    this.#watchIdle();
    this.#host.opened(this);
    this.#machine.open();
  }

  /** The target cannot be reached: the guest learns of it as it would without a NAT. */
  #refuse(errno: number): void {
    const { outer } = this.ends;
    const shortage = shortageOfErrno(errno);
    if (shortage !== undefined) {
      this.#host.log.warn("nat_socket", `Cannot connect a guest to the outside: ${shortage}`);
    }
    const fault = this.#host.isPlain ? undefined : faultOfErrno(errno);
    if (fault !== undefined) {
      // Before the RST: it says why, and the guest's system listens to the first of them.
      const from = { link: this.#host.link, address: this.#host.addressOf(outer.family) };
      this.#quote?.tell(this.#errors, fault, from);
    }
    this.#free(true);
    this.#machine.refuse();
  }

  /* 2. Upload */

  deliver(vectorAt: number, vectors: number, bytes: number): number {
    this.#used();
    // Nobody will take them; the reset is on its way.
    if (this.#isBroken || this.#socket === undefined) return bytes;
    if (!this.#isWritable) return 0;
    const taken = this.#socket.writev(vectorAt, vectors);
    if (taken >= 0) {
      this.#bytesOut += taken;
      this.#isWritable = taken === bytes;
      return taken;
    }
    this.#isWritable = false;
    if (taken === -ERRNO.EAGAIN) return 0;
    // What the target has sent before it went is still to be read.
    this.#isBroken = true;
    this.#watch?.again(EPOLLIN);
    return bytes;
  }

  finished(): void {
    this.#isWriteDone = true;
    if (this.#isReadDone) this.#free(false);
    else this.#socket?.finish();
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
    this.#host.soil(this);
    if (this.#phase === "dialling") return this.#dialled(events);
    if ((events & EPOLLOUT) !== 0 && !this.#isWritable && !this.#isBroken) {
      this.#isWritable = true;
      this.#machine.resume();
    }
    if ((events & (EPOLLRDHUP | GONE)) !== 0) this.#isEnding = true;
    if ((events & (EPOLLIN | EPOLLRDHUP | GONE)) !== 0) this.#isReadable = true;
    // Only an error can follow the end of what the target sends.
    if (this.#isReadDone && (events & EPOLLERR) !== 0) this.#isBroken = true;
  }

  readonly #readAgain = (): void => {
    this.#watch?.again(EPOLLIN);
  };

  /** Reads while there is something, and the guest takes it, up to this flow's share of a turn. */
  #pump(): void {
    if (this.#isReadDone) {
      if (this.#isBroken) this.#abort();
      return;
    }
    let left = NAT_READ_BYTES_PER_TURN;
    while (this.#isReadable && !this.#isReadDone && this.#socket !== undefined) {
      const room = Math.min(this.#machine.sendRoom, CHUNK_BYTES);
      if (room === 0) return;
      if (left <= 0) return this.#readAgain();
      left -= this.#read(this.#socket, room, left < NAT_READ_BYTES_PER_TURN);
      if (outbox.waitingBytes >= DRAIN_BYTES) outbox.drain();
    }
  }

  /** Bytes that were read. `isMore` says that there were some in this turn before. */
  #read(socket: StreamSocket, room: number, isMore: boolean): number {
    const chunk = this.#machines.chunks.take();
    if (chunk === undefined) {
      this.#isReadable = false;
      this.#machines.chunks.whenFree(this.#readAgain);
      return 0;
    }
    const read = socket.read(chunk.address, room);
    if (read > 0) {
      chunk.start = 0;
      chunk.end = read;
      this.#bytesIn += read;
      this.#used();
      // Less than was asked for is all there was: the next byte is news (epoll(7)). An end has been told of already.
      if (read < room && !this.#isEnding) this.#isReadable = false;
      this.#machine.write(chunk);
      return read;
    }
    this.#machines.chunks.give(chunk);
    this.#isReadable = false;
    if (read === 0 && !this.#isBroken) this.#endOfTarget();
    else if (read === 0 || read !== -ERRNO.EAGAIN || this.#isBroken) this.#gone(isMore);
    return 0;
  }

  /** The target has reset, or has vanished. What it said last goes out in this turn, before the guest is told. */
  #gone(hasSaidMore: boolean): void {
    this.#isBroken = true;
    if (hasSaidMore) this.#readAgain();
    else this.#abort();
  }

  #endOfTarget(): void {
    this.#isReadDone = true;
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
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#machines.chunks.forget(this.#readAgain);
    this.#watch?.remove();
    this.#watch = undefined;
    if (isReset) this.#socket?.reset();
    else this.#socket?.close();
    this.#socket = undefined;
    if (this.#hasShare) socketShare.give();
    this.#hasShare = false;
    this.#isReadable = false;
  }

  #used(): void {
    this.#lastUsed = this.#host.clock.now();
  }

  #watchIdle(): void {
    const { clock, config } = this.#host;
    const idleMs = clock.now() - this.#lastUsed;
    const left = config.tcpTimeoutMs - idleMs;
    if (left <= 0) {
      this.#abort();
      outbox.drain();
      return;
    }
    this.#timer = clock.after(left, () => this.#watchIdle());
  }
}
