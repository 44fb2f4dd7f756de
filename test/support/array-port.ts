import {
  type CloseReason,
  emptyRun,
  type FrameRun,
  type FrameSink,
  type Port,
} from "../../src/hub/port.ts";

/** Frames in stream form with four bytes of headroom before the first. */
export function runOf(frames: readonly Uint8Array[]): FrameRun {
  const size = frames.reduce((sum, frame) => sum + 4 + frame.length, 4);
  const run = emptyRun(new Uint8Array(size));
  let at = 4;
  for (const frame of frames) {
    run.view.setUint32(at, frame.length);
    run.bytes.set(frame, at + 4);
    at += 4 + frame.length;
  }
  run.start = 4;
  run.end = size;
  run.count = frames.length;
  return run;
}

/** Copies of the frames of a run; throws if the run does not end with its last frame. */
export function framesOf(run: FrameRun): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let at = run.start;
  while (at < run.end) {
    const size = run.view.getUint32(at);
    frames.push(run.bytes.slice(at + 4, at + 4 + size));
    at += 4 + size;
  }
  if (at !== run.end || frames.length !== run.count) throw new Error("Run and its count disagree");
  return frames;
}

/** The simplest port: what it is given lies in `frames`, what it is told to send enters where it is plugged in. */
export class ArrayPort implements Port {
  readonly name: string;
  readonly frames: Uint8Array[] = [];
  /** Frames of each run that was delivered. */
  readonly runs: number[] = [];
  ready = true;
  onReady: (() => void) | undefined = undefined;
  flushes = 0;
  closed: CloseReason | undefined;
  /** Called after each delivery, while the run is still borrowed. */
  onDeliver: ((run: FrameRun) => void) | undefined = undefined;
  onFlush: (() => void) | undefined = undefined;
  into: FrameSink | undefined;

  constructor(name: string) {
    this.name = name;
  }

  plug(into: FrameSink): void {
    this.into = into;
  }

  deliver(run: FrameRun): void {
    this.frames.push(...framesOf(run));
    this.runs.push(run.count);
    // A sink may write there (port.ts); every test is to stand it.
    if (run.start >= 4) run.view.setUint32(run.start - 4, 0xdeadbeef);
    this.onDeliver?.(run);
  }

  flush(): void {
    this.flushes += 1;
    this.onFlush?.();
  }

  close(reason: CloseReason): void {
    this.closed ??= reason;
  }

  /** Sends the frames as one run and flushes. */
  send(...frames: Uint8Array[]): void {
    this.into?.deliver(runOf(frames));
    this.into?.flush();
  }

  /** What was delivered since the last call. */
  take(): Uint8Array[] {
    this.runs.length = 0;
    return this.frames.splice(0);
  }
}
