import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { EXIT, ExitError, messageOf } from "../base/errors.ts";
import { derBlocks } from "../crypto/pem.ts";
import type { PemSource } from "./client-config.ts";
import { MAX_PEM_BYTES } from "./scalar-shapes.ts";
import { type SourceFiles, systemFiles } from "./source-files.ts";

/** How people know it: its path, or that we keep it. */
export function nameOfPem(source: PemSource): string {
  return "path" in source ? source.path : "the stored file";
}

/** @throws ExitError 66 for a file that is not there or cannot be read; `noun` says what it should hold */
export function readPem(
  source: PemSource,
  noun: string,
  files: SourceFiles = systemFiles,
): Uint8Array {
  if ("pem" in source) return new TextEncoder().encode(source.pem);
  const found = files.read(source.path, MAX_PEM_BYTES);
  if (found.kind === "file") return found.bytes;
  const reason = found.kind === "missing" ? "does not exist" : found.reason;
  throw new ExitError(EXIT.noInput, `Cannot read the ${noun}: ${source.path} ${reason}`);
}

/** Every certificate of a PEM text, or the one in DER. @throws ExitError 65, 66 */
export function readCertificates(
  source: PemSource,
  files?: SourceFiles,
): [X509Certificate, ...X509Certificate[]] {
  const blocks = derBlocks(readPem(source, "certificate", files), "CERTIFICATE");
  const refuse = (why: string): never => {
    throw new ExitError(EXIT.data, `Cannot use ${nameOfPem(source)} as a certificate: ${why}`);
  };
  try {
    const [first, ...rest] = blocks.map((der) => new X509Certificate(der));
    return [first ?? refuse("it holds none in PEM or DER form"), ...rest];
  } catch (error) {
    if (error instanceof ExitError) throw error;
    return refuse(messageOf(error));
  }
}

/** What a login by certificate needs. */
export interface ClientCertificate {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/**
 * Reads certificate and key and checks that they belong together; of a chain the one that the key fits is taken.
 * @throws ExitError 65 for what cannot be used, 66 for files that are not there
 */
export function readClientCertificate(
  cert: PemSource,
  key: PemSource,
  files?: SourceFiles,
): ClientCertificate {
  const certificates = readCertificates(cert, files);
  const own = readKey(key, files);
  const certificate = certificates.find((candidate) => candidate.checkPrivateKey(own));
  if (certificate !== undefined) return { certificate, key: own };
  const text = `${nameOfPem(key)} is not the key of any certificate in ${nameOfPem(cert)}`;
  throw new ExitError(EXIT.data, text);
}

function readKey(source: PemSource, files?: SourceFiles): KeyObject {
  const text = new TextDecoder("latin1").decode(readPem(source, "private key", files));
  const name = nameOfPem(source);
  // RFC 7468 11 and the older form of OpenSSL, which tells in a header line.
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    const remedy = `openssl pkey -in ${name} -out KEY decrypts it`;
    throw new ExitError(EXIT.data, `Cannot use ${name}: the private key is encrypted; ${remedy}`);
  }
  try {
    return createPrivateKey(text);
  } catch (error) {
    const why = `not a private key in PEM form: ${messageOf(error)}`;
    throw new ExitError(EXIT.data, `Cannot use ${name}: ${why}`);
  }
}
