import type { Admitted } from "../auth/verdict.ts";
import type { AccountedHandle } from "../auth/radius-accounting.ts";
import type { SessionTraffic } from "../auth/radius-record.ts";
import type { Clock } from "../base/clock.ts";
import type { CompatName } from "../config/compat.ts";
import type { Policy } from "../config/policy.ts";
import type { HubPort } from "../hub/hub-port.ts";
import type { LoginRequest, SessionMode } from "../session/login.ts";
import type { Session } from "../session/session.ts";
import { Tenure } from "./tenure.ts";

/** Where a session came from and what it may do, for lists and logs. */
export interface OpenSession {
  readonly session: Session;
  readonly port: HubPort;
  readonly user: string;
  readonly mode: SessionMode;
  /** From this very machine: client mode does not restrict it. */
  readonly isLocal: boolean;
  readonly request: LoginRequest;
  readonly address: string;
  readonly since: number;
}

/** By whose leave a session is there, and what ends with it: its times, its accounting, its port. */
export class Stay {
  readonly open: OpenSession;
  readonly admitted: Admitted;
  readonly #tenure: Tenure;
  readonly #accounted: AccountedHandle | undefined;
  readonly #settle: () => void;

  constructor(
    open: OpenSession,
    admitted: Admitted,
    deps: {
      readonly clock: Clock;
      readonly policy: Policy;
      readonly accounted: AccountedHandle | undefined;
      /** Books what the session has carried. */
      readonly settle: () => void;
    },
  ) {
    this.open = open;
    this.admitted = admitted;
    this.#accounted = deps.accounted;
    this.#settle = deps.settle;
    const { session, port } = open;
    const { certificate, grants } = admitted;
    this.#tenure = new Tenure(
      {
        certificateExpires: certificate?.notAfter,
        sessionTimeoutS: grants?.sessionTimeoutS,
        idleTimeoutS: grants?.idleTimeoutS,
      },
      { counters: port.counters, end: (reason) => session.close(reason) },
      deps.clock,
    );
    this.#tenure.apply(deps.policy);
  }

  /** The policy and the group that its user has from now on. */
  apply(policy: Policy, group: string | undefined, compat: ReadonlySet<CompatName>): void {
    const { port } = this.open;
    port.reconfigure(sessionPolicy(policy, this.open, compat), { group });
    this.#tenure.apply(policy);
  }

  /** The session is over. */
  end(reason: string): void {
    this.#tenure.cancel();
    this.#accounted?.stop(reason);
    this.#settle();
    this.open.port.detach();
  }
}

/** What a session is: monitoring goes before bridging where a login asks for both. */
export function sessionMode({ wantsMonitor, wantsBridge }: LoginRequest): SessionMode {
  if (wantsMonitor) return "monitor";
  return wantsBridge ? "bridge" : "client";
}

/**
 * The policy of one session (hub.md 5.1 steps 10 to 13): who did not ask to bridge gets client mode, which
 * covers IPv6 as well unless `ip-rules` are the reference's; somebody on this very machine is not restricted.
 * Monitoring is in force for those only who asked for it, and has no lane for urgent frames.
 */
export function sessionPolicy(
  policy: Policy,
  { mode, isLocal }: Pick<OpenSession, "mode" | "isLocal">,
  compat: ReadonlySet<CompatName>,
): Policy {
  const isMonitor = mode === "monitor" && policy.monitor_port;
  const base = { ...policy, monitor_port: isMonitor };
  if (mode === "bridge" && !isLocal) return base;
  const restricts = !isLocal;
  const routing = compat.has("ip-rules") ? base.no_routing_v6 : restricts;
  return { ...base, no_bridge: restricts, no_routing: restricts, no_routing_v6: routing };
}

/** What accounting tells of a session so far. */
export function trafficOf(
  { port }: OpenSession,
  framedAddress: string | undefined,
): SessionTraffic {
  const { ingress, egress } = port.counters.record();
  return {
    inBytes: ingress.unicast.bytes + ingress.group.bytes,
    outBytes: egress.unicast.bytes + egress.group.bytes,
    inFrames: ingress.unicast.frames + ingress.group.frames,
    outFrames: egress.unicast.frames + egress.group.frames,
    ...(framedAddress === undefined ? {} : { framedAddress }),
  };
}
