import "reflect-metadata";
import { expect, setDefaultTimeout, test } from "bun:test";
import { provenCertificate } from "../../src/auth/certificate-proof.ts";
import { TrustStore } from "../../src/auth/trust.ts";
import { ProtocolError } from "../../src/base/errors.ts";
import type { RevokedFields } from "../../src/config/server-config.ts";
import { tryReadCertificate } from "../../src/crypto/certificate.ts";
import { readRevocationList } from "../../src/crypto/revocation-list.ts";
import { issue, PKI_WALL, revoke, signChallenge } from "../support/pki.ts";
import { seededRandom } from "../support/seeded-random.ts";

setDefaultTimeout(30_000);

const random = seededRandom(20_261_122);
const challenge = random.bytes(20);
const root = await issue({ subject: "CN=Root", isAuthority: true });
const leaf = await issue({ subject: "CN=alice, OU=Sales", issuer: root, serial: "0a1b" });
const signature = signChallenge(leaf, challenge);
const fields: RevokedFields = {
  cn: "bob",
  o: undefined,
  ou: "Sales",
  c: undefined,
  st: undefined,
  l: undefined,
  serial: undefined,
  md5: undefined,
  sha1: undefined,
};
const trust = new TrustStore({ trustedCa: [root.der], crl: [{ kind: "fields", fields }] });

const upTo = (most: number) => Math.floor(random.fraction() * most);

/** Some bytes changed, cut out, doubled, or a length replaced by an extreme. */
function mutate(bytes: Uint8Array): Uint8Array {
  let out = bytes.slice();
  for (let times = 1 + upTo(4); times > 0; times--) {
    const at = upTo(out.length);
    switch (upTo(4)) {
      case 0:
        out[at]! ^= 1 << upTo(8);
        break;
      case 1:
        out[at] = [0, 1, 0x7f, 0x80, 0x82, 0x84, 0xff][upTo(7)]!;
        break;
      case 2:
        out = new Uint8Array([...out.subarray(0, at), ...out.subarray(at + upTo(20))]);
        break;
      default:
        out = new Uint8Array([...out.subarray(0, at), ...out.subarray(Math.max(0, at - 9))]);
    }
  }
  return out;
}

test("a certificate that was changed is refused without a fault, and never trusted", () => {
  for (let round = 0; round < 4_000; round++) {
    const der = mutate(leaf.der);
    if (Buffer.compare(der, leaf.der) === 0) continue;
    provenCertificate({ der, signature, challenge });
    const found = tryReadCertificate(der);
    expect(found !== undefined && trust.isTrusted(found, PKI_WALL)).toBe(false);
  }
});

test("a key that nobody should have proves nothing", () => {
  const exponent = Buffer.from("0203010001", "hex");
  const at = Buffer.from(leaf.der).indexOf(exponent);
  expect(at).toBeGreaterThan(0);
  for (const hex of ["0203000001", "0203010002", "0203000000", "0203ffffff", "0203010000"]) {
    const der = leaf.der.slice();
    der.set(Buffer.from(hex, "hex"), at);
    expect(provenCertificate({ der, signature, challenge })).toBeUndefined();
    // The signature that an exponent of 1 would make good: the padded digest itself.
    expect(provenCertificate({ der, signature: new Uint8Array(256), challenge })).toBeUndefined();
  }
  const even = leaf.der.slice();
  even[at - 1]! &= 0xfe;
  expect(provenCertificate({ der: even, signature, challenge })).toBeUndefined();
});

test("a list that was changed is read or refused as one, and never signed", async () => {
  const good = await revoke(root, ["0a1b", "05"]);
  const { publicKey } = tryReadCertificate(root.der)!;
  for (let round = 0; round < 4_000; round++) {
    const der = mutate(good);
    if (Buffer.compare(der, good) === 0) continue;
    try {
      expect(readRevocationList(der).isSignedBy(publicKey)).toBe(false);
    } catch (error) {
      expect(error).toBeInstanceOf(ProtocolError);
    }
  }
});
