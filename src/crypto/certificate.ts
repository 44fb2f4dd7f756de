import { X509Certificate, type KeyObject } from "node:crypto";
import { DER_TAG, DerReader, explicitTag, hexOfInteger, type DerValue } from "../wire/der.ts";

/* Specification constants: RFC 5280 4.2, A.1. Object identifiers by the octets of their DER. */
const OID = {
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  extendedKeyUsage: "551d25",
  certificatePolicies: "551d20",
  authorityKeyIdentifier: "551d23",
  subjectKeyIdentifier: "551d0e",
} as const;
/** Those that may be critical here: they are checked, or do not narrow what a login needs. */
const UNDERSTOOD: ReadonlySet<string> = new Set(Object.values(OID));
const ANY_USAGE = "551d2500";
const CLIENT_AUTH = "2b06010505070302";

export const SUBJECT_OIDS = {
  cn: "550403",
  c: "550406",
  l: "550407",
  st: "550408",
  o: "55040a",
  ou: "55040b",
} as const;

/** Digests that nobody can forge signatures for, as the runtime names them. */
const GOOD_SIGNATURE = /sha(?:256|384|512)|^ed25519$/i;

/** An X.509 certificate, as far as logins judge it. */
export interface Certificate {
  readonly der: Uint8Array;
  readonly publicKey: KeyObject;
  /** Subject and issuer in DER. */
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  /** Lower-case hexadecimal without leading zeros. */
  readonly serial: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** May sign other certificates, by basic constraints and key usage (RFC 5280 4.2.1.3, 4.2.1.9). */
  readonly isAuthority: boolean;
  /** How many authorities may follow below this one; undefined for any number. */
  readonly pathLength: number | undefined;
  /** Its key may sign a login: key usage and extended key usage allow it, or say nothing. */
  readonly maySignLogins: boolean;
  /** Critical extensions that are not understood forbid any use (RFC 5280 4.2). */
  readonly isUnderstood: boolean;
  readonly commonNames: readonly string[];
  /** Values of a subject attribute, by `SUBJECT_OIDS`. */
  subjectValues(oid: string): readonly string[];
  digest(algorithm: "md5" | "sha1"): string;
  /** True if that certificate's name and key have signed this one, with a digest that is still good. */
  isSignedBy(issuer: Certificate): boolean;
}

/* Specification constants: protocol.md 7.3. */
export const LOGIN_KEY_BITS = { min: 1024, max: 4096 } as const;

/** Bits of a key that may sign logins, which is an RSA key of these sizes; undefined for any other. */
export function loginKeyBits({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) {
  const bits = asymmetricKeyDetails?.modulusLength ?? 0;
  const isFit = bits >= LOGIN_KEY_BITS.min && bits <= LOGIN_KEY_BITS.max;
  return asymmetricKeyType === "rsa" && isFit ? bits : undefined;
}

/** Undefined for bytes that are no certificate, or have something behind it. */
export function tryReadCertificate(der: Uint8Array): Certificate | undefined {
  try {
    return new ReadCertificate(der);
  } catch {
    // The runtime and our reader both throw for every way in which bytes can be wrong.
    return undefined;
  }
}

class ReadCertificate implements Certificate {
  readonly der: Uint8Array;
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly serial: string;
  readonly isAuthority: boolean;
  readonly pathLength: number | undefined;
  readonly maySignLogins: boolean;
  readonly isUnderstood: boolean;
  readonly publicKey: KeyObject;
  readonly #x509: X509Certificate;
  /** By the attribute's type. */
  readonly #attributes: ReadonlyMap<string, readonly string[]>;

  constructor(der: Uint8Array) {
    this.der = der;
    // The runtime checks the form in full; what it does not tell is read behind it.
    this.#x509 = new X509Certificate(der);
    this.publicKey = this.#x509.publicKey;
    const outer = new DerReader(der);
    const fields = outer.enter().enter();
    if (!outer.isAtEnd) throw new RangeError("bytes behind the certificate");
    fields.tryNext(explicitTag(0));
    this.serial = hexOfInteger(fields.expect(DER_TAG.INTEGER).content);
    fields.expect(DER_TAG.SEQUENCE);
    this.issuer = fields.expect(DER_TAG.SEQUENCE).whole;
    fields.expect(DER_TAG.SEQUENCE);
    const subject = fields.expect(DER_TAG.SEQUENCE);
    this.subject = subject.whole;
    this.#attributes = readAttributes(new DerReader(subject.content));
    const extensions = readExtensions(fields);
    const constraints = extensions.get(OID.basicConstraints)?.value;
    const usage = extensions.get(OID.keyUsage)?.value;
    const purposes = extensions.get(OID.extendedKeyUsage)?.value;
    const { isAuthority, pathLength } = readConstraints(constraints);
    this.isAuthority = isAuthority && hasUsage(usage, KEY_CERT_SIGN);
    this.pathLength = pathLength;
    this.maySignLogins = hasUsage(usage, DIGITAL_SIGNATURE) && hasPurpose(purposes, CLIENT_AUTH);
    this.isUnderstood = [...extensions].every(
      ([oid, { isCritical }]) => !isCritical || UNDERSTOOD.has(oid),
    );
  }

  get notBefore(): number {
    return this.#x509.validFromDate.getTime();
  }

  get notAfter(): number {
    return this.#x509.validToDate.getTime();
  }

  get commonNames(): readonly string[] {
    return this.subjectValues(SUBJECT_OIDS.cn);
  }

  subjectValues(oid: string): readonly string[] {
    return this.#attributes.get(oid) ?? [];
  }

  digest(algorithm: "md5" | "sha1"): string {
    return new Bun.CryptoHasher(algorithm).update(this.der).digest("hex");
  }

  isSignedBy(issuer: Certificate): boolean {
    if (!(issuer instanceof ReadCertificate)) return false;
    if (!GOOD_SIGNATURE.test(this.#x509.signatureAlgorithm ?? "")) return false;
    if (!this.#x509.checkIssued(issuer.#x509)) return false;
    try {
      return this.#x509.verify(issuer.publicKey);
    } catch {
      // A signature that the key cannot have made, as of another kind.
      return false;
    }
  }
}

/** The values of a Name (RFC 5280 4.1.2.4) by the type of their attribute. */
function readAttributes(sets: DerReader): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  while (!sets.isAtEnd) {
    const attributes = sets.enter(DER_TAG.SET);
    while (!attributes.isAtEnd) {
      const attribute = attributes.enter();
      const oid = attribute.expect(DER_TAG.OID).content.toHex();
      found.set(oid, [...(found.get(oid) ?? []), textOf(attribute.next())]);
    }
  }
  return found;
}

interface Extension {
  readonly isCritical: boolean;
  readonly value: Uint8Array;
}

/** RFC 5280 4.1: behind the subject come the key, two identifiers that nobody uses, and the extensions. */
function readExtensions(fields: DerReader): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>();
  while (!fields.isAtEnd) {
    const { tag, content } = fields.next();
    if (tag !== explicitTag(3)) continue;
    const list = new DerReader(content).enter();
    while (!list.isAtEnd) {
      const extension = list.enter();
      const oid = extension.expect(DER_TAG.OID).content.toHex();
      const critical = extension.tryNext(DER_TAG.BOOLEAN);
      const value = extension.expect(DER_TAG.OCTET_STRING).content;
      if (found.has(oid)) throw new RangeError("an extension stands twice");
      found.set(oid, { isCritical: (critical?.content[0] ?? 0) !== 0, value });
    }
  }
  return found;
}

function readConstraints(value: Uint8Array | undefined) {
  if (value === undefined) return { isAuthority: false, pathLength: undefined };
  const inside = new DerReader(value).enter();
  const isAuthority = (inside.tryNext(DER_TAG.BOOLEAN)?.content[0] ?? 0) !== 0;
  const length = inside.tryNext(DER_TAG.INTEGER)?.content;
  return {
    isAuthority,
    pathLength: length === undefined ? undefined : Number.parseInt(length.toHex(), 16),
  };
}

/* Specification constants: bits of KeyUsage from the left (RFC 5280 4.2.1.3). */
const DIGITAL_SIGNATURE = 0;
const KEY_CERT_SIGN = 5;

/** A certificate that names no usage is good for each. */
function hasUsage(value: Uint8Array | undefined, bit: number): boolean {
  if (value === undefined) return true;
  // The first octet of a BIT STRING counts the unused bits at its end (X.690 8.6.2).
  const bits = new DerReader(value).expect(DER_TAG.BIT_STRING).content;
  return ((bits[1 + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) !== 0;
}

function hasPurpose(value: Uint8Array | undefined, wanted: string): boolean {
  if (value === undefined) return true;
  const inside = new DerReader(value).enter();
  while (!inside.isAtEnd) {
    const oid = inside.expect(DER_TAG.OID).content.toHex();
    if (oid === wanted || oid === ANY_USAGE) return true;
  }
  return false;
}

function textOf({ tag, content }: DerValue): string {
  if (tag === DER_TAG.UTF8_STRING) return new TextDecoder().decode(content);
  if (tag === DER_TAG.BMP_STRING) return new TextDecoder("utf-16be").decode(content);
  // Printable, IA5 and Teletex strings: letters of Latin-1 at most.
  return new TextDecoder("latin1").decode(content);
}
