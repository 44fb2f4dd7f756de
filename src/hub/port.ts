/**
 * Consecutive frames in the form that the wire carries: `[u32 size][frame] [u32 size][frame] ...`, sizes
 * big-endian, from `start` to `end` of `bytes` (architecture.md 1).
 *
 * A run is borrowed for the call that hands it over and the object is used again by its giver: copy or write
 * what is to be kept. The bytes are read only, but for the four before `start` where there are four: they
 * belong to nobody any more, and a sink may write a unit's block count there to send the run as it lies.
 */
export interface FrameRun {
  bytes: Uint8Array;
  view: DataView;
  start: number;
  end: number;
  /** Frames in the run, at least 1. */
  count: number;
}

/** Where frames can be put. */
export interface FrameSink {
  /** Takes every frame of the run, or drops and counts. */
  deliver(run: FrameRun): void;
  /**
   * For a giver that cannot stop: while the sink is not ready, a frame that must not wait behind bulk (urgent.ts) may
   * find a place all the same. A run of one; false when there is none, and the giver drops it.
   */
  deliverUrgent?(run: FrameRun): boolean;
  /** The batch is over: send what was gathered. Once per event, never per frame. */
  flush(): void;
  /** False while full: the giver stops reading, or goes on and lets the sink drop, as its kind demands. */
  readonly ready: boolean;
  /** Called once each time `ready` turns true again. */
  onReady: (() => void) | undefined;
}

/** Why a port was closed; `code` is stable and part of logs and API. */
export interface CloseReason {
  readonly code: string;
  readonly detail?: string;
}

/** One end of a cable: takes frames, and hands its own to the sink that it is plugged into. */
export interface Port extends FrameSink {
  /** SID-ALICE-1, SID-SECURENAT-2, tap0. */
  readonly name: string;
  /** Frames go to `into` from now on. Called once, before anything is delivered. */
  plug(into: FrameSink): void;
  /** Ends the port and releases all it holds. May be called twice. */
  close(reason: CloseReason): void;
}

/** A run over `bytes` with no frames in it yet. */
export function emptyRun(bytes: Uint8Array): FrameRun {
  return {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    start: 0,
    end: 0,
    count: 0,
  };
}

/** Lets `part` show frames of the run: start, end and count are the caller's to set. */
export function shareRun(part: FrameRun, run: FrameRun): void {
  part.bytes = run.bytes;
  part.view = run.view;
}

const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

/** Lets go of the bytes: those of a received chunk are released right after its event. */
export function releaseRun(part: FrameRun): void {
  part.bytes = NO_BYTES;
  part.view = NO_VIEW;
  part.start = part.end = part.count = 0;
}
