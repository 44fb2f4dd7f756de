/**
 * A TLS 1.2 ClientHello by hand (RFC 5246 7.4.1.2), for what no library lets a client say. `serverName` is
 * sent as it is; `paddingBytes` go into an extension that means nothing.
 */
export function clientHello(
  options: { serverName?: Uint8Array | string; paddingBytes?: number } = {},
): Uint8Array {
  const extensions = [
    extension(10, u16(2), u16(0x001d)),
    extension(11, Uint8Array.of(1, 0)),
    extension(13, u16(6), u16(0x0804), u16(0x0403), u16(0x0401)),
  ];
  if (options.serverName !== undefined) {
    const name = Buffer.from(options.serverName);
    const entry = [Uint8Array.of(0), u16(name.length), name];
    extensions.push(extension(0, u16(3 + name.length), ...entry));
  }
  if (options.paddingBytes !== undefined) {
    extensions.push(extension(0xfafa, new Uint8Array(options.paddingBytes)));
  }
  const tail = Buffer.concat(extensions);
  const body = Buffer.concat([
    u16(0x0303),
    new Uint8Array(32).fill(7),
    Uint8Array.of(0),
    u16(4),
    u16(0xc02f),
    u16(0xc02b),
    Uint8Array.of(1, 0),
    u16(tail.length),
    tail,
  ]);
  return Buffer.concat([Uint8Array.of(1, body.length >> 16), u16(body.length & 0xffff), body]);
}

/** The handshake message in records of at most `recordBytes` each. */
export function inRecords(message: Uint8Array, recordBytes = 16_384): Uint8Array {
  const records: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += recordBytes) {
    const part = message.subarray(at, at + recordBytes);
    records.push(Uint8Array.of(22, 3, 1), u16(part.length), part);
  }
  return Buffer.concat(records);
}

function extension(type: number, ...parts: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  return Buffer.concat([u16(type), u16(body.length), body]);
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}
