import type { Clock } from "../base/clock.ts";
import { MAX_PASSWORD_BYTES } from "../base/limits.ts";
import { hashArgon2, verifyArgon2 } from "../crypto/argon2.ts";
import { equalSecrets, hashUserPassword } from "../crypto/password.ts";
import type { Account } from "./account.ts";
import type { OutsideWait } from "./authority.ts";
import { Gate } from "./gate.ts";
import { findCodeStep, trySplitCode, UsedCodes } from "./totp.ts";
import { WRONG, type Attempt, type Directory, type Proven, type Refused } from "./verdict.ts";

/** Stand in for users that do not exist, so that they take as long as those that do. */
export const NOBODY_HASH = crypto.getRandomValues(new Uint8Array(20));
const NOBODY_CODES = crypto.getRandomValues(new Uint8Array(20));

const BUSY: Refused = { kind: "refused", reason: "busy" };

/** Judges passwords as they were typed, with a code behind them for who needs one. */
export class PlainPassword {
  readonly #clock: Clock;
  readonly #gate: Gate;
  readonly #codes: UsedCodes;
  /** What nobody's password is held against where some user has a slow hash. */
  #nobody: Promise<string> | undefined;
  #hasCodes = false;

  constructor(clock: Clock, hashes: { readonly atOnce: number; readonly waiting: number }) {
    this.#clock = clock;
    this.#gate = new Gate(hashes);
    this.#codes = new UsedCodes(clock.wall());
  }

  prepareFor(accounts: readonly Account[]): void {
    this.#hasCodes = accounts.some(({ totp }) => totp !== undefined);
    const isSlow = accounts.some(({ verifier }) => verifier.kind === "argon2id");
    this.#nobody = isSlow ? (this.#nobody ?? hashArgon2(NOBODY_HASH)) : undefined;
  }

  async prove(
    directory: Directory | undefined,
    account: Account | undefined,
    attempt: Attempt & { readonly typed: Uint8Array },
    wait: OutsideWait,
  ): Promise<Proven> {
    const { typed } = attempt;
    // Bytes as they were typed, never normalised; none of them is NUL (AU-10).
    const isFit = typed.length <= MAX_PASSWORD_BYTES && !typed.includes(0);
    const fit = isFit ? typed : new Uint8Array(0);
    const split = account?.totp === undefined ? undefined : trySplitCode(fit);
    const step = await this.#findStep(account, fit);
    const password = split?.password ?? fit;
    const proven = await this.#provePassword(directory, account, { ...attempt, password }, wait);
    if (account === undefined || proven.kind === "refused") return proven;
    if (!isFit) return WRONG;
    if (account.totp === undefined) return proven;
    // Used only now: who knows no password shall use up no code of him who does.
    const isUsable = split !== undefined && step !== undefined;
    const user = `${attempt.hub}\n${account.name}`.toLowerCase();
    return isUsable && this.#codes.tryUse(user, step) ? proven : WRONG;
  }

  /** The step is found before anybody is asked: a code is good at the time it arrives. */
  async #findStep(account: Account | undefined, typed: Uint8Array): Promise<number | undefined> {
    if (!this.#hasCodes) return undefined;
    const code = trySplitCode(typed)?.code ?? "000000";
    return findCodeStep(account?.totp ?? NOBODY_CODES, code, this.#clock.wall());
  }

  async #provePassword(
    directory: Directory | undefined,
    account: Account | undefined,
    attempt: Attempt & { readonly password: Uint8Array },
    wait: OutsideWait,
  ): Promise<Proven> {
    const { password, user } = attempt;
    const verifier = account?.verifier;
    if (verifier?.kind === "anonymous") return WRONG;
    if (directory !== undefined && account !== undefined && verifier?.kind === "outside") {
      return askOutside(directory, account, attempt, wait);
    }
    const hash = verifier?.kind === "password" ? verifier.hash : undefined;
    const isEqual = equalSecrets(hashUserPassword(user, password), hash ?? NOBODY_HASH);
    const isProven = hash !== undefined && isEqual;
    const slow = await (verifier?.kind === "argon2id" ? verifier.encoded : this.#nobody);
    if (slow === undefined) return isProven ? { kind: "proven" } : WRONG;
    const checked = await this.#gate.tryRun(async () => ({
      // Whoever left while he waited is worth no hash.
      isRight: !wait.signal.aborted && (await verifyArgon2(password, slow)),
    }));
    if (checked === undefined) return BUSY;
    return isProven || (verifier?.kind === "argon2id" && checked.isRight)
      ? { kind: "proven" }
      : WRONG;
  }
}

/** RADIUS servers or an NT domain know this user, by the name that was typed or its alias. */
async function askOutside(
  directory: Directory,
  account: Account,
  attempt: Attempt & { readonly password: Uint8Array },
  wait: OutsideWait,
): Promise<Proven> {
  const { verifier } = account;
  const { user: typedUser, password, address, sessionInfo } = attempt;
  // An empty password is an anonymous login to some servers, which accept it from anybody.
  if (verifier.kind !== "outside" || password.length === 0) return WRONG;
  const authority = directory.authority(verifier.authority);
  if (authority === undefined) {
    return { kind: "refused", reason: "unavailable", detail: "nobody is configured to be asked" };
  }
  const request = {
    hub: directory.hubName,
    user: verifier.alias ?? typedUser,
    typedUser,
    password,
    address,
    sessionInfo,
    ...(account.group === undefined ? {} : { group: account.group }),
  };
  wait.begin();
  try {
    const verdict = await authority.ask(request, wait.signal);
    switch (verdict.kind) {
      case "accepted":
        return { kind: "proven", grants: verdict };
      case "rejected":
        return WRONG;
      case "unavailable":
        return { kind: "refused", reason: "unavailable", detail: verdict.reason };
    }
  } finally {
    wait.end();
  }
}
