// What a network card does for a driver, in software and in packet memory: checksums, cutting, merging.
// Compiled by compile.ts; `platform/offload.ts` gives it a face in TypeScript.
export { rangeSum, sum } from "./checksum.as";
export { cut, cutFrames } from "./cut.as";
export { init, jobs, merge, refused } from "./merge.as";
