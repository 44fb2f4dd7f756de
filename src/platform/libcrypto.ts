// OpenSSL's library where the system has one: its ChaCha20-Poly1305 uses the widest vectors of the processor, which
// WebAssembly cannot. Nothing depends on it.
import { dlopen, type FFIFunction, type Pointer } from "bun:ffi";
import { hasLibc } from "./libc.ts";
import { PACKET_BASE } from "./packet-memory.ts";

const LIBRARY_NAMES = ["libcrypto.so.3", "libcrypto.so.1.1"];

/**
 * All pointers are addresses of memory that lives for ever, see packet-memory.ts, or what the library gave. As `usize`
 * each would take the runtime 10 ns to turn into one.
 */
const ADDRESS = "ptr";

const SYMBOLS = {
  EVP_CIPHER_CTX_new: { args: [], returns: ADDRESS },
  EVP_chacha20_poly1305: { args: [], returns: ADDRESS },
  EVP_CipherInit_ex: {
    args: [ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, "i32"],
    returns: "i32",
  },
  EVP_CipherUpdate: { args: [ADDRESS, ADDRESS, ADDRESS, ADDRESS, "i32"], returns: "i32" },
  EVP_CipherFinal_ex: { args: [ADDRESS, ADDRESS, ADDRESS], returns: "i32" },
  EVP_CIPHER_CTX_ctrl: { args: [ADDRESS, "i32", "i32", ADDRESS], returns: "i32" },
} as const satisfies Record<string, FFIFunction>;

export type Libcrypto = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

/** The address of an offset in packet memory. */
export function addressAt(offset: number): Pointer {
  return (PACKET_BASE + offset) as Pointer;
}

/** The library; undefined where there is none, or one without these functions. */
export function tryOpenLibcrypto(): Libcrypto | undefined {
  if (!hasLibc) return undefined;
  for (const name of LIBRARY_NAMES) {
    try {
      return dlopen(name, SYMBOLS).symbols;
    } catch {
      // Another name may do.
    }
  }
  return undefined;
}
