import "reflect-metadata";
import { createSign, KeyObject } from "node:crypto";
import * as x509 from "@peculiar/x509";

const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2048,
};
export const DAY_MS = 86_400_000;
/** The moment at which certificates of tests are looked at. */
export const PKI_WALL = Date.UTC(2026, 10, 22);

/** Keys are slow to make, so tests share those of a name. */
const keys = new Map<string, Promise<CryptoKeyPair>>();

function keyOf(name: string, bits: number, hash: string): Promise<CryptoKeyPair> {
  const id = `${name} ${bits} ${hash}`;
  let pair = keys.get(id);
  if (pair === undefined) {
    const algorithm = { ...RSA, modulusLength: bits, hash };
    pair = crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as Promise<CryptoKeyPair>;
    keys.set(id, pair);
  }
  return pair;
}

export interface Entity {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly certificate: x509.X509Certificate;
  readonly pair: CryptoKeyPair;
  /** PKCS #8 PEM. */
  readonly keyPem: string;
}

export interface Wanted {
  /** As RFC 4514 writes it: `CN=alice, O=Example`. */
  readonly subject: string;
  /** Signs itself without one. */
  readonly issuer?: Entity;
  readonly serial?: string;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly isAuthority?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: number;
  readonly purposes?: readonly string[];
  /** That its key signs with. */
  readonly hash?: "SHA-1" | "SHA-256";
  readonly bits?: number;
  /** Name of the key; by default the subject. */
  readonly key?: string;
  readonly extensions?: readonly x509.Extension[];
}

/** Makes a certificate; a root or any other authority where `isAuthority`. */
export async function issue(wanted: Wanted): Promise<Entity> {
  const { subject, issuer } = wanted;
  const hash = wanted.hash ?? "SHA-256";
  const pair = await keyOf(wanted.key ?? subject, wanted.bits ?? 2048, hash);
  const usage = wanted.keyUsage ?? defaultUsage(wanted.isAuthority ?? false);
  const certificate = await x509.X509CertificateGenerator.create({
    subject,
    issuer: issuer?.certificate.subject ?? subject,
    serialNumber: wanted.serial ?? "01",
    notBefore: new Date(wanted.notBefore ?? PKI_WALL - DAY_MS),
    notAfter: new Date(wanted.notAfter ?? PKI_WALL + 365 * DAY_MS),
    publicKey: pair.publicKey,
    signingKey: issuer?.pair.privateKey ?? pair.privateKey,
    signingAlgorithm: { ...RSA, hash },
    extensions: [
      new x509.BasicConstraintsExtension(wanted.isAuthority ?? false, wanted.pathLength, true),
      new x509.KeyUsagesExtension(usage, true),
      ...(wanted.purposes ? [new x509.ExtendedKeyUsageExtension([...wanted.purposes])] : []),
      ...(wanted.extensions ?? []),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", pair.privateKey);
  return {
    der: new Uint8Array(certificate.rawData),
    pem: certificate.toString("pem"),
    certificate,
    pair,
    keyPem: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"),
  };
}

function defaultUsage(isAuthority: boolean): number {
  const { keyCertSign, cRLSign, digitalSignature } = x509.KeyUsageFlags;
  return isAuthority ? keyCertSign | cRLSign : digitalSignature;
}

/** The DER of a list of this issuer with these serial numbers. */
export async function revoke(
  issuer: Entity,
  serials: readonly string[],
  {
    nextUpdate = PKI_WALL + DAY_MS,
    signer = issuer,
  }: { nextUpdate?: number; signer?: Entity } = {},
): Promise<Uint8Array> {
  const list = await x509.X509CrlGenerator.create({
    issuer: issuer.certificate.subject,
    thisUpdate: new Date(PKI_WALL - DAY_MS),
    nextUpdate: new Date(nextUpdate),
    entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date(PKI_WALL) })),
    signingKey: signer.pair.privateKey,
    signingAlgorithm: RSA,
  });
  return new Uint8Array(list.rawData);
}

/** The signature of a login over a challenge (protocol.md 7.3). */
export function signChallenge(
  { pair }: Entity,
  challenge: Uint8Array,
  digest: "sha1" | "sha256" = "sha1",
): Uint8Array {
  const signature = createSign(digest).update(challenge).sign(KeyObject.from(pair.privateKey));
  return new Uint8Array(signature);
}
