import { createHash, createHmac } from "node:crypto";
import { VpnError } from "../base/errors.ts";
import { equalSecrets } from "../crypto/password.ts";
import { RADIUS_ATTRIBUTE, readAll } from "../wire/radius-attribute.ts";
import {
  encodeRadius,
  RADIUS_AUTHENTICATOR_BYTES,
  type RadiusAttribute,
  type RadiusPacket,
} from "../wire/radius.ts";

// What the shared secret does to a packet: it hides the password, seals requests and proves answers.

/** RFC 2865 5.2. */
export const MAX_RADIUS_PASSWORD_BYTES = 128;
const BLOCK_BYTES = 16;
const ZEROS = new Uint8Array(RADIUS_AUTHENTICATOR_BYTES);

/** A request ready to be sent, and what its answer is checked against. */
export interface SealedRequest {
  readonly bytes: Uint8Array;
  readonly authenticator: Uint8Array;
}

/** Why an answer proves nothing. */
export type SealFault = "wrong_authenticator" | "no_message_authenticator";

/**
 * Throws where the crypto library was built without MD5, as in FIPS mode: RADIUS over UDP knows nothing else, so
 * it is better said at the start than at the first login.
 */
export function requireMd5(): void {
  try {
    md5(ZEROS);
    hmacMd5(ZEROS, ZEROS);
  } catch (thrown) {
    const text = "Cannot use RADIUS: the crypto library of this build has no MD5";
    throw new VpnError("no_md5", text, { cause: thrown });
  }
}

/**
 * The value of User-Password (RFC 2865 5.2): blocks of 16 octets, each hidden by the secret and the block before.
 * A RangeError for more than 128 octets.
 */
export function hidePassword(
  password: Uint8Array,
  secret: Uint8Array,
  authenticator: Uint8Array,
): Uint8Array {
  if (password.length > MAX_RADIUS_PASSWORD_BYTES) {
    throw new RangeError(`Cannot hide a password of ${password.length} bytes`);
  }
  const blocks = Math.max(1, Math.ceil(password.length / BLOCK_BYTES));
  const hidden = new Uint8Array(blocks * BLOCK_BYTES);
  hidden.set(password);
  let before = authenticator;
  for (let at = 0; at < hidden.length; at += BLOCK_BYTES) {
    const mask = md5(secret, before);
    for (let i = 0; i < BLOCK_BYTES; i++) hidden[at + i]! ^= mask[i]!;
    before = hidden.subarray(at, at + BLOCK_BYTES);
  }
  return hidden;
}

/**
 * Seals an Access-Request by a Message-Authenticator (RFC 3579 3.2). It stands first, where a server can check it
 * before it reads what somebody on the way may have chosen.
 */
export function sealAccessRequest(packet: RadiusPacket, secret: Uint8Array): SealedRequest {
  const sealed = (value: Uint8Array) => ({
    ...packet,
    attributes: [{ type: RADIUS_ATTRIBUTE.MESSAGE_AUTHENTICATOR, value }, ...packet.attributes],
  });
  const bytes = encodeRadius(sealed(hmacMd5(secret, encodeRadius(sealed(ZEROS)))));
  return { bytes, authenticator: packet.authenticator };
}

/** Seals an Accounting-Request by its authenticator (RFC 2866 3); the one of `packet` is not looked at. */
export function sealAccountingRequest(packet: RadiusPacket, secret: Uint8Array): SealedRequest {
  const authenticator = md5(encodeRadius({ ...packet, authenticator: ZEROS }), secret);
  return { bytes: encodeRadius({ ...packet, authenticator }), authenticator };
}

/**
 * Undefined if somebody who knows the secret gave this answer to this request (RFC 2865 3, RFC 3579 3.2). A
 * Message-Authenticator must be right where there is one, whether or not one is required.
 */
export function findSealFault(
  answer: RadiusPacket,
  requestAuthenticator: Uint8Array,
  secret: Uint8Array,
  requiresMessageAuthenticator: boolean,
): SealFault | undefined {
  const asSent = { ...answer, authenticator: requestAuthenticator };
  if (!equalSecrets(answer.authenticator, md5(encodeRadius(asSent), secret))) {
    return "wrong_authenticator";
  }
  const given = readAll(answer, RADIUS_ATTRIBUTE.MESSAGE_AUTHENTICATOR);
  if (given.length === 0) {
    return requiresMessageAuthenticator ? "no_message_authenticator" : undefined;
  }
  const attributes = answer.attributes.map(blankMessageAuthenticator);
  const expected = hmacMd5(secret, encodeRadius({ ...asSent, attributes }));
  const isRight = given.length === 1 && equalSecrets(given[0]!, expected);
  return isRight ? undefined : "wrong_authenticator";
}

function blankMessageAuthenticator(attribute: RadiusAttribute): RadiusAttribute {
  const { type, value } = attribute;
  const isSeal = type === RADIUS_ATTRIBUTE.MESSAGE_AUTHENTICATOR;
  return isSeal ? { type, value: new Uint8Array(value.length) } : attribute;
}

function md5(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("md5");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

function hmacMd5(secret: Uint8Array, bytes: Uint8Array): Uint8Array {
  return createHmac("md5", secret).update(bytes).digest();
}
