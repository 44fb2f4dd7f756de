import { MAX_NAME_CHARS, MAX_SESSIONS, MAX_SOURCE_RULES } from "../base/limits.ts";
import { access } from "./access-shape.ts";
import { isFromKnownIssuer } from "../crypto/revocation-list.ts";
import { adminLimits, NO_ADMIN_LIMITS } from "./admin-limits.ts";
import { bridges } from "./bridge-shape.ts";
import { cascade, CASCADE_NAMES, type CascadeConfig } from "./cascade-shape.ts";
import { DEFAULT_HUB_OPTIONS } from "./hub-options.ts";
import { hubOptions } from "./hub-options-shape.ts";
import { DEFAULT_HUB_LOG } from "./log-settings.ts";
import { hubLog } from "./log-shape.ts";
import { GROUP_NAMES, USER_NAMES } from "./name-rules.ts";
import { policy } from "./policy-shape.ts";
import { DEFAULT_POLICY } from "./policy.ts";
import { bool, choice, integer, net, text } from "./scalar-shapes.ts";
import { radius } from "./radius-shape.ts";
import type { GroupConfig, HubConfig, SourceRule, UserConfig } from "./server-config.ts";
import { checkUserAddresses, secureNat } from "./secure-nat-shape.ts";
import { list, named, optional, refine, required, setting, type Shape, table } from "./shape.ts";
import { certificates, revocations } from "./trust-shapes.ts";
import { checkEverybody, MAX_NOTE_CHARS, user } from "./user-schema.ts";

/** A hub as its table alone tells it. */
export type HubEntry = Omit<HubConfig, "name" | "allowPlaintext" | "hashedLogin"> & {
  readonly allowPlaintext: boolean | undefined;
  readonly hashedLogin: boolean | undefined;
};

const group: Shape<Omit<GroupConfig, "name">> = refine(
  table({
    full_name: setting(text(MAX_NAME_CHARS), ""),
    note: setting(text(MAX_NOTE_CHARS), ""),
    policy: optional(policy),
  }),
  ({ full_name, ...rest }) => ({ ...rest, fullName: full_name }),
);

/** Sorted by priority; by default the position in hundreds, as the tools number them. */
const source: Shape<readonly SourceRule[]> = refine(
  list(
    table({
      from: required(net),
      action: required(choice("pass", "drop")),
      priority: optional(integer(1, 4_294_967_295)),
    }),
  ),
  (rules, node, place) => {
    if (rules.length > MAX_SOURCE_RULES) {
      return place.fail(node, `${rules.length} rules, at most ${MAX_SOURCE_RULES} are allowed`);
    }
    const complete = rules.map((rule, at) => ({
      ...rule,
      priority: rule.priority ?? (at + 1) * 100,
    }));
    return complete.toSorted((a, b) => a.priority - b.priority);
  },
);

/** `hub.NAME` (config-proposal.md 7.3). */
export const hub: Shape<HubEntry> = refine(
  table({
    online: setting(bool, true),
    max_sessions: setting(integer(0, MAX_SESSIONS), 0),
    announce: setting(bool, false),
    // Delivered at login; the bound is the reference's (hub.md 2.16).
    message: setting(text(20_000), ""),
    allow_plaintext: optional(bool),
    hashed_login: optional(bool),
    source: setting(source, []),
    access: setting(access, []),
    trusted_ca: setting(certificates, []),
    crl: setting(revocations, []),
    radius: setting(radius, { settings: undefined }),
    log: setting(hubLog, DEFAULT_HUB_LOG),
    options: setting(hubOptions, DEFAULT_HUB_OPTIONS),
    admin_limits: setting(adminLimits, NO_ADMIN_LIMITS),
    policy: setting(policy, DEFAULT_POLICY),
    group: setting(named(group, GROUP_NAMES), []),
    user: setting(named(user, USER_NAMES), []),
    cascade: setting(named(cascade, CASCADE_NAMES), []),
    bridge: setting(bridges, []),
    securenat: optional(secureNat),
  }),
  (value, node, place) => {
    const groups = value.group.map((entry): GroupConfig => ({ name: entry.name, ...entry.value }));
    const spelling = new Map(groups.map(({ name }) => [name.toLowerCase(), name]));
    let isGood = true;
    const users = value.user.map((entry): UserConfig => {
      if (!checkEverybody(entry, node, place)) isGood = false;
      const askRadius =
        entry.value.credential.kind === "outside" && entry.value.credential.authority === "radius";
      if (askRadius && (value.radius.settings?.servers.length ?? 0) === 0) {
        isGood = false;
        const text = 'this hub has no RADIUS server: "radius.servers" names them';
        place.fail(node, text, "user", entry.name, "radius");
      }
      const wanted = entry.value.group;
      const found = wanted === undefined ? undefined : spelling.get(wanted.toLowerCase());
      if (wanted !== undefined && found === undefined) {
        isGood = false;
        const text = `this hub has no group ${JSON.stringify(wanted)}`;
        place.fail(node, text, "user", entry.name, "group");
      }
      return { name: entry.name, ...entry.value, group: found };
    });
    for (const [key, found, most] of [
      ["user", users.length, value.admin_limits.max_users],
      ["group", groups.length, value.admin_limits.max_groups],
      ["access", value.access.length, value.admin_limits.max_accesslists],
    ] as const) {
      if (most === 0 || found <= most) continue;
      isGood = false;
      place.fail(node, `${found} are declared, "admin_limits" allows ${most}`, key);
    }
    const worsens = value.access.some(({ delayMs, lossPercent }) => delayMs > 0 || lossPercent > 0);
    if (worsens && value.admin_limits.no_delay_jitter_packet_loss === 1) {
      isGood = false;
      place.fail(node, 'a rule delays or loses frames, which "admin_limits" forbids', "access");
    }
    for (const rule of value.crl) {
      if (rule.kind === "fields" || isFromKnownIssuer(rule.der, value.trusted_ca)) continue;
      isGood = false;
      place.fail(node, `${rule.path} is not signed by the trusted CA of its name`, "crl");
    }
    if (!checkUserAddresses(users, value.securenat, node, place)) isGood = false;
    if (!isGood) return undefined;
    const { online, announce, message, crl } = value;
    return {
      online,
      announce,
      message,
      crl,
      maxSessions: value.max_sessions,
      allowPlaintext: value.allow_plaintext,
      hashedLogin: value.hashed_login,
      source: value.source,
      access: value.access,
      trustedCa: value.trusted_ca,
      radius: value.radius.settings,
      log: value.log,
      options: value.options,
      adminLimits: value.admin_limits,
      policy: value.policy,
      groups,
      users,
      cascades: value.cascade.map((entry): CascadeConfig => ({ name: entry.name, ...entry.value })),
      bridges: value.bridge,
      secureNat: value.securenat,
    };
  },
);
