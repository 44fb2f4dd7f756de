import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { formatPairs, formatTable } from "../cli/table.ts";
import type { L3InterfaceStatus, L3SwitchStatus } from "../l3-switch/l3-status.ts";
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
  const { l3Switches } = await askSnapshot(environment, flags);
  const found = l3Switches.find((one) => one.name.toLowerCase() === name?.toLowerCase());
  if (found === undefined) {
    const known = l3Switches.map((one) => one.name).join(", ");
    const has = known === "" ? "it has none" : `it has ${known}`;
    throw new ExitError(EXIT.usage, `The server has no layer 3 switch "${name}" (${has})`);
  }
  return show(environment, flags, found);
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
): ExitCode {
  if (flags.json) return printJson(environment, status);
  const { icmpErrors, waiting, mtu, ra } = status;
  const pairs: [string, string][] = [
    ["Layer 3 switch", status.name],
    ["Status", statusText(status)],
    ["MTU", String(mtu)],
    ["Router advertisements", ra ? "yes" : "no"],
    ["Packets waiting", String(waiting)],
    ["ICMP errors sent", `${icmpErrors.sent} (${icmpErrors.limited} more were over the rate)`],
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
  const neighbors = status.interfaces.flatMap(({ hub, neighbors: all }) =>
    all.map(({ address, mac, state }) => [hub, address, mac ?? "-", state]),
  );
  if (neighbors.length > 0) parts.push(formatTable(NEIGHBOR_COLUMNS, neighbors, width));
  environment.stdout(parts.join("\n"));
  return EXIT.ok;
}

const INTERFACE_COLUMNS = [
  { title: "HUB" },
  { title: "ADDRESSES" },
  { title: "MAC" },
  { title: "SESSION" },
  { title: "DROPPED", alignRight: true },
] as const;
const ROUTE_COLUMNS = [
  { title: "TO" },
  { title: "VIA" },
  { title: "METRIC", alignRight: true },
  { title: "HUB" },
] as const;
const NEIGHBOR_COLUMNS = [
  { title: "HUB" },
  { title: "NEIGHBOUR" },
  { title: "MAC" },
  { title: "STATE" },
] as const;

function interfaceRow({ hub, addresses, mac, session, drops }: L3InterfaceStatus): string[] {
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  return [hub, addresses.join(", "), mac ?? "-", session ?? "-", String(dropped)];
}

function statusText({ state, problem }: L3SwitchStatus): string {
  return problem === null ? state : `${state}: ${problem}`;
}
