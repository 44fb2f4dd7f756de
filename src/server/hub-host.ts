import type { Account } from "../auth/account.ts";
import { isCertificateOf, type Admitted, type Directory } from "../auth/authenticator.ts";
import type { Authority } from "../auth/authority.ts";
import type { AccountedHandle } from "../auth/radius-accounting.ts";
import { radiusUserName } from "../auth/radius-authority.ts";
import type { SessionTraffic } from "../auth/radius-record.ts";
import { TrustStore } from "../auth/trust.ts";
import { WIRE_ERROR } from "../base/errors.ts";
import type { Policy } from "../config/policy.ts";
import { effectivePolicy, type HubConfig, type RevocationRule } from "../config/server-config.ts";
import { Hub } from "../hub/hub.ts";
import type { HubPort } from "../hub/hub-port.ts";
import type { CloseReason } from "../hub/port.ts";
import type { LoginRequest } from "../session/login.ts";
import type { Session } from "../session/session.ts";
import { accountsOf, isSameCredential, type GeneratedVerifierOf } from "./accounts.ts";
import {
  OutsideAuthorities,
  outsideOf,
  type OutsideDeps,
  type OutsideStats,
} from "./outside-authorities.ts";
import { RevocationFiles } from "./revocation-files.ts";
import { Tenure } from "./tenure.ts";

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

/** By whose leave a session is there, and what ends with it. */
interface Stay {
  readonly admitted: Admitted;
  readonly tenure: Tenure;
  readonly accounted: AccountedHandle | undefined;
}

export interface HostDeps extends OutsideDeps {
  readonly generatedVerifier: GeneratedVerifierOf;
  /** Path of the helper for users of an NT domain, as it is now. */
  ntlmAuth(): string;
}

/** A hub with what surrounds the switch: users, whom it asks about them, sessions, their numbers, its being online. */
export class HubHost implements Directory {
  readonly hub: Hub;
  readonly sessions = new Map<string, OpenSession>();
  /** By lower-case name. */
  accounts: ReadonlyMap<string, Account>;
  trust: TrustStore;
  config: HubConfig;
  logins = 0;
  #counter = 0;
  /** By session name. */
  readonly #stays = new Map<string, Stay>();
  readonly #outside: OutsideAuthorities;
  readonly #revocationFiles: RevocationFiles;
  readonly #deps: HostDeps;

  constructor(config: HubConfig, deps: HostDeps) {
    this.config = config;
    this.#deps = deps;
    this.hub = new Hub({ name: config.name, clock: deps.clock, log: deps.log });
    this.accounts = accountsOf(config, deps.generatedVerifier);
    this.trust = this.#trustOf(config);
    this.#outside = new OutsideAuthorities(config.name, outsideOf(config, deps.ntlmAuth()), deps);
    this.#revocationFiles = new RevocationFiles(deps, (crl) => this.#revoke(crl));
    this.#revocationFiles.watch(config);
  }

  get hubName(): string {
    return this.config.name;
  }

  get hashedLogin(): boolean {
    return this.config.hashedLogin;
  }

  get outsideStats(): OutsideStats {
    return this.#outside.stats;
  }

  /** The server begins, as opposed to a hub that a reload adds. */
  serverBegan(): void {
    this.#outside.serverBegan();
  }

  authority(kind: "radius" | "nt"): Authority | undefined {
    return this.#outside.authority(kind);
  }

  /** `SID-ALICE-7`; the number is the hub's own and never comes back (hub.md 5.2). */
  nextSessionName(user: string): string {
    return `SID-${user.toUpperCase()}-${++this.#counter}`;
  }

  /** The policy of somebody who was admitted, before what his session asks for (hub.md 5.1 step 6). */
  policyOf({ account, grants }: Admitted): Policy {
    if (grants?.group === undefined) return account.policy;
    const user = this.config.users.find(({ name }) => name === account.name);
    return user === undefined ? account.policy : effectivePolicy(this.config, user, grants.group);
  }

  /** The session of somebody who was admitted: it stays as long as that holds. */
  add(open: OpenSession, admitted: Admitted): void {
    const { session, port } = open;
    this.logins++;
    this.sessions.set(session.name, open);
    const { certificate, grants, account } = admitted;
    const tenure = new Tenure(
      {
        certificateExpires: certificate?.notAfter,
        sessionTimeoutS: grants?.sessionTimeoutS,
        idleTimeoutS: grants?.idleTimeoutS,
      },
      { counters: port.counters, end: (reason) => session.close(reason) },
      this.#deps.clock,
    );
    tenure.apply(this.policyOf(admitted));
    const accounted = this.#outside.account({
      name: session.name,
      hub: this.config.name,
      userName: this.#nameOutside(admitted),
      address: open.address,
      isRadiusUser: account.verifier.kind === "outside" && account.verifier.authority === "radius",
      ...(grants?.class === undefined ? {} : { class: grants.class }),
      ...(grants?.interimIntervalS === undefined
        ? {}
        : { interimIntervalS: grants.interimIntervalS }),
      traffic: () => trafficOf(open, grants?.framedAddress),
    });
    this.#stays.set(session.name, { admitted, tenure, accounted });
  }

  remove(open: OpenSession, reason: string): void {
    const { name } = open.session;
    const stay = this.#stays.get(name);
    stay?.tenure.cancel();
    stay?.accounted?.stop(reason);
    this.#stays.delete(name);
    this.sessions.delete(name);
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
  reconfigure(next: HubConfig): void {
    this.config = next;
    this.accounts = accountsOf(next, this.#deps.generatedVerifier);
    this.trust = this.#trustOf(next);
    this.#outside.reconfigure(outsideOf(next, this.#deps.ntlmAuth()));
    this.#revocationFiles.watch(next);
    if (!next.online) return this.closeSessions({ code: "hub_offline" });
    for (const open of this.sessions.values()) this.#review(open);
  }

  closeSessions(reason: CloseReason): void {
    for (const open of this.sessions.values()) open.session.close(reason);
  }

  /** Ends sessions whose account has run out. */
  expire(wall: number): void {
    for (const open of this.sessions.values()) {
      const { expires } = this.#accountOf(open) ?? {};
      if (expires !== undefined && expires <= wall) open.session.close({ code: "user_expired" });
    }
  }

  /** Resolves when those outside have heard of it, or have had the time to. */
  async close(reason: "hub_removed" | "server_stopping" = "hub_removed"): Promise<void> {
    this.#revocationFiles.close();
    this.closeSessions({ code: reason });
    this.hub.close();
    this.#deps.log.info("hub_closed", `Hub ${this.config.name} is gone`, {
      hub: this.config.name,
    });
    await this.#outside.close(reason);
  }

  /** The account that a login was admitted by, as it is by now; undefined where the same proof would not do any more. */
  currentOf(admitted: Admitted): Admitted | undefined {
    const account = this.accounts.get(admitted.account.name.toLowerCase());
    if (account === undefined || !isSameCredential(admitted.account, account)) return undefined;
    return { ...admitted, account };
  }

  /** Ends a session whose leave is withdrawn; gives the others what their policy is now. */
  #review(open: OpenSession): void {
    const stay = this.#stays.get(open.session.name);
    const account = this.#accountOf(open);
    if (stay === undefined || account === undefined || !account.isEnabled) {
      return open.session.close({ code: "user_removed" });
    }
    const current = this.currentOf(stay.admitted);
    if (current === undefined) return open.session.close({ code: "credential_changed" });
    const policy = this.policyOf(current);
    if (!policy.access) return open.session.close({ code: "user_removed" });
    if (!this.#isCertified(current)) return open.session.close({ code: "certificate_revoked" });
    open.port.reconfigure(sessionPolicy(policy, open.mode, open.isLocal));
    stay.tenure.apply(policy);
  }

  #revoke(crl: readonly RevocationRule[]): void {
    this.config = { ...this.config, crl };
    this.trust = this.#trustOf(this.config);
    for (const [name, { admitted }] of this.#stays) {
      if (this.#isCertified(admitted)) continue;
      this.sessions.get(name)?.session.close({ code: "certificate_revoked" });
    }
  }

  #isCertified({ account, certificate }: Admitted): boolean {
    const wall = this.#deps.clock.wall();
    return (
      certificate === undefined || isCertificateOf(account.verifier, certificate, this.trust, wall)
    );
  }

  #accountOf(open: OpenSession): Account | undefined {
    const name = this.#stays.get(open.session.name)?.admitted.account.name ?? open.user;
    return this.accounts.get(name.toLowerCase());
  }

  #nameOutside({ account, name }: Admitted): string {
    const alias = account.verifier.kind === "outside" ? account.verifier.alias : undefined;
    return radiusUserName(this.#outside.realm, { user: alias ?? name, typedUser: name });
  }

  #trustOf(config: HubConfig): TrustStore {
    const trust = new TrustStore(config);
    if (trust.hasStaleList(this.#deps.clock.wall())) {
      this.#deps.log.warn("crl_stale", `A newer revocation list is due for hub ${config.name}`, {
        hub: config.name,
      });
    }
    return trust;
  }
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

function trafficOf({ port }: OpenSession, framedAddress: string | undefined): SessionTraffic {
  const { ingress, egress } = port.counters.record();
  return {
    inBytes: ingress.unicast.bytes + ingress.group.bytes,
    outBytes: egress.unicast.bytes + egress.group.bytes,
    inFrames: ingress.unicast.frames + ingress.group.frames,
    outFrames: egress.unicast.frames + egress.group.frames,
    ...(framedAddress === undefined ? {} : { framedAddress }),
  };
}
