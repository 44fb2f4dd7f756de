import { MAX_CASCADES_PER_HUB } from "../base/limits.ts";
import { dialKeys, type DialSettings, dialSettingsOf } from "./dial-keys.ts";
import { ACCOUNT_NAMES } from "./name-rules.ts";
import { policy } from "./policy-shape.ts";
import { DEFAULT_POLICY, type Policy, type PolicyKey } from "./policy.ts";
import { bool } from "./scalar-shapes.ts";
import { refine, setting, type Shape, table } from "./shape.ts";

/** A hub that dials out to another (hub.md 13). */
export interface CascadeConfig extends DialSettings {
  /** As written; look-ups ignore case. */
  readonly name: string;
  /** Online unless a command has said otherwise. */
  readonly enable: boolean;
  /**
   * Of the frames between the hub here and the link. Items that are about a login or a session have their defaults, by
   * which the link may bridge and route.
   */
  readonly policy: Policy;
}

/** Names are for people, as those of accounts. */
export const CASCADE_NAMES = {
  ...ACCOUNT_NAMES,
  noun: "cascade",
  max: MAX_CASCADES_PER_HUB,
} as const;

/** hub.md 13; more than one carries load over long ways. */
const DEFAULT_CONNECTIONS = 8;

/** Items without a tick in hub.md 6: they speak of logins and sessions, and a cascade is neither to its own hub. */
const NOT_OF_LINKS: ReadonlySet<PolicyKey> = new Set([
  "access",
  "no_bridge",
  "no_routing",
  "no_routing_v6",
  "monitor_port",
  "max_connection",
  "timeout",
  "fix_password",
  "multi_logins",
  "no_qos",
  "no_save_password",
  "auto_disconnect",
  "no_ipv6_default_router_in_ra_when_ipv6",
]);

const isOfLinks = (key: string) => !(NOT_OF_LINKS as ReadonlySet<string>).has(key);

/** The items that a link can have; the others are refused by name (hub.md 13). */
const linkPolicy: Shape<Policy> = {
  expects: policy.expects,
  inner: new Map([...(policy.inner ?? [])].filter(([key]) => isOfLinks(key))),
  read(node, place) {
    const items = node.kind === "table" ? [...node.entries] : [];
    const refused = items.filter(([key]) => !isOfLinks(key));
    for (const [key, { keyAt }] of refused) {
      place.context.fail({
        position: keyAt,
        key: place.inside(key).path,
        text: "this item is about logins and sessions: a cascade cannot have it",
      });
    }
    return refused.length === 0 ? policy.read(node, place) : undefined;
  },
};

/** `hub.NAME.cascade.NAME` (config-proposal.md 7.4). */
export const cascade: Shape<Omit<CascadeConfig, "name">> = refine(
  table({
    ...dialKeys(DEFAULT_CONNECTIONS),
    enable: setting(bool, true),
    policy: setting(linkPolicy, DEFAULT_POLICY),
  }),
  (value, node, place) => {
    const dialing = dialSettingsOf(value, node, place, "cascade");
    if (dialing === undefined) return undefined;
    const { credential } = dialing;
    if (credential.kind === "password" && credential.secret === undefined) {
      // There is nobody who could be asked.
      return place.fail(node, 'the key "password" is missing, or "cert" and "key", or "anonymous"');
    }
    return { ...dialing, enable: value.enable, policy: value.policy };
  },
);
