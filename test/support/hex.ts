/** Bytes of hex digits; blanks and line ends between them are for the eye. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "");
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new Error(`Cannot read hex: ${text}`);
  return Uint8Array.fromHex(digits);
}

export function toHex(bytes: Uint8Array): string {
  return Uint8Array.prototype.toHex.call(bytes);
}
