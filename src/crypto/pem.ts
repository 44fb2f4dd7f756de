import { ProtocolError } from "../base/errors.ts";
import { DER_TAG, DerReader } from "../wire/der.ts";

/** RFC 7468 2: text around the blocks is allowed and skipped. */
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;

/** What a file holds of one kind (`CERTIFICATE`, `X509 CRL`): one DER value, or all PEM blocks of that label; perhaps none. */
export function derBlocks(bytes: Uint8Array, label: string): Uint8Array[] {
  if (isWholeSequence(bytes)) return [bytes];
  const text = new TextDecoder("latin1").decode(bytes);
  const found: Uint8Array[] = [];
  for (const [, name, base64] of text.matchAll(BLOCK)) {
    const der = name === label ? tryBase64(base64!) : undefined;
    if (der !== undefined) found.push(der);
  }
  return found;
}

/** True for one DER SEQUENCE and nothing behind it. */
function isWholeSequence(bytes: Uint8Array): boolean {
  try {
    const reader = new DerReader(bytes);
    reader.expect(DER_TAG.SEQUENCE);
    return reader.isAtEnd;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

function tryBase64(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  return isWholeSequence(bytes) ? bytes : undefined;
}
