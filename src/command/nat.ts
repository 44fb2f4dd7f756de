import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { tryParseIpv4 } from "../base/ip.ts";
import { formatBytes, formatDuration } from "../cli/figure.ts";
import { formatPairs } from "../cli/table.ts";
import { escapeForLog } from "../observe/log.ts";
import type { LeaseSnapshot, NatEntrySnapshot, NatSnapshot } from "../server/nat-snapshot.ts";
import type { HubSnapshot } from "../server/snapshot.ts";
import type { ASK_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { ask, askSnapshot, chooseHubs, printJson, printTable } from "./server-status.ts";

// SecureNAT of a hub of the running server: how it stands, what passes through it, and who has which address.

type AskFlags = FlagValues<typeof ASK_FLAGS>;

/** `vpn nat status HUB`. */
export async function natStatus(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub?: string,
): Promise<ExitCode> {
  const { nat } = await natOf(environment, flags, hub);
  if (flags.json) return printJson(environment, nat);
  environment.stdout(formatPairs(pairsOf(nat)));
  return EXIT.ok;
}

/** `vpn nat table HUB`. */
export async function natTable(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub?: string,
): Promise<ExitCode> {
  const { name, nat } = await natOf(environment, flags, hub);
  const query = new URLSearchParams({ hub: name });
  const entries = (await ask(
    environment,
    flags,
    "GET",
    `/nat/table?${query}`,
  )) as NatEntrySnapshot[];
  if (flags.json) return printJson(environment, entries);
  const rows = entries.map((entry) => [
    String(entry.id),
    entry.protocol,
    endText(entry.inner, entry.innerPort),
    entry.protocol === "icmp" ? entry.outer : endText(entry.outer, entry.outerPort),
    entry.state ?? "-",
    formatDuration(entry.ageSeconds * 1000),
    formatDuration(entry.idleSeconds * 1000),
    formatBytes(entry.bytesOut),
    formatBytes(entry.bytesIn),
  ]);
  const columns = [
    { title: "ID", alignRight: true },
    { title: "PROTOCOL" },
    { title: "FROM" },
    { title: "TO" },
    { title: "STATE" },
    { title: "AGE", alignRight: true },
    { title: "IDLE", alignRight: true },
    { title: "SENT", alignRight: true },
    { title: "RECEIVED", alignRight: true },
  ];
  const empty = nat.traffic?.mode === "kernel" ? `NAT entries: ${KERNEL_TABLE}` : "No NAT entry";
  return printTable(environment, columns, rows, empty);
}

/** `vpn nat leases HUB`. */
export async function natLeases(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub?: string,
): Promise<ExitCode> {
  const { name } = await natOf(environment, flags, hub);
  const query = new URLSearchParams({ hub: name });
  const leases = (await ask(environment, flags, "GET", `/nat/leases?${query}`)) as LeaseSnapshot[];
  if (flags.json) return printJson(environment, leases);
  const now = environment.clock.wall();
  const rows = leases.map((lease) => [
    lease.address,
    lease.mac,
    lease.hostName === "" ? "-" : escapeForLog(lease.hostName),
    lease.origin,
    formatDuration(now - Date.parse(lease.leased)),
    lease.expires === null ? "never" : formatDuration(Math.max(0, Date.parse(lease.expires) - now)),
  ]);
  const columns = [
    { title: "ADDRESS" },
    { title: "MAC" },
    { title: "HOST" },
    { title: "ORIGIN" },
    { title: "LEASED SINCE", alignRight: true },
    { title: "EXPIRES IN", alignRight: true },
  ];
  return printTable(environment, columns, rows, "No address has been given");
}

/** `vpn nat delete HUB ENTRY`: the number of a NAT entry, or the address of a lease. */
export async function natDelete(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub?: string,
  entry = "",
): Promise<ExitCode> {
  const isNumber = /^[1-9][0-9]{0,14}$/.test(entry);
  if (!isNumber && tryParseIpv4(entry) === undefined) {
    throw new ExitError(
      EXIT.usage,
      `Expected the number of a NAT entry or the IPv4 address of a lease, found "${entry}"`,
    );
  }
  const { name } = await natOf(environment, flags, hub);
  const query = new URLSearchParams({ hub: name, [isNumber ? "id" : "address"]: entry });
  await ask(environment, flags, "DELETE", `/nat?${query}`);
  if (flags.json) {
    return printJson(environment, {
      deleted: isNumber ? { id: Number(entry) } : { address: entry },
    });
  }
  const what = isNumber ? `NAT entry ${entry}` : `the lease of ${entry}`;
  environment.stdout(`Deleted ${what} from hub ${name}\n`);
  return EXIT.ok;
}

async function natOf(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub = "",
): Promise<{ readonly name: string; readonly nat: NatSnapshot }> {
  const [{ name, secureNat }] = chooseHubs(await askSnapshot(environment, flags), hub) as [
    HubSnapshot,
  ];
  if (secureNat === undefined) {
    const text = `The hub ${name} has no SecureNAT: "securenat = true" in its table makes one`;
    throw new ExitError(EXIT.unavailable, text);
  }
  return { name, nat: secureNat };
}

function pairsOf(nat: NatSnapshot): [string, string][] {
  const { dhcp, problem, status, traffic } = nat;
  const pool = `${dhcp.first} to ${dhcp.last}`;
  const pairs: [string, string][] = [
    ["SecureNAT", problem === undefined ? status : `${status}: ${escapeForLog(problem)}`],
    ["Session", nat.session ?? "-"],
    ["Address", nat.address],
    ["MAC", nat.mac ?? "-"],
    ["IPv6", nat.ipv6Prefix ?? "-"],
    ["MTU", String(nat.mtu)],
    ["NAT", traffic?.mode ?? nat.nat],
    ["DHCP", dhcp.enabled ? pool : "off"],
  ];
  if (traffic === undefined) return pairs;
  const { entries, leases, dns } = traffic;
  const drops = Object.entries(traffic.drops).filter(([, count]) => count > 0);
  return [
    ...pairs,
    ["Leases", String(leases)],
    ["NAT entries", traffic.mode === "kernel" ? KERNEL_TABLE : countText(entries)],
    [
      "DNS",
      `${dns.relayed} relayed, ${dns.answered} answered, ${dns.unanswered} without an answer`,
    ],
    ["Packets dropped", drops.map(([why, count]) => `${why} ${count}`).join(", ") || "none"],
  ];
}

/** With `nat = "kernel"`. */
const KERNEL_TABLE = "those of the kernel, which conntrack -L lists";

function countText({ tcp, udp, icmp }: NonNullable<NatSnapshot["traffic"]>["entries"]): string {
  return `${tcp} TCP, ${udp} UDP, ${icmp} ICMP`;
}

function endText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
