import "reflect-metadata";
import { beforeAll, describe, expect, test } from "bun:test";

import * as x509 from "@peculiar/x509";
import { provenCertificate } from "../../src/auth/certificate-proof.ts";
import { TrustStore, type TrustConfig } from "../../src/auth/trust.ts";
import type { RevokedFields } from "../../src/config/server-config.ts";
import { tryReadCertificate } from "../../src/crypto/certificate.ts";
import { isFromKnownIssuer, readRevocationList } from "../../src/crypto/revocation-list.ts";
import {
  DAY_MS,
  issue,
  PKI_WALL,
  revoke,
  signChallenge,
  type Entity,
  type Wanted,
} from "../support/pki.ts";
import { seededRandom } from "../support/seeded-random.ts";

const CHALLENGE = seededRandom(1).bytes(20);
const NO_FIELDS: RevokedFields = {
  cn: undefined,
  o: undefined,
  ou: undefined,
  c: undefined,
  st: undefined,
  l: undefined,
  serial: undefined,
  md5: undefined,
  sha1: undefined,
};

let root: Entity;
let alice: Entity;
beforeAll(async () => {
  root = await issue({ subject: "CN=Root, O=Example, C=DE", isAuthority: true });
  alice = await leaf();
});

const leaf = (wanted: Partial<Wanted> = {}) =>
  issue({ subject: "CN=alice, OU=Sales, O=Example", issuer: root, serial: "0a1b", ...wanted });

function isTrusted(entity: Entity, config: Partial<TrustConfig> = {}, wall = PKI_WALL): boolean {
  const trust = new TrustStore({ trustedCa: [root.der], crl: [], ...config });
  return trust.isTrusted(tryReadCertificate(entity.der)!, wall);
}

describe("provenCertificate()", () => {
  test("takes the signature of stock clients, and one with SHA-256", () => {
    for (const digest of ["sha1", "sha256"] as const) {
      const signature = signChallenge(alice, CHALLENGE, digest);
      const found = provenCertificate({ der: alice.der, signature, challenge: CHALLENGE });
      expect(found?.serial).toBe("a1b");
      expect(found?.commonNames).toEqual(["alice"]);
    }
  });

  test("HS-09 refuses a signature of another key, over another challenge, cut, or none", () => {
    const good = signChallenge(alice, CHALLENGE);
    const wrong = [
      signChallenge(root, CHALLENGE),
      signChallenge(alice, seededRandom(2).bytes(20)),
      good.subarray(1),
      new Uint8Array([0, ...good]),
      good.map((byte, at) => (at === 7 ? byte ^ 1 : byte)),
      new Uint8Array(0),
    ];
    for (const signature of wrong) {
      const presented = { der: alice.der, signature, challenge: CHALLENGE };
      expect(provenCertificate(presented)).toBeUndefined();
    }
  });

  test("TL-13 refuses RSA of 512 bits, other kinds of keys, and what is no certificate", async () => {
    const weak = Buffer.from(RSA_512, "base64");
    const ed448 = Buffer.from(ED448, "base64");
    const cut = alice.der.subarray(0, alice.der.length - 1);
    const more = new Uint8Array([...alice.der, 0]);
    for (const der of [weak, ed448, cut, more, new Uint8Array(0), new Uint8Array(100_001)]) {
      for (const length of [64, 114, 256]) {
        const presented = { der, signature: new Uint8Array(length), challenge: CHALLENGE };
        expect(provenCertificate(presented)).toBeUndefined();
      }
    }
  });
});

describe("TrustStore.isTrusted()", () => {
  test("takes what a listed authority has signed, and a listed certificate itself", async () => {
    expect(isTrusted(alice)).toBe(true);
    expect(isTrusted(alice, { trustedCa: [] })).toBe(false);
    expect(isTrusted(alice, { trustedCa: [alice.der] })).toBe(true);
  });

  test("TL-13 refuses who is expired, not yet valid, self-made, or for another usage", async () => {
    const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
    const cases: [Entity, boolean][] = [
      [await leaf({ notAfter: PKI_WALL - 1_000 }), false],
      [await leaf({ notBefore: PKI_WALL + 1_000 }), false],
      [await issue({ subject: "CN=alice" }), false],
      [await leaf({ keyUsage: x509.KeyUsageFlags.keyEncipherment }), false],
      [await leaf({ purposes: [serverAuth] }), false],
      [await leaf({ purposes: [serverAuth, clientAuth] }), true],
      // Somebody else's authority, under our name.
      [await leaf({ issuer: { ...root, pair: alice.pair } }), false],
    ];
    for (const [at, [entity, expected]] of cases.entries()) {
      expect([at, isTrusted(entity)]).toEqual([at, expected]);
    }
  });

  test("refuses who has a critical extension that is not understood", async () => {
    const unknown = (critical: boolean) =>
      leaf({ extensions: [new x509.Extension("1.2.3.4", critical, new Uint8Array([5, 0]))] });
    expect(isTrusted(await unknown(false))).toBe(true);
    expect(isTrusted(await unknown(true))).toBe(false);
  });

  test("signatures with SHA-1 count for nothing", async () => {
    const issuer = await issue({ subject: "CN=Digest", isAuthority: true, hash: "SHA-1" });
    const below = await leaf({ issuer, hash: "SHA-1" });
    expect(below.certificate.signatureAlgorithm.hash.name).toBe("SHA-1");
    expect(isTrusted(below, { trustedCa: [issuer.der] })).toBe(false);
  });

  test("an issuer must be an authority, in its time and on no list", async () => {
    const plain = await issue({ subject: "CN=Plain" });
    const noSigner = await issue({
      subject: "CN=No signer",
      isAuthority: true,
      keyUsage: x509.KeyUsageFlags.cRLSign,
    });
    const old = await issue({ subject: "CN=Old", isAuthority: true, notAfter: PKI_WALL - 1_000 });
    for (const issuer of [plain, noSigner, old]) {
      expect(isTrusted(await leaf({ issuer }), { trustedCa: [issuer.der] })).toBe(false);
    }
  });

  test("the whole chain must hold as far as it is listed", async () => {
    const middle = await issue({
      subject: "CN=Middle",
      issuer: root,
      serial: "77",
      isAuthority: true,
    });
    const below = await leaf({ issuer: middle });
    expect(isTrusted(below)).toBe(false);
    expect(isTrusted(below, { trustedCa: [middle.der] })).toBe(true);
    expect(isTrusted(below, { trustedCa: [middle.der, root.der] })).toBe(true);
    const crl = [{ kind: "list", path: "x", der: await revoke(root, ["77"]) }] as const;
    expect(isTrusted(below, { trustedCa: [middle.der, root.der], crl })).toBe(false);
    const short = await issue({ subject: "CN=Short", isAuthority: true, pathLength: 0 });
    const under = await issue({ subject: "CN=Under", issuer: short, isAuthority: true });
    const tooDeep = await leaf({ issuer: under });
    expect(isTrusted(tooDeep, { trustedCa: [short.der, under.der] })).toBe(false);
    expect(isTrusted(await leaf({ issuer: short }), { trustedCa: [short.der] })).toBe(true);
  });

  test("authorities that have signed each other end nowhere, but end", async () => {
    const first = await issue({ subject: "CN=First", isAuthority: true });
    const second = await issue({ subject: "CN=Second", issuer: first, isAuthority: true });
    const again = await issue({ subject: "CN=First", issuer: second, isAuthority: true });
    const below = await leaf({ issuer: second });
    expect(isTrusted(below, { trustedCa: [second.der, again.der] })).toBe(false);
  });
});

describe("revoked certificates", () => {
  test("are those on a list of their issuer", async () => {
    const list = async (issuer: Entity, ...serials: string[]) => [
      { kind: "list" as const, path: "x", der: await revoke(issuer, serials) },
    ];
    const other = await issue({ subject: "CN=Other", isAuthority: true });
    expect(isTrusted(alice, { crl: await list(root, "05", "0a1b") })).toBe(false);
    expect(isTrusted(alice, { crl: await list(root, "0a1c") })).toBe(true);
    expect(isTrusted(alice, { crl: await list(other, "0a1b") })).toBe(true);
  });

  test("are those that have each field of a rule", () => {
    const certificate = tryReadCertificate(alice.der)!;
    const by = (fields: Partial<RevokedFields>) =>
      !isTrusted(alice, { crl: [{ kind: "fields", fields: { ...NO_FIELDS, ...fields } }] });
    expect(by({ cn: "alice" })).toBe(true);
    expect(by({ cn: "alice", ou: "Sales", o: "Example" })).toBe(true);
    expect(by({ cn: "alice", ou: "Research" })).toBe(false);
    expect(by({ c: "FR" })).toBe(false);
    // Its issuer has that one.
    expect(by({ c: "DE" })).toBe(true);
    expect(by({ serial: "a1b" })).toBe(true);
    expect(by({ serial: "a1b", cn: "bob" })).toBe(false);
    expect(by({ md5: certificate.digest("md5") })).toBe(true);
    expect(by({ sha1: certificate.digest("sha1") })).toBe(true);
    expect(by({ sha1: certificate.digest("sha1").replace(/./, "x") })).toBe(false);
  });

  test("a list that is out of date holds, and is told of", async () => {
    const der = await revoke(root, ["0a1b"], { nextUpdate: PKI_WALL - DAY_MS / 2 });
    const trust = new TrustStore({
      trustedCa: [root.der],
      crl: [{ kind: "list", path: "x", der }],
    });
    expect(trust.hasStaleList(PKI_WALL)).toBe(true);
    expect(trust.hasStaleList(PKI_WALL - DAY_MS)).toBe(false);
    expect(trust.isTrusted(tryReadCertificate(alice.der)!, PKI_WALL)).toBe(false);
  });
});

describe("readRevocationList()", () => {
  test("reads what is in a list, and who has signed it", async () => {
    const list = readRevocationList(await revoke(root, ["0a1b", "ff00"]));
    expect([...list.serials]).toEqual(["a1b", "ff00"]);
    expect(list.thisUpdate).toBe(PKI_WALL - DAY_MS);
    expect(list.nextUpdate).toBe(PKI_WALL + DAY_MS);
    expect(list.isSignedBy(tryReadCertificate(root.der)!.publicKey)).toBe(true);
    expect(list.isSignedBy(tryReadCertificate(alice.der)!.publicKey)).toBe(false);
  });

  test("refuses a list cut at any byte, and one with something behind it", async () => {
    const der = await revoke(root, ["0a1b"]);
    for (let length = 0; length < der.length; length++) {
      expect(() => readRevocationList(der.subarray(0, length))).toThrow();
    }
    expect(() => readRevocationList(new Uint8Array([...der, 0]))).toThrow("behind the list");
    expect(() => readRevocationList(alice.der)).toThrow();
  });

  test("isFromKnownIssuer() is false for a list that somebody else has signed in the name of a CA", async () => {
    const forged = await revoke(root, [], { signer: alice });
    expect(isFromKnownIssuer(forged, [root.der])).toBe(false);
    expect(isFromKnownIssuer(forged, [])).toBe(true);
    expect(isFromKnownIssuer(await revoke(root, []), [root.der])).toBe(true);
  });
});

test("tryReadCertificate() is undefined for a certificate cut at any byte or with any bit of its frame wrong", () => {
  for (let length = 0; length < alice.der.length; length += 7) {
    expect(tryReadCertificate(alice.der.subarray(0, length))).toBeUndefined();
  }
  const random = seededRandom(9);
  for (let round = 0; round < 500; round++) {
    const broken = alice.der.slice();
    broken[Math.floor(random.fraction() * broken.length)]! ^=
      1 << Math.floor(random.fraction() * 8);
    const found = tryReadCertificate(broken);
    const trust = new TrustStore({ trustedCa: [root.der], crl: [] });
    // Bits of the signature's own frame may be read in two ways; nothing that was changed is believed.
    expect(found !== undefined && trust.isTrusted(found, PKI_WALL)).toBe(false);
  }
});

/** Certificates that the runtime cannot make, as openssl does: CN=alice. */
const RSA_512 =
  "MIIBeTCCASOgAwIBAgIUFqgA50SLGldk5duvuxJqBLvfXnIwDQYJKoZIhvcNAQELBQAwEDEOMAwGA1UEAwwFYWxpY2UwIBcNMjYxMTIyMTcxMTAwWhgPMjEyNjEwMjkxNzExMDBaMBAxDjAMBgNVBAMMBWFsaWNlMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMlJVNkQ7rhNDRzicY2O9rQJ/5eh8gOeWH7t/qhfKr/Yu8GjQiJ0D8WOQE6fiOoaYqmLN4roUTTKslhfz+eli9cCAwEAAaNTMFEwHQYDVR0OBBYEFIfcQiPumkVfEtnE8cWUk0WHNYiOMB8GA1UdIwQYMBaAFIfcQiPumkVfEtnE8cWUk0WHNYiOMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADQQCt4uxdNcB1T/eSXETFrGjzxEZ0Q4K/aYtuMYBLyb301yA3QoQ0LAgu7aJPpwJn4tpK2WzUEkPvbLkrRPa2ymef";
const ED448 =
  "MIIBgjCCAQKgAwIBAgIUI7l8+8n3GIuXazjB2YEnnLVRyS0wBQYDK2VxMBAxDjAMBgNVBAMMBWFsaWNlMCAXDTI2MTEyMjE3MTEwMFoYDzIxMjYxMDI5MTcxMTAwWjAQMQ4wDAYDVQQDDAVhbGljZTBDMAUGAytlcQM6AGIc1frnTj8wW6rKhau00Ngxf0izLiN6HFJ+2vP17ViT0fxh2mx11YJgyPkQ+LBTeJanvJcG+QwQgKNTMFEwHQYDVR0OBBYEFHXPAk15NNiyc8jYvWrH4O8j/Jg2MB8GA1UdIwQYMBaAFHXPAk15NNiyc8jYvWrH4O8j/Jg2MA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VxA3MA4aNq6uX7/dflAuxjSgDPb6cacFtijI4jl6H7ezQ2O08yRwEAUe2lglmXFvFsW6MvnUFWNWyBdquArktbKKGR/KzIwVI1+KIFHJ/Sl6FVMJjReix/D6usEYzugQHF+0ygCOQ9cDYRtzSLDiywaVkTGjIA";
