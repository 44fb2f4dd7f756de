import { ProtocolError } from "../base/errors.ts";
import { MAX_CRL_BYTES, MAX_NAME_CHARS } from "../base/limits.ts";
import { LOGIN_KEY_BITS, loginKeyBits, tryReadCertificate } from "../crypto/certificate.ts";
import { derBlocks } from "../crypto/pem.ts";
import { readRevocationList } from "../crypto/revocation-list.ts";
import { MAX_PEM_BYTES, path, text, textOf } from "./scalar-shapes.ts";
import type { RevocationRule } from "./server-config.ts";
import { list, oneOf, optional, type Place, refine, type Shape, table } from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";

// Certificates and lists of revoked ones: read with the configuration, so that what was checked is what holds.

const CERTIFICATE = "CERTIFICATE";
const LIST = "X509 CRL";

/** A file with one certificate for logins, in PEM or DER; its DER. */
export const certificate: Shape<Uint8Array> = {
  expects: "the path of a certificate",
  read(node, place) {
    const all = readCertificates(node, place);
    if (all === undefined) return undefined;
    const [der, another] = all;
    if (der === undefined || another !== undefined) {
      return place.fail(node, `expected one certificate, found ${all.length}`);
    }
    const read = tryReadCertificate(der);
    if (read !== undefined && loginKeyBits(read.publicKey) !== undefined) return der;
    const { min, max } = LOGIN_KEY_BITS;
    return place.fail(node, `expected an RSA key of ${min} to ${max} bits`);
  },
};

/** Files with one or more certificates each; their DER. */
export const certificates: Shape<readonly Uint8Array[]> = refine(
  list<readonly Uint8Array[]>({ expects: "the path of a certificate", read: readCertificates }),
  (files) => files.flat(),
);

function readCertificates(node: TomlNode, place: Place): Uint8Array[] | undefined {
  const found = readBlocks(node, place, { label: CERTIFICATE, maxBytes: MAX_PEM_BYTES });
  if (found === undefined) return undefined;
  const { path, blocks } = found;
  if (blocks.length === 0) {
    return place.fail(node, `${path} holds no certificate in PEM or DER form`);
  }
  // Read as logins read it: one that is passed over then would be trusted in vain.
  if (blocks.every((der) => tryReadCertificate(der) !== undefined)) return blocks;
  const fault = "something that is no certificate, or one with an unknown kind of key";
  return place.fail(node, `${path} holds ${fault}`);
}

const hex = textOf("hexadecimal digits", (written) => {
  const digits = written.replaceAll(/[\s:]/g, "").toLowerCase();
  return /^[0-9a-f]{1,128}$/.test(digits) ? digits : undefined;
});

/** As tools print it, with or without colons; leading zeros tell nothing. */
export const serial: Shape<string> = refine(hex, (digits) => digits.replace(/^0+(?=.)/, ""));

const digest = (octets: number): Shape<string> =>
  refine(hex, (digits, node, place) =>
    digits.length === octets * 2
      ? digits
      : place.fail(node, `expected ${octets * 2} hexadecimal digits`),
  );

const fields: Shape<RevocationRule> = refine(
  table({
    cn: optional(text(MAX_NAME_CHARS)),
    o: optional(text(MAX_NAME_CHARS)),
    ou: optional(text(MAX_NAME_CHARS)),
    c: optional(text(MAX_NAME_CHARS)),
    st: optional(text(MAX_NAME_CHARS)),
    l: optional(text(MAX_NAME_CHARS)),
    serial: optional(serial),
    md5: optional(digest(16)),
    sha1: optional(digest(20)),
  }),
  (value, node, place) =>
    Object.values(value).every((field) => field === undefined)
      ? place.fail(node, "without a field this would revoke every certificate")
      : ({ kind: "fields", fields: value } as const),
);

const listFile: Shape<RevocationRule> = {
  expects: "the path of a revocation list",
  read(node, place) {
    const found = readBlocks(node, place, { label: LIST, maxBytes: MAX_CRL_BYTES });
    if (found === undefined) return undefined;
    const { path, blocks } = found;
    const [der, another] = blocks;
    if (der === undefined) return place.fail(node, `${path} holds no list in PEM or DER form`);
    if (another !== undefined) return place.fail(node, `${path} holds more than one list`);
    try {
      readRevocationList(der);
      return { kind: "list", path, der };
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return place.fail(node, `${path} holds no list that can be read: ${error.message}`);
    }
  },
};

/** `hub.NAME.crl`. */
export const revocations: Shape<readonly RevocationRule[]> = list(
  oneOf("the path of a revocation list, or { cn, o, ou, c, st, l, serial, md5, sha1 }", {
    string: listFile,
    table: fields,
  }),
);

function readBlocks(
  node: TomlNode,
  place: Place,
  { label, maxBytes }: { label: string; maxBytes: number },
): { path: string; blocks: Uint8Array[] } | undefined {
  const found = path.read(node, place);
  if (found === undefined) return undefined;
  const file = place.context.files.read(found, maxBytes);
  switch (file.kind) {
    case "file":
      return { path: found, blocks: derBlocks(file.bytes, label) };
    case "missing":
      return place.fail(node, `${found} does not exist`);
    case "refused":
      return place.fail(node, `${found} ${file.reason}`);
  }
}
