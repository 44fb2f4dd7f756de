import { formatAddress, type IpAddress } from "../base/ip.ts";
import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import { formatBytes, formatDuration } from "../cli/figure.ts";
import type { HubSnapshot } from "../server/snapshot.ts";
import type { ASK_FLAGS, HUB_IP_FLAGS, HUB_MAC_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { callHub, type HubCall } from "./hub-call.ts";
import { bytesOf, printJson, printTable } from "./server-status.ts";
import { connectionsText, streamText } from "./stream-text.ts";

// Who is in a hub of the running server: its sessions, and the addresses behind them.

/** `vpn hub mac HUB`. */
export async function hubMac(
  environment: CommandEnvironment,
  flags: FlagValues<typeof HUB_MAC_FLAGS>,
  hub = "",
): Promise<ExitCode> {
  if (flags.vlan !== undefined && flags.delete === undefined)
    throw new ExitError(EXIT.usage, "--vlan says which entry --delete is about, so give both");
  const call = callHub(environment, flags, hub);
  const snapshot = await call.snapshot();
  if (flags.delete !== undefined)
    return deleteMac({ environment, flags, call, snapshot }, flags.delete, flags.vlan ?? 0);
  const { macTable } = snapshot;
  if (flags.json) return printJson(environment, macTable);
  const rows = macTable.map((entry) => [
    entry.mac,
    vlanText(entry.vlan),
    entry.session,
    formatDuration(entry.ageSeconds * 1000),
    formatDuration(entry.idleSeconds * 1000),
  ]);
  const columns = [
    { title: "MAC" },
    { title: "VLAN", alignRight: true },
    { title: "SESSION" },
    ...TIME_COLUMNS,
  ];
  return printTable(environment, columns, rows, "No MAC address has been learned");
}

/** `vpn hub ip HUB`. */
export async function hubIp(
  environment: CommandEnvironment,
  flags: FlagValues<typeof HUB_IP_FLAGS>,
  hub = "",
): Promise<ExitCode> {
  const call = callHub(environment, flags, hub);
  const snapshot = await call.snapshot();
  if (flags.delete !== undefined)
    return deleteIp({ environment, flags, call, snapshot }, flags.delete);
  const { ipTable } = snapshot;
  if (flags.json) return printJson(environment, ipTable);
  const rows = ipTable.map((entry) => [
    entry.dhcp ? `${entry.address} (DHCP)` : entry.address,
    entry.mac,
    entry.session,
    formatDuration(entry.ageSeconds * 1000),
    formatDuration(entry.idleSeconds * 1000),
  ]);
  const columns = [{ title: "ADDRESS" }, { title: "MAC" }, { title: "SESSION" }, ...TIME_COLUMNS];
  return printTable(environment, columns, rows, "No IP address has been seen");
}

/** `vpn hub sessions HUB`: of users, and of the server's own. */
export async function hubSessions(
  environment: CommandEnvironment,
  flags: FlagValues<typeof ASK_FLAGS>,
  hub = "",
): Promise<ExitCode> {
  const snapshot = await callHub(environment, flags, hub).snapshot();
  const { sessions, innerSessions } = snapshot;
  if (flags.json) return printJson(environment, [...sessions, ...innerSessions]);
  const now = environment.clock.wall();
  const rows = [
    ...sessions.map((session) => [
      session.name,
      session.user,
      modeText(session.mode, session),
      session.address,
      session.host,
      connectionsText(session),
      streamText(session),
      ...countsOf(snapshot, session, now),
    ]),
    ...innerSessions.map((session) => [
      session.name,
      session.user,
      modeText(session.kind, session),
      "-",
      session.host,
      "-",
      "-",
      ...countsOf(snapshot, session, now),
    ]),
  ];
  const columns = [
    { title: "SESSION" },
    { title: "USER" },
    { title: "MODE" },
    { title: "ADDRESS" },
    { title: "HOST" },
    { title: "TCP", alignRight: true },
    { title: "STREAM" },
    { title: "MACS", alignRight: true },
    { title: "IPS", alignRight: true },
    { title: "SINCE", alignRight: true },
    { title: "IN", alignRight: true },
    { title: "OUT", alignRight: true },
  ];
  return printTable(environment, columns, rows, "No session");
}

const TIME_COLUMNS = [
  { title: "AGE", alignRight: true },
  { title: "IDLE", alignRight: true },
];

function countsOf(
  { macTable, ipTable }: HubSnapshot,
  {
    name,
    since,
    traffic,
  }: Pick<HubSnapshot["innerSessions"][number], "name" | "since" | "traffic">,
  now: number,
): string[] {
  const isItsOwn = (entry: { readonly session: string }) => entry.session === name;
  return [
    String(macTable.filter(isItsOwn).length),
    String(ipTable.filter(isItsOwn).length),
    formatDuration(now - Date.parse(since)),
    formatBytes(bytesOf(traffic.ingress)),
    formatBytes(bytesOf(traffic.egress)),
  ];
}

interface Deletion {
  readonly environment: CommandEnvironment;
  readonly flags: { readonly json: boolean };
  readonly call: HubCall;
  readonly snapshot: HubSnapshot;
}

async function deleteMac(on: Deletion, mac: MacAddress, vlan: number): Promise<ExitCode> {
  const text = formatMac(mac);
  const { name, macTable } = on.snapshot;
  const same = macTable.filter((entry) => entry.mac === text);
  const entry = same.find((one) => one.vlan === vlan);
  if (entry === undefined) {
    const others = same.map((one) => vlanHint(one.vlan)).join(" or ");
    const hint = others === "" ? "" : ` (it is there ${others})`;
    throw new ExitError(
      EXIT.unavailable,
      `${text}${vlan === 0 ? "" : ` in VLAN ${vlan}`} is not in the MAC table of hub ${name}${hint}`,
    );
  }
  await on.call.remove({ kind: "mac", mac, vlan });
  return tellDeleted(on, text, entry);
}

async function deleteIp(on: Deletion, address: IpAddress): Promise<ExitCode> {
  const text = formatAddress(address.bytes);
  const { name, ipTable } = on.snapshot;
  const entry = ipTable.find((one) => one.address === text);
  if (entry === undefined)
    throw new ExitError(EXIT.unavailable, `${text} is not in the IP table of hub ${name}`);
  await on.call.remove({ kind: "ip", address });
  return tellDeleted(on, text, entry);
}

function tellDeleted(
  { environment, flags, snapshot }: Deletion,
  what: string,
  entry: { readonly session: string },
): ExitCode {
  if (flags.json) return printJson(environment, { deleted: entry });
  environment.stdout(`Deleted ${what} of ${entry.session} from hub ${snapshot.name}\n`);
  return EXIT.ok;
}

/** With what keeps it from having a part in the hub: a loop. */
function modeText(mode: string, { blocked }: { readonly blocked?: object }): string {
  return blocked === undefined ? mode : `${mode}, blocked`;
}

function vlanText(vlan: number): string {
  return vlan === 0 ? "-" : String(vlan);
}

function vlanHint(vlan: number): string {
  return vlan === 0 ? "without --vlan" : `with --vlan ${vlan}`;
}
