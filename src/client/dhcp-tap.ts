import type { Clock } from "../base/clock.ts";
import { emptyRun, type FrameRun, type FrameSink } from "../hub/port.ts";
import type { DhcpClient } from "./dhcp-client.ts";

/** Room for a batch's block count, then the size of the frame (architecture.md 1). */
const HEADROOM = 4;
const SIZE_BYTES = 4;
/** A server that is there answers a renewal well within this time. */
const LISTEN_MS = 10_000;

/**
 * The place on the cable where the DHCP client sits: frames of the session pass here on their way to the adapter.
 * They are looked at while the client has no lease, and for some seconds after it has sent something; else
 * whole runs pass untouched.
 */
export class DhcpTap implements FrameSink {
  /** Set before the first frame comes: client and tap know each other. */
  client: DhcpClient | undefined;
  readonly #nic: FrameSink;
  readonly #clock: Clock;
  readonly #part = emptyRun(new Uint8Array(0));
  #session: FrameSink | undefined;
  #isListening = false;
  #listenUntil = 0;

  constructor(nic: FrameSink, clock: Clock) {
    this.#nic = nic;
    this.#clock = clock;
  }

  /** Where the client's own frames go; undefined while there is no session. */
  connect(session: FrameSink | undefined): void {
    this.#session = session;
  }

  /** Sends a frame of the client into the session. */
  send(frame: Uint8Array): void {
    this.#isListening = true;
    this.#listenUntil = this.#clock.now() + LISTEN_MS;
    const session = this.#session;
    if (session === undefined) return;
    const run = emptyRun(new Uint8Array(HEADROOM + SIZE_BYTES + frame.length));
    run.view.setUint32(HEADROOM, frame.length);
    run.bytes.set(frame, HEADROOM + SIZE_BYTES);
    run.start = HEADROOM;
    run.end = run.bytes.length;
    run.count = 1;
    session.deliver(run);
    session.flush();
  }

  // From the session to the adapter.

  deliver(run: FrameRun): void {
    const { client } = this;
    if (client === undefined || !this.#listens(client)) return this.#nic.deliver(run);
    let begin = run.start;
    let count = 0;
    for (let at = run.start; at < run.end;) {
      const frame = at + SIZE_BYTES;
      const end = frame + run.view.getUint32(at);
      if (client.wants(run.bytes, frame, end) && client.feed(run.bytes, frame, end)) {
        this.#deliverPart(run, begin, at, count);
        begin = end;
        count = 0;
      } else count++;
      at = end;
    }
    this.#deliverPart(run, begin, run.end, count);
  }

  flush(): void {
    this.#nic.flush();
  }

  get ready(): boolean {
    return this.#nic.ready;
  }

  get onReady(): (() => void) | undefined {
    return this.#nic.onReady;
  }

  set onReady(call: (() => void) | undefined) {
    this.#nic.onReady = call;
  }

  #listens(client: DhcpClient): boolean {
    if (!this.#isListening) return false;
    if (client.lease !== undefined && this.#clock.now() > this.#listenUntil) {
      this.#isListening = false;
    }
    return this.#isListening;
  }

  #deliverPart(run: FrameRun, start: number, end: number, count: number): void {
    if (count === 0) return;
    const part = this.#part;
    part.bytes = run.bytes;
    part.view = run.view;
    part.start = start;
    part.end = end;
    part.count = count;
    this.#nic.deliver(part);
  }
}
