import { barAccount } from "../auth/account.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import type { OutsideWait } from "../auth/authority.ts";
import type { Admitted } from "../auth/verdict.ts";
import type { Clock } from "../base/clock.ts";
import { WIRE_ERROR } from "../base/errors.ts";
import { MAX_SESSIONS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { ServerConfig, ServerSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import type { Heartbeat } from "../session/heartbeat.ts";
import type { LoginRequest } from "../session/login.ts";
import type { Session } from "../session/session.ts";
import type { Link } from "../transport/tls-link.ts";
import type { HubHost } from "./hub-host.ts";
import { LoginFailures } from "./login-failures.ts";
import { refusalName } from "./refusal-name.ts";
import { SessionOpener } from "./session-opener.ts";
import { barClient, hasEmptyPassword } from "./session-rules.ts";
import { isSourceAllowed } from "./source-rules.ts";
import { sessionMode, type OpenSession } from "./stay.ts";

/** Of the sessions that are judged here, in the words of the reference (hub.md 9.3). */
const LAYER_AND_PROTOCOL = "L2:SEVPN";

export interface DeskDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly authenticator: Authenticator;
  readonly heartbeat: Heartbeat;
  /** By lower-case name. */
  readonly hubs: ReadonlyMap<string, HubHost>;
  /** A bridge takes no sessions. */
  readonly edition: ServerConfig["edition"];
  settings(): ServerSettings;
  /** A connection of some session has ended. */
  connectionEnded(reason: string): void;
}

/** Judges logins in the order of hub.md 5.1. */
export class ReceptionDesk {
  readonly #deps: DeskDeps;
  readonly #opener: SessionOpener;
  readonly #failures: LoginFailures;

  constructor(deps: DeskDeps) {
    this.#deps = deps;
    this.#failures = new LoginFailures(deps);
    this.#opener = new SessionOpener(deps);
  }

  get sessionCount(): number {
    return this.#opener.sessionCount;
  }

  /** Hubs that strangers may know of. */
  listHubs(): string[] {
    const hubs = [...this.#deps.hubs.values()];
    return hubs.filter(({ config }) => config.announce).map(({ config }) => config.name);
  }

  /** A session, plugged into its hub, or an error number of protocol.md 8. */
  async login(
    request: LoginRequest,
    challenge: Uint8Array,
    link: Link,
    wait: OutsideWait,
  ): Promise<Session | number> {
    const { proof } = request;
    if (this.#deps.edition === "bridge") {
      return this.#refuse(request, link, WIRE_ERROR.NOT_SUPPORTED, "bridge");
    }
    if (proof.kind === "unsupported") {
      return this.#refuse(request, link, WIRE_ERROR.AUTHTYPE_NOT_SUPPORTED, "unsupported");
    }
    const barred = this.#checkHub(request, link);
    if (barred !== undefined) return this.#refuse(request, link, barred, "hub");
    const host = this.#findHost(request.hub);
    const attempt = {
      hub: request.hub,
      user: request.user,
      presented: "der" in proof || "secure" in proof ? { ...proof, challenge } : proof,
      address: link.remoteAddress,
      sessionInfo: LAYER_AND_PROTOCOL,
    };
    // A hub that is not open to this peer is as good as none: the same work, the same answer.
    const directory = isOpenTo(host, link) ? host : undefined;
    const verdict = await this.#deps.authenticator.authenticate(directory, attempt, wait);
    if (verdict.kind === "refused") {
      const error = verdict.reason === "busy" ? WIRE_ERROR.HUB_IS_BUSY : WIRE_ERROR.AUTH_FAILED;
      return this.#refuse(request, link, error, verdict.reason, verdict.detail);
    }
    const session = this.#enter(request, link, verdict);
    return typeof session === "number"
      ? this.#refuse(request, link, session, "admission")
      : session;
  }

  /** What is told before the proof was looked at, to those who may know which hubs there are (hub.md 5.1 step 1). */
  #checkHub(request: LoginRequest, link: Link): number | undefined {
    if (!this.#deps.settings().revealHubs) return undefined;
    const host = this.#findHost(request.hub);
    if (host === undefined) return WIRE_ERROR.HUB_NOT_FOUND;
    if (!host.config.online) return WIRE_ERROR.HUB_STOPPING;
    return isOpenTo(host, link) ? undefined : WIRE_ERROR.IP_ADDRESS_DENIED;
  }

  /** Steps 5 to 17 of hub.md 5.1, in one go: of two logins for the last place one gets it. */
  #enter(request: LoginRequest, link: Link, verdict: Admitted): Session | number {
    // Somebody outside may have taken a minute, and the configuration may have changed.
    const host = this.#findHost(request.hub);
    const admitted = host?.currentOf(verdict);
    if (host === undefined || admitted === undefined) return WIRE_ERROR.AUTH_FAILED;
    if (!isOpenTo(host, link)) return WIRE_ERROR.AUTH_FAILED;
    if (!host.config.online) return WIRE_ERROR.HUB_STOPPING;
    const policy = host.policyOf(admitted);
    const barred = barAccount({ ...admitted.account, policy }, this.#deps.clock.wall());
    if (barred !== undefined) return barred;
    const { options, adminLimits } = host.config;
    const isLocal = link.remoteAddress === link.localAddress;
    if (adminLimits.deny_empty_password === 1 && !isLocal && hasEmptyPassword(admitted, request)) {
      return WIRE_ERROR.NULL_PASSWORD_LOCAL_ONLY;
    }
    const barredClient = barClient(request, admitted, options);
    if (barredClient !== undefined) return barredClient;
    if (request.wantsMonitor && !policy.monitor_port) return WIRE_ERROR.MONITOR_MODE_DENIED;
    if (request.wantsBridge && policy.no_bridge && policy.no_routing) {
      return WIRE_ERROR.BRIDGE_MODE_DENIED;
    }
    if (
      policy.multi_logins > 0 &&
      host.countLogins(admitted.name, request.installation) >= policy.multi_logins
    ) {
      return WIRE_ERROR.TOO_MANY_USER_SESSION;
    }
    const full = host.checkRoom({ mode: sessionMode(request), isLocal }) ?? this.#checkRoom();
    if (full !== undefined) return full;
    return this.#opener.open(host, admitted, request, link);
  }

  /** Names of sessions are unique within a hub only. */
  #hubOf(open: OpenSession): string | undefined {
    const hosts = [...this.#deps.hubs.values()];
    return hosts.find(({ sessions }) => sessions.get(open.session.name) === open)?.config.name;
  }

  #findHost(name: string): HubHost | undefined {
    return this.#deps.hubs.get(name.toLowerCase());
  }

  #refuse(
    request: LoginRequest,
    link: Link,
    error: number,
    reason: string,
    detail?: string,
  ): number {
    this.#failures.tell({
      address: link.remoteAddress,
      reason,
      error,
      user: request.user,
      hub: request.hub,
      client: request.clientProduct,
      build: request.clientBuild,
      auth: request.proof.kind,
      detail: detail ?? (reason === "admission" ? refusalName(error) : undefined),
    });
    return error;
  }

  #checkRoom(): number | undefined {
    const { maxSessions } = this.#deps.settings();
    const most = maxSessions > 0 ? Math.min(maxSessions, MAX_SESSIONS) : MAX_SESSIONS;
    return this.sessionCount >= most ? WIRE_ERROR.HUB_IS_BUSY : undefined;
  }

  /** The session of this key with room for one more connection, or an error number. */
  join(sessionKey: Uint8Array, link: Link): Session | number {
    const open = this.#opener.find(sessionKey);
    if (open === undefined) return WIRE_ERROR.SESSION_TIMEOUT;
    const { session } = open;
    // One more than granted: a connection that is being replaced overlaps with its successor (protocol.md 12.1).
    if (session.connections.length > session.welcome.stream.connections) {
      return WIRE_ERROR.TOO_MANY_CONNECTION;
    }
    if (link.remoteAddress !== open.address) {
      this.#deps.log.warn("connection_moved", `${session.name} goes on from another address`, {
        hub: this.#hubOf(open),
        session: session.name,
        address: link.remoteAddress,
        before: open.address,
      });
    }
    return session;
  }
}

function isOpenTo(host: HubHost | undefined, { remoteAddress }: Link): boolean {
  return host !== undefined && isSourceAllowed(host.config.source, remoteAddress);
}
