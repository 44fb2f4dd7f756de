// The end of a TCP connection that the inside host has opened, as its far end would be (RFC 9293). Stages of a segment:
//
//   1. check: is it of this connection and its window (3.10.7.4, RFC 7323 5, RFC 5961)
//   2. acknowledgment: for the sender
//   3. payload and FIN: for the receiver
//   4. answer: what is to be said goes out at the end of the event, in one segment if it can
import type { MacAddress } from "../../base/mac.ts";
import type { PacketView } from "../../ip-host/packet-view.ts";
import { TCP_FLAG } from "../../wire/tcp.ts";
import { ChallengeBudget } from "./challenge-budget.ts";
import type { TcpEndpoints } from "./endpoints.ts";
import { termsOf } from "./handshake-terms.ts";
import { incoming } from "./incoming.ts";
import { type AckNeed, DELAYED_ACK_MS, TcpReceiver } from "./receiver.ts";
import { RttEstimator } from "./rtt.ts";
import { SegmentOutput } from "./segment-output.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { TcpSender } from "./sender.ts";
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
/** An inside host that is silent for so long is asked whether it lives, and given up after so many questions. */
const KEEPALIVE = { idleMs: 600_000, intervalMs: 30_000, probes: 5 } as const;
/** What goes out while much waits is written at once: it is still in the processor's cache. */
const WRITE_THROUGH_BYTES = 32_768;
const WRITE_QUANTUM_BYTES = 262_144;
/** Acknowledgments of one merged packet, for peers that count them. */
const MAX_DUPLICATES = 3;

/** What there is from the SYN on. */
interface Core {
  readonly receiver: TcpReceiver;
  readonly sender: TcpSender;
  readonly output: SegmentOutput;
  readonly hasSack: boolean;
  readonly hasTimestamps: boolean;
  readonly peerScale: number;
}

export class TcpConnection implements TcpControl {
  readonly stats = noTcpStats();
  readonly ends: TcpEndpoints;
  /** The stack will let it send. */
  isSoiled = false;
  readonly #stack: TcpStack;
  readonly #io: TcpIo;
  readonly #writer: SegmentWriter;
  readonly #timer = new WheelTimer(() => this.#tick());
  readonly #challenges = new ChallengeBudget();
  readonly #initialSequence: number;
  readonly #timestampOffset: number;
  #state: TcpState = "connecting";
  #core: Core | undefined;
  /** Of the last segment that moved the window (RFC 9293 `SND.WL1`, `SND.WL2`), as positions. */
  #windowSequence = 0;
  #windowAcknowledgment = 0;
  #need: AckNeed = "none";
  /** Deadlines by the clock; Infinity while not set. */
  #ackAt = Infinity;
  #stateAt = Infinity;
  #keepaliveAt = Infinity;
  #keepalives = 0;
  #handshakes = 0;
  #handshakeAt = 0;
  #heardAt = 0;
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
    const mayWrite = this.#state === "established" || this.#state === "close-wait";
    return mayWrite && this.#core !== undefined ? this.#core.sender.room : 0;
  }

  /** Undefined before the first segment. */
  get details(): TcpDetails | undefined {
    const core = this.#core;
    return core && describeConnection(this.#state, core.sender, core.receiver);
  }

  /* The socket side */

  open(): void {
    if (this.#state !== "connecting" || this.#core === undefined) return;
    this.#state = "syn-received";
    this.#greet(this.#core);
  }

  refuse(): void {
    if (this.#state === "closed") return;
    this.#core?.output.reset(0, this.#stack.isPlainReset);
    this.#end("aborted");
  }

  write(chunk: SendChunk): void {
    const core = this.#core;
    if (core === undefined || this.sendRoom === 0) return this.#stack.chunks.give(chunk);
    core.sender.write(chunk, this.#now);
    if (core.sender.unsent >= WRITE_THROUGH_BYTES)
      core.sender.output(this.#now, WRITE_QUANTUM_BYTES);
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
    const core = this.#core;
    if (this.#state === "closed") return;
    const isKnown = this.#state !== "connecting" && this.#state !== "time-wait";
    if (core !== undefined && isKnown) core.output.reset(core.sender.board.next, false);
    else if (this.#state === "connecting") core?.output.reset(0, this.#stack.isPlainReset);
    this.#end("aborted");
  }

  resume(): void {
    const core = this.#core;
    if (core === undefined || this.#state === "closed") return;
    core.receiver.isBlocked = false;
    core.receiver.offer();
    this.#tellEnd(core);
    // Behind the FIN no window is of interest, and a peer that has closed would answer with RST.
    if (!core.receiver.hasEnded && core.receiver.isWindowWorthTelling) this.#needAck(core, "event");
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
    else if (this.#state === "connecting") this.#receiveWhileConnecting(core);
    else this.#receive(core);
    this.#arm();
  }

  /** The SYN. Payload that comes with it is not acknowledged, and will come again. */
  #begin(): void {
    if ((incoming.flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) !== TCP_FLAG.SYN) return;
    const { options } = incoming;
    const writer = this.#writer;
    const { chunks } = this.#stack;
    const { stats } = this;
    const terms = termsOf(options, this.ends.inner.family, writer.maxSegmentBytes);
    const receiver = new TcpReceiver(this.#io, chunks, incoming.sequence, stats);
    const initialSequence = this.#initialSequence;
    const timestamp = () => this.#timestamp;
    const output = new SegmentOutput({
      writer,
      terms,
      receiver,
      initialSequence,
      stats,
      timestamp,
    });
    output.recentTimestamp = options.timestampValue;
    const transmit = (start: number, bytes: number, flags: number) =>
      this.#transmit(output, sender, start, bytes, flags);
    const sender = new TcpSender(1, terms, new RttEstimator(), chunks, stats, {
      transmit,
      timestamp,
    });
    sender.offer(1, incoming.window);
    const { hasSack, hasTimestamps, peerScale } = terms;
    this.#core = { receiver, sender, output, hasSack, hasTimestamps, peerScale };
  }

  #receiveWhileConnecting({ receiver }: Core): void {
    const isReset = (incoming.flags & TCP_FLAG.RST) !== 0;
    if (isReset && incoming.sequence === receiver.sequenceOf(1)) this.#end("reset");
  }

  #receive(core: Core): void {
    const { flags, options } = incoming;
    const { receiver, sender, output } = core;
    const now = this.#now;
    this.#heardAt = now;
    this.#keepalives = 0;
    const position = receiver.positionOf(incoming.sequence);
    if (this.#isRepeatedSyn(position)) {
      if (this.#challenges.take(now)) output.synAck();
      return;
    }
    const isReset = (flags & TCP_FLAG.RST) !== 0;
    if (core.hasTimestamps && !isReset) {
      // RFC 7323 3.2: what comes without is not of this connection, and 5.3: what is older than the last is an echo.
      if (!options.hasTimestamps) return this.#drop();
      const age = (options.timestampValue - output.recentTimestamp) | 0;
      if (age < 0) return this.#challenge(core);
      if (position <= output.lastAcknowledged) output.recentTimestamp = options.timestampValue;
    }
    if (isReset) return this.#receiveReset(core, position);
    if ((flags & TCP_FLAG.SYN) !== 0) return this.#receiveSyn(core);
    if ((flags & TCP_FLAG.ACK) === 0) return this.#drop();
    const length = incoming.payloadBytes + (flags & TCP_FLAG.FIN);
    if (!this.#isAcceptable(receiver, position, length)) {
      if (incoming.payloadBytes > 0 || (flags & TCP_FLAG.FIN) !== 0) {
        if (this.#state === "time-wait") this.#stateAt = now + TIME_WAIT_MS;
        if (position < receiver.next)
          receiver.noteRepeat(position, Math.min(position + length, receiver.next));
        this.#acknowledgeNow(core);
      } else this.#challenge(core);
      // A closed window lets nothing in but what the peer has to say of ours (RFC 9293 3.10.7.4).
      if (position !== receiver.next || this.#state === "time-wait") return;
      incoming.payloadBytes = 0;
      incoming.flags &= ~TCP_FLAG.FIN;
    }
    const acknowledged = sender.positionOf(incoming.acknowledgment, this.#initialSequence);
    if (this.#state === "syn-received" && !this.#establish(core, acknowledged)) return;
    if (
      acknowledged > sender.board.next ||
      acknowledged < sender.board.acknowledged - sender.maxWindow
    ) {
      return this.#challenge(core);
    }
    this.#receiveAcknowledgment(core, position, acknowledged);
    if (this.#isClosed) return;
    this.#receivePayload(core, position);
  }

  /** Before the connection is established a SYN that comes again asks for the answer to it. */
  #isRepeatedSyn(position: number): boolean {
    const isSyn = (incoming.flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) === TCP_FLAG.SYN;
    return isSyn && position === 0 && this.#state === "syn-received";
  }

  #isAcceptable(receiver: TcpReceiver, position: number, length: number): boolean {
    const { next, edge } = receiver;
    if (length === 0) return position >= next && position <= edge;
    return position < edge && position + length > next;
  }

  /** RFC 5961 3.2: only the very next number ends the connection, any other of the window is asked about. */
  #receiveReset(core: Core, position: number): void {
    const { next, edge } = core.receiver;
    if (position === next || position === core.output.lastAcknowledged) {
      const isOver = this.#state === "last-ack" && core.sender.isFinAcknowledged;
      // A peer that is done has no say in what becomes of what it has sent.
      if (isOver || this.#state === "time-wait") return this.#endWhenTaken();
      return this.#end("reset");
    }
    if (position > next && position < edge) this.#challenge(core);
    else this.#drop();
  }

  /** RFC 5961 4.2. A new connection may take the place of one that only waits (RFC 9293 3.6.1). */
  #receiveSyn(core: Core): void {
    if (this.#state === "time-wait") this.expire();
    else this.#challenge(core);
  }

  #establish(core: Core, acknowledged: number): boolean {
    if (acknowledged !== 1) {
      core.output.reset(acknowledged, true);
      return false;
    }
    this.#state = "established";
    this.#stateAt = Infinity;
    this.#keepaliveAt = this.#now + KEEPALIVE.idleMs;
    const { rtt } = core.sender;
    if (this.#handshakes === 1) rtt.sample(this.#now - this.#handshakeAt, this.#now);
    core.receiver.roundTripMs = rtt.smoothed;
    core.sender.offer(1, incoming.window * 2 ** core.peerScale);
    this.#io.established();
    if (this.#isFinPromised && this.#state === "established") this.finish();
    return true;
  }

  /* 2. Acknowledgment */

  #receiveAcknowledgment(core: Core, position: number, acknowledged: number): void {
    const { sender, receiver } = core;
    const { options } = incoming;
    let isSameWindow = true;
    if (acknowledged < sender.board.acknowledged) return;
    // One that acknowledges more is newer too: a peer that has gone back sends it with an older number.
    const isNewer =
      acknowledged > sender.board.acknowledged ||
      position > this.#windowSequence ||
      (position === this.#windowSequence && acknowledged >= this.#windowAcknowledgment);
    if (isNewer) {
      isSameWindow = sender.offer(acknowledged, incoming.window * 2 ** core.peerScale);
      this.#windowSequence = position;
      this.#windowAcknowledgment = acknowledged;
    }
    const isPure =
      isSameWindow && incoming.payloadBytes === 0 && (incoming.flags & TCP_FLAG.FIN) === 0;
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
      if (payloadBytes > 0 || (flags & TCP_FLAG.FIN) !== 0) this.#acknowledgeNow(core);
      return;
    }
    const before = receiver.next;
    let need: AckNeed = "none";
    if (payloadBytes > 0) {
      const { vectorAt, vectors } = incoming;
      need = receiver.take(position, vectorAt, vectors, payloadBytes, this.#now);
    }
    if ((flags & TCP_FLAG.FIN) !== 0) receiver.takeFin(position + payloadBytes);
    this.stats.bytesIn += receiver.next - before;
    if (receiver.hasEnded) {
      this.#receiveEnd(core);
      if (need !== "now") need = "event";
    } else if ((flags & TCP_FLAG.FIN) !== 0) need = "now";
    if (!this.#isClosed) this.#needAck(core, need);
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
    this.#keepaliveAt = Infinity;
  }

  /** TIME-WAIT. The socket side is told at once that all has come, and at its end that it is over. */
  #wait(): void {
    const core = this.#core;
    if (core === undefined) return;
    this.#state = "time-wait";
    this.#stateAt = this.#now + TIME_WAIT_MS;
    core.sender.close();
    this.#keepaliveAt = Infinity;
    this.#stack.wait(this);
  }

  /** Ends TIME-WAIT before its time. */
  expire(): void {
    if (this.#state === "time-wait") this.#endWhenTaken();
  }

  /* 4. Answer */

  #needAck(core: Core, need: AckNeed): void {
    if (need === "none") return;
    if (need === "now") {
      // Without SACK duplicates are all that a peer can count (RFC 5681 3.2).
      const copies = core.hasSack ? 1 : Math.min(Math.max(incoming.vectors, 1), MAX_DUPLICATES);
      for (let n = 0; n < copies; n += 1) this.#acknowledgeNow(core);
    } else if (need === "event") {
      this.#need = "event";
      this.#stack.soil(this);
    } else if (this.#need === "none") {
      this.#need = "delayed";
      this.#ackAt = this.#now + DELAYED_ACK_MS;
    }
  }

  #acknowledgeNow(core: Core): void {
    if (core.output.acknowledgment(core.sender.board.next)) this.#answered();
    else {
      this.#need = "event";
      this.#stack.soil(this);
    }
  }

  #challenge(core: Core): void {
    if (!this.#challenges.take(this.#now)) return this.#drop();
    this.stats.challenges += 1;
    core.output.acknowledgment(core.sender.board.next);
  }

  #drop(): void {
    this.stats.dropped += 1;
  }

  #answered(): void {
    this.#need = "none";
    this.#ackAt = Infinity;
  }

  #transmit(
    output: SegmentOutput,
    sender: TcpSender,
    start: number,
    bytes: number,
    flags: number,
  ): boolean {
    if (!output.data(start, bytes, flags, sender.buffer)) return false;
    if (bytes > 0 && this.#need === "delayed") this.#core?.receiver.noteDialogue();
    this.#answered();
    return true;
  }

  /** Sends what is due, `quantum` bytes at most. True if there is more to send. */
  flush(quantum: number): boolean {
    const core = this.#core;
    if (core === undefined || this.#isClosed) return false;
    const isSending = this.#state !== "syn-received" && this.#state !== "time-wait";
    const isMore = isSending && core.sender.output(this.#now, quantum);
    if (this.#need === "event") {
      if (!core.output.acknowledgment(core.sender.board.next)) return true;
      this.#answered();
    }
    this.#arm();
    return isMore;
  }

  /* Timers */

  #arm(): void {
    const core = this.#core;
    if (core === undefined || this.#isClosed) return;
    const due = Math.min(this.#ackAt, this.#stateAt, this.#keepaliveAt, core.sender.deadline);
    // A timer that is set too early only looks at the clock once more: cheaper than moving it with every segment.
    if (this.#timer.isSet && this.#timer.due <= due) return;
    if (due === Infinity) this.#stack.wheel.cancel(this.#timer);
    else this.#stack.wheel.set(this.#timer, due);
  }

  #tick(): void {
    const core = this.#core;
    if (core === undefined || this.#isClosed) return;
    const now = this.#now;
    if (now >= this.#ackAt) {
      this.#ackAt = Infinity;
      this.#need = "event";
    }
    if (now >= this.#stateAt && !this.#stateDue(core)) return;
    if (!core.sender.tick(now)) return this.#giveUp(core);
    if (now >= this.#keepaliveAt && !this.#keepAlive(core, now)) return this.#giveUp(core);
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

  /** False if the peer has not answered. */
  #keepAlive(core: Core, now: number): boolean {
    const quietSince = this.#heardAt + KEEPALIVE.idleMs;
    if (now < quietSince) {
      this.#keepaliveAt = quietSince;
      return true;
    }
    if (this.#keepalives >= KEEPALIVE.probes) return false;
    this.#keepalives += 1;
    this.#keepaliveAt = now + KEEPALIVE.intervalMs;
    core.output.acknowledgment(core.sender.board.acknowledged - 1);
    return true;
  }

  #giveUp(core: Core): void {
    core.output.reset(core.sender.board.next, false);
    this.#end("timeout");
  }

  #end(reason: TcpCloseReason): void {
    this.#state = "closed";
    this.#stack.wheel.cancel(this.#timer);
    this.#core?.sender.close();
    this.#core?.receiver.close();
    this.#stack.forget(this, this.stats);
    this.#io.closed(reason);
  }

  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  get #now(): number {
    return this.#stack.clock.now();
  }

  /** RFC 7323 5.4: the clock in milliseconds, from a place of its own for each connection. */
  get #timestamp(): number {
    return (this.#timestampOffset + Math.floor(this.#now)) >>> 0;
  }
}
