import { MAX_ACCESS_FILES, MAX_ACCESS_RULES, MAX_NAME_CHARS } from "../base/limits.ts";
import { tryParseMac } from "../base/mac.ts";
import { type AccessRule, type MacMatch, sortAccessRules, type UserMatch } from "./access-rule.ts";
import {
  bool,
  choice,
  duration,
  integer,
  net,
  port,
  portRange,
  resolvePath,
  text,
  textOf,
} from "./scalar-shapes.ts";
import type { PortRange } from "./server-config.ts";
import {
  list,
  oneOf,
  optional,
  type Place,
  refine,
  required,
  setting,
  type Shape,
  table,
  type TableValue,
} from "./shape.ts";
import type { TomlNode } from "./toml-tree.ts";

const MAX_URL_CHARS = 255;
const PROTOCOLS = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58 } as const;
/** Protocols that belong to one family, where they are written as names. */
const FAMILY_OF = { icmp: 4, icmpv6: 6 } as const;
const MAC_BITS = 48;

/** `"02:00:5e:00:00:00/ff:ff:ff:00:00:00"`; the bits of a mask stand together, as those of a network do. */
const macMatch: Shape<MacMatch> = textOf(
  'a MAC address or "MAC/MASK" whose mask has no holes',
  (written) => {
    const [address = "", mask = "ff:ff:ff:ff:ff:ff", ...more] = written.split("/");
    const [mac, bits] = [tryParseMac(address), tryParseMac(mask)];
    if (mac === undefined || bits === undefined || more.length > 0) return undefined;
    // 2^n - 1 for the n bits that may differ.
    const free = 2 ** MAC_BITS - bits;
    const freeBits = Math.round(Math.log2(free));
    return 2 ** freeBits === free ? { mac, prefix: MAC_BITS - freeBits } : undefined;
  },
);

const ports: Shape<PortRange> = oneOf('a port or ports "FIRST-LAST" from 1 to 65535', {
  integer: refine(port, (one) => ({ first: one, last: one })),
  string: portRange,
});

interface Protocol {
  readonly number: number;
  readonly family: 4 | 6 | undefined;
}

const protocol = oneOf<Protocol>(
  '"tcp", "udp", "icmp", "icmpv6" or a protocol number from 1 to 255',
  {
    string: refine(choice("tcp", "udp", "icmp", "icmpv6"), (name) => ({
      number: PROTOCOLS[name],
      family: name === "icmp" || name === "icmpv6" ? FAMILY_OF[name] : undefined,
    })),
    integer: refine(integer(1, 255, "a protocol number"), (number) => ({
      number,
      family: undefined,
    })),
  },
);

const userMatch: Shape<UserMatch> = refine(
  text(MAX_NAME_CHARS),
  (written, node, place): UserMatch | undefined => {
    const [, kind, file] = /^(include|exclude):(.*)$/i.exec(written) ?? [];
    if (kind === undefined || file === undefined) {
      return written.trim() === ""
        ? place.fail(node, "expected the name of a user or group, found none")
        : { kind: "name", name: written.trim() };
    }
    if (file.trim() === "") return place.fail(node, `expected a file behind "${kind}:"`);
    const path = resolvePath(file.trim(), node, place);
    if (path === undefined) return place.fail(node, "~/ needs the environment variable HOME");
    return { kind: kind.toLowerCase() === "include" ? "include" : "exclude", path };
  },
);

/** It may hold a secret, so a fault does not repeat it. */
const redirect: Shape<string> = {
  expects: `a URL "http://..." or "https://..." of at most ${MAX_URL_CHARS} characters`,
  read(node, place) {
    const isGood =
      node.kind === "string" &&
      node.value.length <= MAX_URL_CHARS &&
      /^https?:\/\/[!-~]+$/i.test(node.value);
    return isGood ? node.value : place.fail(node, `expected ${redirect.expects}`);
  },
};

const percent = integer(0, 100, "per cent");

const KEYS = {
  action: required(choice("pass", "drop")),
  from: optional(net),
  to: optional(net),
  from_user: optional(userMatch),
  to_user: optional(userMatch),
  from_mac: optional(macMatch),
  to_mac: optional(macMatch),
  proto: optional(protocol),
  from_port: optional(ports),
  to_port: optional(ports),
  tcp_state: optional(choice("established", "unestablished")),
  family: optional(choice("ipv4", "ipv6", "both")),
  delay: setting(duration("0s", "10s"), 0),
  jitter: setting(percent, 0),
  loss: setting(percent, 0),
  redirect: optional(redirect),
  priority: optional(integer(1, 4_294_967_295)),
  enable: setting(bool, true),
  note: setting(text(255), ""),
};
type AccessTable = TableValue<typeof KEYS>;

/** What a rule of the file comes to: one, or one of each family. Without a priority it still lacks that. */
type Written = readonly (Omit<AccessRule, "priority"> & {
  readonly priority: number | undefined;
})[];

const rule: Shape<Written> = refine(table(KEYS), (value, node, place) => {
  const families = familiesOf(value, node, place);
  if (families === undefined || !isWhole(value, node, place)) return undefined;
  return families.map((family) => ({
    action: value.action,
    note: value.note,
    enable: value.enable,
    priority: value.priority,
    family,
    from: value.from,
    to: value.to,
    fromUser: value.from_user,
    toUser: value.to_user,
    fromMac: value.from_mac,
    toMac: value.to_mac,
    proto: value.proto?.number,
    fromPort: value.from_port,
    toPort: value.to_port,
    tcpState: value.tcp_state,
    delayMs: value.delay,
    jitterPercent: value.jitter,
    lossPercent: value.loss,
    redirect: value.redirect,
  }));
});

/** `hub.NAME.access`, in the order in which the rules are tried (config-proposal.md 7.3). */
export const access: Shape<readonly AccessRule[]> = refine(list(rule), (written, node, place) => {
  const rules = sortAccessRules(
    written.flatMap((some, at) =>
      some.map((one) => ({ ...one, priority: one.priority ?? (at + 1) * 100 })),
    ),
  );
  if (rules.length > MAX_ACCESS_RULES) {
    const count = `${rules.length} rules, with one of each family where both are meant`;
    return place.fail(node, `${count}, at most ${MAX_ACCESS_RULES} are allowed`);
  }
  const files = new Set(
    rules.flatMap(({ fromUser, toUser }) => [fromUser, toUser].flatMap(fileOf)),
  );
  if (files.size > MAX_ACCESS_FILES) {
    return place.fail(node, `${files.size} files, at most ${MAX_ACCESS_FILES} are allowed`);
  }
  return rules;
});

function fileOf(match: UserMatch | undefined): string[] {
  return match === undefined || match.kind === "name" ? [] : [match.path];
}

/**
 * The families of which there must be a rule. Where nothing of layer 3 or above is asked, that is one rule for
 * frames of every kind.
 */
function familiesOf(
  value: AccessTable,
  node: TomlNode,
  place: Place,
): readonly (4 | 6 | undefined)[] | undefined {
  const claims = [
    { key: "from", family: value.from?.family },
    { key: "to", family: value.to?.family },
    { key: "proto", family: value.proto?.family },
    { key: "family", family: FAMILIES[value.family ?? "both"] },
  ].filter(({ family }) => family !== undefined);
  const first = claims[0];
  for (const { key, family } of claims) {
    if (family === first!.family) continue;
    const text = `IPv${family} beside IPv${first!.family} in "${first!.key}": no frame is both`;
    return place.fail(node, text, key);
  }
  if (first !== undefined && value.family === "both") {
    const text = `"both" beside IPv${first.family} in "${first.key}": no IPv${10 - first.family!} frame can match`;
    return place.fail(node, text, "family");
  }
  if (first !== undefined) return [first.family];
  const { proto, from_port: fromPort, to_port: toPort, tcp_state: state } = value;
  return (proto ?? fromPort ?? toPort ?? state) ? [4, 6] : [undefined];
}

const FAMILIES = { ipv4: 4, ipv6: 6, both: undefined } as const;

/** Refuses what could never match or have an effect. */
function isWhole(value: AccessTable, node: TomlNode, place: Place): boolean {
  const refuse = (text: string, key: string) => {
    place.fail(node, text, key);
    return false;
  };
  const proto = value.proto?.number;
  const portsAt = value.from_port === undefined ? "to_port" : "from_port";
  const hasPorts = value.from_port !== undefined || value.to_port !== undefined;
  if (hasPorts && proto !== undefined && proto !== PROTOCOLS.tcp && proto !== PROTOCOLS.udp) {
    return refuse('only "tcp" and "udp" have ports', portsAt);
  }
  if (value.tcp_state !== undefined && proto !== undefined && proto !== PROTOCOLS.tcp) {
    return refuse('only "tcp" has a state', "tcp_state");
  }
  if (value.action === "drop" && (value.delay > 0 || value.loss > 0)) {
    const text = "it has no effect on frames that are dropped";
    return refuse(text, value.delay > 0 ? "delay" : "loss");
  }
  if (value.jitter > 0 && value.delay === 0) {
    return refuse('it is a share of the "delay", which is missing', "jitter");
  }
  return true;
}
