import { formatTable } from "../cli/table.ts";
import { escapeForLog } from "../observe/log.ts";
import type { HubSnapshot } from "../server/snapshot.ts";

const COLUMNS = [
  { title: "HUB" },
  { title: "SECURENAT" },
  { title: "NAT" },
  { title: "STATUS" },
  { title: "SESSION" },
  { title: "ENTRIES", alignRight: true },
  { title: "LEASES", alignRight: true },
];

/** SecureNAT of all hubs, and below what is wrong with it; "" where there is none. */
export function natOverview(hubs: readonly HubSnapshot[], width: number): string {
  const all = hubs.flatMap(({ name, secureNat: nat }) =>
    nat === undefined ? [] : [{ hub: name, nat }],
  );
  if (all.length === 0) return "";
  const rows = all.map(({ hub, nat: { address, nat, status, session, traffic } }) => {
    const { tcp, udp, icmp } = traffic?.entries ?? { tcp: 0, udp: 0, icmp: 0 };
    const counts = [tcp + udp + icmp, traffic?.leases ?? 0].map(String);
    return [hub, address, traffic?.mode ?? nat, status, session ?? "-", ...counts];
  });
  const problems = all.flatMap(({ hub, nat: { problem } }) =>
    problem === undefined ? [] : [`SecureNAT of ${hub}: ${escapeForLog(problem)}\n`],
  );
  return `${formatTable(COLUMNS, rows, width)}${problems.join("")}`;
}
