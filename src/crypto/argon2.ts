// Argon2id (RFC 9106) by the runtime, in the usual text form: $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH.

/** The memory of the second choice of RFC 9106 4: two at once on a small server take 128 MiB. */
const COST = { algorithm: "argon2id", memoryCost: 65_536, timeCost: 3 } as const;

/** Dearer ones would let an entry of the configuration stop the server. */
const MAX_MEMORY_KIB = 1 << 20;
const MAX_PASSES = 32;
/** The runtime computes one lane. */
const TEXT =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=1\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/;

/** True for a hash that `verifyArgon2()` can check within bounds of memory and time. */
export function isArgon2Text(text: string): boolean {
  const [, memory, passes] = TEXT.exec(text) ?? [];
  const kib = Number(memory);
  return kib >= 8 && kib <= MAX_MEMORY_KIB && Number(passes) >= 1 && Number(passes) <= MAX_PASSES;
}

/** On a thread of the runtime; the password must not be empty. */
export function hashArgon2(password: Uint8Array): Promise<string> {
  return Bun.password.hash(password, COST);
}

/** Holds the event loop for a fifth of a second: for the start and commands. */
export function hashArgon2Sync(password: Uint8Array): string {
  return Bun.password.hashSync(password, COST);
}

/** On a thread of the runtime. The hash must be one of `isArgon2Text()`. */
export function verifyArgon2(password: Uint8Array, encoded: string): Promise<boolean> {
  return Bun.password.verify(password, encoded, "argon2id");
}
