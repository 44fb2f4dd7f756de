import { beforeAll, describe, expect, test } from "bun:test";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { ExitError } from "../../src/base/errors.ts";
import { readCertificates, readClientCertificate } from "../../src/config/pem-source.ts";
import { generateSelfSigned } from "../../src/crypto/self-signed.ts";
import { memoryFiles } from "./fixture.ts";

let cert: string;
let key: string;
let other: string;
let encrypted: string;
let traditional: string;

beforeAll(async () => {
  ({ cert, key } = await generateSelfSigned("alice", Date.UTC(2026, 0, 1)));
  ({ cert: other } = await generateSelfSigned("ca", Date.UTC(2026, 0, 1)));
  const cipher = { cipher: "aes-256-cbc", passphrase: "x" };
  const pair = createPrivateKey(key);
  encrypted = pair.export({ format: "pem", type: "pkcs8", ...cipher }) as string;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  traditional = privateKey
    .export({ format: "pem", type: "pkcs1" })
    .toString()
    .replace("\n", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n");
});

const CERT = { path: "/c" };
const KEY = { path: "/k" };

function faultOf(files: Record<string, string>): string {
  try {
    readClientCertificate(CERT, KEY, memoryFiles(files));
  } catch (error) {
    if (error instanceof ExitError) return `${error.exitCode} ${error.message}`;
  }
  return "none";
}

describe("readClientCertificate()", () => {
  test("takes from a chain the certificate that the key fits", () => {
    const files = memoryFiles({ "/c": `${other}${cert}`, "/k": key });
    const found = readClientCertificate(CERT, KEY, files);
    expect(found.certificate.toString()).toBe(readCertificates({ pem: cert })[0].toString());
    expect(found.certificate.checkPrivateKey(found.key)).toBe(true);
  });

  test("takes what this program keeps itself", () => {
    expect(readClientCertificate({ pem: cert }, { pem: key }).key.type).toBe("private");
  });

  test("says what is wrong with the files", () => {
    expect(faultOf({ "/k": key })).toBe("66 Cannot read the certificate: /c does not exist");
    expect(faultOf({ "/c": cert })).toBe("66 Cannot read the private key: /k does not exist");
    expect(faultOf({ "/c": "x", "/k": key })).toStartWith("65 Cannot use /c as a certificate");
    expect(faultOf({ "/c": cert, "/k": "x" })).toContain("65 Cannot use /k: not a private key");
    expect(faultOf({ "/c": other, "/k": key })).toBe(
      "65 /k is not the key of any certificate in /c",
    );
  });

  test("says of an encrypted key how to decrypt it", () => {
    for (const locked of [encrypted, traditional]) {
      expect(faultOf({ "/c": cert, "/k": locked })).toBe(
        "65 Cannot use /k: the private key is encrypted; openssl pkey -in /k -out KEY decrypts it",
      );
    }
  });
});
