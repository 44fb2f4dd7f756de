// Frames from the inside out, each layer by one function. Numbers that nobody looks at are fixed.

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** MAC addresses are twelve hexadecimal digits. */
export function ethernet(to: string, from: string, type: number, payload: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.fromHex(to + from + word(type)), payload);
}

/** `fragment` is the word of flags and offset. */
export function ipv4Packet(
  from: string,
  to: string,
  protocol: number,
  payload: Uint8Array,
  fragment = 0,
): Uint8Array {
  const header = new Uint8Array(20);
  const view = new DataView(header.buffer);
  view.setUint8(0, 0x45);
  view.setUint16(2, 20 + payload.length);
  view.setUint16(6, fragment);
  view.setUint8(8, 64);
  view.setUint8(9, protocol);
  header.set(from.split(".").map(Number), 12);
  header.set(to.split(".").map(Number), 16);
  view.setUint16(10, checksum(header));
  return concatBytes(header, payload);
}

/** Addresses are 32 hexadecimal digits. */
export function ipv6Packet(
  from: string,
  to: string,
  next: number,
  payload: Uint8Array,
): Uint8Array {
  const header = Uint8Array.fromHex(
    `60000000${word(payload.length)}${(next * 256 + 64).toString(16).padStart(4, "0")}`,
  );
  return concatBytes(header, Uint8Array.fromHex(from + to), payload);
}

export function tcpSegment(
  from: number,
  to: number,
  flags: number,
  data: Uint8Array,
  offset = 0x50,
): Uint8Array {
  const view = new DataView(new ArrayBuffer(20));
  view.setUint16(0, from);
  view.setUint16(2, to);
  view.setUint32(4, 3_000_000_001);
  view.setUint32(8, 4_000_000_002);
  view.setUint8(12, offset);
  view.setUint8(13, flags);
  view.setUint16(14, 64_240);
  // Neither zero nor what a card would complete: it is left alone on its way.
  view.setUint16(16, 0x1234);
  return concatBytes(new Uint8Array(view.buffer), data);
}

export function udpDatagram(from: number, to: number, data: Uint8Array): Uint8Array {
  return concatBytes(
    Uint8Array.fromHex(`${word(from)}${word(to)}${word(8 + data.length)}1234`),
    data,
  );
}

function word(value: number): string {
  return value.toString(16).padStart(4, "0");
}

function checksum(header: Uint8Array): number {
  const view = new DataView(header.buffer);
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum ^ 0xffff;
}
