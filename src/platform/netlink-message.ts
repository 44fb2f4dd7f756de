// Netlink messages (netlink(7)): a header of 16 bytes, a structure of the message's own, and attributes in
// [u16 length][u16 type][value] padded to 4, all in the machine's byte order, which is little-endian on all our targets.

const HEADER_BYTES = 16;
const ATTRIBUTE_BYTES = 4;
const MAX_MESSAGE_BYTES = 1024;
/** Flags in an attribute's type: nested, and network byte order. */
const TYPE_MASK = 0x3fff;
const NESTED = 0x8000;

/** A message while it is put together. */
export class NetlinkMessage {
  readonly #bytes = new Uint8Array(MAX_MESSAGE_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #end: number;

  /** @param structure what follows the header, as in <linux/rtnetlink.h> */
  constructor(type: number, structure: Uint8Array) {
    this.#view.setUint16(4, type, true);
    this.#bytes.set(structure, HEADER_BYTES);
    this.#end = HEADER_BYTES + align(structure.length);
  }

  bytes(type: number, value: Uint8Array): this {
    this.#view.setUint16(this.#end, ATTRIBUTE_BYTES + value.length, true);
    this.#view.setUint16(this.#end + 2, type, true);
    this.#bytes.set(value, this.#end + ATTRIBUTE_BYTES);
    this.#end += ATTRIBUTE_BYTES + align(value.length);
    return this;
  }

  number(type: number, value: number): this {
    return this.bytes(type, new Uint8Array(Uint32Array.of(value).buffer));
  }

  /** Text with a zero at the end. */
  text(type: number, value: string): this {
    return this.bytes(type, new TextEncoder().encode(`${value}\0`));
  }

  /** An attribute that holds the attributes which `fill` adds. */
  nested(type: number, fill: (inside: this) => void): this {
    const at = this.#end;
    this.bytes(type | NESTED, new Uint8Array(0));
    fill(this);
    this.#view.setUint16(at, this.#end - at, true);
    return this;
  }

  /** The whole message. */
  finish(flags: number, sequence: number): Uint8Array {
    this.#view.setUint32(0, this.#end, true);
    this.#view.setUint16(6, flags, true);
    this.#view.setUint32(8, sequence, true);
    return this.#bytes.subarray(0, this.#end);
  }
}

/** A message from the kernel; `body` is what follows the header. */
export interface NetlinkReply {
  readonly type: number;
  readonly sequence: number;
  readonly body: Uint8Array;
  readonly view: DataView;
}

/** The messages of one datagram; a length that does not fit ends the list. */
export function readMessages(bytes: Uint8Array): NetlinkReply[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const replies: NetlinkReply[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    const body = bytes.subarray(at + HEADER_BYTES, at + length);
    replies.push({
      type: view.getUint16(at + 4, true),
      sequence: view.getUint32(at + 8, true),
      body,
      view: new DataView(body.buffer, body.byteOffset, body.byteLength),
    });
    at += align(length);
  }
  return replies;
}

/** The attributes behind a structure of `structureBytes`, by type. Values are views. */
export function readAttributes(
  body: Uint8Array,
  structureBytes: number,
): ReadonlyMap<number, Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const attributes = new Map<number, Uint8Array>();
  for (let at = align(structureBytes); at + ATTRIBUTE_BYTES <= body.length;) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_BYTES || at + length > body.length) break;
    const type = view.getUint16(at + 2, true) & TYPE_MASK;
    attributes.set(type, body.subarray(at + ATTRIBUTE_BYTES, at + length));
    at += align(length);
  }
  return attributes;
}

/** A number of 32 bits in an attribute, or `otherwise` if there is none. */
export function attributeNumber(value: Uint8Array | undefined, otherwise: number): number {
  if (value === undefined || value.length < 4) return otherwise;
  return new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0, true);
}

/** Text in an attribute, without the zero at its end. */
export function attributeText(value: Uint8Array | undefined): string {
  if (value === undefined) return "";
  const end = value.indexOf(0);
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
}

function align(length: number): number {
  return (length + 3) & ~3;
}
