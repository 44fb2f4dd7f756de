// The datagram module at work in packet memory: ChaCha20-Poly1305 (RFC 8439) under UDP acceleration.
import { readFileSync } from "node:fs";
import { VpnError } from "../base/errors.ts";
import { PACKET_BYTES, PACKET_MEMORY, reserve } from "../platform/packet-memory.ts";
import { KEY_BYTES, type DatagramModule } from "./datagram-module.ts";
import { tryNativeDatagrams } from "./native-datagrams.ts";
import scalarPath from "../wasm/generated/datagram-scalar.wasm" with { type: "file" };
import vectorPath from "../wasm/generated/datagram.wasm" with { type: "file" };

/* Shape of what src/wasm/datagram.as.ts works on. */
const ENVELOPE_BYTES = 48;
const OPENED_BYTES = 32;
const AREA_BYTES = 512;

/** The module and where its memory is. */
export interface DatagramCipher {
  readonly module: DatagramModule;
  /** The next nonce and behind it the header of what is sealed. */
  readonly envelopeAt: number;
  /** Works under this key from now on; naming the one before again costs nothing. */
  useKey(key: Uint8Array): void;
}

/**
 * Whose arithmetic it is: OpenSSL's where the system has it, else our own, with vector instructions where the runtime
 * has them.
 */
export const CIPHER_KINDS = ["native", "vector", "scalar"] as const;
export type CipherKind = (typeof CIPHER_KINDS)[number];

const areaAt = reserve(AREA_BYTES);
const envelopeAt = reserve(ENVELOPE_BYTES);
const openedAt = reserve(OPENED_BYTES);
const keyAt = reserve(KEY_BYTES);

let instance: DatagramCipher | undefined;

/** The best cipher that there is here, made when the first session wants it. */
export function datagramCipher(): DatagramCipher {
  if (instance !== undefined) return instance;
  for (const kind of CIPHER_KINDS) {
    instance = tryMakeCipher(kind);
    if (instance !== undefined) return instance;
  }
  throw new VpnError("datagram", "Cannot use datagram-scalar.wasm: not the module");
}

/** A cipher of one kind; undefined where there is none. All work in the same memory: use one after the other. */
export function tryMakeCipher(kind: CipherKind): DatagramCipher | undefined {
  const module = kind === "native" ? tryNativeDatagrams() : tryInstantiate(kind);
  if (module === undefined) return undefined;
  module.init(areaAt, envelopeAt, openedAt);
  let used: Uint8Array | undefined;
  return {
    module,
    envelopeAt,
    useKey(key) {
      if (used === key) return;
      used = key;
      PACKET_BYTES.set(key, keyAt);
      module.setKey(keyAt);
    },
  };
}

function tryInstantiate(kind: "vector" | "scalar"): DatagramModule | undefined {
  try {
    const bytes = readFileSync(kind === "vector" ? vectorPath : scalarPath);
    const env = { memory: PACKET_MEMORY };
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env });
    const exported: unknown = exports;
    return isDatagramModule(exported) ? exported : undefined;
  } catch (thrown) {
    // The runtime compiles vector instructions for processors with AVX or NEON only.
    if (thrown instanceof WebAssembly.CompileError) return undefined;
    throw thrown;
  }
}

const FUNCTIONS = [
  "init",
  "setKey",
  "seal",
  "sealKeepalive",
  "open",
  "openedAt",
  "frames",
  "refused",
  "stoppedAt",
  "segment",
] as const satisfies readonly (keyof DatagramModule)[];

function isDatagramModule(exported: unknown): exported is DatagramModule {
  const functions = new Map(Object.entries(exported ?? {}));
  return FUNCTIONS.every((name) => typeof functions.get(name) === "function");
}
