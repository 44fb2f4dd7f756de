import { MAX_NAME_CHARS, MAX_SESSIONS } from "../base/limits.ts";
import { GROUP_NAMES, USER_NAMES } from "./name-rules.ts";
import { policy } from "./policy-shape.ts";
import { DEFAULT_POLICY } from "./policy.ts";
import { bool, integer, moment, text } from "./scalar-shapes.ts";
import { secret } from "./secret.ts";
import type { GroupConfig, HubConfig, UserConfig, UserCredential } from "./server-config.ts";
import { named, optional, refine, setting, type Shape, table } from "./shape.ts";

const MAX_NOTE_CHARS = 1024;

const group: Shape<Omit<GroupConfig, "name">> = refine(
  table({
    full_name: setting(text(MAX_NAME_CHARS), ""),
    note: setting(text(MAX_NOTE_CHARS), ""),
    policy: optional(policy),
  }),
  ({ full_name, ...rest }) => ({ ...rest, fullName: full_name }),
);

const user: Shape<Omit<UserConfig, "name">> = refine(
  table({
    password: optional(secret),
    anonymous: setting(bool, false),
    enable: setting(bool, true),
    expires: optional(moment),
    group: optional(text(MAX_NAME_CHARS)),
    full_name: setting(text(MAX_NAME_CHARS), ""),
    note: setting(text(MAX_NOTE_CHARS), ""),
    policy: optional(policy),
  }),
  ({ password, anonymous, full_name, ...rest }, node, place) => {
    if (password !== undefined && anonymous) {
      return place.fail(node, "a user has a password or is anonymous, not both", "anonymous");
    }
    const credential: UserCredential =
      password !== undefined
        ? { kind: "password", secret: password }
        : { kind: anonymous ? "anonymous" : "generated" };
    return { ...rest, fullName: full_name, credential };
  },
);

/** `hub.NAME` (config-proposal.md 7.3). */
export const hub: Shape<Omit<HubConfig, "name">> = refine(
  table({
    online: setting(bool, true),
    max_sessions: setting(integer(0, MAX_SESSIONS), 0),
    announce: setting(bool, false),
    // Delivered at login; the bound is the reference's (hub.md 2.16).
    message: setting(text(20_000), ""),
    policy: setting(policy, DEFAULT_POLICY),
    group: setting(named(group, GROUP_NAMES), []),
    user: setting(named(user, USER_NAMES), []),
  }),
  (value, node, place) => {
    const groups = value.group.map((entry): GroupConfig => ({ name: entry.name, ...entry.value }));
    const spelling = new Map(groups.map(({ name }) => [name.toLowerCase(), name]));
    let isGood = true;
    const users = value.user.map((entry): UserConfig => {
      const wanted = entry.value.group;
      const found = wanted === undefined ? undefined : spelling.get(wanted.toLowerCase());
      if (wanted !== undefined && found === undefined) {
        isGood = false;
        const text = `this hub has no group ${JSON.stringify(wanted)}`;
        place.fail(node, text, "user", entry.name, "group");
      }
      return { name: entry.name, ...entry.value, group: found };
    });
    if (!isGood) return undefined;
    const { online, announce, message, policy: hubPolicy, max_sessions: maxSessions } = value;
    return { online, announce, message, maxSessions, policy: hubPolicy, groups, users };
  },
);
