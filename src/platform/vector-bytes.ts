import { type Pointer, read } from "bun:ffi";
import { VECTOR_BYTES } from "./message-table.ts";
import { PACKET_VIEW } from "./packet-memory.ts";

const HIGH_WORD = 0x1_0000_0000;

/**
 * Copies what an array of struct iovec at an offset of packet memory describes, wherever it lies, from its byte `skip`
 * on, as far as there is room for it. Gives the bytes copied. For short texts: each byte is a call.
 */
export function readVectors(at: number, vectors: number, skip: number, into: Uint8Array): number {
  let copied = 0;
  let before = 0;
  for (let n = 0; n < vectors && copied < into.length; n += 1) {
    const entry = at + n * VECTOR_BYTES;
    const high = PACKET_VIEW.getUint32(entry + 4, true);
    const address = (high * HIGH_WORD + PACKET_VIEW.getUint32(entry, true)) as Pointer;
    const bytes = PACKET_VIEW.getUint32(entry + 8, true);
    for (let from = skip + copied - before; from < bytes && copied < into.length; from += 1) {
      into[copied] = read.u8(address, from);
      copied += 1;
    }
    before += bytes;
  }
  return copied;
}
