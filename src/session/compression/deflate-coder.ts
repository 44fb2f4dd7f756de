import type { Deflate, Inflate } from "node:zlib";
import { VpnError } from "../../base/errors.ts";
import { MAX_FRAME_BYTES } from "../../base/limits.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../../platform/packet-memory.ts";
import { type BlockCoder, DECODING, ENCODING } from "./block-coder.ts";

// Blocks as SoftEther has them: one zlib stream for each frame (RFC 1950), complete with header and Adler-32.
//
// zlib's own streams are kept and wound back for every block, by the native handle below node:zlib's objects. The
// documented calls make a stream, a buffer and an object each time, which takes four times as long as the work, and
// none of them writes where it is told to.

/* RFC 1950 and 1951: a stream with one stored block in it. */
/** Deflate with a window of 32 KiB, fastest compression; the two are a multiple of 31. */
const ZLIB_HEADER = 0x7801;
/** BFINAL, and BTYPE 00. */
const LAST_STORED = 1;
const STORED_HEADER_BYTES = 5;
const ADLER_BYTES = 4;

/** Higher levels take four times as long for a sixth less. */
const LEVEL = 1;

/** What node:zlib drives its streams by. */
interface NativeStream {
  /** Back to the beginning of a stream. */
  reset(): void;
  /** Works until input or room is used up; then `left` is set. */
  writeSync(
    flush: number,
    input: Uint8Array,
    at: number,
    size: number,
    output: Uint8Array,
    to: number,
    room: number,
  ): void;
  onerror: (message: string, errno: number, code: string) => void;
}

class ZlibStream {
  readonly #native: NativeStream;
  readonly #finish: number;
  /** Unused bytes of the output and of the input after a call. */
  readonly #left: Uint32Array;
  #hasFailed = false;

  constructor(owner: Deflate | Inflate, finish: number) {
    const native: unknown = Reflect.get(owner, "_handle");
    const left: unknown = Reflect.get(owner, "_writeState");
    if (!isNativeStream(native) || !(left instanceof Uint32Array)) {
      throw new VpnError("compression", "Cannot compress: the runtime's zlib is not as expected");
    }
    native.onerror = () => {
      this.#hasFailed = true;
    };
    this.#native = native;
    this.#left = left;
    this.#finish = finish;
  }

  /** Makes one whole stream of another, in packet memory. Gives the bytes written; -1 if it is broken or does not fit. */
  run(at: number, size: number, to: number, room: number): number {
    this.#native.reset();
    if (!this.#goOn(at, size, PACKET_BYTES, to, room)) return -1;
    const roomLeft = this.#left[0]!;
    let inputLeft = this.#left[1]!;
    if (roomLeft === 0) {
      // The end may be there all the same, behind the last byte: then there is nothing more to write.
      if (!this.#goOn(at + size - inputLeft, inputLeft, PROBE, 0, 1)) return -1;
      if (this.#left[0] === 0) return -1;
      inputLeft = this.#left[1]!;
    }
    return inputLeft === 0 ? room - roomLeft : -1;
  }

  #goOn(at: number, size: number, output: Uint8Array, to: number, room: number): boolean {
    this.#hasFailed = false;
    this.#native.writeSync(this.#finish, PACKET_BYTES, at, size, output, to, room);
    return !this.#hasFailed;
  }
}

const PROBE = new Uint8Array(1);

export class DeflateCoder implements BlockCoder {
  readonly name = "deflate";
  readonly storedOverhead = 2 + STORED_HEADER_BYTES + ADLER_BYTES;
  readonly bytes = PACKET_BYTES;
  readonly view = PACKET_VIEW;
  readonly encoding = ENCODING;
  readonly decoding = DECODING;
  readonly #deflate: ZlibStream;
  readonly #inflate: ZlibStream;

  constructor() {
    // Only for who compresses: it costs 8 MB and 10 ms.
    const zlib = process.getBuiltinModule("node:zlib");
    const finish = zlib.constants.Z_FINISH;
    this.#deflate = new ZlibStream(zlib.createDeflate({ level: LEVEL }), finish);
    this.#inflate = new ZlibStream(zlib.createInflate(), finish);
  }

  compress(at: number, size: number, to: number, room: number): number {
    return Math.max(0, this.#deflate.run(at, size, to, room));
  }

  store(at: number, size: number, to: number): number {
    const view = PACKET_VIEW;
    view.setUint16(to, ZLIB_HEADER);
    view.setUint8(to + 2, LAST_STORED);
    view.setUint16(to + 3, size, true);
    view.setUint16(to + 5, ~size, true);
    const body = to + 2 + STORED_HEADER_BYTES;
    PACKET_BYTES.copyWithin(body, at, at + size);
    view.setUint32(body + size, Bun.hash.adler32(PACKET_BYTES.subarray(at, at + size)));
    return this.storedOverhead + size;
  }

  expand(at: number, size: number, to: number): number {
    return this.#inflate.run(at, size, to, MAX_FRAME_BYTES);
  }
}

function isNativeStream(value: unknown): value is NativeStream {
  if (typeof value !== "object" || value === null) return false;
  return ["reset", "writeSync", "onerror"].every(
    (name) => typeof Reflect.get(value, name) === "function",
  );
}
