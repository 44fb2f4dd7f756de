/** RFC 7468 2: text around the blocks is allowed and skipped. */
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;
const DER_SEQUENCE = 0x30;

/** What a file holds of one kind (`CERTIFICATE`, `X509 CRL`): one DER value, or all PEM blocks of that label; perhaps none. */
export function derBlocks(bytes: Uint8Array, label: string): Uint8Array[] {
  if (bytes[0] === DER_SEQUENCE && isWholeSequence(bytes)) return [bytes];
  const text = new TextDecoder("latin1").decode(bytes);
  const found: Uint8Array[] = [];
  for (const [, name, base64] of text.matchAll(BLOCK)) {
    const der = name === label ? tryBase64(base64!) : undefined;
    if (der !== undefined) found.push(der);
  }
  return found;
}

/** True for a DER SEQUENCE whose length (X.690 8.1.3) covers the bytes exactly. */
function isWholeSequence(bytes: Uint8Array): boolean {
  const first = bytes[1] ?? 0;
  if (first < 0x80) return bytes.length === 2 + first;
  const octets = first & 0x7f;
  if (octets === 0 || octets > 4) return false;
  let length = 0;
  for (let at = 0; at < octets; at++) length = length * 256 + (bytes[2 + at] ?? 0);
  return bytes.length === 2 + octets + length;
}

function tryBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  return isWholeSequence(bytes) && bytes[0] === DER_SEQUENCE ? new Uint8Array(bytes) : undefined;
}
