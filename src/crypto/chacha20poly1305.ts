// The datagram module at work in packet memory: ChaCha20-Poly1305 (RFC 8439) under UDP acceleration.
import { readFileSync } from "node:fs";
import { VpnError } from "../base/errors.ts";
import { PACKET_BYTES, PACKET_MEMORY, reserve } from "../platform/packet-memory.ts";
import scalarPath from "../wasm/generated/datagram-scalar.wasm" with { type: "file" };
import vectorPath from "../wasm/generated/datagram.wasm" with { type: "file" };

/* Shape of what src/wasm/datagram.as.ts works on. */
export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
const ENVELOPE_BYTES = 48;
const OPENED_BYTES = 32;
/** Bytes behind a sealed datagram or an opened payload that may be changed. */
export const SLACK_BYTES = 256;

/** Answers of `open` that are no size. */
export const NOT_OPENED = {
  tooShort: -1,
  wrongTag: -2,
  wrongCookie: -3,
  wrongSize: -4,
  tooLong: -5,
} as const;

export interface DatagramModule {
  init(at: number, envelopeAt: number, openedAt: number): void;
  areaBytes(): number;
  setKey(at: number): void;
  seal(
    at: number,
    end: number,
    out: number,
    room: number,
    most: number,
    size: number,
    padding: number,
    whole: number,
    flag: number,
  ): number;
  sealKeepalive(out: number, bytes: number): void;
  open(at: number, bytes: number, out: number, cookie: number): number;
  frames(): number;
  refused(): number;
  stoppedAt(): number;
  segment(): number;
}

/** The module and where its memory is. */
export interface DatagramCipher {
  readonly module: DatagramModule;
  /** The next nonce and behind it the header of what is sealed. */
  readonly envelopeAt: number;
  /** The header of what was opened last. */
  readonly openedAt: number;
  /** Works under this key from now on; naming the one before again costs nothing. */
  useKey(key: Uint8Array): void;
}

let instance: DatagramCipher | undefined;

/** The cipher, compiled when the first session wants it. */
export function datagramCipher(): DatagramCipher {
  instance ??= prepare();
  return instance;
}

function prepare(): DatagramCipher {
  const module = instantiate();
  const envelopeAt = reserve(ENVELOPE_BYTES);
  const openedAt = reserve(OPENED_BYTES);
  const keyAt = reserve(KEY_BYTES);
  module.init(reserve(module.areaBytes()), envelopeAt, openedAt);
  let used: Uint8Array | undefined;
  return {
    module,
    envelopeAt,
    openedAt,
    useKey(key) {
      if (used === key) return;
      used = key;
      PACKET_BYTES.set(key, keyAt);
      module.setKey(keyAt);
    },
  };
}

function instantiate(): DatagramModule {
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(readFileSync(vectorPath));
  } catch (thrown) {
    // The runtime compiles vector instructions for processors with AVX or NEON only.
    if (!(thrown instanceof WebAssembly.CompileError)) throw thrown;
    module = new WebAssembly.Module(readFileSync(scalarPath));
  }
  const { exports } = new WebAssembly.Instance(module, { env: { memory: PACKET_MEMORY } });
  const exported: unknown = exports;
  if (!isDatagramModule(exported)) {
    throw new VpnError("datagram", "Cannot use datagram.wasm: not the module");
  }
  return exported;
}

const FUNCTIONS = [
  "init",
  "areaBytes",
  "setKey",
  "seal",
  "sealKeepalive",
  "open",
  "frames",
  "refused",
  "stoppedAt",
  "segment",
] as const satisfies readonly (keyof DatagramModule)[];

function isDatagramModule(exported: unknown): exported is DatagramModule {
  const functions = new Map(Object.entries(exported ?? {}));
  return FUNCTIONS.every((name) => typeof functions.get(name) === "function");
}
