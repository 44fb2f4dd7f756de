import { emptyRun, type FrameRun } from "../../../src/hub/port.ts";
import { PACKET_BYTES } from "../../../src/platform/packet-memory.ts";
import type { BlockCodec } from "../../../src/session/block-codec.ts";
import { framesOf, runOf } from "../../support/array-port.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const random = seededRandom(41);
const LINE = new TextEncoder().encode(
  "The same words, again and over again, and some others now. ",
);
/** Where addresses and ports of IPv4 lie; frames of one flow have the same there. */
const FLOW_AT = 26;
let flows = 0;

function inFlow(frame: Uint8Array, flow: number): Uint8Array {
  if (frame.length < FLOW_AT + 12) return frame;
  frame.fill(0, FLOW_AT, FLOW_AT + 12);
  new DataView(frame.buffer).setUint32(FLOW_AT + 4, flow);
  return frame;
}

/** A number of its own: how frames of other flows shrank does not matter to this one. */
export function newFlow(): number {
  return ++flows;
}

/** Nothing shrinks it. */
export function noise(size: number, flow = newFlow()): Uint8Array {
  return inFlow(random.bytes(size), flow);
}

/** Shrinks to less than a quarter, if it is long. */
export function prose(size: number, flow = newFlow()): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, at) => LINE[at % LINE.length]!);
  return inFlow(bytes, flow);
}

/** Few letters in no order: shortened by Huffman codes, hardly by matches. */
export function letters(size: number, flow = newFlow()): Uint8Array {
  return inFlow(
    Uint8Array.from(random.bytes(size), (byte) => 97 + (byte & 7)),
    flow,
  );
}

/** The blocks of the frames. */
export function encoded(codec: BlockCodec, frames: readonly Uint8Array[]): Uint8Array[] {
  return collected((each) => codec.encode(runOf(frames), each));
}

/** The frames of the blocks. */
export function decoded(codec: BlockCodec, blocks: readonly Uint8Array[]): Uint8Array[] {
  return collected((each) => codec.decode(runOf(blocks), each));
}

/** Copies of what is handed over, of which the bytes before a run are written to, as a batch may. */
export function collected(work: (each: (run: FrameRun) => void) => void): Uint8Array[] {
  const parts: Uint8Array[] = [];
  work((run) => {
    parts.push(...framesOf(run));
    run.view.setUint32(run.start - 4, run.count);
  });
  return parts;
}

/** The frames as a run at an offset of packet memory. */
export function runInPacketMemory(at: number, frames: readonly Uint8Array[]): FrameRun {
  const source = runOf(frames);
  const run = emptyRun(PACKET_BYTES);
  run.start = at;
  run.end = at + source.end - source.start;
  run.count = source.count;
  run.bytes.set(source.bytes.subarray(source.start), at);
  return run;
}
