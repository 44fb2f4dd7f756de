import { formatBytes, formatDuration, formatMoment } from "../cli/figure.ts";
import { formatPairs } from "../cli/table.ts";
import { EXIT, ExitError, type ExitCode } from "../base/errors.ts";
import { askDisconnect, findRunning, type RunningClient } from "../client/control-call.ts";
import type { ClientStatus } from "../client/status.ts";
import type { CLIENT_FLAGS } from "./client-flags.ts";
import type { FlagValues } from "./definition.ts";
import { undoLeftovers } from "./client-undo.ts";
import type { CommandEnvironment } from "./environment.ts";
import { connectionsText, streamText } from "./stream-text.ts";
import { stateDirOf } from "./state-dir.ts";

type AskFlags = FlagValues<typeof CLIENT_FLAGS>;

/** `vpn client status [NAME]`: of one client, or of all that run with this state directory. */
export async function status(
  environment: CommandEnvironment,
  flags: AskFlags,
  name?: string,
): Promise<ExitCode> {
  const stateDir = stateDirOf("client", environment, flags);
  const running = await findOrExplain(environment, stateDir, name);
  if (name !== undefined && running.length === 0) throw notRunning(name);
  if (flags.json) {
    const statuses = running.map((client) => client.status);
    environment.stdout(`${JSON.stringify(name === undefined ? statuses : statuses[0])}\n`);
  } else if (running.length === 0) environment.stdout("No client runs\n");
  else {
    const now = environment.clock.wall();
    const texts = running.map((client) => formatPairs(describe(client.status, now)));
    environment.stdout(texts.join("\n"));
  }
  return EXIT.ok;
}

/** `vpn client disconnect [NAME]`: returns when the client has put everything away. */
export async function disconnect(
  environment: CommandEnvironment,
  flags: AskFlags,
  name?: string,
): Promise<ExitCode> {
  const stateDir = stateDirOf("client", environment, flags);
  const running = await findOrExplain(environment, stateDir, name);
  if (running.length > 1) {
    const names = running.map((client) => client.status.account).join(", ");
    throw new ExitError(EXIT.usage, `Several clients run, name one: ${names}`);
  }
  const [client] = running;
  if (client === undefined) {
    // A client that crashed cannot be told to; what it left can be undone in its place.
    if (await undoLeftovers(environment, { stateDir, name, json: flags.json })) return EXIT.ok;
    throw notRunning(name);
  }
  await askDisconnect(client.path, environment.clock);
  const { account } = client.status;
  environment.stdout(
    flags.json ? `${JSON.stringify({ disconnected: account })}\n` : `Disconnected ${account}\n`,
  );
  return EXIT.ok;
}

async function findOrExplain(
  environment: CommandEnvironment,
  stateDir: string,
  name: string | undefined,
): Promise<RunningClient[]> {
  try {
    return await findRunning(stateDir, environment.clock, name);
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    const text = `Cannot ask the clients of ${stateDir}: they belong to another user`;
    throw new ExitError(EXIT.noPermission, text);
  }
}

function notRunning(name: string | undefined): ExitError {
  const who = name === undefined ? "No client runs" : `No client "${name}" runs`;
  return new ExitError(EXIT.unavailable, `${who} with this state directory`);
}

/** What of the machine's network is otherwise than without the client; nothing where nothing is. */
function describeHost(host: ClientStatus["host"]): [string, string][] {
  if (host === undefined) return [];
  const all = host.defaultRoute.map((family) => `IPv${family}`).join(" and ");
  const routes = [
    all === "" ? "" : `all ${all}`,
    host.routes === 0 ? "" : `${host.routes} ${host.routes === 1 ? "network" : "networks"}`,
  ];
  const told = routes.filter(Boolean).join(", ");
  return [
    ...(told === "" ? [] : [["Through it", told] as [string, string]]),
    ...(host.dns.length === 0 ? [] : [["Name servers", host.dns.join(", ")] as [string, string]]),
    ...(host.killSwitch ? [["Kill switch", "up: nothing else leaves"] as [string, string]] : []),
  ];
}

function describe(status: ClientStatus, now: number): [string, string][] {
  const { session, retry } = status;
  const pairs: [string, string][] = [
    ["Account", status.account],
    [
      "State",
      status.insecure
        ? `${status.state}, INSECURE: the certificate is not looked at`
        : status.state,
    ],
    ["Server", `${status.server}, hub ${status.hub}, user ${status.user}`],
    ...(status.mode === "client" ? [] : [["Mode", status.mode] as [string, string]]),
    ["Interface", `${status.nic} ${status.mac}, MTU ${status.mtu}`],
    ["Addresses", status.addresses.join(", ") || "none"],
    ...describeHost(status.host),
    ["Process", `${status.pid}, since ${formatMoment(status.startedAt)}`],
    ["Sessions", String(status.established)],
  ];
  if (session !== undefined) {
    pairs.push(
      ["Session", `${session.name}, connection ${session.connectionName}`],
      ["Connected", `${formatDuration(now - session.connectedAt)} to ${session.serverAddress}`],
      ["Product", `${session.serverProduct}, build ${session.serverBuild}`],
      ["Cipher", session.cipher],
      ["Stream", `${streamText(session)}, ${connectionsText(session)} TCP connections`],
      ["Sent", `${formatBytes(session.outBytes)} in ${session.outFrames} frames`],
      ["Received", `${formatBytes(session.inBytes)} in ${session.inFrames} frames`],
      ["Dropped", `${session.droppedFrames} frames`],
    );
  }
  if (retry !== undefined) {
    pairs.push(
      ["Failure", `${retry.failures}: ${retry.error.message}`],
      ["Next try", `in ${formatDuration(retry.at - now)}`],
    );
  }
  return pairs;
}
