import { bool, integer } from "./scalar-shapes.ts";
import { type Key, oneOf, refine, type Shape, table } from "./shape.ts";

// The administration options of a hub that hold for everybody (hub.md 4): pairs of a name and a 32-bit number, spelt as in
// the reference's manuals; 0 is no limit.

interface AdminLimit<K extends string> {
  readonly name: K;
  readonly isFlag: boolean;
}
const count = <K extends string>(name: K): AdminLimit<K> => ({ name, isFlag: false });
const flag = <K extends string>(name: K): AdminLimit<K> => ({ name, isFlag: true });

export const ADMIN_LIMITS = [
  count("max_users"),
  count("max_groups"),
  count("max_accesslists"),
  count("max_multilogins_per_user"),
  count("max_sessions"),
  flag("max_sessions_client_bridge_apply"),
  count("max_sessions_client"),
  count("max_sessions_bridge"),
  count("max_bitrates_download"),
  count("max_bitrates_upload"),
  flag("deny_empty_password"),
  flag("deny_bridge"),
  flag("deny_routing"),
  flag("deny_qos"),
  flag("no_delay_jitter_packet_loss"),
] as const;

export type AdminLimitName = (typeof ADMIN_LIMITS)[number]["name"];
export type AdminLimits = Readonly<Record<AdminLimitName, number>>;

export const NO_ADMIN_LIMITS: AdminLimits = Object.freeze(
  Object.fromEntries(ADMIN_LIMITS.map(({ name }) => [name, 0])),
) as AdminLimits;

/** A flag of the reference is a number as well. */
export const numericFlag: Shape<number> = oneOf("true, false, 1 or 0", {
  boolean: refine(bool, (isSet) => (isSet ? 1 : 0)),
  integer: integer(0, 1),
});

/** `hub.NAME.admin_limits` (config-proposal.md 7.3). */
export const adminLimits: Shape<AdminLimits> = table(
  Object.fromEntries(
    ADMIN_LIMITS.map(({ name, isFlag }): [AdminLimitName, Key<number>] => [
      name,
      { shape: isFlag ? numericFlag : integer(0, 0xffff_ffff), initial: 0, absent: "initial" },
    ]),
  ) as Record<AdminLimitName, Key<number>>,
);
