import { barAccount } from "../auth/authenticator.ts";
import type { Lockout } from "../auth/lockout.ts";
import type { Clock } from "../base/clock.ts";
import { WIRE_ERROR } from "../base/errors.ts";
import { MAX_SESSIONS } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { ServerSettings } from "../config/server-config.ts";
import type { Log } from "../observe/log.ts";
import type { Heartbeat } from "../session/heartbeat.ts";
import type { LoginRequest } from "../session/login.ts";
import type { Session } from "../session/session.ts";
import type { Link } from "../transport/tls-link.ts";
import { authenticateRequest, type HubHost } from "./hub-host.ts";
import { SessionOpener } from "./session-opener.ts";

export interface DeskDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly lockout: Lockout;
  readonly heartbeat: Heartbeat;
  /** By lower-case name. */
  readonly hubs: ReadonlyMap<string, HubHost>;
  settings(): ServerSettings;
  /** A connection of some session has ended. */
  connectionEnded(reason: string): void;
}

/** Judges logins in the order of hub.md 5.1. */
export class ReceptionDesk {
  readonly #deps: DeskDeps;
  readonly #opener: SessionOpener;

  constructor(deps: DeskDeps) {
    this.#deps = deps;
    this.#opener = new SessionOpener(deps);
  }

  get sessionCount(): number {
    return this.#opener.sessionCount;
  }

  /** A session, plugged into its hub, or an error number of protocol.md 8. */
  login(request: LoginRequest, challenge: Uint8Array, link: Link): Session | number {
    const verdict = this.#judge(request, challenge, link);
    if (typeof verdict !== "number") return verdict;
    if (verdict === WIRE_ERROR.AUTH_FAILED) this.#deps.lockout.fail(link.remoteAddress);
    this.#deps.log.warn("login_failed", `Login of ${request.user} to hub ${request.hub} refused`, {
      user: request.user,
      hub: request.hub,
      address: link.remoteAddress,
      error: verdict,
      client: request.clientProduct,
    });
    return verdict;
  }

  #judge(request: LoginRequest, challenge: Uint8Array, link: Link): Session | number {
    const { clock, hubs, settings } = this.#deps;
    const { revealHubs, hashedLogin } = settings();
    if (request.proof.kind === "unsupported") return WIRE_ERROR.AUTHTYPE_NOT_SUPPORTED;
    const host = hubs.get(request.hub.toLowerCase());
    if (revealHubs && host === undefined) return WIRE_ERROR.HUB_NOT_FOUND;
    if (revealHubs && !host!.config.online) return WIRE_ERROR.HUB_STOPPING;
    const account = authenticateRequest(host?.accounts, request, challenge, hashedLogin);
    if (host === undefined || account === undefined) return WIRE_ERROR.AUTH_FAILED;
    if (!host.config.online) return WIRE_ERROR.HUB_STOPPING;
    const barred = barAccount(account, clock.wall());
    if (barred !== undefined) return barred;
    if (request.wantsMonitor) return WIRE_ERROR.MONITOR_MODE_DENIED;
    const { policy } = account;
    if (request.wantsBridge && policy.no_bridge && policy.no_routing) {
      return WIRE_ERROR.BRIDGE_MODE_DENIED;
    }
    if (
      policy.multi_logins > 0 &&
      host.countLogins(account.name, request.installation) >= policy.multi_logins
    ) {
      return WIRE_ERROR.TOO_MANY_USER_SESSION;
    }
    return host.checkRoom() ?? this.#checkRoom() ?? this.#opener.open(host, account, request, link);
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
    if (session.connections.length > session.welcome.maxConnections) {
      return WIRE_ERROR.TOO_MANY_CONNECTION;
    }
    if (link.remoteAddress !== open.address) {
      this.#deps.log.warn("connection_moved", `${session.name} goes on from another address`, {
        session: session.name,
        address: link.remoteAddress,
        before: open.address,
      });
    }
    return session;
  }
}
