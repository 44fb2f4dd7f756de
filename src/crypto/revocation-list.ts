import { verify, type KeyObject } from "node:crypto";
import { ProtocolError } from "../base/errors.ts";
import { tryReadCertificate } from "./certificate.ts";
import { DER_TAG, DerReader, hexOfInteger, readDerTime } from "../wire/der.ts";

/** Digest and kind of key of the signature algorithms that a list may have (RFC 4055 5, RFC 5758 3.2, RFC 8410 3). */
const ALGORITHMS: Readonly<Record<string, { digest: string | null; key: string }>> = {
  "2a864886f70d01010b": { digest: "sha256", key: "rsa" },
  "2a864886f70d01010c": { digest: "sha384", key: "rsa" },
  "2a864886f70d01010d": { digest: "sha512", key: "rsa" },
  "2a8648ce3d040302": { digest: "sha256", key: "ec" },
  "2a8648ce3d040303": { digest: "sha384", key: "ec" },
  "2a8648ce3d040304": { digest: "sha512", key: "ec" },
  "2b6570": { digest: null, key: "ed25519" },
};

/** A list of revoked certificates (RFC 5280 5). */
export interface RevocationList {
  /** DER of the issuer's name. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970; a newer list is due at `nextUpdate`. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
  /** In lower-case hexadecimal without leading zeros. */
  readonly serials: ReadonlySet<string>;
  /** True if this key has signed the list. */
  isSignedBy(key: KeyObject): boolean;
}

/** A list of 100,000 entries takes a tenth of a second, and is asked for where it is loaded, checked and used. */
const known = new WeakMap<Uint8Array, RevocationList>();

/** @throws ProtocolError `der` for bytes that are no complete list of one issuer's own certificates */
export function readRevocationList(der: Uint8Array): RevocationList {
  const list = known.get(der) ?? parse(der);
  known.set(der, list);
  return list;
}

function parse(der: Uint8Array): RevocationList {
  const whole = new DerReader(der);
  const outer = whole.enter();
  if (!whole.isAtEnd) throw new ProtocolError("der", "bytes behind the list");
  const signed = outer.expect(DER_TAG.SEQUENCE);
  const outerAlgorithm = outer.expect(DER_TAG.SEQUENCE);
  const algorithm = new DerReader(outerAlgorithm.content).expect(DER_TAG.OID).content.toHex();
  const bits = outer.expect(DER_TAG.BIT_STRING).content;
  if (bits[0] !== 0 || !outer.isAtEnd) throw new ProtocolError("der", "no whole signature");
  const signature = bits.subarray(1);

  const fields = new DerReader(signed.content);
  fields.tryNext(DER_TAG.INTEGER);
  // RFC 5280 5.1.1.2: what stands outside the signature must not differ from what is inside.
  if (Buffer.compare(fields.expect(DER_TAG.SEQUENCE).whole, outerAlgorithm.whole) !== 0) {
    throw new ProtocolError("der", "two signature algorithms");
  }
  const issuer = fields.expect(DER_TAG.SEQUENCE).whole;
  const thisUpdate = readDerTime(fields.next());
  const next = fields.tryNext(DER_TAG.UTC_TIME) ?? fields.tryNext(DER_TAG.GENERALIZED_TIME);
  const entries = fields.tryNext(DER_TAG.SEQUENCE);
  if (!fields.isAtEnd) refuseForeign(new DerReader(fields.next().content).enter());
  return {
    issuer,
    thisUpdate,
    nextUpdate: next === undefined ? undefined : readDerTime(next),
    serials: entries === undefined ? new Set() : readSerials(new DerReader(entries.content)),
    isSignedBy(key) {
      const made = ALGORITHMS[algorithm];
      if (made === undefined || made.key !== key.asymmetricKeyType) return false;
      return verify(made.digest, signed.whole, key, signature);
    },
  };
}

function readSerials(entries: DerReader): ReadonlySet<string> {
  const serials = new Set<string>();
  while (!entries.isAtEnd) {
    serials.add(hexOfInteger(entries.enter().expect(DER_TAG.INTEGER).content));
  }
  return serials;
}

/** RFC 5280 5.2.4, 5.2.5: a list of changes, or of part of the certificates, does not tell what a whole one does. */
const FOREIGN: ReadonlySet<string> = new Set(["551d1b", "551d1c"]);

function refuseForeign(extensions: DerReader): void {
  while (!extensions.isAtEnd) {
    const oid = extensions.enter().expect(DER_TAG.OID).content.toHex();
    if (FOREIGN.has(oid)) throw new ProtocolError("der", "a list of changes or of a part only");
  }
}

/** False for a list in the name of a CA that we know, but with the signature of another. */
export function isFromKnownIssuer(der: Uint8Array, authorities: readonly Uint8Array[]): boolean {
  const list = readRevocationList(der);
  const ofItsName = authorities
    .flatMap((authority) => tryReadCertificate(authority) ?? [])
    .filter(({ subject }) => Buffer.compare(subject, list.issuer) === 0);
  return ofItsName.length === 0 || ofItsName.some(({ publicKey }) => list.isSignedBy(publicKey));
}
