import { expect, test } from "bun:test";
import { join } from "node:path";
import { ensureWasm } from "../wasm/compiled.ts";

await ensureWasm();

/** Merges, cuts what came of it again, and prints both: the module is chosen once in a process. */
const ROUND_TRIP = `
const [{ merge, mergeJobs, jobVectors, jobVectorAt, cut, cutFrames }, memory, frames] = await Promise.all(
  ["src/platform/offload.ts", "src/platform/packet-memory.ts", "test/wasm/random-frames.ts"].map((path) => import(ROOT + path)),
);
const { PACKET_BYTES, PACKET_VIEW, PACKET_BASE, reserve } = memory;
const [runAt, readAt, outAt] = [reserve(65_536), reserve(65_536), reserve(131_072)];
const segments = Array.from({ length: 20 }, (_, n) => frames.tcpFrame({ ...frames.SEGMENT, sequence: n * 1448, id: n }));
const run = frames.runOf(segments);
PACKET_BYTES.set(run, runAt);
merge(runAt, runAt + run.length);
let length = 0;
for (let n = 0; n < jobVectors(0); n += 1) {
  const entry = jobVectorAt(0) + n * 16;
  const from = Number(PACKET_VIEW.getBigUint64(entry, true)) - PACKET_BASE;
  const bytes = Number(PACKET_VIEW.getBigUint64(entry + 8, true));
  PACKET_BYTES.copyWithin(readAt + length, from, from + bytes);
  length += bytes;
}
const jobs = mergeJobs();
const made = cut(readAt, length, outAt, 131_072);
const isSame = Buffer.compare(PACKET_BYTES.subarray(outAt, outAt + made), run) === 0;
console.log(JSON.stringify({ jobs, frames: cutFrames(), isSame }));
`;

test.each([
  ["with vector instructions", {}],
  ["without", { BUN_JSC_useWasmSIMD: "0" }],
])("the offload module works in packet memory %s", (_, env) => {
  const root = JSON.stringify(join(import.meta.dir, "../../"));
  const child = Bun.spawnSync([process.execPath, "-e", ROUND_TRIP.replace("ROOT", root)], {
    env: { ...process.env, ...env },
    timeout: 20_000,
  });
  expect(child.stderr.toString()).toBe("");
  expect(JSON.parse(child.stdout.toString())).toEqual({ jobs: 1, frames: 20, isSame: true });
});
