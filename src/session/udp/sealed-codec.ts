import { type DatagramCipher, datagramCipher } from "../../crypto/chacha20poly1305.ts";
import { KEY_BYTES, NONCE_BYTES } from "../../crypto/datagram-module.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../../platform/packet-memory.ts";
import {
  type DatagramCodec,
  type Envelope,
  HEADER,
  HEADER_BYTES,
  type Opened,
  readTick,
  type SealBounds,
  type Sealed,
  writeTick,
} from "./datagram.ts";

const TAG_BYTES = 16;

/** Version 2: nonce, sealed text, tag (protocol.md 17.4). */
export class SealedCodec implements DatagramCodec {
  readonly version = 2;
  readonly isEncrypted = true;
  readonly emptyBytes = NONCE_BYTES + HEADER_BYTES + TAG_BYTES;
  readonly opened: Opened = { tick: 0, echo: 0, flag: 0, ivHigh: 0, ivLow: 0 };
  readonly #cipher: DatagramCipher;
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  readonly #nonce: Uint8Array;
  readonly #sealed: Sealed = { bytes: 0, datagrams: 0, segment: 0, refused: 0, stoppedAt: 0 };

  /**
   * @param sendKey of 128 bytes, of which 32 count; so `receiveKey`
   * @param nonce the first one, random
   */
  constructor(
    sendKey: Uint8Array,
    receiveKey: Uint8Array,
    nonce: Uint8Array,
    cipher: DatagramCipher = datagramCipher(),
  ) {
    this.#cipher = cipher;
    this.#sendKey = sendKey.slice(0, KEY_BYTES);
    this.#receiveKey = receiveKey.slice(0, KEY_BYTES);
    this.#nonce = nonce.slice(0, NONCE_BYTES);
  }

  begin({ cookie, tick, echo }: Envelope): void {
    const { envelopeAt } = this.#cipher;
    this.#cipher.useKey(this.#sendKey);
    PACKET_BYTES.set(this.#nonce, envelopeAt);
    const header = envelopeAt + NONCE_BYTES;
    PACKET_VIEW.setUint32(header + HEADER.cookie, cookie);
    writeTick(PACKET_VIEW, header + HEADER.tick, tick);
    writeTick(PACKET_VIEW, header + HEADER.echo, echo);
  }

  seal(from: number, to: number, bounds: SealBounds): Sealed {
    const { out, room, most, segment, padding, whole, flag } = bounds;
    const { module } = this.#cipher;
    const sealed = this.#sealed;
    sealed.bytes = module.seal(from, to, out, room, most, segment, padding, whole, flag);
    sealed.datagrams = module.frames();
    sealed.segment = module.segment();
    sealed.refused = module.refused();
    sealed.stoppedAt = module.stoppedAt();
    return sealed;
  }

  sealKeepalive(out: number, bytes: number): number {
    const size = Math.max(bytes, this.emptyBytes);
    this.#cipher.module.sealKeepalive(out, size);
    return size;
  }

  end(): void {
    const { envelopeAt } = this.#cipher;
    this.#nonce.set(PACKET_BYTES.subarray(envelopeAt, envelopeAt + NONCE_BYTES));
  }

  open(at: number, bytes: number, out: number, cookie: number): number {
    const { module } = this.#cipher;
    this.#cipher.useKey(this.#receiveKey);
    const size = module.open(at, bytes, out, cookie);
    if (size < 0) return size;
    const openedAt = module.openedAt();
    const { opened } = this;
    opened.tick = readTick(PACKET_VIEW, openedAt + HEADER.tick);
    opened.echo = readTick(PACKET_VIEW, openedAt + HEADER.echo);
    opened.flag = PACKET_BYTES[openedAt + HEADER.flag]!;
    opened.ivHigh = PACKET_VIEW.getUint32(at);
    opened.ivLow = PACKET_VIEW.getUint32(at + 4);
    return size;
  }
}
