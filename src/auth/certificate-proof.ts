import { verify } from "node:crypto";
import { loginKeyBits, tryReadCertificate, type Certificate } from "../crypto/certificate.ts";

/** Stock clients sign with SHA-1: over 20 bytes that we have chosen there is nothing to collide. Ours take SHA-256. */
const DIGESTS = ["sha256", "sha1"] as const;

/** The certificate of a login if its key has signed the challenge: RSA PKCS #1 v1.5, the signature as long as the modulus. */
export function provenCertificate(presented: {
  readonly der: Uint8Array;
  readonly signature: Uint8Array;
  readonly challenge: Uint8Array;
}): Certificate | undefined {
  const certificate = tryReadCertificate(presented.der);
  if (certificate === undefined) return undefined;
  const bits = loginKeyBits(certificate.publicKey);
  if (bits === undefined) return undefined;
  if (presented.signature.length !== Math.ceil(bits / 8)) return undefined;
  return DIGESTS.some((digest) => hasSigned(certificate, digest, presented))
    ? certificate
    : undefined;
}

function hasSigned(
  { publicKey }: Certificate,
  digest: string,
  presented: { readonly signature: Uint8Array; readonly challenge: Uint8Array },
): boolean {
  try {
    return verify(digest, presented.challenge, publicKey, presented.signature);
  } catch {
    // A key that no honest maker gives away: an even modulus, an exponent of 1.
    return false;
  }
}
