import type { FrameRun, FrameSink } from "../hub/port.ts";

/**
 * The way from the adapter to whatever session there is: a cable whose far end is moved from a session to the
 * next one, while the adapter stays plugged in. Without a session frames are dropped and counted: old frames
 * would be of no use to a new session.
 */
export class Cable implements FrameSink {
  #session: FrameSink | undefined;
  onReady: (() => void) | undefined;
  /** Frames that met no session. */
  dropped = 0;

  deliver(run: FrameRun): void {
    if (this.#session === undefined) this.dropped += run.count;
    else this.#session.deliver(run);
  }

  flush(): void {
    this.#session?.flush();
  }

  get ready(): boolean {
    return this.#session === undefined || this.#session.ready;
  }

  /** Moves the far end; undefined leaves it open. */
  connect(session: FrameSink | undefined): void {
    if (this.#session !== undefined) this.#session.onReady = undefined;
    const wasReady = this.ready;
    this.#session = session;
    if (session !== undefined) session.onReady = () => this.onReady?.();
    if (!wasReady && this.ready) this.onReady?.();
  }
}
