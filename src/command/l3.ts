import { EXIT, type ExitCode } from "../base/errors.ts";
import { formatPairs, formatTable } from "../cli/table.ts";
import type {
  L3InterfaceStatus,
  L3Neighbor,
  L3SwitchDetail,
  L3SwitchStatus,
} from "../l3-switch/l3-status.ts";
import type { ASK_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { ask, askSnapshot, printJson, printTable, tableWidth } from "./server-status.ts";

// Layer 3 switches of the running server: how they stand, and which of them shall run.

type AskFlags = FlagValues<typeof ASK_FLAGS>;

export const L3_COLUMNS = [
  { title: "SWITCH" },
  { title: "STATUS" },
  { title: "HUBS" },
  { title: "ROUTES", alignRight: true },
] as const;

/** `vpn l3 list`. */
export async function l3List(environment: CommandEnvironment, flags: AskFlags): Promise<ExitCode> {
  const { l3Switches } = await askSnapshot(environment, flags);
  if (flags.json) return printJson(environment, l3Switches);
  return printTable(environment, L3_COLUMNS, l3Rows(l3Switches), "No layer 3 switch");
}

export function l3Rows(switches: readonly L3SwitchStatus[]): string[][] {
  return switches.map((one) => [
    one.name,
    statusText(one),
    one.interfaces.map(({ hub }) => hub).join(", "),
    String(one.routes.length),
  ]);
}

/** `vpn l3 show NAME`. */
export async function l3Show(
  environment: CommandEnvironment,
  flags: AskFlags,
  name: string | undefined,
): Promise<ExitCode> {
  const query = new URLSearchParams({ name: name ?? "" });
  const found = (await ask(environment, flags, "GET", `/l3?${query}`)) as L3SwitchDetail;
  return show(environment, flags, found, found.neighbors);
}

/** `vpn l3 start NAME`. */
export async function l3Start(
  environment: CommandEnvironment,
  flags: AskFlags,
  name: string | undefined,
): Promise<ExitCode> {
  return show(environment, flags, await setRunning(environment, flags, name, true));
}

/** `vpn l3 stop NAME`. */
export async function l3Stop(
  environment: CommandEnvironment,
  flags: AskFlags,
  name: string | undefined,
): Promise<ExitCode> {
  return show(environment, flags, await setRunning(environment, flags, name, false));
}

async function setRunning(
  environment: CommandEnvironment,
  flags: AskFlags,
  name: string | undefined,
  running: boolean,
): Promise<L3SwitchStatus> {
  const query = new URLSearchParams({ name: name ?? "", running: String(running) });
  return (await ask(environment, flags, "POST", `/l3?${query}`)) as L3SwitchStatus;
}

function show(
  environment: CommandEnvironment,
  flags: Pick<AskFlags, "json">,
  status: L3SwitchStatus,
  neighbors: readonly L3Neighbor[] = [],
): ExitCode {
  if (flags.json) return printJson(environment, status);
  const { icmpErrors, waiting, mtu, ra } = status;
  const pairs: [string, string][] = [
    ["Layer 3 switch", status.name],
    ["Status", statusText(status)],
    ["MTU", String(mtu)],
    ["Router advertisements", ra ? "yes" : "no"],
    ["Packets waiting", String(waiting)],
    [
      "ICMP errors sent",
      `${icmpErrors.sent} (${icmpErrors.limited} more were over the rate, ${icmpErrors.withheld} withheld)`,
    ],
  ];
  const width = tableWidth(environment);
  const parts = [formatPairs(pairs)];
  parts.push(formatTable(INTERFACE_COLUMNS, status.interfaces.map(interfaceRow), width));
  if (status.routes.length > 0) {
    const rows = status.routes.map(({ to, via, metric, hub }) => [
      to,
      via,
      String(metric),
      hub ?? "-",
    ]);
    parts.push(formatTable(ROUTE_COLUMNS, rows, width));
  }
  const drops = dropRows(status);
  if (drops.length > 0) parts.push(formatTable(DROP_COLUMNS, drops, width));
  if (neighbors.length > 0) {
    const rows = neighbors.map(({ hub, address, mac, state }) => [hub, address, mac ?? "-", state]);
    parts.push(formatTable(NEIGHBOR_COLUMNS, rows, width));
  }
  environment.stdout(parts.join("\n"));
  return EXIT.ok;
}

const INTERFACE_COLUMNS = [
  { title: "HUB" },
  { title: "ADDRESSES" },
  { title: "MAC" },
  { title: "SESSION" },
  { title: "NEIGHBOURS", alignRight: true },
  { title: "DROPPED", alignRight: true },
] as const;
const ROUTE_COLUMNS = [
  { title: "TO" },
  { title: "VIA" },
  { title: "METRIC", alignRight: true },
  { title: "HUB" },
] as const;
const DROP_COLUMNS = [
  { title: "HUB" },
  { title: "DROPPED" },
  { title: "PACKETS", alignRight: true },
] as const;
const NEIGHBOR_COLUMNS = [
  { title: "HUB" },
  { title: "NEIGHBOUR" },
  { title: "MAC" },
  { title: "STATE" },
] as const;

function interfaceRow(one: L3InterfaceStatus): string[] {
  const { hub, addresses, mac, session, neighborCounts, drops } = one;
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  const known = neighborCounts.ipv4 + neighborCounts.ipv6;
  return [hub, addresses.join(", "), mac ?? "-", session ?? "-", String(known), String(dropped)];
}

/** By interface and reason; parts of packets to the switch itself are of no hub. */
function dropRows({ interfaces, drops: own }: L3SwitchStatus): string[][] {
  return [...interfaces, { hub: "-", drops: own }].flatMap(({ hub, drops }) =>
    Object.entries(drops).map(([reason, count]) => [hub, reason, String(count)]),
  );
}

function statusText({ state, problem }: L3SwitchStatus): string {
  return problem === null ? state : `${state}: ${problem}`;
}
