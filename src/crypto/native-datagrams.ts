// What src/wasm/datagram.as.ts does, with OpenSSL's cipher: twice as fast where there is that library.
import { VpnError } from "../base/errors.ts";
import type { Pointer } from "bun:ffi";
import { addressAt, tryOpenLibcrypto, type Libcrypto } from "../platform/libcrypto.ts";
import { PACKET_BYTES, PACKET_VIEW, reserve } from "../platform/packet-memory.ts";
import { KEY_BYTES, NONCE_BYTES, NOT_OPENED, type DatagramModule } from "./datagram-module.ts";

/* <openssl/evp.h> */
const EVP_CTRL_AEAD_GET_TAG = 0x10;
const EVP_CTRL_AEAD_SET_TAG = 0x11;
const DECRYPT = 0;
const ENCRYPT = 1;

/* Specification constants, as in datagram.as.ts. */
const HEADER_BYTES = 23;
const HEADER_SIZE = 20;
const HEADER_FLAG = 22;
const TAG_BYTES = 16;
const OVERHEAD = NONCE_BYTES + HEADER_BYTES + TAG_BYTES;
const MAX_PADDING = 31;
const SIZE_BYTES = 4;
const MAX_PAYLOAD = 3200;
const MAX_DATAGRAM = 4096;

/** Where the library writes how many bytes it made, which is known. */
const lengthAt = reserve(8);
const keyAt = reserve(KEY_BYTES);

/** The datagram module on OpenSSL; undefined where it is not there or refuses the cipher, as in FIPS mode. */
export function tryNativeDatagrams(): DatagramModule | undefined {
  const library = tryOpenLibcrypto();
  if (library === undefined) return undefined;
  const cipher = library.EVP_chacha20_poly1305();
  const [decrypt, encrypt] = [DECRYPT, ENCRYPT].map((direction) => {
    const context = library.EVP_CIPHER_CTX_new();
    const isTaken = library.EVP_CipherInit_ex(context, cipher, null, null, null, direction);
    return isTaken === 1 ? (context as Pointer | null) : null;
  });
  if (encrypt == null || decrypt == null) return undefined;
  return new NativeDatagrams(library, encrypt, decrypt);
}

class NativeDatagrams implements DatagramModule {
  readonly #library: Libcrypto;
  readonly #encrypt: Pointer;
  readonly #decrypt: Pointer;
  #envelope = 0;
  #opened = 0;
  #hasKey = { encrypt: false, decrypt: false };
  #frames = 0;
  #refused = 0;
  #stoppedAt = 0;
  #segment = 0;

  constructor(library: Libcrypto, encrypt: Pointer, decrypt: Pointer) {
    this.#library = library;
    this.#encrypt = encrypt;
    this.#decrypt = decrypt;
  }

  init(_at: number, envelopeAt: number): void {
    this.#envelope = envelopeAt;
  }

  setKey(at: number): void {
    PACKET_BYTES.copyWithin(keyAt, at, at + KEY_BYTES);
    this.#hasKey = { encrypt: false, decrypt: false };
  }

  openedAt(): number {
    return this.#opened;
  }

  frames(): number {
    return this.#frames;
  }

  refused(): number {
    return this.#refused;
  }

  stoppedAt(): number {
    return this.#stoppedAt;
  }

  segment(): number {
    return this.#segment;
  }

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
  ): number {
    const start = out;
    this.#frames = 0;
    this.#refused = 0;
    this.#segment = size;
    while (at + SIZE_BYTES <= end && this.#frames < most) {
      const frameBytes = PACKET_VIEW.getUint32(at);
      const frame = at + SIZE_BYTES;
      if (frameBytes > end - frame) break;
      if (frameBytes === 0 || frameBytes > MAX_PAYLOAD) {
        this.#refused += 1;
        at = frame + frameBytes;
        continue;
      }
      const bare = OVERHEAD + frameBytes;
      if (this.#segment === 0) {
        this.#segment = bare + Math.min(padding, Math.max(0, whole - bare));
      }
      const missing = this.#segment - bare;
      if (missing < 0 || missing > MAX_PADDING) break;
      if (out - start + this.#segment > room) break;
      this.#sealOne(out, frame, frameBytes, this.#segment, flag);
      this.#frames += 1;
      out += this.#segment;
      at = frame + frameBytes;
    }
    this.#stoppedAt = at;
    return out - start;
  }

  sealKeepalive(out: number, bytes: number): void {
    this.#sealOne(out, out, 0, Math.max(bytes, OVERHEAD), 0);
  }

  #sealOne(out: number, payload: number, size: number, bytes: number, flag: number): void {
    const envelope = this.#envelope;
    const text = out + NONCE_BYTES;
    const tag = out + bytes - TAG_BYTES;
    for (let n = 0; n < NONCE_BYTES + HEADER_SIZE; n += 4) copyWord(out + n, envelope + n);
    PACKET_VIEW.setUint16(text + HEADER_SIZE, size);
    PACKET_BYTES[text + HEADER_FLAG] = flag;
    const body = text + HEADER_BYTES;
    PACKET_BYTES.copyWithin(body, payload, payload + size);
    if (body + size < tag) PACKET_BYTES.fill(0, body + size, tag);

    const library = this.#library;
    const context = this.#encrypt;
    const key = this.#hasKey.encrypt ? null : addressAt(keyAt);
    this.#hasKey.encrypt = true;
    const length = addressAt(lengthAt);
    const at = addressAt(text);
    const tagAt = addressAt(tag);
    const isSealed =
      library.EVP_CipherInit_ex(context, null, null, key, addressAt(out), ENCRYPT) === 1 &&
      library.EVP_CipherUpdate(context, at, length, at, tag - text) === 1 &&
      library.EVP_CipherFinal_ex(context, tagAt, length) === 1 &&
      library.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tagAt) === 1;
    // Else the text would leave as it is.
    if (!isSealed) throw new VpnError("datagram", "Cannot seal a datagram: OpenSSL refused it");
    for (let n = 0; n < NONCE_BYTES; n += 4) copyWord(envelope + n, text + n);
  }

  /** Unlike its twin it works in the memory of the datagram. */
  open(at: number, bytes: number, out: number, cookie: number): number {
    const textBytes = bytes - NONCE_BYTES - TAG_BYTES;
    if (textBytes < HEADER_BYTES) return NOT_OPENED.tooShort;
    if (bytes > MAX_DATAGRAM) return NOT_OPENED.tooLong;
    const text = at + NONCE_BYTES;
    if (!this.#openText(at, text, textBytes)) return NOT_OPENED.wrongTag;
    const body = text + HEADER_BYTES;
    this.#opened = text;
    if (PACKET_VIEW.getUint32(text) !== cookie) return NOT_OPENED.wrongCookie;
    const size = PACKET_VIEW.getUint16(text + HEADER_SIZE);
    if (HEADER_BYTES + size > textBytes || size > MAX_PAYLOAD) return NOT_OPENED.wrongSize;
    PACKET_VIEW.setUint32(out, size);
    PACKET_BYTES.copyWithin(out + SIZE_BYTES, body, body + size);
    return size;
  }

  #openText(nonce: number, text: number, bytes: number): boolean {
    const library = this.#library;
    const context = this.#decrypt;
    const key = this.#hasKey.decrypt ? null : addressAt(keyAt);
    this.#hasKey.decrypt = true;
    const length = addressAt(lengthAt);
    const at = addressAt(text);
    const tag = addressAt(text + bytes);
    return (
      library.EVP_CipherInit_ex(context, null, null, key, addressAt(nonce), DECRYPT) === 1 &&
      library.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) === 1 &&
      library.EVP_CipherUpdate(context, at, length, at, bytes) === 1 &&
      library.EVP_CipherFinal_ex(context, tag, length) === 1
    );
  }
}

/** Quicker than copying so few bytes by a call. */
function copyWord(to: number, from: number): void {
  PACKET_VIEW.setUint32(to, PACKET_VIEW.getUint32(from));
}
