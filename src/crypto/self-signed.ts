import "reflect-metadata";
import * as x509 from "@peculiar/x509";

/** Long, since nothing renews it but its owner, who replaces it by one of a CA, in milliseconds. */
const VALID_MS = 10 * 365 * 86_400_000;

export interface GeneratedCertificate {
  /** PEM. */
  readonly cert: string;
  /** PKCS #8 PEM. */
  readonly key: string;
}

/**
 * A self-signed server certificate. RSA-2048, since clients of 4.x were made for nothing else
 * (protocol.md 2.3).
 */
export async function generateSelfSigned(
  name: string,
  wall: number,
): Promise<GeneratedCertificate> {
  const algorithm = {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const subject = new x509.Name([{ CN: [name] }]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: subject.toString(),
    notBefore: new Date(wall - 86_400_000),
    notAfter: new Date(wall + VALID_MS),
    signingAlgorithm: algorithm,
    keys: keys as CryptoKeyPair,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", (keys as CryptoKeyPair).privateKey);
  return { cert: certificate.toString("pem"), key: x509.PemConverter.encode(pkcs8, "PRIVATE KEY") };
}
