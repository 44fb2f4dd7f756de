// The plainest TCP that is right: it sends a numbered stream by going back to what is not acknowledged, keeps what comes
// ahead of a gap byte by byte, and closes when all is sent and all has come. It opens, as guests do.
import type { ManualClock } from "../../support/manual-clock.ts";
import { TCP_FLAG } from "../../../src/wire/tcp.ts";
import { type TcpSegment } from "../../support/tcp-segment.ts";
import {
  byteAt,
  type GuestSegment,
  optionsOf,
  sack,
  stream,
  synOptions,
  timestamps,
} from "./tcp-world.ts";

export interface PlainSettings {
  readonly initial: number;
  readonly toSend: number;
  readonly hasSack: boolean;
  readonly hasTimestamps: boolean;
  /** Bytes of the largest segment it sends. */
  readonly segmentBytes: number;
  readonly windowBytes: number;
}

export class PlainGuest {
  readonly #clock: ManualClock;
  readonly #settings: PlainSettings;
  readonly #send: (segment: GuestSegment) => void;
  /** Positions, from the byte behind the SYN on. */
  #acknowledged = 0;
  #sent = 0;
  #peerEdge = 0;
  #hostInitial = -1;
  #recent = 0;
  /** All that has come, in order; and what came ahead, by position. */
  received = 0;
  readonly #ahead = new Set<number>();
  #finAt = -1;
  isWrong = false;
  isReset = false;
  #timer: { cancel(): void } | undefined;
  #backoff = 0;
  #isStopped = false;

  constructor(clock: ManualClock, settings: PlainSettings, send: (segment: GuestSegment) => void) {
    this.#clock = clock;
    this.#settings = settings;
    this.#send = send;
  }

  start(): void {
    const { initial, hasSack, hasTimestamps } = this.#settings;
    const options = synOptions({
      mss: 1460,
      scale: 4,
      sack: hasSack,
      ...(hasTimestamps ? { timestamp: this.#clock.now() } : {}),
    });
    this.#send({ seq: initial, flags: TCP_FLAG.SYN, options });
    this.#arm(() => this.start());
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  get hasAllAcknowledged(): boolean {
    return this.#acknowledged === this.#settings.toSend + 1;
  }

  get hasAllReceived(): boolean {
    return this.#finAt >= 0 && this.received > this.#finAt;
  }

  receive(segment: TcpSegment): void {
    if ((segment.flags & TCP_FLAG.RST) !== 0) {
      // What comes late meets nothing any more, and is told so.
      this.isReset ||= !this.hasAllAcknowledged || !this.hasAllReceived;
      return;
    }
    const options = optionsOf(segment);
    if ((segment.flags & TCP_FLAG.SYN) !== 0) {
      if (this.#hostInitial < 0) {
        this.#hostInitial = segment.sequence;
        this.#peerEdge = segment.window;
        this.#timer?.cancel();
        this.#timer = undefined;
      }
      this.#recent = options.timestampValue;
      this.#answer();
      return this.#output();
    }
    if (this.#hostInitial < 0) return;
    const at = (segment.sequence - this.#hostInitial - 1) | 0;
    if (options.hasTimestamps && at <= this.received) this.#recent = options.timestampValue;
    const ack = (segment.acknowledgment - this.#settings.initial - 1) | 0;
    this.#peerEdge = Math.max(this.#peerEdge, ack + segment.window * 128);
    if (ack > this.#acknowledged) {
      this.#acknowledged = ack;
      this.#sent = Math.max(this.#sent, ack);
      this.#backoff = 0;
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    this.#take(at, segment);
    this.#output();
  }

  #take(at: number, segment: TcpSegment): void {
    const { payload, flags } = segment;
    for (const [n, byte] of payload.entries()) {
      const position = at + n;
      if (byte !== byteAt(position)) this.isWrong = true;
      if (position >= this.received) this.#ahead.add(position);
    }
    if ((flags & TCP_FLAG.FIN) !== 0) this.#finAt = at + payload.length;
    while (this.#ahead.delete(this.received)) this.received += 1;
    if (this.received === this.#finAt) this.received += 1;
    // Also what is old altogether: it asks whether the guest is there (RFC 9293 3.10.7.4).
    if (payload.length > 0 || (flags & TCP_FLAG.FIN) !== 0 || at < this.received) this.#answer();
  }

  #answer(): void {
    this.#send({ ...this.#numbers(this.#sent), options: this.#options() });
  }

  #numbers(position: number) {
    return {
      seq: this.#settings.initial + 1 + position,
      ack: this.#hostInitial + 1 + this.received,
      window: Math.min(this.#settings.windowBytes >> 4, 0xffff),
    };
  }

  #options(): Uint8Array {
    const { hasSack, hasTimestamps } = this.#settings;
    const stamp = hasTimestamps ? timestamps(Math.floor(this.#clock.now()), this.#recent) : [];
    const edges = hasSack && this.#ahead.size > 0 ? sack(...this.#blocks()) : [];
    return new Uint8Array([...stamp, ...edges]);
  }

  #blocks(): number[] {
    const edges: number[] = [];
    const sorted = [...this.#ahead].toSorted((a, b) => a - b);
    for (const [n, position] of sorted.entries()) {
      if (n > 0 && sorted[n - 1] === position - 1) edges[edges.length - 1] = position + 1;
      else edges.push(position, position + 1);
    }
    return edges.slice(0, 6).map((position) => this.#hostInitial + 1 + position);
  }

  #output(): void {
    const { toSend, segmentBytes } = this.#settings;
    while (this.#sent <= toSend) {
      const bytes = Math.min(segmentBytes, toSend - this.#sent, this.#peerEdge - this.#sent);
      const isFin = this.#sent + bytes === toSend;
      if (bytes <= 0 && !isFin) break;
      this.#send({
        ...this.#numbers(this.#sent),
        flags: TCP_FLAG.ACK | TCP_FLAG.PSH | (isFin ? TCP_FLAG.FIN : 0),
        options: this.#options(),
        payload: stream(this.#sent, bytes),
      });
      this.#sent += bytes + (isFin ? 1 : 0);
    }
    if (this.#acknowledged <= toSend) this.#arm(() => this.#goBack());
  }

  #goBack(): void {
    this.#backoff = Math.min(this.#backoff + 1, 4);
    this.#sent = this.#acknowledged;
    // A closed window is asked about by a byte beyond it.
    if (this.#peerEdge <= this.#sent) this.#peerEdge = this.#sent + 1;
    this.#output();
  }

  #arm(run: () => void): void {
    if (this.#isStopped) return;
    this.#timer ??= this.#clock.after(300 * 2 ** this.#backoff, () => {
      this.#timer = undefined;
      run();
    });
  }
}
