// The end of a TCP connection that the inside host has opened, as its far end would be (RFC 9293). Stages of a segment:
//
//   1. check: is it of this connection and its window (3.10.7.4, RFC 7323 5, RFC 5961)
//   2. acknowledgment: for the sender
//   3. payload and FIN: for the receiver
//   4. answer: what is to be said goes out at the end of the event, in one segment if it can
import type { MacAddress } from "../../base/mac.ts";
import type { PacketView } from "../../ip-host/packet-view.ts";
import { TCP_FLAG } from "../../wire/tcp.ts";
import { beginCore, type ConnectionCore as Core } from "./connection-core.ts";
import type { TcpEndpoints } from "./endpoints.ts";
import { incoming } from "./incoming.ts";
import { Keepalive } from "./keepalive.ts";
import type { AckNeed } from "./receiver.ts";
import { screen } from "./screening.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { describeConnection, type TcpDetails } from "./tcp-details.ts";
import type { SendChunk, TcpCloseReason, TcpControl, TcpIo, TcpState } from "./tcp-io.ts";
import type { TcpStack } from "./tcp-stack.ts";
import { noTcpStats } from "./tcp-stats.ts";
import { WheelTimer } from "./timer-wheel.ts";

/** SYN+ACK goes again after 1, 2, 4, 8 and 16 seconds; who has not answered by then never will. */
const MAX_HANDSHAKES = 6;
const HANDSHAKE_MS = 1_000;
/** Twice the life of a segment: a tunnel keeps none for longer than seconds. */
const TIME_WAIT_MS = 30_000;

export class TcpConnection implements TcpControl {
  readonly stats = noTcpStats();
  readonly ends: TcpEndpoints;
  /** The stack will let it send. */
  isSoiled = false;
  readonly #stack: TcpStack;
  readonly #io: TcpIo;
  readonly #writer: SegmentWriter;
  readonly #timer = new WheelTimer(() => this.#tick());
  readonly #keepalive = new Keepalive();
  readonly #initialSequence: number;
  readonly #timestampOffset: number;
  #state: TcpState = "connecting";
  #core: Core | undefined;
  /** When the state is to be left, by the clock; Infinity where nothing but the peer ends it. */
  #stateAt = Infinity;
  #handshakes = 0;
  #handshakeAt = 0;
  /** `finish` was called before the handshake was over. */
  #isFinPromised = false;
  #hasToldEnd = false;

  constructor(stack: TcpStack, ends: TcpEndpoints, innerMac: MacAddress, io: TcpIo) {
    this.ends = ends;
    this.#stack = stack;
    this.#io = io;
    this.#writer = new SegmentWriter(stack.link, ends, innerMac);
    const initial = stack.sequences.of(ends, stack.clock.now());
    this.#initialSequence = initial.sequence;
    this.#timestampOffset = initial.timestamp;
  }

  get state(): TcpState {
    return this.#state;
  }

  get sendRoom(): number {
    return this.#mayWrite && this.#core !== undefined ? this.#core.sender.room : 0;
  }

  /** Since when nothing of what its buffers hold went on, by the clock; Infinity if they hold nothing. */
  get stuckSince(): number {
    const core = this.#core;
    return core ? Math.min(core.sender.stuckSince, core.receiver.stuckSince) : Infinity;
  }

  /** Undefined before the first segment. */
  get details(): TcpDetails | undefined {
    return this.#core && describeConnection(this.#state, this.#core.sender, this.#core.receiver);
  }

  /* The socket side */

  open(): void {
    if (this.#state !== "connecting" || this.#core === undefined) return;
    this.#state = "syn-received";
    this.#greet(this.#core);
  }

  refuse(): void {
    this.#reset(this.#stack.isPlainReset);
  }

  write(chunk: SendChunk): void {
    const core = this.#core;
    // Not by the room: the chunk itself may have used up what there was when it was filled.
    if (core === undefined || !this.#mayWrite) return this.#stack.chunks.give(chunk);
    core.sender.write(chunk, this.#now);
    this.#stack.soil(this);
  }

  finish(): void {
    if (this.#state === "connecting" || this.#state === "syn-received") {
      this.#isFinPromised = true;
      return;
    }
    if (this.#state === "established") this.#state = "fin-wait-1";
    else if (this.#state === "close-wait") this.#state = "last-ack";
    else return;
    this.#core?.sender.finish();
    this.#stack.soil(this);
  }

  abort(): void {
    this.#reset(this.#state === "connecting" && this.#stack.isPlainReset);
  }

  resume(): void {
    const core = this.#core;
    if (core === undefined || this.#state === "closed") return;
    core.receiver.isBlocked = false;
    core.receiver.offer(this.#now);
    this.#tellEnd(core);
    // Behind the FIN no window is of interest, and a peer that has closed would answer with RST.
    if (!core.receiver.hasEnded && core.receiver.isWindowWorthTelling)
      core.answers.ask("event", 1, this.#now);
    this.#arm();
  }

  /* 1. Check */

  /** A packet of the inside host; its checksum was found right, and its ports are those of the connection. */
  receive(packet: PacketView): void {
    if (this.#state === "closed") return;
    if (!incoming.read(packet)) {
      this.stats.dropped += 1;
      return;
    }
    this.stats.segmentsIn += Math.max(packet.vectors, 1);
    this.#writer.follow(packet.frameAt + 6);
    const core = this.#core;
    if (core === undefined) this.#begin();
    else if (this.#state !== "connecting") this.#receive(core);
    else if (incoming.isResetAt(core.receiver.sequenceOf(1))) this.#end("reset");
    this.#arm();
  }

  /** The SYN. Payload that comes with it is not acknowledged, and will come again. */
  #begin(): void {
    if ((incoming.flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) !== TCP_FLAG.SYN) return;
    this.#core = beginCore({
      io: this.#io,
      writer: this.#writer,
      chunks: this.#stack.chunks,
      stats: this.stats,
      family: this.ends.inner.family,
      initialSequence: this.#initialSequence,
      // RFC 7323 5.4: the clock in milliseconds, from a place of its own for each connection.
      timestamp: () => (this.#timestampOffset + Math.floor(this.#now)) >>> 0,
      soil: () => this.#stack.soil(this),
    });
  }

  #receive(core: Core): void {
    const { receiver, sender, output, answers } = core;
    const now = this.#now;
    this.#keepalive.heard(now);
    const position = receiver.positionOf(incoming.sequence);
    switch (screen(core, this.#state, position, now)) {
      case "repeat-syn":
        return void output.synAck();
      case "reset":
        return this.#receiveReset(core);
      case "syn":
        // RFC 5961 4.2. A new connection may take the place of one that only waits (RFC 9293 3.6.1).
        return this.#state === "time-wait" ? this.expire() : answers.challenge(now);
      case "old":
        if (this.#state === "time-wait") this.#stateAt = now + TIME_WAIT_MS;
        return;
      case "done":
        return;
      case "take":
        break;
    }
    if (this.#state === "time-wait") return;
    const acknowledged = sender.positionOf(incoming.acknowledgment, this.#initialSequence);
    if (this.#state === "syn-received" && !this.#establish(core, acknowledged)) return;
    const { board, window } = sender;
    if (acknowledged > board.next || acknowledged < board.acknowledged - window.largest) {
      return answers.challenge(now);
    }
    this.#receiveAcknowledgment(core, position, acknowledged);
    if (!this.#isClosed) this.#receivePayload(core, position);
  }

  #receiveReset({ sender }: Core): void {
    const isOver = this.#state === "last-ack" && sender.isFinAcknowledged;
    // A peer that is done has no say in what becomes of what it has sent.
    if (isOver || this.#state === "time-wait") this.#endWhenTaken();
    else this.#end("reset");
  }

  #establish(core: Core, acknowledged: number): boolean {
    if (acknowledged !== 1) {
      core.output.reset(acknowledged, true);
      return false;
    }
    this.#state = "established";
    this.#stateAt = Infinity;
    this.#keepalive.start(this.#now);
    const { rtt } = core.sender;
    if (this.#handshakes === 1) rtt.sample(this.#now - this.#handshakeAt, this.#now);
    core.receiver.roundTripMs = rtt.smoothed;
    this.#io.established();
    if (this.#isFinPromised && this.#state === "established") this.finish();
    return true;
  }

  /* 2. Acknowledgment */

  #receiveAcknowledgment(core: Core, position: number, acknowledged: number): void {
    const { sender, receiver } = core;
    const { options } = incoming;
    const before = sender.board.acknowledged;
    if (acknowledged < before) return;
    const window = incoming.window * 2 ** core.peerScale;
    const isSame = sender.window.offer(position, acknowledged, window, before);
    const isPure = isSame && incoming.payloadBytes === 0 && (incoming.flags & TCP_FLAG.FIN) === 0;
    sender.acknowledge(acknowledged, this.#initialSequence, options, isPure, this.#now);
    receiver.roundTripMs = sender.rtt.smoothed;
    if (sender.isFinAcknowledged) this.#finAcknowledged();
    if (this.#isClosed) return;
    if (sender.takeGrowth() && this.sendRoom > 0) this.#io.room();
    this.#stack.soil(this);
  }

  #finAcknowledged(): void {
    if (this.#state === "fin-wait-1") this.#state = "fin-wait-2";
    else if (this.#state === "closing") this.#wait();
    else if (this.#state === "last-ack") this.#endWhenTaken();
  }

  /* 3. Payload and FIN */

  #receivePayload(core: Core, position: number): void {
    const { receiver } = core;
    const { payloadBytes, flags } = incoming;
    const isOpen = this.#state === "established" || this.#state.startsWith("fin-wait");
    if (!isOpen) {
      if (payloadBytes > 0 || (flags & TCP_FLAG.FIN) !== 0) core.answers.now();
      return;
    }
    const before = receiver.next;
    let need: AckNeed = "none";
    if (payloadBytes > 0) {
      need = receiver.take(position, incoming.vectorAt, incoming.vectors, payloadBytes, this.#now);
    }
    if ((flags & TCP_FLAG.FIN) !== 0) receiver.takeFin(position + payloadBytes);
    this.stats.bytesIn += receiver.next - before - (receiver.hasEnded ? 1 : 0);
    if (receiver.hasEnded) {
      this.#receiveEnd(core);
      if (need !== "now") need = "event";
    } else if ((flags & TCP_FLAG.FIN) !== 0) need = "now";
    if (!this.#isClosed) core.answers.ask(need, incoming.vectors, this.#now);
  }

  #receiveEnd(core: Core): void {
    if (this.#state === "established") this.#state = "close-wait";
    else if (this.#state === "fin-wait-1") this.#state = "closing";
    else if (this.#state === "fin-wait-2") this.#wait();
    this.#tellEnd(core);
  }

  #tellEnd({ receiver, sender }: Core): void {
    if (this.#hasToldEnd || !receiver.isFinished) return;
    this.#hasToldEnd = true;
    this.#io.finished();
    // Not from here: the socket side is in the middle of something.
    const isOver = this.#state === "time-wait" && this.#stateAt === Infinity;
    if (isOver || (this.#state === "last-ack" && sender.isFinAcknowledged))
      this.#stateAt = this.#now;
  }

  /** Both halves are closed, but it is over only when the socket has taken what was acknowledged for it. */
  #endWhenTaken(): void {
    if (this.#core?.receiver.isFinished === true) return this.#end("closed");
    this.#stateAt = Infinity;
    this.#keepalive.stop();
  }

  /** TIME-WAIT. The socket side is told at once that all has come, and at its end that it is over. */
  #wait(): void {
    this.#state = "time-wait";
    this.#stateAt = this.#now + TIME_WAIT_MS;
    this.#core?.sender.close();
    this.#keepalive.stop();
    this.#stack.wait(this);
  }

  /** Ends TIME-WAIT before its time. */
  expire(): void {
    if (this.#state === "time-wait") this.#endWhenTaken();
  }

  /* 4. Answer */

  /** Sends what is due, `quantum` bytes at most. True if there is more to send. */
  flush(quantum: number): boolean {
    const core = this.#core;
    if (core === undefined || this.#isClosed) return false;
    const isMute = this.#state === "syn-received" || this.#state === "time-wait";
    const isMore = !isMute && core.sender.output(this.#now, quantum);
    if (!core.answers.flush()) return true;
    this.#arm();
    return isMore;
  }

  /* Timers */

  #arm(): void {
    const core = this.#core;
    if (core === undefined || this.#isClosed) return;
    const due = Math.min(
      core.answers.deadline,
      this.#stateAt,
      this.#keepalive.deadline,
      core.sender.deadline,
    );
    // A timer that is set too early only looks at the clock once more: cheaper than moving it with every segment.
    if (this.#timer.isSet && this.#timer.due <= Math.ceil(due)) return;
    if (due === Infinity) this.#stack.wheel.cancel(this.#timer);
    else this.#stack.wheel.set(this.#timer, due);
  }

  #tick(): void {
    const core = this.#core;
    if (core === undefined || this.#isClosed) return;
    const now = this.#now;
    core.answers.tick(now);
    if (now >= this.#stateAt && !this.#stateDue(core)) return;
    if (!core.sender.tick(now)) return this.#giveUp(core);
    const question = this.#keepalive.tick(now);
    if (question === "give-up") return this.#giveUp(core);
    // A number that was acknowledged already: whoever gets it must answer.
    if (question === "ask") core.output.acknowledgment(core.sender.board.acknowledged - 1);
    this.#stack.soil(this);
    this.#arm();
  }

  /** False if that was the end. */
  #stateDue(core: Core): boolean {
    this.#stateAt = Infinity;
    if (this.#state === "syn-received" && this.#handshakes < MAX_HANDSHAKES) {
      this.#greet(core);
      return true;
    }
    if (this.#state === "syn-received") this.#end("timeout");
    else this.#endWhenTaken();
    return !this.#isClosed;
  }

  #greet(core: Core): void {
    core.output.synAck();
    this.#handshakeAt = this.#now;
    this.#stateAt = this.#now + HANDSHAKE_MS * 2 ** this.#handshakes;
    this.#handshakes += 1;
    this.#arm();
  }

  #giveUp(core: Core): void {
    core.output.reset(core.sender.board.next, false);
    this.#end("timeout");
  }

  #reset(isPlain: boolean): void {
    const core = this.#core;
    if (this.#isClosed) return;
    if (this.#state !== "time-wait") core?.output.reset(core.sender.board.next, isPlain);
    this.#end("aborted");
  }

  #end(reason: TcpCloseReason): void {
    this.#state = "closed";
    this.#stack.wheel.cancel(this.#timer);
    this.#core?.sender.close();
    this.#core?.receiver.close();
    this.#stack.forget(this, this.stats);
    this.#io.closed(reason);
  }

  get #mayWrite(): boolean {
    return this.#state === "established" || this.#state === "close-wait";
  }

  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  get #now(): number {
    return this.#stack.clock.now();
  }
}
