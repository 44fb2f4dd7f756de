import type { Account } from "../auth/account.ts";
import { isCertificateOf } from "../auth/authenticator.ts";
import type { Authority } from "../auth/authority.ts";
import { radiusUserName } from "../auth/radius-authority.ts";
import { TrustStore } from "../auth/trust.ts";
import type { Admitted, Directory } from "../auth/verdict.ts";
import { type Ipv4, tryParseIpv4 } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import type { CompatName } from "../config/compat.ts";
import { EVERYBODY } from "../config/name-rules.ts";
import type { Policy } from "../config/policy.ts";
import {
  effectivePolicy,
  findGroup,
  type HubConfig,
  type RevocationRule,
} from "../config/server-config.ts";
import { Hub } from "../hub/hub.ts";
import type { HubSettings } from "../hub/hub-settings.ts";
import type { CloseReason, Port } from "../hub/port.ts";
import type { PacketSink } from "../observe/packet-record.ts";
import { queuedBytes } from "../session/batch.ts";
import { HUB_ID_BYTES } from "../session/welcome.ts";
import { accountsOf, isSameCredential, type GeneratedVerifierOf } from "./accounts.ts";
import { type BridgeDeps, type BridgeStatus, HubBridges } from "./hub-bridges.ts";
import { HubNat, type HubNatDeps } from "./hub-nat.ts";
import { type InnerPlug, type InnerSession, InnerSessions } from "./inner-session.ts";
import { type CounterBooks, Ledger } from "./ledger.ts";
import {
  OutsideAuthorities,
  outsideOf,
  type OutsideDeps,
  type OutsideStats,
} from "./outside-authorities.ts";
import { RevocationFiles } from "./revocation-files.ts";
import { checkRoom, type CountedSession, withinLimits } from "./session-rules.ts";
import { Stay, trafficOf, type OpenSession } from "./stay.ts";

export interface HostDeps
  extends OutsideDeps, Pick<BridgeDeps, "tapMac">, Pick<HubNatDeps, "natMemory" | "ownPlaces"> {
  readonly generatedVerifier: GeneratedVerifierOf;
  readonly books: CounterBooks;
  /** Tells this server from others for as long as it has its state directory. */
  readonly serverId: string;
  /** The hub asks silent hosts whether they are there. */
  readonly polls: boolean;
  /** Path of the helper for users of an NT domain, as it is now. */
  ntlmAuth(): string;
  /** Where lines of frames go. */
  readonly packetSink?: PacketSink | undefined;
  /** Improvements that are switched off, as it is now. */
  compat(): readonly CompatName[];
}

/** A hub with what surrounds the switch: users, whom it asks about them, sessions, their numbers, its being online. */
export class HubHost implements Directory {
  readonly hub: Hub;
  /** Tells it from all other hubs of all servers: a cascade that comes back to where it began sees it by this. */
  readonly id: Uint8Array;
  readonly sessions = new Map<string, OpenSession>();
  /** By lower-case name. */
  accounts: ReadonlyMap<string, Account>;
  trust: TrustStore;
  config: HubConfig;
  logins = 0;
  #counter = 0;
  /** What the hub, its users and groups have carried in all their time. */
  readonly ledger: Ledger;
  readonly nat: HubNat;
  readonly #inner: InnerSessions;
  readonly #bridges: HubBridges;
  /** By session name. */
  readonly #stays = new Map<string, Stay>();
  readonly #outside: OutsideAuthorities;
  readonly #revocationFiles: RevocationFiles;
  readonly #deps: HostDeps;

  constructor(config: HubConfig, deps: HostDeps) {
    this.config = config;
    this.#deps = deps;
    this.id = deps.random.bytes(HUB_ID_BYTES);
    this.hub = new Hub({
      name: config.name,
      clock: deps.clock,
      log: deps.log,
      settings: this.#settingsOf(config),
      packetSink: deps.packetSink,
      queuedBytes,
      serverId: deps.serverId,
      polls: deps.polls,
    });
    this.ledger = new Ledger(config.name, deps);
    this.#inner = new InnerSessions(this.hub, this.ledger);
    this.accounts = accountsOf(config, deps.generatedVerifier);
    this.trust = this.#trustOf(config);
    this.#outside = new OutsideAuthorities(config.name, outsideOf(config, deps.ntlmAuth()), deps);
    this.#revocationFiles = new RevocationFiles(deps, (crl) => this.#revoke(crl));
    this.#revocationFiles.watch(config);
    // In the order of hub.md 2.2.
    this.nat = new HubNat(this, deps);
    this.nat.reconfigure(config);
    this.#bridges = new HubBridges(this, deps);
    this.#bridges.reconfigure(config);
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

  /** Sessions of the server's own. */
  get innerSessions(): readonly InnerSession[] {
    return this.#inner.list;
  }

  /** Local bridges, those that are offline included. */
  get bridges(): readonly BridgeStatus[] {
    return this.#bridges.list;
  }

  /** Plugs in a session of the server's own; whoever owns the cable unplugs it before closing that. */
  plugInner(cable: Port, plug: InnerPlug): InnerSession {
    return this.#inner.plug(cable, plug, ++this.#counter, this.#deps.clock.wall());
  }

  unplugInner(session: InnerSession): void {
    this.#inner.unplug(session);
  }

  /** What the user behind this MAC always gets of SecureNAT: as his table says, or those outside who know him. */
  fixedAddressOf(mac: MacAddress): Ipv4 | undefined {
    const stay = this.#stays.get(this.hub.portOf(mac)?.name ?? "");
    return stay && this.#fixedAddress(stay);
  }

  #fixedAddress({ admitted: { account, grants } }: Stay): Ipv4 | undefined {
    const user = this.config.users.find(({ name }) => name === account.name);
    return user?.address ?? tryParseIpv4(grants?.framedAddress ?? "");
  }

  /** The policy of somebody who was admitted, before what his session asks for (hub.md 5.1 steps 6 and 7). */
  policyOf(admitted: Admitted): Policy {
    const { adminLimits: limits, options } = this.config;
    return withinLimits(this.#recordOf(admitted), admitted, { limits, options });
  }

  #recordOf({ account, grants }: Admitted): Policy {
    if (grants?.group === undefined) return account.policy;
    const user = this.config.users.find(({ name }) => name === account.name);
    return user === undefined ? account.policy : effectivePolicy(this.config, user, grants.group);
  }

  /** The group whose policy he has, unless he has one of his own. */
  groupOf({ account, grants }: Admitted): string | undefined {
    const user = this.config.users.find(({ name }) => name === account.name);
    const named = findGroup(this.config, grants?.group);
    return named?.name ?? user?.group;
  }

  /** The session of somebody who was admitted: it stays as long as that holds. */
  add(open: OpenSession, admitted: Admitted): void {
    const { session } = open;
    const { grants, account } = admitted;
    this.logins++;
    this.sessions.set(session.name, open);
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
    const { clock } = this.#deps;
    const settle = this.ledger.open({
      user: account.name,
      group: this.groupOf(admitted),
      counters: open.port.counters,
    });
    const policy = this.policyOf(admitted);
    const stay = new Stay(open, admitted, { clock, policy, accounted, settle });
    this.#stays.set(session.name, stay);
  }

  remove(open: OpenSession, reason: string): void {
    const { name } = open.session;
    const stay = this.#stays.get(name);
    // Only who has an address of his own loses it with his session: others find theirs again.
    if (stay !== undefined && this.#fixedAddress(stay) !== undefined) {
      const own = this.hub.macTable().filter(({ port }) => port === open.port);
      this.nat.sessionEnded(own.map(({ mac }) => mac));
    }
    stay?.end(reason);
    this.#stays.delete(name);
    this.sessions.delete(name);
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

  /** Error number when no further session of this kind fits. */
  checkRoom(next: CountedSession): number | undefined {
    const { maxSessions, adminLimits: limits } = this.config;
    return checkRoom(this.sessions.values(), next, { maxSessions, limits });
  }

  /** Applies the difference: sessions of users that are as they were go on. */
  reconfigure(next: HubConfig): void {
    const wasOnline = this.config.online;
    this.config = next;
    if (next.online !== wasOnline) this.#tellState();
    this.accounts = accountsOf(next, this.#deps.generatedVerifier);
    this.trust = this.#trustOf(next);
    this.#outside.reconfigure(outsideOf(next, this.#deps.ntlmAuth()));
    this.#revocationFiles.watch(next);
    const settings = this.#settingsOf(next);
    if (!Bun.deepEquals(settings, this.hub.settings, true)) this.hub.reconfigure(settings);
    this.nat.reconfigure(next);
    this.#bridges.reconfigure(next);
    if (!next.online) return this.closeSessions({ code: "hub_offline" });
    for (const stay of this.#stays.values()) this.#review(stay);
  }

  closeSessions(reason: CloseReason): void {
    for (const open of this.sessions.values()) open.session.close(reason);
  }

  /** Ends sessions whose account has run out. */
  expire(wall: number): void {
    for (const { admitted, open } of this.#stays.values()) {
      const { expires } = this.#accountOf(admitted) ?? {};
      if (expires !== undefined && expires <= wall) open.session.close({ code: "user_expired" });
    }
  }

  /** Resolves when those outside have heard of it, or have had the time to. */
  async close(reason: "hub_removed" | "server_stopping" = "hub_removed"): Promise<void> {
    this.#revocationFiles.close();
    this.nat.close();
    this.#bridges.close();
    this.closeSessions({ code: reason });
    this.hub.close();
    this.ledger.close();
    this.#deps.log.info("hub_closed", `Hub ${this.config.name} is gone`, {
      hub: this.config.name,
    });
    await this.#outside.close(reason);
  }

  /** The account that a login was admitted by, as it is by now; undefined where the same proof would not do any more. */
  currentOf(admitted: Admitted): Admitted | undefined {
    const account = this.#accountOf(admitted);
    if (account === undefined || !isSameCredential(admitted.account, account)) return undefined;
    return { ...admitted, account };
  }

  /** Ends a session whose leave is withdrawn; gives the others what their policy is now. */
  #review(stay: Stay): void {
    const { session } = stay.open;
    if (this.#accountOf(stay.admitted)?.isEnabled !== true) {
      return session.close({ code: "user_removed" });
    }
    const current = this.currentOf(stay.admitted);
    if (current === undefined) return session.close({ code: "credential_changed" });
    const policy = this.policyOf(current);
    if (!policy.access) return session.close({ code: "user_removed" });
    if (!this.#isCertified(current)) return session.close({ code: "certificate_revoked" });
    // It comes back as what it may be, if it wants to.
    if (stay.open.mode === "monitor" && !policy.monitor_port) {
      return session.close({ code: "monitor_mode_denied" });
    }
    stay.apply(policy, this.groupOf(current), this.hub.settings.compat);
  }

  #revoke(crl: readonly RevocationRule[]): void {
    this.config = { ...this.config, crl };
    this.trust = this.#trustOf(this.config);
    for (const { admitted, open } of this.#stays.values()) {
      if (!this.#isCertified(admitted)) open.session.close({ code: "certificate_revoked" });
    }
  }

  #isCertified({ account, certificate }: Admitted): boolean {
    const wall = this.#deps.clock.wall();
    return (
      certificate === undefined || isCertificateOf(account.verifier, certificate, this.trust, wall)
    );
  }

  /** His own, which may be there since he came in as everybody does; what he came by otherwise. */
  #accountOf({ name, account }: Admitted): Account | undefined {
    const everybody = account.name === EVERYBODY ? this.accounts.get(EVERYBODY) : undefined;
    return this.accounts.get(name.toLowerCase()) ?? everybody;
  }

  #nameOutside({ account, name }: Admitted): string {
    const alias = account.verifier.kind === "outside" ? account.verifier.alias : undefined;
    return radiusUserName(this.#outside.realm, { user: alias ?? name, typedUser: name });
  }

  #settingsOf({ log, options, access }: HubConfig): HubSettings {
    return { options, access, compat: new Set(this.#deps.compat()), packetLevels: log.packet };
  }

  #tellState(): void {
    const { name, online } = this.config;
    const state = online ? "online" : "offline";
    this.#deps.log.info(`hub_${state}`, `Hub ${name} is now ${state}`, { hub: name });
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
