import { messageOf, SystemError, VpnError } from "../base/errors.ts";
import { formatAddress, formatNet, tryParseAddress, type IpAddress, type Net } from "../base/ip.ts";
import { addRoute, removeRoute, type Route } from "../platform/ip-route.ts";
import { addRule, MAIN_TABLE, removeRule, type Rule } from "../platform/ip-rule.ts";
import {
  planRoutes,
  type PlannedRoute,
  type RouteWishes,
  type TunnelNetwork,
} from "./route-plan.ts";
import { findSlot, type RouteSlot } from "./route-slot.ts";
import type { HostStatus } from "./status.ts";
import type { UndoFile } from "./undo-file.ts";
import type { UndoStep } from "./undo-step.ts";

// How all traffic is sent through the tunnel, but the tunnel itself. Rules of the routing policy do it, in this order:
//
//   to each server's address    the main table: whatever the machine has beside the tunnel
//   to each server's address    else nowhere
//   everything                  the main table, without its default route: what is near stays near
//   everything                  the tunnel's table, which holds its default route
//
// The usual alternatives, 0.0.0.0/1 with 128.0.0.0/1 in the main table or a default route of a lower metric, need host
// routes to the server that copy the uplink's next hop: those must follow every renewal, roaming and flap, and until
// they have, the tunnel is sent into itself or its packets leave it. Here no route of anybody else is copied, hidden
// or changed: the main table keeps the uplink's default route, its DHCP client may replace it as it likes, with several
// next hops, source addresses, metrics and flags, and the very next packet to the server uses it. Where the uplink is gone
// the second rule keeps the tunnel's packets out of the tunnel. To undo it is to delete rules that name our own table.
//
// Routes to single networks go to the main table, where the longest prefix wins; the kernel deletes them with the
// interface. The servers' addresses are cut out of them (route-plan.ts).

/** Texts of warnings that are remembered; who has seen these knows what is wrong. */
const MAX_WARNINGS = 64;
const ENOENT = 2;
const EEXIST = 17;
const ESRCH = 3;
const ENODEV = 19;
const EOPNOTSUPP = 95;
const ENETDOWN = 100;

export interface RouteKeeperOptions {
  readonly wishes: RouteWishes;
  /** Index of the tunnel's interface. */
  readonly device: number;
  readonly undo: UndoFile;
  readonly onWarning: (code: string, message: string) => void;
}

/** Keeps the machine's routes as an account wants them. */
export class RouteKeeper {
  readonly #options: RouteKeeperOptions;
  /** Unknown until the interface is up and has its addresses: before that the kernel takes no route over it. */
  #network: TunnelNetwork | undefined;
  #servers: readonly IpAddress[] = [];
  #slot: RouteSlot | undefined;
  #installed = new Map<string, Route>();
  /** Rules that stand, by family of the default route or by server. */
  readonly #rules = new Map<string, { readonly rules: Rule[]; readonly steps: UndoStep[] }>();
  readonly #warnedOf = new Set<string>();

  constructor(options: RouteKeeperOptions) {
    this.#options = options;
  }

  /** True if a default route may come to pass, and so the servers need their way kept. */
  get wantsDefault(): boolean {
    const { defaultRoute, routes } = this.#options.wishes;
    return defaultRoute || routes.some(({ prefix }) => prefix === 0);
  }

  /** True if IPv6 routes may come to pass, and so a router is wanted. */
  get wantsRouter(): boolean {
    const { defaultRoute, routes } = this.#options.wishes;
    return defaultRoute || routes.some(({ family }) => family === 6);
  }

  /** True if routes stand that go with the interface. */
  get hasRoutes(): boolean {
    return this.#installed.size > 0;
  }

  /** Families of which everything goes through the tunnel, and the number of other routes. */
  get summary(): Pick<HostStatus, "defaultRoute" | "routes"> {
    const routes = [...this.#installed.values()];
    const defaults = routes.filter(({ to }) => to.prefix === 0);
    return {
      defaultRoute: defaults.map(({ to }) => to.family).toSorted(),
      routes: routes.length - defaults.length,
    };
  }

  /** These are where the tunnel goes: to be called before they are dialled. @throws SystemError */
  setServers(addresses: readonly string[]): void {
    this.#servers = addresses.map(tryParseAddress).filter((address) => address !== undefined);
    if (this.wantsDefault) this.#pin();
    this.#apply();
  }

  /** What is known of the network behind the tunnel has changed. */
  setNetwork(network: TunnelNetwork): void {
    this.#network = network;
    this.#restore();
    this.#apply();
  }

  /** Puts back what others took away: some managers of networks delete every rule that is none of theirs. */
  repair(): void {
    this.#restore();
    for (const { rules } of this.#rules.values()) for (const rule of rules) add(rule);
  }

  /** Takes the rules back; the routes go with the interface. */
  close(): void {
    for (const [key, { rules, steps }] of [...this.#rules].toReversed()) {
      this.#drop(key, rules, steps);
    }
  }

  /**
   * The kernel drops the routes of a link that goes down, and those of IPv4 with the link's last address, as when a lease
   * brings another one. They go all at once: one of a family that stands tells of the rest.
   */
  #restore(): void {
    const routes = [...this.#installed.values()];
    for (const family of [4, 6]) routes.filter(({ to }) => to.family === family).every(tryAddAgain);
  }

  /** Brings the machine in line with the plan. */
  #apply(): void {
    if (this.#network === undefined) return;
    const { wishes, onWarning } = this.#options;
    const plan = planRoutes(wishes, this.#network, this.#servers);
    if (plan.dropped > 0) {
      this.#warnOnce("too_many_routes", `${plan.dropped} routes are too many and left out`);
    }
    const wanted = new Map<string, Route>();
    for (const route of plan.specific) this.#want(wanted, route, MAIN_TABLE);
    for (const route of plan.defaults) this.#want(wanted, route, this.#takeSlot().table);
    for (const [key, route] of this.#installed) {
      if (!wanted.has(key)) this.#remove(key, route);
    }
    for (const [key, route] of wanted) {
      if (!this.#installed.has(key)) this.#add(key, route);
    }
    for (const { to } of plan.defaults) {
      try {
        this.#divert(to.family);
      } catch (error) {
        onWarning("default_route_failed", `Cannot take the default route: ${messageOf(error)}`);
      }
    }
  }

  #want(wanted: Map<string, Route>, { to, via }: PlannedRoute, table: number): void {
    const { device } = this.#options;
    const route =
      via === undefined ? { to, device, table } : { to, via, device, table, onlink: true };
    wanted.set(keyOf(route), route);
  }

  #add(key: string, route: Route): void {
    try {
      addRoute(route);
      this.#installed.set(key, route);
    } catch (error) {
      const isTaken = error instanceof SystemError && error.errno === EEXIST;
      const why = isTaken ? "another interface has it" : messageOf(error);
      this.#warnOnce("route_failed", `Cannot route ${formatNet(route.to)} to the tunnel: ${why}`);
    }
  }

  #remove(key: string, route: Route): void {
    this.#installed.delete(key);
    try {
      removeRoute(route);
    } catch (error) {
      // Gone with a link or an address that went down.
      const isGone = error instanceof SystemError && [ESRCH, ENODEV].includes(error.errno);
      if (!isGone) this.#warnOnce("route_failed", messageOf(error));
    }
  }

  /** Servers that are new are pinned before those of before are let go. */
  #pin(): void {
    const { serverPriority: priority } = this.#takeSlot();
    const keys = new Set<string>();
    for (const { family, bytes } of this.#servers) {
      const to: Net = { family, bytes, prefix: bytes.length * 8 };
      const key = `server ${formatAddress(bytes)}`;
      keys.add(key);
      this.#install(key, [
        { family, priority, to, action: { kind: "lookup", table: MAIN_TABLE } },
        { family, priority: priority + 1, to, action: { kind: "unreachable" } },
      ]);
    }
    for (const [key, { rules, steps }] of this.#rules) {
      if (key.startsWith("server ") && !keys.has(key)) this.#drop(key, rules, steps);
    }
  }

  /** Sends what has no nearer way to the tunnel's table. */
  #divert(family: 4 | 6): void {
    const { tunnelPriority: priority, table } = this.#takeSlot();
    this.#install(`default ${family}`, [
      { family, priority, action: { kind: "lookup", table: MAIN_TABLE, suppressPrefix: 0 } },
      { family, priority: priority + 1, action: { kind: "lookup", table } },
    ]);
  }

  #install(key: string, rules: Rule[]): void {
    if (this.#rules.has(key)) return;
    const { undo } = this.#options;
    const steps = rules.map((rule): UndoStep => ({ kind: "rule", rule }));
    undo.record(...steps);
    this.#rules.set(key, { rules, steps });
    for (const rule of rules) add(rule);
  }

  #drop(key: string, rules: readonly Rule[], steps: readonly UndoStep[]): void {
    for (const rule of rules.toReversed()) {
      try {
        removeRule(rule);
      } catch (error) {
        // Somebody flushed the rules: what was to be gone is gone. What stands stays on record.
        const isGone = error instanceof SystemError && [ENOENT, ESRCH].includes(error.errno);
        if (!isGone) throw error;
      }
    }
    this.#rules.delete(key);
    this.#options.undo.forget(...steps);
  }

  #takeSlot(): RouteSlot {
    return (this.#slot ??= findSlot());
  }

  /** The same text once: plans are made again with every renewal of a lease. */
  #warnOnce(code: string, message: string): void {
    if (this.#warnedOf.has(message) || this.#warnedOf.size === MAX_WARNINGS) return;
    this.#warnedOf.add(message);
    this.#options.onWarning(code, message);
  }
}

/** False where it stands, or cannot: the link is down, and more news will come when it is up. @throws SystemError */
function tryAddAgain(route: Route): boolean {
  try {
    addRoute(route);
    return true;
  } catch (error) {
    if (error instanceof SystemError && [EEXIST, ENETDOWN].includes(error.errno)) return false;
    throw error;
  }
}

function add(rule: Rule): void {
  try {
    addRule(rule);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.errno === EEXIST) return;
    if (error.errno !== EOPNOTSUPP) throw error;
    throw new VpnError(
      "no_policy_routing",
      "Cannot take the default route: this kernel is built without policy routing (CONFIG_IP_MULTIPLE_TABLES)",
      { cause: error },
    );
  }
}

function keyOf({ to, via, table }: Route): string {
  const gate = via === undefined ? "" : formatAddress(via.bytes);
  return `${formatNet(to)} ${gate} ${table}`;
}
