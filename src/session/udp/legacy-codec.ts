import { createHash } from "node:crypto";
import { NOT_OPENED } from "../../crypto/datagram-module.ts";
import { rc4 } from "../../crypto/rc4.ts";
import { PACKET_BYTES, PACKET_VIEW } from "../../platform/packet-memory.ts";
import {
  type DatagramCodec,
  type Envelope,
  HEADER,
  HEADER_BYTES,
  MAX_DATAGRAM_BYTES,
  MAX_PAYLOAD_BYTES,
  type Opened,
  readTick,
  type SealBounds,
  type Sealed,
  writeTick,
} from "./datagram.ts";

/** An IV, a key, and the zeros that show the right key. */
export const LEGACY_BYTES = 20;
const SIZE_BYTES = 4;

/** The keys and the first IV of version 1, 20 bytes each. */
export interface LegacyKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  readonly iv: Uint8Array;
}

/**
 * Version 1, in RC4 under a key for each datagram, for peers that know no other; and without keys the form in clear
 * of sessions whose stream is in clear, which is the same in both versions (protocol.md 17.1). One datagram a call.
 */
export class LegacyCodec implements DatagramCodec {
  readonly version: 1 | 2;
  readonly isEncrypted: boolean;
  readonly emptyBytes: number;
  readonly opened: Opened = { tick: 0, echo: 0, flag: 0, ivHigh: 0, ivLow: 0 };
  readonly #keys: LegacyKeys | undefined;
  readonly #iv: Uint8Array;
  /** Bytes before the header, and those behind the padding. */
  readonly #frontBytes: number;
  #envelope: Envelope = { cookie: 0, tick: 0, echo: 0 };
  readonly #sealed: Sealed = { bytes: 0, datagrams: 0, segment: 0, refused: 0, stoppedAt: 0 };

  constructor(version: 1 | 2, keys: LegacyKeys | undefined) {
    this.version = version;
    this.isEncrypted = keys !== undefined;
    this.#keys = keys;
    this.#iv = keys?.iv.slice() ?? new Uint8Array(0);
    this.#frontBytes = this.#iv.length;
    this.emptyBytes = 2 * this.#frontBytes + HEADER_BYTES;
  }

  begin(envelope: Envelope): void {
    this.#envelope = envelope;
  }

  seal(from: number, to: number, bounds: SealBounds): Sealed {
    const sealed = this.#sealed;
    sealed.bytes = sealed.datagrams = sealed.segment = sealed.refused = 0;
    sealed.stoppedAt = to;
    for (let at = from; at + SIZE_BYTES <= to;) {
      const size = PACKET_VIEW.getUint32(at);
      const next = at + SIZE_BYTES + size;
      if (next > to) break;
      if (size > 0 && size <= MAX_PAYLOAD_BYTES) {
        const bytes = this.#paddedBytes(size, bounds);
        sealed.stoppedAt = at;
        // A datagram more in a message would have to be of the same size; here each goes alone.
        if (bytes > bounds.room || bounds.segment > 0) return sealed;
        this.#compose(bounds.out, at + SIZE_BYTES, size, bytes, bounds.flag);
        sealed.bytes = sealed.segment = bytes;
        sealed.datagrams = 1;
        sealed.stoppedAt = next;
        return sealed;
      }
      sealed.refused += 1;
      at = next;
    }
    return sealed;
  }

  #paddedBytes(size: number, { padding, whole }: SealBounds): number {
    const bare = this.emptyBytes + size;
    return this.isEncrypted ? bare + Math.min(padding, Math.max(0, whole - bare)) : bare;
  }

  sealKeepalive(out: number, bytes: number): number {
    const size = this.isEncrypted ? Math.max(bytes, this.emptyBytes) : this.emptyBytes;
    this.#compose(out, out, 0, size, 0);
    return size;
  }

  end(): void {}

  #compose(out: number, payload: number, size: number, bytes: number, flag: number): void {
    const header = out + this.#frontBytes;
    const end = out + bytes;
    PACKET_VIEW.setUint32(header + HEADER.cookie, this.#envelope.cookie);
    writeTick(PACKET_VIEW, header + HEADER.tick, this.#envelope.tick);
    writeTick(PACKET_VIEW, header + HEADER.echo, this.#envelope.echo);
    PACKET_VIEW.setUint16(header + HEADER.size, size);
    PACKET_VIEW.setUint8(header + HEADER.flag, flag);
    PACKET_BYTES.copyWithin(header + HEADER_BYTES, payload, payload + size);
    PACKET_BYTES.fill(0, header + HEADER_BYTES + size, end);
    if (this.#keys === undefined) return;
    PACKET_BYTES.set(this.#iv, out);
    rc4(packetKey(this.#keys.send, this.#iv), PACKET_BYTES, header, end);
    this.#iv.set(PACKET_BYTES.subarray(end - LEGACY_BYTES, end));
  }

  /** Works in the memory of the datagram itself. */
  open(at: number, bytes: number, out: number, cookie: number): number {
    const front = this.#frontBytes;
    if (bytes < this.emptyBytes) return NOT_OPENED.tooShort;
    if (bytes > MAX_DATAGRAM_BYTES) return NOT_OPENED.tooLong;
    const header = at + front;
    const end = at + bytes;
    if (this.#keys !== undefined) {
      rc4(
        packetKey(this.#keys.receive, PACKET_BYTES.subarray(at, header)),
        PACKET_BYTES,
        header,
        end,
      );
      if (!isZero(end - LEGACY_BYTES, end)) return NOT_OPENED.wrongTag;
    }
    if (PACKET_VIEW.getUint32(header + HEADER.cookie) !== cookie) return NOT_OPENED.wrongCookie;
    const size = PACKET_VIEW.getUint16(header + HEADER.size);
    if (this.emptyBytes + size > bytes || size > MAX_PAYLOAD_BYTES) return NOT_OPENED.wrongSize;
    const { opened } = this;
    opened.tick = readTick(PACKET_VIEW, header + HEADER.tick);
    opened.echo = readTick(PACKET_VIEW, header + HEADER.echo);
    opened.flag = PACKET_BYTES[header + HEADER.flag]!;
    opened.ivHigh = front === 0 ? 0 : PACKET_VIEW.getUint32(at);
    opened.ivLow = front === 0 ? 0 : PACKET_VIEW.getUint32(at + 4);
    PACKET_VIEW.setUint32(out, size);
    const payload = header + HEADER_BYTES;
    PACKET_BYTES.copyWithin(out + SIZE_BYTES, payload, payload + size);
    return size;
  }
}

/** SHA-1 of the direction's key and the datagram's IV. */
function packetKey(key: Uint8Array, iv: Uint8Array): Uint8Array {
  return createHash("sha1").update(key).update(iv).digest();
}

function isZero(from: number, to: number): boolean {
  let any = 0;
  for (let at = from; at < to; at += 1) any |= PACKET_BYTES[at]!;
  return any === 0;
}
