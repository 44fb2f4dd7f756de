/** Twelve digits in upper case. */
export function macDigits(bytes: Uint8Array, at: number): string {
  return bytes
    .subarray(at, at + 6)
    .toHex()
    .toUpperCase();
}
