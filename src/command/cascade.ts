import type { CascadeStatus } from "../cascade/cascade-status.ts";
import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { formatBytes, formatDuration } from "../cli/figure.ts";
import { formatPairs } from "../cli/table.ts";
import { escapeForLog } from "../observe/log.ts";
import type { HubSnapshot } from "../server/snapshot.ts";
import type { ASK_FLAGS } from "./catalog.ts";
import type { FlagValues } from "./definition.ts";
import type { CommandEnvironment } from "./environment.ts";
import { ask, askSnapshot, bytesOf, chooseHubs, printJson, printTable } from "./server-status.ts";
import { connectionsText, streamText } from "./stream-text.ts";

// Cascades of the running server: how they stand, and which of them shall be up.

type AskFlags = FlagValues<typeof ASK_FLAGS>;

/** `vpn cascade list [HUB]`. */
export async function cascadeList(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub?: string,
): Promise<ExitCode> {
  const hubs = chooseHubs(await askSnapshot(environment, flags), hub);
  if (flags.json) {
    const all = hubs.flatMap(({ name, cascades }) =>
      cascades.map(({ hub: remoteHub, ...one }) => ({ localHub: name, remoteHub, ...one })),
    );
    return printJson(environment, all);
  }
  const now = environment.clock.wall();
  const rows = hubs.flatMap((one) => cascadeRows(one, now));
  return printTable(environment, CASCADE_COLUMNS, rows, "No cascade");
}

export const CASCADE_COLUMNS = [
  { title: "HUB" },
  { title: "CASCADE" },
  { title: "STATUS" },
  { title: "SINCE" },
  { title: "SERVER" },
  { title: "REMOTE HUB" },
];

/** The columns of the reference's list (hub.md 13), with the hub before them. `now` is in milliseconds since 1970. */
export function cascadeRows({ name, cascades }: HubSnapshot, now: number): string[][] {
  return cascades.map((one) => [
    name,
    one.name,
    escapeForLog(one.status),
    sinceText(one, now),
    one.server,
    one.hub,
  ]);
}

function sinceText({ since }: CascadeStatus, now: number): string {
  return since === null ? "-" : formatDuration(now - Date.parse(since));
}

/** `vpn cascade status HUB NAME`. */
export async function cascadeShow(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub: string | undefined,
  name: string | undefined,
): Promise<ExitCode> {
  const [{ cascades, name: hubName }] = chooseHubs(
    await askSnapshot(environment, flags),
    hub ?? "",
  ) as [HubSnapshot];
  const found = cascades.find((one) => one.name.toLowerCase() === name?.toLowerCase());
  if (found === undefined) {
    const known = cascades.map((one) => one.name).join(", ");
    const has = known === "" ? "it has none" : `it has ${known}`;
    throw new ExitError(EXIT.usage, `The hub ${hubName} has no cascade "${name}" (${has})`);
  }
  return show(environment, flags, found);
}

/** `vpn cascade online HUB NAME`. */
export async function cascadeOnline(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub: string | undefined,
  name: string | undefined,
): Promise<ExitCode> {
  return show(environment, flags, await setOnline(environment, flags, { hub, name, online: true }));
}

/** `vpn cascade offline HUB NAME`. */
export async function cascadeOffline(
  environment: CommandEnvironment,
  flags: AskFlags,
  hub: string | undefined,
  name: string | undefined,
): Promise<ExitCode> {
  const offline = await setOnline(environment, flags, { hub, name, online: false });
  return show(environment, flags, offline);
}

async function setOnline(
  environment: CommandEnvironment,
  flags: AskFlags,
  wish: { hub: string | undefined; name: string | undefined; online: boolean },
): Promise<CascadeStatus> {
  const query = new URLSearchParams({
    hub: wish.hub ?? "",
    name: wish.name ?? "",
    online: String(wish.online),
  });
  return (await ask(environment, flags, "POST", `/cascade?${query}`)) as CascadeStatus;
}

function show(
  environment: CommandEnvironment,
  flags: Pick<AskFlags, "json">,
  status: CascadeStatus,
): ExitCode {
  if (flags.json) return printJson(environment, status);
  environment.stdout(formatPairs(pairsOf(status, environment.clock.wall())));
  return EXIT.ok;
}

function pairsOf(status: CascadeStatus, now: number): [string, string][] {
  const { session, traffic, retry } = status;
  const pairs: [string, string][] = [
    ["Cascade", status.name],
    ["Status", escapeForLog(status.status)],
    ["Server", status.server],
    ["Remote hub", status.hub],
    ["User", status.user],
    [
      "Certificate there",
      status.insecure ? "not looked at: INSECURE" : `verify = ${status.verify}`,
    ],
    ["Sessions so far", String(status.established)],
  ];
  if (retry !== null) {
    const wait = formatDuration(Math.max(0, Date.parse(retry.at) - now));
    pairs.push(["Failures", String(retry.failures)], ["Next try", `in ${wait}`]);
  }
  if (session === null) return pairs;
  pairs.push(
    ["Since", sinceText(status, now)],
    ["Session here", status.port ?? "-"],
    ["Session there", escapeForLog(session.name)],
    ["Product there", escapeForLog(session.serverProduct)],
    ["Address there", session.serverAddress],
    ["Cipher", session.encrypted ? session.cipher : "none"],
    ["TCP connections", connectionsText(session)],
    ["Stream", streamText(session)],
  );
  if (traffic !== null) {
    const drops = Object.values(traffic.drops).reduce((sum, count) => sum + count, 0);
    pairs.push(
      ["From there", formatBytes(bytesOf(traffic.ingress))],
      ["To there", formatBytes(bytesOf(traffic.egress))],
      ["Frames dropped", String(drops + session.droppedFrames)],
    );
  }
  return pairs;
}
