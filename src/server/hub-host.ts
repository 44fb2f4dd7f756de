import { authenticate, type Account } from "../auth/authenticator.ts";
import type { Clock } from "../base/clock.ts";
import { WIRE_ERROR } from "../base/errors.ts";
import { effectivePolicy, type HubConfig, type UserConfig } from "../config/server-config.ts";
import type { Policy } from "../config/policy.ts";
import { hashUserPassword } from "../crypto/password.ts";
import { Hub } from "../hub/hub.ts";
import type { HubPort } from "../hub/hub-port.ts";
import type { CloseReason } from "../hub/port.ts";
import type { Log } from "../observe/log.ts";
import type { Session } from "../session/session.ts";
import type { LoginRequest } from "../session/login.ts";

/** Where a session came from and what it may do, for lists and logs. */
export interface OpenSession {
  readonly session: Session;
  readonly port: HubPort;
  readonly user: string;
  readonly mode: "client" | "bridge";
  /** From this very machine: client mode does not restrict it. */
  readonly isLocal: boolean;
  readonly request: LoginRequest;
  readonly address: string;
  readonly since: number;
}

/** Gives the verifier that state.db keeps for a user without a configured way of login. */
export type GeneratedHash = (hub: string, user: string) => Uint8Array;

/** A hub with what surrounds the switch: users, sessions, their numbers, its being online. */
export class HubHost {
  readonly hub: Hub;
  readonly sessions = new Map<string, OpenSession>();
  /** By lower-case name. */
  accounts: ReadonlyMap<string, Account> = new Map();
  config: HubConfig;
  logins = 0;
  #counter = 0;
  readonly #log: Log;

  constructor(config: HubConfig, generatedHash: GeneratedHash, deps: { clock: Clock; log: Log }) {
    this.config = config;
    this.#log = deps.log;
    this.hub = new Hub({ name: config.name, clock: deps.clock, log: deps.log });
    this.accounts = accountsOf(config, generatedHash);
  }

  /** `SID-ALICE-7`; the number is the hub's own and never comes back (hub.md 5.2). */
  nextSessionName(user: string): string {
    return `SID-${user.toUpperCase()}-${++this.#counter}`;
  }

  add(open: OpenSession): void {
    this.logins++;
    this.sessions.set(open.session.name, open);
  }

  remove(open: OpenSession): void {
    this.sessions.delete(open.session.name);
    open.port.detach();
  }

  /**
   * Sessions that count for the limit of this user: of other installations, and not cut off from their client
   * (hub.md 5.1 step 14). A client that names no installation is another one each time.
   */
  countLogins(user: string, installation: Uint8Array): number {
    const isNamed = installation.some((octet) => octet !== 0);
    let count = 0;
    for (const open of this.sessions.values()) {
      const same = open.user.toLowerCase() === user.toLowerCase();
      const here = isNamed && Buffer.compare(open.request.installation, installation) === 0;
      if (same && !here && !open.session.isAdrift) count++;
    }
    return count;
  }

  /** Error number when no further session fits. */
  checkRoom(): number | undefined {
    const { maxSessions } = this.config;
    return maxSessions > 0 && this.sessions.size >= maxSessions
      ? WIRE_ERROR.HUB_IS_BUSY
      : undefined;
  }

  /** Applies the difference: sessions of users that are as they were go on. */
  reconfigure(next: HubConfig, generatedHash: GeneratedHash): void {
    const before = this.accounts;
    this.config = next;
    this.accounts = accountsOf(next, generatedHash);
    if (!next.online) return this.closeSessions({ code: "hub_offline" });
    for (const open of this.sessions.values()) {
      const account = this.accounts.get(open.user.toLowerCase());
      const was = before.get(open.user.toLowerCase());
      if (account === undefined || !account.isEnabled || !account.policy.access) {
        open.session.close({ code: "user_removed" });
      } else if (was === undefined || !sameVerifier(was, account)) {
        open.session.close({ code: "credential_changed" });
      } else {
        open.port.reconfigure(sessionPolicy(account.policy, open.mode, open.isLocal));
      }
    }
  }

  closeSessions(reason: CloseReason): void {
    for (const open of this.sessions.values()) open.session.close(reason);
  }

  /** Ends sessions whose account has run out. */
  expire(wall: number): void {
    for (const open of this.sessions.values()) {
      const account = this.accounts.get(open.user.toLowerCase());
      if (account?.expires !== undefined && account.expires <= wall) {
        open.session.close({ code: "user_expired" });
      }
    }
  }

  close(): void {
    this.closeSessions({ code: "hub_removed" });
    this.hub.close();
    this.#log.info("hub_closed", `Hub ${this.config.name} is gone`, { hub: this.config.name });
  }
}

/** Judges a login of an existing or missing hub: the work is the same for both. */
export function authenticateRequest(
  accounts: ReadonlyMap<string, Account> | undefined,
  request: LoginRequest,
  challenge: Uint8Array,
  hashedLogin: boolean,
): Account | undefined {
  const { proof, user } = request;
  if (proof.kind === "unsupported") return undefined;
  const presented =
    proof.kind === "hashed-password" || proof.kind === "certificate"
      ? { ...proof, challenge }
      : proof;
  return authenticate(accounts, user, presented, hashedLogin);
}

/**
 * The policy of one session (hub.md 5.1 steps 10 to 13): who did not ask to bridge gets client mode, which
 * covers IPv6 as well; somebody on this very machine is not restricted.
 */
export function sessionPolicy(policy: Policy, mode: "client" | "bridge", isLocal: boolean): Policy {
  const base = { ...policy, monitor_port: false };
  if (isLocal) return { ...base, no_bridge: false, no_routing: false, no_routing_v6: false };
  if (mode === "bridge") return base;
  return { ...base, no_bridge: true, no_routing: true, no_routing_v6: true };
}

function accountsOf(config: HubConfig, generatedHash: GeneratedHash): ReadonlyMap<string, Account> {
  return new Map(
    config.users.map((user) => [
      user.name.toLowerCase(),
      {
        name: user.name,
        isEnabled: user.enable,
        expires: user.expires,
        policy: effectivePolicy(config, user),
        verifier: verifierOf(config, user, generatedHash),
      },
    ]),
  );
}

function verifierOf(
  hub: HubConfig,
  user: UserConfig,
  generatedHash: GeneratedHash,
): Account["verifier"] {
  const { credential } = user;
  switch (credential.kind) {
    case "anonymous":
      return { kind: "anonymous" };
    case "generated":
      return { kind: "password", hash: generatedHash(hub.name, user.name) };
    case "password": {
      const { secret } = credential;
      if (secret.kind === "argon2id") return nobodysPassword();
      const hash = secret.kind === "sha0" ? secret.hash : hashUserPassword(user.name, secret.bytes);
      return { kind: "password", hash };
    }
    case "certificate":
    case "signed-certificate":
    case "outside":
      return nobodysPassword();
  }
}

function nobodysPassword(): Account["verifier"] {
  return { kind: "password", hash: crypto.getRandomValues(new Uint8Array(20)) };
}

function sameVerifier(a: Account, b: Account): boolean {
  if (a.verifier.kind !== "password" || b.verifier.kind !== "password") {
    return a.verifier.kind === b.verifier.kind;
  }
  return Buffer.compare(a.verifier.hash, b.verifier.hash) === 0;
}
