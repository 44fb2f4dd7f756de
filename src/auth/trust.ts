import type { RevocationRule } from "../config/server-config.ts";
import { SUBJECT_FIELDS } from "../config/server-config.ts";
import { SUBJECT_OIDS, tryReadCertificate, type Certificate } from "../crypto/certificate.ts";
import { readRevocationList, type RevocationList } from "../crypto/revocation-list.ts";

/** Authorities above a certificate: a chain that is longer is a loop or nobody's. */
const MAX_CHAIN = 8;

export interface TrustConfig {
  /** DER; each is trusted by itself, whoever has signed it. */
  readonly trustedCa: readonly Uint8Array[];
  readonly crl: readonly RevocationRule[];
}

/** Whom a hub trusts to sign certificates, and which of them are good no more (hub.md 9.2). */
export class TrustStore {
  readonly #authorities: readonly Certificate[];
  readonly #lists: readonly RevocationList[];
  readonly #rules: readonly Extract<RevocationRule, { kind: "fields" }>[];

  /** @throws ProtocolError for a list that cannot be read, which the configuration refuses */
  constructor({ trustedCa, crl }: TrustConfig) {
    this.#authorities = trustedCa.flatMap((der) => tryReadCertificate(der) ?? []);
    this.#lists = crl.flatMap((rule) => (rule.kind === "list" ? readRevocationList(rule.der) : []));
    this.#rules = crl.filter((rule) => rule.kind === "fields");
  }

  /** True within its dates and on no list. */
  isCurrent(certificate: Certificate, wall: number): boolean {
    return (
      certificate.notBefore <= wall &&
      wall < certificate.notAfter &&
      !this.#isListed(certificate) &&
      !this.#rules.some((rule) => matches(certificate, rule))
    );
  }

  /**
   * True if the certificate may sign logins and an authority that we trust stands behind it: itself is listed, or a
   * listed one has signed it. An authority above that one, where it is listed as well, must hold in turn (RFC 5280 6.1).
   */
  isTrusted(certificate: Certificate, wall: number): boolean {
    if (!this.isCurrent(certificate, wall)) return false;
    if (!certificate.maySignLogins || !certificate.isUnderstood) return false;
    if (this.#authorities.some((known) => isSame(known, certificate))) return true;
    return this.#hasIssuer(certificate, wall, 0);
  }

  /** True if a newer one than some list of ours is due by now: it still holds. */
  hasStaleList(wall: number): boolean {
    return this.#lists.some(({ nextUpdate }) => nextUpdate !== undefined && nextUpdate < wall);
  }

  #hasIssuer(certificate: Certificate, wall: number, below: number): boolean {
    if (below >= MAX_CHAIN) return false;
    return this.#issuersOf(certificate).some((issuer) => {
      if (!issuer.isAuthority || !issuer.isUnderstood || !this.isCurrent(issuer, wall))
        return false;
      if (issuer.pathLength !== undefined && below > issuer.pathLength) return false;
      const above = this.#issuersOf(issuer).some((other) => !isSame(other, issuer));
      return !above || this.#hasIssuer(issuer, wall, below + 1);
    });
  }

  #issuersOf(certificate: Certificate): readonly Certificate[] {
    return this.#authorities.filter((authority) => certificate.isSignedBy(authority));
  }

  /** By name and number: who signs lists under a name that we trust was looked at when the list was read. */
  #isListed(certificate: Certificate): boolean {
    return this.#lists.some(
      (list) =>
        list.serials.has(certificate.serial) &&
        Buffer.compare(list.issuer, certificate.issuer) === 0,
    );
  }
}

function isSame(a: Certificate, b: Certificate): boolean {
  return Buffer.compare(a.der, b.der) === 0;
}

/** True if the certificate has each of the properties that the rule names. */
function matches(
  certificate: Certificate,
  { fields }: Extract<RevocationRule, { kind: "fields" }>,
): boolean {
  const isUnlike = (wanted: string | undefined, found: () => string) =>
    wanted !== undefined && wanted !== found();
  if (isUnlike(fields.serial, () => certificate.serial)) return false;
  if (isUnlike(fields.md5, () => certificate.digest("md5"))) return false;
  if (isUnlike(fields.sha1, () => certificate.digest("sha1"))) return false;
  return SUBJECT_FIELDS.every((name) => {
    const wanted = fields[name];
    return wanted === undefined || certificate.subjectValues(SUBJECT_OIDS[name]).includes(wanted);
  });
}
