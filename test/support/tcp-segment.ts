import type { IpAddress } from "../../src/base/ip.ts";
import { finishChecksum, sumWords } from "../../src/wire/checksum.ts";
import { IP_PROTOCOL } from "../../src/wire/ipv4.ts";
import {
  areTcpFlags,
  MAX_TCP_OPTION_BYTES,
  TCP_FIELD,
  TCP_HEADER_BYTES,
  tcpHeaderBytes,
} from "../../src/wire/tcp.ts";

/** A segment as a value. */
export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  /** As it stands in the field: not scaled. */
  readonly window: number;
  /** Filled up to a multiple of 4 when encoded. */
  readonly options: Uint8Array;
  /** A view of the packet's bytes. */
  readonly payload: Uint8Array;
}

/** The addresses that the checksum covers, of one family. */
export interface TcpPath {
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/** The bytes of a segment with its checksum. Too many options or too long: a RangeError. */
export function encodeTcp(segment: TcpSegment, path: TcpPath): Uint8Array {
  const headerBytes = TCP_HEADER_BYTES + Math.ceil(segment.options.length / 4) * 4;
  const length = headerBytes + segment.payload.length;
  if (headerBytes > TCP_HEADER_BYTES + MAX_TCP_OPTION_BYTES || length > 0xffff) {
    throw new RangeError(`Cannot encode a segment of ${headerBytes} and ${length} bytes`);
  }
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint16(TCP_FIELD.SOURCE, segment.sourcePort);
  view.setUint16(TCP_FIELD.DESTINATION, segment.destinationPort);
  view.setUint32(TCP_FIELD.SEQUENCE, segment.sequence);
  view.setUint32(TCP_FIELD.ACKNOWLEDGMENT, segment.acknowledgment);
  view.setUint8(TCP_FIELD.DATA_OFFSET, (headerBytes / 4) << 4);
  view.setUint8(TCP_FIELD.FLAGS, segment.flags);
  view.setUint16(TCP_FIELD.WINDOW, segment.window);
  bytes.set(segment.options, TCP_FIELD.OPTIONS);
  bytes.set(segment.payload, headerBytes);
  view.setUint16(TCP_FIELD.CHECKSUM, checksum(bytes, path));
  return bytes;
}

/** Reads a whole segment. Undefined for a wrong length or checksum, flags that none sends, or port 0. */
export function tryParseTcp(bytes: Uint8Array, path: TcpPath): TcpSegment | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headerBytes = tcpHeaderBytes(view, 0, bytes.length);
  if (headerBytes === 0 || !areTcpFlags(bytes[TCP_FIELD.FLAGS]!)) return undefined;
  const sourcePort = view.getUint16(TCP_FIELD.SOURCE);
  const destinationPort = view.getUint16(TCP_FIELD.DESTINATION);
  if (sourcePort === 0 || destinationPort === 0 || checksum(bytes, path) !== 0) return undefined;
  return {
    sourcePort,
    destinationPort,
    sequence: view.getUint32(TCP_FIELD.SEQUENCE),
    acknowledgment: view.getUint32(TCP_FIELD.ACKNOWLEDGMENT),
    flags: bytes[TCP_FIELD.FLAGS]!,
    window: view.getUint16(TCP_FIELD.WINDOW),
    options: bytes.subarray(TCP_FIELD.OPTIONS, headerBytes),
    payload: bytes.subarray(headerBytes),
  };
}

/** Over the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) and the segment: 0 where it holds its own right checksum. */
function checksum(bytes: Uint8Array, { source, destination }: TcpPath): number {
  const addresses =
    sumWords(source.bytes, 0, source.bytes.length) +
    sumWords(destination.bytes, 0, destination.bytes.length);
  return finishChecksum(
    sumWords(bytes, 0, bytes.length, addresses + IP_PROTOCOL.TCP + bytes.length),
  );
}
