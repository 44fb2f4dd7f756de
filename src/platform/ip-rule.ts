// Policy rules: which routing table a packet is looked up in (ip-rule(8)).
import { formatNet, type Net } from "../base/ip.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";
import { attributeNumber, NetlinkMessage, readAttributes } from "./netlink-message.ts";
import { netlinkDump, netlinkOrder } from "./netlink.ts";

/* <linux/fib_rules.h>, <linux/rtnetlink.h> */
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const RULE_BYTES = 12;
const FRA_DST = 1;
const FRA_PRIORITY = 6;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FR_ACT_TO_TBL = 1;
const FR_ACT_UNREACHABLE = 7;
const NLM_F_CREATE = 0x400;
const NLM_F_EXCL = 0x200;

/** The table where everybody's routes are. */
export const MAIN_TABLE = 254;

export interface Rule {
  readonly family: 4 | 6;
  /** The lower one is asked first. */
  readonly priority: number;
  /** Only packets to this network; all where it is absent. */
  readonly to?: Net | undefined;
  readonly action:
    | {
        readonly kind: "lookup";
        readonly table: number;
        /** Passes over what the table says where it is a route of at most this prefix length. */
        readonly suppressPrefix?: number | undefined;
      }
    /** The sender is told that there is no way. */
    | { readonly kind: "unreachable" };
}

/** @throws SystemError, EEXIST (17) for a rule that is there, EOPNOTSUPP where the kernel knows no rules */
export function addRule(rule: Rule): void {
  netlinkOrder(message(RTM_NEWRULE, rule), NLM_F_CREATE | NLM_F_EXCL, describe("add", rule));
}

/** Removes the rule that has all that is named. @throws SystemError, ENOENT (2) if there is none */
export function removeRule(rule: Rule): void {
  netlinkOrder(message(RTM_DELRULE, rule), 0, describe("remove", rule));
}

/** Priorities of all rules of a family; a rule without one has 0. @throws SystemError */
export function listRulePriorities(family: 4 | 6): number[] {
  const info = new Uint8Array(RULE_BYTES);
  info[0] = family === 4 ? AF_INET : AF_INET6;
  return netlinkDump(new NetlinkMessage(RTM_GETRULE, info), "list the rules")
    .filter((reply) => reply.type === RTM_NEWRULE && reply.body[0] === info[0])
    .map(({ body }) => attributeNumber(readAttributes(body, RULE_BYTES).get(FRA_PRIORITY), 0));
}

/** struct fib_rule_hdr: family, prefix lengths of destination and source, tos, table, two reserved, action, u32 flags. */
function message(type: number, rule: Rule): NetlinkMessage {
  const { action, to } = rule;
  const info = new Uint8Array(RULE_BYTES);
  info[0] = rule.family === 4 ? AF_INET : AF_INET6;
  info[1] = to?.prefix ?? 0;
  info[7] = action.kind === "lookup" ? FR_ACT_TO_TBL : FR_ACT_UNREACHABLE;
  const built = new NetlinkMessage(type, info).number(FRA_PRIORITY, rule.priority);
  if (to !== undefined && to.prefix > 0) built.bytes(FRA_DST, to.bytes);
  if (action.kind === "lookup") {
    built.number(FRA_TABLE, action.table);
    if (action.suppressPrefix !== undefined) {
      built.number(FRA_SUPPRESS_PREFIXLEN, action.suppressPrefix);
    }
  }
  return built;
}

function describe(verb: string, { priority, to }: Rule): string {
  const selector = to === undefined ? "" : ` for ${formatNet(to)}`;
  return `${verb} routing rule ${priority}${selector}`;
}
