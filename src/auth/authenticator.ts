import type { Clock } from "../base/clock.ts";
import { MAX_NAME_CHARS, MAX_PASSWORD_HASHES } from "../base/limits.ts";
import { EVERYBODY, refuseTypedName } from "../config/name-rules.ts";
import type { Certificate } from "../crypto/certificate.ts";
import { equalSecrets, securePassword } from "../crypto/password.ts";
import type { Account, Verifier } from "./account.ts";
import type { OutsideWait } from "./authority.ts";
import { provenCertificate } from "./certificate-proof.ts";
import type { Lockout, LockoutConfig } from "./lockout.ts";
import { NOBODY_HASH, PlainPassword } from "./plain-password.ts";
import type { TrustStore } from "./trust.ts";
import { UserLockout, type UserLockoutConfig } from "./user-lockout.ts";
import {
  WRONG,
  type Attempt,
  type Directory,
  type Proven,
  type Refused,
  type Verdict,
} from "./verdict.ts";

const HELD: Refused = { kind: "refused", reason: "held" };
const GONE: Refused = { kind: "refused", reason: "gone" };
const PROVEN: Proven = { kind: "proven" };

/** Stock clients wait 15 s for an answer (protocol.md 2.5). Whoever leaves long before did not come for it. */
const PATIENCE_MS = 10_000;

/** Stand in for hubs and users that do not exist, so that they take as long as those that do. */
const NOBODY: ReadonlyMap<string, Account> = new Map();
const NOBODY_SIGNED: Verifier = {
  kind: "signed-certificate",
  commonName: undefined,
  serial: undefined,
};

export interface AuthenticatorDeps {
  readonly clock: Clock;
  /** Of sources: it hears of failures here, and is asked where connections are accepted. */
  readonly lockout: Lockout;
  /** Slow hashes at once, and logins that wait for one; `MAX_PASSWORD_HASHES` unless a test is short of time. */
  readonly hashes?: { readonly atOnce: number; readonly waiting: number };
}

/**
 * The one judge of all doors. Unknown hub, unknown user and wrong proof have one answer and do the same work
 * (robustness.md HS-03, AU-11); those outside whom a login is asked of take the time that they take.
 */
export class Authenticator {
  readonly #deps: AuthenticatorDeps;
  readonly #users: UserLockout;
  readonly #plain: PlainPassword;

  constructor(config: UserLockoutConfig, deps: AuthenticatorDeps) {
    this.#deps = deps;
    this.#users = new UserLockout(config, deps.clock);
    this.#plain = new PlainPassword(deps.clock, deps.hashes ?? MAX_PASSWORD_HASHES);
  }

  reconfigure(config: LockoutConfig & UserLockoutConfig): void {
    this.#deps.lockout.reconfigure(config);
    this.#users.reconfigure(config);
  }

  /** What all directories together need to be held against: where one user needs a slow hash, nobody is told by its time. */
  prepareFor(directories: Iterable<Directory>): void {
    const accounts = [...directories].flatMap(({ accounts }) => [...accounts.values()]);
    this.#plain.prepareFor(accounts);
  }

  /** `directory` is undefined for a hub that is not there, or that is not open to this peer. */
  async authenticate(
    directory: Directory | undefined,
    attempt: Attempt,
    wait: OutsideWait,
  ): Promise<Verdict> {
    const { hub, user, address } = attempt;
    const { clock, lockout } = this.#deps;
    const since = clock.now();
    const isExempt = lockout.isExempt(address);
    const isHeld = !isExempt && this.#users.isHeld(hub, user, address);
    const verdict = isHeld ? HELD : await this.#judge(directory, attempt, wait);
    if (wait.signal.aborted) {
      // Else one source could have those outside asked without end. The user is not to blame for it.
      if (clock.now() - since < PATIENCE_MS) lockout.fail(address);
      return GONE;
    }
    if (verdict.kind === "admitted") {
      this.#users.succeeded(hub, user, address);
    } else if (verdict.reason === "credentials" || verdict.reason === "held") {
      lockout.fail(address);
      if (!isExempt && !isHeld) this.#users.failed(hub, user, address);
    }
    return verdict;
  }

  async #judge(
    directory: Directory | undefined,
    attempt: Attempt,
    wait: OutsideWait,
  ): Promise<Verdict> {
    const account = findAccount(directory, attempt.user);
    const proven = await this.#prove(directory, account, attempt, wait);
    if (directory === undefined || account === undefined) {
      return proven.kind === "refused" ? proven : WRONG;
    }
    const name = account.name === EVERYBODY ? attempt.user : account.name;
    // A user without a password is let in whatever is presented (protocol.md 7.2).
    if (account.verifier.kind === "anonymous") return { kind: "admitted", name, account };
    if (proven.kind === "refused") return proven;
    return { ...proven, kind: "admitted", name, account };
  }

  async #prove(
    directory: Directory | undefined,
    account: Account | undefined,
    attempt: Attempt,
    wait: OutsideWait,
  ): Promise<Proven> {
    const { presented } = attempt;
    switch (presented.kind) {
      case "anonymous":
        return WRONG;
      case "hashed-password": {
        // A code cannot be told from a hash of it, so who needs one has to send what was typed.
        const { verifier, totp } = account ?? {};
        const known =
          verifier?.kind === "password" && totp === undefined ? verifier.hash : undefined;
        const proof = securePassword(known ?? NOBODY_HASH, presented.challenge);
        const equal = equalSecrets(presented.secure, proof);
        return equal && known !== undefined && directory?.hashedLogin === true ? PROVEN : WRONG;
      }
      case "plain-password":
        return this.#plain.prove(
          directory,
          account,
          { ...attempt, typed: presented.password },
          wait,
        );
      case "certificate": {
        const certificate = provenCertificate(presented);
        if (certificate === undefined || directory === undefined) return WRONG;
        const { trust } = directory;
        const verifier = account?.verifier ?? NOBODY_SIGNED;
        const holds = isCertificateOf(verifier, certificate, trust, this.#deps.clock.wall());
        return holds && account !== undefined ? { kind: "proven", certificate } : WRONG;
      }
    }
  }
}

/** True if this is a certificate of the user now: asked at the login, and again whenever trust changes. */
export function isCertificateOf(
  verifier: Verifier,
  certificate: Certificate,
  trust: TrustStore,
  wall: number,
): boolean {
  // Asked for whoever it is: the time it takes must not tell who is known by what (AU-11).
  const isTrusted = trust.isTrusted(certificate, wall);
  switch (verifier.kind) {
    case "certificate":
      return (
        Buffer.compare(verifier.der, certificate.der) === 0 && trust.isCurrent(certificate, wall)
      );
    case "signed-certificate": {
      const { commonName, serial } = verifier;
      const isNamed = commonName === undefined || certificate.commonNames.includes(commonName);
      const isNumbered = serial === undefined || serial === certificate.serial;
      return isNamed && isNumbered && isTrusted;
    }
    default:
      return false;
  }
}

/** The user of this name; else the one who stands for everybody outside (hub.md 9.4). Looks for both in any case. */
function findAccount(directory: Directory | undefined, user: string): Account | undefined {
  if (user === EVERYBODY || user.length > MAX_NAME_CHARS) return undefined;
  const accounts = directory?.accounts ?? NOBODY;
  const own = accounts.get(user.toLowerCase());
  const everybody = accounts.get(EVERYBODY);
  const mayBeOutside = refuseTypedName(user) === undefined;
  return own ?? (mayBeOutside ? everybody : undefined);
}
