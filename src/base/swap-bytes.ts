/** The four octets of an unsigned 32-bit number in reverse. */
export function swapBytes(value: number): number {
  return (
    ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0
  );
}
