import { join } from "node:path";
import { formatBytes, formatDuration } from "../cli/figure.ts";
import { formatPairs, formatTable } from "../cli/table.ts";
import { EXIT, ExitError, messageOf, type ExitCode } from "../base/errors.ts";
import { nearestName } from "../config/nearest-name.ts";
import { findSocket } from "../platform/socket-path.ts";
import { CONTROL_SOCKET } from "../server/control-socket.ts";
import type { CounterRecord } from "../hub/port-counters.ts";
import type { HubSnapshot, ServerSnapshot } from "../server/snapshot.ts";
import type { ASK_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { bridgeTable } from "./bridge-table.ts";
import { CASCADE_COLUMNS, cascadeRows } from "./cascade.ts";
import { L3_COLUMNS, l3Rows } from "./l3.ts";
import { natOverview } from "./nat-table.ts";
import { connectionsText, streamText } from "./stream-text.ts";
import { stateDirOf } from "./state-dir.ts";

// What the running server tells by the socket in its state directory: tables for people, the very answer for
// machines.

type AskFlags = FlagValues<typeof ASK_FLAGS>;

/** A server that lives answers at once; a reload reads files. */
const ANSWER_MS = 30_000;

/** `vpn status`. */
export async function status(environment: CommandEnvironment, flags: AskFlags): Promise<ExitCode> {
  const snapshot = await askSnapshot(environment, flags);
  if (flags.json) return printJson(environment, snapshot);
  const pairs: [string, string][] = [
    ["Version", `${snapshot.version} (${snapshot.commit}, ${snapshot.buildDate})`],
    ["Process", String(snapshot.pid)],
    ["Up", formatDuration(snapshot.uptimeSeconds * 1000)],
    ["Memory", formatBytes(snapshot.residentBytes)],
    ["Pending logins", String(snapshot.connections.pending)],
    ...lostLines(snapshot),
    ...snapshot.listeners.map(({ address, port, status: state, problem }): [string, string] => [
      `Port ${address === undefined ? "" : `${address} `}${port}`,
      problem === undefined ? state : `${state}: ${problem}`,
    ]),
  ];
  const rows = snapshot.hubs.map((hub) => [
    hub.name,
    hub.online ? "online" : "offline",
    String(hub.users),
    String(hub.sessions.length),
    String(hub.macTable.length),
    formatBytes(bytesOf(hub.traffic.ingress)),
    formatBytes(bytesOf(hub.traffic.egress)),
    String(dropsOf(hub.traffic)),
  ]);
  const columns = [
    { title: "HUB" },
    { title: "STATE" },
    { title: "USERS", alignRight: true },
    { title: "SESSIONS", alignRight: true },
    { title: "MACS", alignRight: true },
    { title: "IN", alignRight: true },
    { title: "OUT", alignRight: true },
    { title: "DROPS", alignRight: true },
  ];
  const width = tableWidth(environment);
  const links = snapshot.hubs.flatMap((hub) => cascadeRows(hub, environment.clock.wall()));
  const cascades = links.length === 0 ? "" : `\n${formatTable(CASCADE_COLUMNS, links, width)}`;
  const bridged = bridgeTable(snapshot.hubs, width);
  const bridges = bridged === "" ? "" : `\n${bridged}`;
  const hubs = formatTable(columns, rows, width);
  const switches = l3Rows(snapshot.l3Switches);
  const routed = switches.length === 0 ? "" : `\n${formatTable(L3_COLUMNS, switches, width)}`;
  const translated = natOverview(snapshot.hubs, width);
  const nats = translated === "" ? "" : `\n${translated}`;
  environment.stdout(`${formatPairs(pairs)}\n${hubs}${nats}${bridges}${cascades}${routed}`);
  return EXIT.ok;
}

/** Nobody asks for it, so it shows only where something was lost. */
function lostLines({ logs }: ServerSnapshot): [string, string][] {
  const lost = (logs?.lost ?? 0) + (logs?.framesLost ?? 0) + (logs?.syslog?.lost ?? 0);
  return lost === 0 ? [] : [["Log lines lost", String(lost)]];
}

/** `vpn session list [HUB]`. */
export async function sessionList(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub?: string,
): Promise<ExitCode> {
  const hubs = chooseHubs(await askSnapshot(environment, flags), hub);
  if (flags.json) {
    const sessions = hubs.flatMap(({ name, sessions: all }) =>
      all.map((one) => ({ hub: name, ...one })),
    );
    return printJson(environment, sessions);
  }
  const now = environment.clock.wall();
  const rows = hubs.flatMap((each) =>
    each.sessions.map((session) => [
      each.name,
      session.name,
      session.user,
      session.blocked === undefined ? session.mode : `${session.mode}, blocked`,
      session.address,
      session.host,
      connectionsText(session),
      streamText(session),
      formatDuration(now - Date.parse(session.since)),
      formatBytes(bytesOf(session.traffic.ingress)),
      formatBytes(bytesOf(session.traffic.egress)),
    ]),
  );
  const columns = [
    { title: "HUB" },
    { title: "SESSION" },
    { title: "USER" },
    { title: "MODE" },
    { title: "ADDRESS" },
    { title: "HOST" },
    { title: "TCP", alignRight: true },
    { title: "STREAM" },
    { title: "SINCE", alignRight: true },
    { title: "IN", alignRight: true },
    { title: "OUT", alignRight: true },
  ];
  return printTable(environment, columns, rows, "No session");
}

/** `vpn mac list [HUB]`. */
export async function macList(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub?: string,
): Promise<ExitCode> {
  const hubs = chooseHubs(await askSnapshot(environment, flags), hub);
  if (flags.json) {
    const entries = hubs.flatMap(({ name, macTable }) =>
      macTable.map((one) => ({ hub: name, ...one })),
    );
    return printJson(environment, entries);
  }
  const rows = hubs.flatMap((each) =>
    each.macTable.map((entry) => [
      each.name,
      entry.mac,
      entry.vlan === 0 ? "-" : String(entry.vlan),
      entry.session,
      formatDuration(entry.ageSeconds * 1000),
      formatDuration(entry.idleSeconds * 1000),
    ]),
  );
  const columns = [
    { title: "HUB" },
    { title: "MAC" },
    { title: "VLAN", alignRight: true },
    { title: "SESSION" },
    { title: "AGE", alignRight: true },
    { title: "IDLE", alignRight: true },
  ];
  return printTable(environment, columns, rows, "No MAC address has been learned");
}

/** `vpn reload`. */
export async function reload(environment: CommandEnvironment, flags: AskFlags): Promise<ExitCode> {
  const { changes } = (await ask(environment, flags, "POST", "/reload")) as { changes: string[] };
  if (flags.json) return printJson(environment, { changes });
  const text =
    changes.length === 0
      ? "Nothing changed\n"
      : changes.map((line) => `Changed: ${line}\n`).join("");
  environment.stdout(text);
  return EXIT.ok;
}

export function askSnapshot(
  environment: CommandEnvironment,
  flags: AskFlags,
): Promise<ServerSnapshot> {
  return ask(environment, flags, "GET", "/status") as Promise<ServerSnapshot>;
}

/** @throws ExitError 69 where no server runs, 77 where it is somebody else's, 78 for a configuration it refuses */
export async function ask(
  environment: CommandEnvironment,
  flags: AskFlags,
  method: "GET" | "POST" | "DELETE",
  path: string,
): Promise<unknown> {
  const stateDir = stateDirOf(flags.bridge ? "bridge" : "server", environment, flags);
  const limit = new AbortController();
  const timer = environment.clock.after(ANSWER_MS, () => limit.abort());
  try {
    const socket = findSocket(join(stateDir, CONTROL_SOCKET));
    if (socket === undefined) throw nobodyThere(stateDir);
    const response = await fetch(`http://localhost${path}`, {
      unix: socket,
      method,
      signal: limit.signal,
    });
    const body: unknown = await response.json();
    if (response.ok) return body;
    throw refusal(body);
  } catch (error) {
    if (error instanceof ExitError || error instanceof AggregateError) throw error;
    const code = (error as { code?: string }).code;
    if (code === "EACCES" || code === "EPERM") {
      throw new ExitError(
        EXIT.noPermission,
        `Cannot ask the server of ${stateDir}: it belongs to another user`,
      );
    }
    if (code === "ENOENT" || code === "ECONNREFUSED" || code === "FailedToOpenSocket")
      throw nobodyThere(stateDir);
    throw new ExitError(
      EXIT.temporary,
      `Cannot ask the server of ${stateDir}: ${messageOf(error)}`,
    );
  } finally {
    timer.cancel();
  }
}

function nobodyThere(stateDir: string): ExitError {
  return new ExitError(
    EXIT.unavailable,
    `No server runs with the state directory ${stateDir} (another one: --state-dir DIR)`,
  );
}

const EXIT_OF_REFUSAL: Readonly<Record<string, ExitCode>> = {
  config: EXIT.config,
  entry_not_found: EXIT.unavailable,
  nat_not_found: EXIT.unavailable,
  cascade_unknown: EXIT.usage,
  l3_switch_unknown: EXIT.usage,
  l3_switch_bare: EXIT.usage,
};

/** Faults of a configuration come one a line. */
function refusal(body: unknown): Error {
  const { code, message } = (body as { error?: { code?: string; message?: string } }).error ?? {};
  const exitCode = EXIT_OF_REFUSAL[code ?? ""] ?? EXIT.temporary;
  const lines = (message ?? "The server refused").split("\n");
  return new AggregateError(lines.map((line) => new ExitError(exitCode, line)));
}

export function chooseHubs(
  snapshot: ServerSnapshot,
  name: string | undefined,
): readonly HubSnapshot[] {
  if (name === undefined) return snapshot.hubs;
  const found = snapshot.hubs.find((hub) => hub.name.toLowerCase() === name.toLowerCase());
  if (found !== undefined) return [found];
  const known = snapshot.hubs.map((hub) => hub.name);
  const near = nearestName(name, known);
  const hint = near === undefined ? `it has ${known.join(", ")}` : `did you mean ${near}?`;
  throw new ExitError(EXIT.usage, `The server has no hub "${name}" (${hint})`);
}

export function printJson(environment: CommandEnvironment, value: unknown): ExitCode {
  environment.stdout(`${JSON.stringify(value)}\n`);
  return EXIT.ok;
}

export function printTable(
  environment: CommandEnvironment,
  columns: Parameters<typeof formatTable>[0],
  rows: string[][],
  empty: string,
): ExitCode {
  const text =
    rows.length === 0 ? `${empty}\n` : formatTable(columns, rows, tableWidth(environment));
  environment.stdout(text);
  return EXIT.ok;
}

export function bytesOf(direction: CounterRecord["ingress"]): number {
  return direction.unicast.bytes + direction.group.bytes;
}

function dropsOf(traffic: CounterRecord): number {
  return Object.values(traffic.drops).reduce((sum, count) => sum + count, 0);
}

/** Scripts get whole tables, whatever the width. */
export function tableWidth(environment: CommandEnvironment): number {
  return environment.stdoutIsTerminal ? environment.columns() : Infinity;
}
