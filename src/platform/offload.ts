// The offload module at work in packet memory: its tables, and its functions under TypeScript's types.
import { readFileSync } from "node:fs";
import { VpnError } from "../base/errors.ts";
import { MAX_FRAME_BYTES, MIN_FRAME_BYTES } from "../base/limits.ts";
import scalarPath from "../wasm/generated/offload-scalar.wasm" with { type: "file" };
import vectorPath from "../wasm/generated/offload.wasm" with { type: "file" };
import type { VectorList } from "./frame-device.ts";
import { PACKET_BASE, PACKET_MEMORY, PACKET_VIEW, reserve } from "./packet-memory.ts";

/* Shape of the tables that src/wasm/job.as.ts fills. */
const MAX_JOBS = 128;
const MAX_VECTORS = 64;
const VECTOR_BYTES = 16;
const VECTOR_LENGTH = 8;
const JOB_BYTES = 64;
/** Where in a job the length of its headers stands, and that of what its frames carry. */
const JOB_HEADER_FIELD = 16;
const JOB_PAYLOAD_FIELD = 28;
const HEADER_BYTES = 128;
const FLOW_TABLE_BYTES = 64;

/** Bytes of the virtio-net header before each frame of a device that has it. */
export const VNET_HEADER_BYTES = 10;

/** Negative answers of `cut`, which is a length otherwise. */
export const CUT = { malformed: -1, noRoom: -2, tooLong: -3 } as const;

interface OffloadExports {
  init(
    jobsAt: number,
    vectorsAt: number,
    headersAt: number,
    flowsAt: number,
    base: bigint,
    minFrame: number,
    maxFrame: number,
  ): void;
  cut(at: number, bytes: number, out: number, room: number, maxFrame: number): number;
  cutFrames(): number;
  merge(at: number, end: number): number;
  jobs(): number;
  refused(): number;
  rangeSum(at: number, bytes: number): number;
}

const jobsAt = reserve(MAX_JOBS * JOB_BYTES);
const vectorsAt = reserve(MAX_JOBS * MAX_VECTORS * VECTOR_BYTES);
const headersAt = reserve(MAX_JOBS * HEADER_BYTES);
const flowsAt = reserve(FLOW_TABLE_BYTES);
const wasm = instantiate();

/**
 * Cuts one read of a device, a virtio-net header and a frame, at offset `at`, into `[u32 size][frame]...` at `out`.
 * Gives the bytes written, `cutFrames()` frames, or a number of `CUT`. The input is changed and must not overlap.
 */
export function cut(at: number, bytes: number, out: number, room: number): number {
  return wasm.cut(at, bytes, out, room, MAX_FRAME_BYTES);
}

/** Frames that the last successful `cut` made. */
export function cutFrames(): number {
  return wasm.cutFrames();
}

/**
 * Makes jobs of a run in packet memory, to be written before the next call. The run is only read.
 * Gives the offset up to which there were jobs enough: go on there until it is `end`.
 */
export function merge(at: number, end: number): number {
  return wasm.merge(at, end);
}

/** Jobs of the last `merge`. */
export function mergeJobs(): number {
  return wasm.jobs();
}

/** Frames that the last `merge` left out for being shorter than 14 or longer than 1600 bytes. */
export function mergeRefused(): number {
  return wasm.refused();
}

/** The folded sum of 16-bit words in network order (RFC 1071) of at most 1 MiB of packet memory. */
export function rangeSum(at: number, bytes: number): number {
  return wasm.rangeSum(at, bytes);
}

/** Entries in the vector of job `index`: one for headers, one for each frame. */
export function jobVectors(index: number): number {
  return PACKET_VIEW.getInt32(jobsAt + index * JOB_BYTES, true);
}

/** The jobs of the last `merge`, as devices write them. */
export const JOBS: VectorList = { at: jobVectorAt, count: jobVectors };

/** Offset of the headers of a job of several segments, as the kernel would take it: behind its virtio-net header. */
export function jobHeadersAt(index: number): number {
  return headersAt + index * HEADER_BYTES + VNET_HEADER_BYTES;
}

/** Bytes of those headers. */
export function jobHeaderBytes(index: number): number {
  return PACKET_VIEW.getInt32(jobsAt + index * JOB_BYTES + JOB_HEADER_FIELD, true);
}

/** Bytes of payload of a job of several segments. */
export function jobPayloadBytes(index: number): number {
  return PACKET_VIEW.getInt32(jobsAt + index * JOB_BYTES + JOB_PAYLOAD_FIELD, true);
}

/** Bytes of the frames that a job stands for. */
export function jobBytes(index: number): number {
  const frames = jobVectors(index) - 1;
  if (frames === 1) return jobFrameBytes(index);
  const job = jobsAt + index * JOB_BYTES;
  const payload = PACKET_VIEW.getInt32(job + JOB_PAYLOAD_FIELD, true);
  return payload + frames * PACKET_VIEW.getInt32(job + JOB_HEADER_FIELD, true);
}

/** Offset of the one frame of a job that has no other. */
export function jobFrameAt(index: number): number {
  // Addresses differ from offsets by less than 2^32 and wrap around alike.
  const entry = jobVectorAt(index) + VECTOR_BYTES;
  return (PACKET_VIEW.getUint32(entry, true) - (PACKET_BASE % 2 ** 32)) >>> 0;
}

/** Its length. */
export function jobFrameBytes(index: number): number {
  return PACKET_VIEW.getUint32(jobVectorAt(index) + VECTOR_BYTES + VECTOR_LENGTH, true);
}

/** Offset of the vector of job `index`, an array of struct iovec. */
export function jobVectorAt(index: number): number {
  return vectorsAt + index * MAX_VECTORS * VECTOR_BYTES;
}

function instantiate(): OffloadExports {
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(readFileSync(vectorPath));
  } catch (thrown) {
    // The runtime compiles vector instructions for processors with AVX or NEON only.
    if (!(thrown instanceof WebAssembly.CompileError)) throw thrown;
    module = new WebAssembly.Module(readFileSync(scalarPath));
  }
  const instance = new WebAssembly.Instance(module, { env: { memory: PACKET_MEMORY } });
  const exported: unknown = instance.exports;
  if (!isOffload(exported))
    throw new VpnError("offload", "Cannot use offload.wasm: not the module");
  const base = BigInt(PACKET_BASE);
  exported.init(jobsAt, vectorsAt, headersAt, flowsAt, base, MIN_FRAME_BYTES, MAX_FRAME_BYTES);
  return exported;
}

function isOffload(exported: unknown): exported is OffloadExports {
  const functions = new Map(Object.entries(exported ?? {}));
  return ["init", "cut", "cutFrames", "merge", "jobs", "refused", "rangeSum"].every(
    (name) => typeof functions.get(name) === "function",
  );
}
