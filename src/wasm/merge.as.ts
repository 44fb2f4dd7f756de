// To the TAP: frames of a run become jobs, one `writev` each. Consecutive TCP segments of a flow share a job.
//
// 1. walk: every frame of the run, in order
// 2. parse: is it a plain TCP segment whose every byte is accounted for? (segment.as.ts)
// 3. place: at the end of its flow's open job, if the kernel, cutting that again, would give the same frames (job.as.ts)
// 4. seal: a job of several segments gets a header of its own
//
// A job says to the kernel "checksum verified": a segment with a wrong checksum is never merged but passed as it is, for
// the kernel to refuse. The order within a flow is kept; flows may overtake each other within a run, as on any network
// with several queues. The run is only read: headers that change are copied to the job's own place first.
import * as h from "./headers.as";
import {
  addSingle,
  append,
  clearJobs,
  closeJob,
  continues,
  jobCount,
  MAX_JOBS,
  openJob,
  seal,
  setTables,
} from "./job.as";
import { flowHash, isVerified, l4, parseSegment, payload } from "./segment.as";

const SIZE_BYTES: usize = 4;
/** Flows found by hash; two of one hash take the place in turns, which costs merges and nothing else. */
const FLOW_SLOTS: u32 = 64;

let flowTable: usize = 0;
let shortest: i32 = 0;
let longest: i32 = 0;
let refusedFrames: i32 = 0;

/**
 * Tells where the tables are (offsets), at which address offset 0 is for the system, and which frame lengths pass.
 * Bytes: jobs MAX_JOBS * 64, vectors MAX_JOBS * MAX_VECTORS * 16, headers MAX_JOBS * 128, flows 64.
 */
export function init(
  jobsAt: usize,
  vectorsAt: usize,
  headersAt: usize,
  flowsAt: usize,
  base: u64,
  minFrame: i32,
  maxFrame: i32,
): void {
  setTables(jobsAt, vectorsAt, headersAt, base);
  flowTable = flowsAt;
  shortest = minFrame;
  longest = maxFrame;
}

/** Jobs that the last `merge` made. */
export function jobs(): i32 {
  return jobCount;
}

/** Frames that the last `merge` left out for their length. */
export function refused(): i32 {
  return refusedFrames;
}

/* 1. Walk, 4. Seal */

/**
 * Makes jobs of the run `[u32 size][frame]...` from `at` to `end`. Gives the offset of what it had no more jobs for, or
 * `end`. A size that runs past the end counts as one refused frame and ends the run.
 */
export function merge(at: usize, end: usize): usize {
  clearJobs();
  refusedFrames = 0;
  memory.fill(flowTable, 0, FLOW_SLOTS);
  while (at + SIZE_BYTES <= end && jobCount < MAX_JOBS) {
    const size = bswap<u32>(load<u32>(at));
    const frame = at + SIZE_BYTES;
    if (size > <u32>(end - frame)) {
      refusedFrames += 1;
      at = end;
      break;
    }
    at = frame + size;
    if (size < <u32>shortest || size > <u32>longest) {
      refusedFrames += 1;
      continue;
    }
    if (parseSegment(frame, size)) place(frame, size);
    else addSingle(frame, size);
  }
  for (let job = 0; job < jobCount; job += 1) seal(job);
  return at;
}

/* 2. Parse, 3. Place */

function place(frame: usize, size: i32): void {
  const flags = load<u8>(frame + l4 + h.TCP_FLAGS);
  // CWR must stay on the segment that has it, SYN, RST and URG are events of their own; all pass alone.
  const allowed: u8 = h.ACK | h.ECE | h.PSH | h.FIN;
  const mergeable =
    payload > 0 && (flags & h.ACK) != 0 && (flags & ~allowed) == 0 && isVerified(frame, size);

  const slot = flowTable + <usize>flowHash;
  const found = <i32>load<u8>(slot) - 1;
  if (found >= 0) {
    if (mergeable && continues(found, frame, flags)) {
      append(found, frame, flags);
      return;
    }
    // Whatever comes now of this flow must not get into a job before this frame.
    closeJob(found);
  }
  const index = addSingle(frame, size);
  // A segment with PSH or FIN ends what is merged: the kernel sets them on the last one only.
  if (!mergeable || (flags & (h.PSH | h.FIN)) != 0) {
    store<u8>(slot, 0);
    return;
  }
  store<u8>(slot, <u8>(index + 1));
  openJob(index, frame);
}
