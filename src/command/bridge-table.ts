import { formatBytes } from "../cli/figure.ts";
import { formatTable } from "../cli/table.ts";
import { escapeForLog } from "../observe/log.ts";
import type { HubSnapshot } from "../server/snapshot.ts";

const COLUMNS = [
  { title: "HUB" },
  { title: "LOCAL BRIDGE" },
  { title: "KIND" },
  { title: "STATUS" },
  { title: "SESSION" },
  { title: "IN", alignRight: true },
  { title: "OUT", alignRight: true },
  { title: "DROPS", alignRight: true },
];

/** The local bridges of all hubs, and below what is wrong with them; "" where there is none. */
export function bridgeTable(hubs: readonly HubSnapshot[], width: number): string {
  const all = hubs.flatMap(({ name, bridges }) => bridges.map((one) => ({ hub: name, ...one })));
  if (all.length === 0) return "";
  const rows = all.map(({ hub, device, kind, status, monitor, session, traffic, drops }) => [
    hub,
    device,
    monitor ? `${kind} (monitor)` : kind,
    status,
    session ?? "-",
    formatBytes(traffic.ingress.bytes),
    formatBytes(traffic.egress.bytes),
    String(Object.values(drops).reduce((sum, count) => sum + count, 0)),
  ]);
  const problems = all.flatMap(({ device, problem, wireless }) => [
    ...(problem === undefined ? [] : [`${device}: ${escapeForLog(problem)}\n`]),
    ...(wireless ? [`${device}: Wi-Fi seldom carries frames of other stations\n`] : []),
  ]);
  return `${formatTable(COLUMNS, rows, width)}${problems.join("")}`;
}
