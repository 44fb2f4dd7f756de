import type { ExitCode } from "../base/errors.ts";
import { formatBytes, formatMoment } from "../cli/figure.ts";
import type { UserSnapshot } from "../server/hub-users.ts";
import type { ASK_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { callHub } from "./hub-call.ts";
import { printJson, printTable } from "./server-status.ts";

/** `vpn hub users HUB`. */
export async function hubUsers(
  environment: CommandEnvironment,
  flags: FlagValues<typeof ASK_FLAGS>,
  hub = "",
): Promise<ExitCode> {
  const users = await callHub(environment, flags, hub).users();
  if (flags.json) return printJson(environment, users);
  const now = environment.clock.wall();
  const rows = users.map((user) => [
    user.name,
    user.group ?? "-",
    stateOf(user, now),
    momentText(user.expires),
    String(user.logins),
    momentText(user.lastLogin),
    formatBytes(user.inBytes),
    formatBytes(user.outBytes),
  ]);
  const columns = [
    { title: "USER" },
    { title: "GROUP" },
    { title: "STATE" },
    { title: "EXPIRES" },
    { title: "LOGINS", alignRight: true },
    { title: "LAST LOGIN" },
    { title: "IN", alignRight: true },
    { title: "OUT", alignRight: true },
  ];
  return printTable(environment, columns, rows, "No user");
}

function stateOf({ enabled, expires }: UserSnapshot, now: number): string {
  if (!enabled) return "disabled";
  return expires !== null && Date.parse(expires) <= now ? "expired" : "enabled";
}

function momentText(moment: string | null): string {
  return moment === null ? "-" : formatMoment(Date.parse(moment));
}
