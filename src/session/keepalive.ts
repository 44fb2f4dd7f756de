import type { Random } from "../base/random.ts";

const KEEPALIVE_MARK = 0xffff_ffff;
/** Begins the body of a keep-alive with which a session is left; peers that do not know it pass over it (hub.md 5.7). */
const GOODBYE = new TextEncoder().encode("PATCHBAY_GOODBYE");

/** A keep-alive unit with 0..511 random bytes, so that it looks like nothing in particular (protocol.md 13). */
export function encodeKeepalive(random: Random): Uint8Array {
  return encodeUnit(random.bytes(Math.floor(random.fraction() * 512)));
}

export function encodeGoodbye(): Uint8Array {
  return encodeUnit(GOODBYE);
}

/** @param body its beginning, at least */
export function isGoodbye(body: Uint8Array): boolean {
  return body.length >= GOODBYE.length && GOODBYE.every((octet, at) => body[at] === octet);
}

function encodeUnit(body: Uint8Array): Uint8Array {
  const unit = new Uint8Array(8 + body.length);
  const view = new DataView(unit.buffer);
  view.setUint32(0, KEEPALIVE_MARK);
  view.setUint32(4, body.length);
  unit.set(body, 8);
  return unit;
}

/** Until the next keep-alive: uniform below half the time-out, but not below a fifth (protocol.md 14.1). */
export function keepaliveDelay(timeoutMs: number, random: Random): number {
  return Math.max(timeoutMs / 5, random.fraction() * (timeoutMs / 2));
}
