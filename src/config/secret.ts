import { MAX_PASSWORD_BYTES } from "../base/limits.ts";
import { isArgon2Text } from "../crypto/argon2.ts";
import { resolvePath } from "./scalar-shapes.ts";
import type { Place, Shape } from "./shape.ts";
import { isShared } from "./source-files.ts";
import type { TomlNode } from "./toml-tree.ts";

/**
 * A secret after its reference was followed. `sha0` is the verifier of protocol.md 19: SHA-0 over the password and the
 * user name in upper case, 20 bytes.
 */
export type ResolvedSecret =
  | { readonly kind: "plain"; readonly bytes: Uint8Array }
  | { readonly kind: "sha0"; readonly hash: Uint8Array };

/** Of a user of ours: what is only verified may be an argon2id hash in the usual text form as well. */
export type UserSecret = ResolvedSecret | { readonly kind: "argon2id"; readonly encoded: string };

/** `"env:NAME"`, `"file:PATH"`, `"hash:sha0:BASE64"`, or the text itself. No fault of it shows the value. */
export const secret: Shape<ResolvedSecret> = {
  expects: 'a secret: "env:NAME", "file:PATH" or "hash:sha0:BASE64"',
  read(node, place) {
    const found = readSecret(node, place);
    if (found?.kind !== "argon2id") return found;
    return place.fail(node, "hash:argon2id: cannot be used to log in elsewhere, use env: or file:");
  },
};

/** Likewise, of a user of ours: `"hash:argon2id:$argon2id$..."`, too. */
export const userSecret: Shape<UserSecret> = {
  expects: 'a secret: "env:NAME", "file:PATH", "hash:sha0:BASE64" or "hash:argon2id:TEXT"',
  read: (node, place) => readSecret(node, place),
};

/** The secret itself is needed, so no hash of it will do. */
export const sharedSecret: Shape<Uint8Array> = {
  expects: 'a secret: "env:NAME" or "file:PATH"',
  read(node, place) {
    const found = readSecret(node, place);
    if (found === undefined || found.kind === "plain") return found?.bytes;
    return place.fail(node, "the secret itself is needed here, not a hash of it");
  },
};

function readSecret(node: TomlNode, place: Place): UserSecret | undefined {
  if (node.kind === "stored" && node.form === "plain") return { kind: "plain", bytes: node.bytes };
  if (node.kind === "stored" && node.form === "sha0") return { kind: "sha0", hash: node.bytes };
  if (node.kind !== "string") {
    return place.fail(node, `expected ${userSecret.expects}, found a value that is not text`);
  }
  const scheme = /^(env|file|hash):/.exec(node.value)?.[1];
  const rest = node.value.slice((scheme?.length ?? -1) + 1);
  switch (scheme) {
    case "env":
      return readEnvironment(rest, node, place);
    case "file":
      return readSecretFile(rest, node, place);
    case "hash":
      return readHash(rest, node, place);
    default:
      place.context.holdsSecret(node.at);
      place.warn(node, 'the secret stands in the file itself, better "env:NAME" or "file:PATH"');
      return plain(new TextEncoder().encode(node.value), "the text", node, place);
  }
}

/** Without one line end at the end of the bytes: what an editor adds is no part of a password. */
export function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.slice(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

function readEnvironment(name: string, node: TomlNode, place: Place): ResolvedSecret | undefined {
  const value = place.context.env[name];
  const shown = `the environment variable ${JSON.stringify(name)}`;
  if (value === undefined) return place.fail(node, `${shown} is not set`);
  return plain(new TextEncoder().encode(value), shown, node, place);
}

function readSecretFile(written: string, node: TomlNode, place: Place): ResolvedSecret | undefined {
  const path = resolvePath(written, node, place);
  if (path === undefined) return place.fail(node, "~/ needs the environment variable HOME");
  const file = place.context.files.read(path, MAX_SECRET_FILE_BYTES);
  if (file.kind === "missing") return place.fail(node, `${path} does not exist`);
  if (file.kind === "refused") return place.fail(node, `${path} ${file.reason}`);
  if (isShared(file.mode)) {
    const mode = file.mode.toString(8).padStart(4, "0");
    place.warn(node, `others can read ${path} (mode ${mode}): chmod 600`);
  }
  return plain(withoutLineEnd(file.bytes), path, node, place);
}

function readHash(written: string, node: TomlNode, place: Place): UserSecret | undefined {
  place.context.holdsSecret(node.at);
  if (written.startsWith("argon2id:")) {
    const encoded = written.slice("argon2id:".length);
    if (isArgon2Text(encoded)) return { kind: "argon2id", encoded };
    return place.fail(node, `expected hash:argon2id: and the text that "vpn passwd" prints`);
  }
  const base64 = /^sha0:([A-Za-z0-9+/]{27}=)$/.exec(written)?.[1];
  if (base64 === undefined) {
    return place.fail(
      node,
      "expected hash:sha0: and 20 bytes in base64, or hash:argon2id: and its text",
    );
  }
  return { kind: "sha0", hash: Uint8Array.fromBase64(base64) };
}

/** The longest password and a line end; a file of any other size is not one. */
const MAX_SECRET_FILE_BYTES = MAX_PASSWORD_BYTES + 2;

function plain(
  bytes: Uint8Array,
  source: string,
  node: TomlNode,
  place: Place,
): ResolvedSecret | undefined {
  if (bytes.length === 0) return place.fail(node, `${source} is empty`);
  if (bytes.length > MAX_PASSWORD_BYTES) {
    return place.fail(node, `${source} is longer than ${MAX_PASSWORD_BYTES} bytes`);
  }
  return { kind: "plain", bytes };
}
