// Forwarding of the kernel, on for as long as some hub needs it. Who switched it on, and how things were before, stands
// in the kernel itself, in a table of its packet filter: so that several programs share it, and the next one puts
// things back where one was killed.
import { VpnError } from "../base/errors.ts";
import { trySetting, writeSetting } from "../platform/interface-setting.ts";
import { listLinks, tryGetLink } from "../platform/link.ts";
import {
  applyNft,
  listNftTables,
  removeNftTable,
  replaceNftTable,
  tryReadNftTable,
} from "../platform/nftables.ts";

/** Of the names of a hub's table and of its TUN; the same follows in both. */
export const TABLE_PREFIX = "patchbay_";
export const TUN_PREFIX = "nat_";
/** Not a name that a hub's table can have. */
const RECORD_TABLE = "patchbay-forwarding";
const FORWARDING = { 4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding" } as const;
/** What stands in a rule between quotes. */
const PLAIN_NAME = /^[\w.@-]{1,15}$/;
const ADVICE =
  "as a service of systemd it needs ProtectKernelTunables=no; " +
  "or switch it on yourself: sysctl net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";

/** How things were: sets of the table, by name. */
interface Before {
  /** Families that were off. */
  readonly off: readonly (4 | 6)[];
  /** Interfaces that forwarded IPv4 for themselves while the machine did not. */
  readonly forwarders: readonly string[];
  /** Interfaces, with "default", that took router advertisements as hosts do, which a router would not. */
  readonly hosts: readonly string[];
}

/**
 * Switches on what is off of the families. Router advertisements are taken as before: a machine that has its own way
 * out from them must not lose it. @throws VpnError `forwarding` where the settings cannot be written
 */
export function requireForwarding(families: readonly (4 | 6)[]): void {
  const off = families.filter((family) => trySetting(FORWARDING[family]) === "0");
  if (off.length === 0) return;
  const known = readRecord();
  const isNew = (family: 4 | 6) => off.includes(family) && !known.off.includes(family);
  const before: Before = {
    off: [...new Set([...known.off, ...off])],
    forwarders: isNew(4) ? names("ipv4", "forwarding", "1") : known.forwarders,
    hosts: isNew(6) ? [...names("ipv6", "accept_ra", "1"), "default"] : known.hosts,
  };
  // First the record, with the rule that nobody but our guests gains from it.
  applyNft(replaceNftTable(RECORD_TABLE, recordOf(before)));
  try {
    if (isNew(6)) for (const name of before.hosts) write(`ipv6/conf/${name}/accept_ra`, "2");
    for (const family of off) writeSetting(FORWARDING[family], "1");
  } catch (cause) {
    const { message } = cause as Error;
    throw new VpnError("forwarding", `Cannot switch IP forwarding on: ${message} (${ADVICE})`, {
      cause,
    });
  }
}

/** Puts everything back, unless a hub is left that needs it. */
export function releaseForwarding(): void {
  if (listNftTables().some((name) => name.startsWith(TABLE_PREFIX))) return;
  const before = readRecord();
  if (before.off.length === 0) return;
  for (const family of before.off) write(FORWARDING[family], "0");
  for (const name of before.forwarders) write(`ipv4/conf/${name}/forwarding`, "1");
  for (const name of before.hosts) write(`ipv6/conf/${name}/accept_ra`, "1");
  applyNft(removeNftTable(RECORD_TABLE));
}

/** Takes away what a program has left that did not come to its end: tables whose TUN is gone. */
export function removeLeftovers(): void {
  const left = listNftTables().filter(
    (name) =>
      name.startsWith(TABLE_PREFIX) &&
      tryGetLink(TUN_PREFIX + name.slice(TABLE_PREFIX.length)) === undefined,
  );
  if (left.length > 0) applyNft(left.map(removeNftTable).join(""));
}

function names(family: "ipv4" | "ipv6", setting: string, value: string): string[] {
  return listLinks()
    .map(({ name }) => name)
    .filter((name) => PLAIN_NAME.test(name))
    .filter((name) => trySetting(`${family}/conf/${name}/${setting}`) === value);
}

/** An interface may be gone by now, and with it its setting. */
function write(place: string, value: string): void {
  const now = trySetting(place);
  if (now !== undefined && now !== value) writeSetting(place, value);
}

/* The record */

/** That the machine forwards is for our guests: what others send it to forward, it still does not. */
function recordOf({ off, forwarders, hosts }: Before): string {
  const closed = listLinks()
    .filter(({ isLoopback, name }) => !isLoopback && PLAIN_NAME.test(name))
    .map(({ name }) => name)
    .filter((name) => !forwarders.includes(name) && !name.startsWith(TUN_PREFIX));
  const guards = off.map(
    (family) =>
      `meta nfproto ipv${family} iifname @closed ct state new ct status ! dnat ` +
      `oifname != "${TUN_PREFIX}*" drop`,
  );
  return [
    setOf("off", "inet_service", off.map(String)),
    setOf("forwarders", "ifname", forwarders.map(quoted)),
    setOf("hosts", "ifname", hosts.map(quoted)),
    setOf("closed", "ifname", closed.map(quoted)),
    "chain forward {",
    "type filter hook forward priority filter; policy accept;",
    ...guards,
    "}",
  ].join("\n");
}

function readRecord(): Before {
  const text = tryReadNftTable(RECORD_TABLE) ?? "";
  const off = elementsOf(text, "off").map(Number);
  return {
    off: off.filter((family): family is 4 | 6 => family === 4 || family === 6),
    forwarders: elementsOf(text, "forwarders"),
    hosts: elementsOf(text, "hosts"),
  };
}

function elementsOf(table: string, name: string): string[] {
  const [, inside = ""] = new RegExp(`set ${name} \\{([^{}]*(?:\\{[^{}]*\\})?)`).exec(table) ?? [];
  const [, list = ""] = /elements = \{([^}]*)\}/.exec(inside) ?? [];
  return list
    .split(",")
    .map((element) => element.trim().replaceAll('"', ""))
    .filter((element) => element !== "");
}

function setOf(name: string, type: string, elements: readonly string[]): string {
  const list = elements.length === 0 ? "" : ` elements = { ${elements.join(", ")} };`;
  return `set ${name} { type ${type};${list} }`;
}

function quoted(name: string): string {
  return `"${name}"`;
}
