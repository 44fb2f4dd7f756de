import { overlap } from "./listen-shape.ts";
import type { Policy } from "./policy.ts";
import {
  effectivePolicy,
  type HubConfig,
  type ListenAddress,
  type ServerConfig,
  type UserConfig,
} from "./server-config.ts";

/** One step of a reload (config-proposal.md 5). Names of removed things are as the old file wrote them. */
export type ConfigStep =
  | { readonly kind: "listener_added"; readonly listen: ListenAddress }
  | { readonly kind: "listener_removed"; readonly listen: ListenAddress }
  | { readonly kind: "hub_added"; readonly hub: HubConfig }
  | { readonly kind: "hub_changed"; readonly hub: HubConfig; readonly changed: readonly HubField[] }
  | { readonly kind: "hub_removed"; readonly name: string }
  | UserStep
  | CascadeStep
  | BridgeStep
  | SecureNatStep
  | L3SwitchStep
  | { readonly kind: "server_changed"; readonly changed: readonly ServerField[] }
  | { readonly kind: "tls_changed" }
  | { readonly kind: "log_changed" }
  | { readonly kind: "limits_changed" }
  | { readonly kind: "lockout_changed" }
  /** Told to people, never applied. */
  | { readonly kind: "restart_needed"; readonly key: string };

/** `hub` is the name of the hub, `policy` the effective one; users of hubs that come or go have no steps of their own. */
export type UserStep =
  | {
      readonly kind: "user_added";
      readonly hub: string;
      readonly user: UserConfig;
      readonly policy: Policy;
    }
  | {
      readonly kind: "user_changed";
      readonly hub: string;
      readonly user: UserConfig;
      readonly policy: Policy;
      readonly changed: readonly UserField[];
    }
  | { readonly kind: "user_removed"; readonly hub: string; readonly name: string };

/** Cascades of hubs that come or go have no steps of their own. */
export interface CascadeStep {
  readonly kind: "cascade_added" | "cascade_changed" | "cascade_removed";
  /** Name of the hub. */
  readonly hub: string;
  readonly name: string;
}

/** Bridges of hubs that come or go have no steps of their own. */
export interface BridgeStep {
  readonly kind: "bridge_added" | "bridge_changed" | "bridge_removed";
  /** Name of the hub. */
  readonly hub: string;
  /** The interface. */
  readonly device: string;
}

/** The SecureNAT of a hub that comes or goes has no step of its own. */
export interface SecureNatStep {
  readonly kind: "securenat_added" | "securenat_changed" | "securenat_removed";
  /** Name of the hub. */
  readonly hub: string;
}

export interface L3SwitchStep {
  readonly kind: "l3_switch_added" | "l3_switch_changed" | "l3_switch_removed";
  readonly name: string;
}

const HUB_FIELDS = [
  "name",
  "online",
  "maxSessions",
  "announce",
  "message",
  "allowPlaintext",
  "hashedLogin",
  "source",
  "access",
  "trustedCa",
  "crl",
  "radius",
  "log",
  "options",
  "adminLimits",
  "policy",
] as const;
/** `name`: the same name in another case. */
export type HubField = (typeof HUB_FIELDS)[number];

const USER_FIELDS = [
  "name",
  "enable",
  "expires",
  "fullName",
  "note",
  "group",
  "credential",
  "totp",
  "address",
] as const;
/** `policy` stands for the effective one: it changes with the group's and the hub's, too. */
export type UserField = (typeof USER_FIELDS)[number] | "policy";

const SERVER_FIELDS = [
  "name",
  "maxSessions",
  "revealHubs",
  "hashedLogin",
  "allowPlaintext",
  "udpAcceleration",
  "udpPorts",
  "compat",
  "ntlmAuth",
  "watch",
] as const;
export type ServerField = (typeof SERVER_FIELDS)[number];

/**
 * What must be done to a server that runs on `before` to make it one that runs on `after`, in a safe order: additions
 * come before removals, so that a moved listener is open before the old one closes. Only a listener in the way of
 * a new one goes first.
 */
export function diffServerConfig(before: ServerConfig, after: ServerConfig): readonly ConfigStep[] {
  const listeners = pairUp(
    enabled(before),
    enabled(after),
    ({ address, port }) => `${address ?? "*"} ${port}`,
  );
  const isInTheWay = (old: ListenAddress) => listeners.added.some((next) => overlap(old, next));
  const removed = listeners.removed.map(
    (listen) => ({ kind: "listener_removed", listen }) as const,
  );
  const hubs = pairUp(before.hubs, after.hubs, ({ name }) => name.toLowerCase());
  const serverFields = differing(SERVER_FIELDS, before.server, after.server);
  const isSame = (part: keyof ServerConfig) => Bun.deepEquals(before[part], after[part], true);

  const steps: ConfigStep[] = [];
  if (!isSame("log")) steps.push({ kind: "log_changed" });
  if (before.server.stateDir !== after.server.stateDir) {
    steps.push({ kind: "restart_needed", key: "server.state_dir" });
  }
  if (serverFields.length > 0) steps.push({ kind: "server_changed", changed: serverFields });
  if (!isSame("tls")) steps.push({ kind: "tls_changed" });
  if (!isSame("limits")) steps.push({ kind: "limits_changed" });
  if (!isSame("lockout")) steps.push({ kind: "lockout_changed" });
  steps.push(...hubs.added.map((hub) => ({ kind: "hub_added", hub }) as const));
  for (const [old, next] of hubs.kept) steps.push(...diffHub(old, next));
  steps.push(...removed.filter(({ listen }) => isInTheWay(listen)));
  steps.push(...listeners.added.map((listen) => ({ kind: "listener_added", listen }) as const));
  steps.push(...removed.filter(({ listen }) => !isInTheWay(listen)));
  steps.push(...diffL3Switches(before, after));
  steps.push(...hubs.removed.map(({ name }) => ({ kind: "hub_removed", name }) as const));
  return steps;
}

function diffL3Switches(before: ServerConfig, after: ServerConfig): L3SwitchStep[] {
  const switches = pairUp(before.l3Switches, after.l3Switches, ({ name }) => name.toLowerCase());
  const changed = switches.kept.filter(([old, next]) => !Bun.deepEquals(old, next, true));
  return [
    ...switches.added.map(({ name }) => ({ kind: "l3_switch_added", name }) as const),
    ...changed.map(([, { name }]) => ({ kind: "l3_switch_changed", name }) as const),
    ...switches.removed.map(({ name }) => ({ kind: "l3_switch_removed", name }) as const),
  ];
}

function diffHub(before: HubConfig, after: HubConfig): ConfigStep[] {
  const steps: ConfigStep[] = [];
  const hub = after.name;
  const changed = differing(HUB_FIELDS, before, after);
  if (changed.length > 0) steps.push({ kind: "hub_changed", hub: after, changed });
  const users = pairUp(before.users, after.users, ({ name }) => name.toLowerCase());
  for (const user of users.added) {
    steps.push({ kind: "user_added", hub, user, policy: effectivePolicy(after, user) });
  }
  for (const [old, user] of users.kept) {
    const fields: UserField[] = differing(USER_FIELDS, old, user);
    const policy = effectivePolicy(after, user);
    if (!Bun.deepEquals(effectivePolicy(before, old), policy, true)) fields.push("policy");
    if (fields.length > 0) steps.push({ kind: "user_changed", hub, user, policy, changed: fields });
  }
  for (const { name } of users.removed) steps.push({ kind: "user_removed", hub, name });
  const cascades = pairUp(before.cascades, after.cascades, ({ name }) => name.toLowerCase());
  for (const { name } of cascades.added) steps.push({ kind: "cascade_added", hub, name });
  for (const [old, next] of cascades.kept) {
    if (!Bun.deepEquals(old, next, true)) {
      steps.push({ kind: "cascade_changed", hub, name: next.name });
    }
  }
  for (const { name } of cascades.removed) steps.push({ kind: "cascade_removed", hub, name });
  const bridges = pairUp(before.bridges, after.bridges, ({ device }) => device);
  for (const { device } of bridges.added) steps.push({ kind: "bridge_added", hub, device });
  for (const [old, next] of bridges.kept) {
    if (!Bun.deepEquals(old, next, true))
      steps.push({ kind: "bridge_changed", hub, device: next.device });
  }
  for (const { device } of bridges.removed) steps.push({ kind: "bridge_removed", hub, device });
  if (!Bun.deepEquals(before.secureNat, after.secureNat, true)) {
    const change =
      before.secureNat === undefined
        ? "added"
        : after.secureNat === undefined
          ? "removed"
          : "changed";
    steps.push({ kind: `securenat_${change}`, hub });
  }
  return steps;
}

function enabled(config: ServerConfig): readonly ListenAddress[] {
  return config.server.listen.filter(({ enable }) => enable);
}

function differing<T extends object, K extends keyof T>(fields: readonly K[], a: T, b: T): K[] {
  return fields.filter((field) => !Bun.deepEquals(a[field], b[field], true));
}

interface Pairs<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly kept: readonly (readonly [before: T, after: T])[];
}

function pairUp<T>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (item: T) => string,
): Pairs<T> {
  const old = new Map(before.map((item) => [keyOf(item), item]));
  const added: T[] = [];
  const kept: [T, T][] = [];
  for (const item of after) {
    const found = old.get(keyOf(item));
    if (found === undefined) added.push(item);
    else kept.push([found, item]);
    old.delete(keyOf(item));
  }
  return { added, kept, removed: [...old.values()] };
}
