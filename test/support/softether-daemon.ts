import {
  copyFileSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { findProgram } from "./namespace.ts";
import type { Namespace } from "./namespace.ts";
import { run, type Running } from "./process.ts";

// The reference implementation as Debian packs it. All its programs share /var/lib, /var/log and /run/softether;
// each instance here gets private folders mounted over them, in the mount namespace that `ip netns exec` makes,
// so that neither another instance nor an installation of this machine is touched.

export const SOFTETHER_PROGRAMS = ["vpnserver", "vpnclient", "vpnbridge", "vpncmd"] as const;
type Program = "vpnserver" | "vpnclient" | "vpnbridge";

const MOUNT_AND_RUN = `
set -e
mkdir -p /run/softether /var/lib/softether /var/log/softether
mount --bind "$0/run" /run/softether
mount --bind "$0/lib" /var/lib/softether
mount --bind "$0/log" /var/log/softether
cd "$0/bin"
exec "./$1" execsvc`;

function binaryOf(program: Program): string {
  const found = findProgram(`/usr/libexec/softether/${program}/${program}`) ?? findProgram(program);
  if (found === undefined) throw new Error(`${program} is not installed`);
  return realpathSync(found);
}

/** vpncmd answered with an error number of its own. */
export class VpncmdError extends Error {
  readonly errorCode: number;
  constructor(errorCode: number, output: string) {
    super(`vpncmd: error ${errorCode}\n${output}`);
    this.errorCode = errorCode;
  }
}

/** One running daemon with its private state, which a further `start` finds again. */
export class SoftEtherDaemon {
  readonly at: Namespace;
  readonly folder: string;
  readonly #program: Program;
  #process: Running | undefined;

  constructor(at: Namespace, program: Program) {
    this.at = at;
    this.#program = program;
    this.folder = at.world.folder(`${at.name}-${program}`);
    for (const name of ["lib", "log", "run", "bin"])
      at.world.folder(`${at.name}-${program}/${name}`);
    const binary = binaryOf(program);
    copyFileSync(binary, join(this.folder, "bin", program));
    const resources = realpathSync(join(dirname(binary), "hamcore.se2"));
    symlinkSync(resources, join(this.folder, "bin", "hamcore.se2"));
  }

  get alive(): boolean {
    return this.#process?.alive ?? false;
  }

  async start(port: number): Promise<void> {
    this.#process = this.at.spawn(["sh", "-c", MOUNT_AND_RUN, this.folder, this.#program]);
    await this.at.waitListening(port);
  }

  /** Ends it in order: the second process does the work, the first waits for it. */
  async stop(): Promise<void> {
    if (!this.#process?.alive) return;
    for (const pid of await this.#children()) process.kill(pid, "SIGTERM");
    await this.#process.ended(30_000);
  }

  /** Ends it without a word, as a crash does. The first process would start the second again, so it goes first. */
  async kill(): Promise<void> {
    if (!this.#process?.alive) return;
    const children = await this.#children();
    process.kill(this.#process.pid, "SIGKILL");
    for (const pid of children) process.kill(pid, "SIGKILL");
    await this.#process.ended();
  }

  /** Forgets its settings; it does not run then. */
  forget(): void {
    const settings = join(this.folder, "lib");
    for (const name of readdirSync(settings)) {
      rmSync(join(settings, name), { recursive: true, force: true });
    }
  }

  async #children(): Promise<number[]> {
    const found = await run(["pgrep", "-P", String(this.#process!.pid)]);
    return found.stdout.split("\n").filter(Boolean).map(Number);
  }

  /** Text of all logs of one kind: server_log, security_log, client_log. */
  log(kind: string): string {
    const root = join(this.folder, "log", kind);
    const names = readdirSync(root, { recursive: true }) as string[];
    return names
      .filter((name) => name.endsWith(".log"))
      .sort()
      .map((name) => readFileSync(join(root, name), "utf8"))
      .join("");
  }
}

/** Runs commands in one vpncmd; any error number among the answers throws. Gives what it printed. */
export async function vpncmd(
  at: Namespace,
  target: readonly string[],
  commands: readonly string[],
): Promise<string> {
  const script = join(at.world.directory, `vpncmd-${at.name}-${Bun.nanoseconds()}`);
  writeFileSync(script, commands.map((command) => `${command}\n`).join(""));
  const finished = await at.run(["vpncmd", ...target, `/IN:${script}`]);
  const error = /Error code: (\d+)/.exec(finished.stdout)?.[1];
  if (error !== undefined) throw new VpncmdError(Number(error), finished.stdout);
  if (finished.exitCode !== 0) throw new VpncmdError(finished.exitCode, finished.stdout);
  return finished.stdout;
}

/** Runs one command in CSV form. Gives its records; of an "Item,Value" answer one record of all items. */
export async function vpncmdTable(
  at: Namespace,
  target: readonly string[],
  command: readonly string[],
): Promise<Record<string, string>[]> {
  const finished = await at.run(["vpncmd", ...target, "/CSV", "/CMD", ...command]);
  const error = /Error code: (\d+)/.exec(finished.stdout)?.[1];
  if (error !== undefined) throw new VpncmdError(Number(error), finished.stdout);
  // Client mode prints its connection line and an empty line before the table.
  const rows = parseCsv(finished.stdout).filter((row) => row.length > 1);
  const [header, ...body] = rows;
  if (header === undefined) return [];
  if (header.length === 2 && header[0] === "Item") {
    return [Object.fromEntries(body.map((row) => [row[0]!, row[1]!]))];
  }
  return body.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i] ?? ""])));
}

/** RFC 4180: quoted fields, doubled quotes, line ends inside quotes. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/g)) {
    row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    if (match[3] === ",") continue;
    rows.push(row);
    row = [];
    if (match[3] === "") break;
  }
  return rows;
}
