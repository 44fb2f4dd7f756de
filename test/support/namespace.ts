import { describe, setDefaultTimeout, test } from "bun:test";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, run, Running, until } from "./process.ts";
import type { Finished, RunOptions } from "./process.ts";

// Network namespaces for the system tests. A World owns everything that a test starts: namespaces, the
// processes in them and a folder for files. Closing it ends the processes by their ids and leaves nothing.

/** Where a cable ends; the address carries its prefix length. */
export interface CableEnd {
  readonly at: Namespace;
  readonly device: string;
  readonly address?: string;
}

let worlds = 0;
const open = new Set<World>();
// A test run that is cut short still takes its namespaces away.
process.on("exit", () => {
  for (const world of open) world.abandon();
});
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => process.exit(code));
}

export class World implements AsyncDisposable {
  /** Scratch files of this world; gone with it. */
  readonly directory: string;
  readonly #prefix = `pbt${process.pid}-${++worlds}`;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #closers: (() => Promise<void> | void)[] = [];

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), `${this.#prefix}-`));
    open.add(this);
  }

  /** Makes a namespace with its loopback up. `name` is unique in this world. */
  async namespace(name: string): Promise<Namespace> {
    const namespace = new Namespace(`${this.#prefix}-${name}`, name, this);
    await check(["ip", "netns", "add", namespace.netns]);
    this.#namespaces.set(name, namespace);
    await namespace.ip("link", "set", "lo", "up");
    return namespace;
  }

  /** Lays a cable (veth pair) between two namespaces. */
  async link(a: CableEnd, b: CableEnd): Promise<void> {
    const ends = ["netns", a.at.netns, "type", "veth", "peer", "name", b.device];
    await check(["ip", "link", "add", a.device, ...ends, "netns", b.at.netns]);
    for (const end of [a, b]) {
      if (end.address !== undefined) {
        await end.at.ip("addr", "add", end.address, "dev", end.device, "nodad");
      }
      await end.at.ip("link", "set", end.device, "up");
    }
  }

  /** A fresh folder inside `directory`. */
  folder(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Called when the world closes, the last one given first. */
  onClose(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    if (!open.has(this)) return;
    const failures: unknown[] = [];
    for (const close of this.#closers.reverse()) {
      try {
        await close();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    this.abandon();
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join("\n"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Takes everything away at once: kills what runs in the namespaces, deletes them and the files. */
  abandon(): void {
    open.delete(this);
    for (const { netns } of this.#namespaces.values()) {
      const pids = Bun.spawnSync(["ip", "netns", "pids", netns], { stderr: "ignore" });
      for (const pid of pids.stdout.toString().split("\n").filter(Boolean)) kill(Number(pid));
      Bun.spawnSync(["ip", "netns", "del", netns], { stderr: "ignore" });
    }
    this.#namespaces.clear();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (thrown) {
    // It may have ended between the listing and the signal.
    if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
  }
}

export class Namespace {
  readonly netns: string;
  readonly name: string;
  readonly world: World;

  constructor(netns: string, name: string, world: World) {
    this.netns = netns;
    this.name = name;
    this.world = world;
  }

  command(command: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.netns, ...command];
  }

  run(command: readonly string[], options?: RunOptions): Promise<Finished> {
    return run(this.command(command), options);
  }

  check(command: readonly string[], options?: RunOptions): Promise<Finished> {
    return check(this.command(command), options);
  }

  /** Starts a process that is killed at the latest when the world closes. */
  spawn(command: readonly string[], options?: Omit<RunOptions, "stdin" | "deadlineMs">): Running {
    return new Running(this.command(command), options);
  }

  /** `ip` inside the namespace, without a process in it. */
  ip(...args: string[]): Promise<Finished> {
    return check(["ip", "-n", this.netns, ...args]);
  }

  async hasDevice(device: string): Promise<boolean> {
    return (await run(["ip", "-n", this.netns, "link", "show", "dev", device])).exitCode === 0;
  }

  /** Until `device` exists (and is up and running, where asked). */
  waitDevice(device: string, options: { up?: boolean; deadlineMs?: number } = {}): Promise<true> {
    return until(
      `device ${device} in ${this.name}`,
      async () => {
        const shown = await run(["ip", "-n", this.netns, "-o", "link", "show", "dev", device]);
        return shown.exitCode === 0 && (!options.up || /[<,]LOWER_UP[,>]/.test(shown.stdout));
      },
      options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs },
    );
  }

  waitListening(
    port: number,
    options: { deadlineMs?: number; protocol?: "tcp" | "udp" } = {},
  ): Promise<true> {
    const { deadlineMs, protocol = "tcp" } = options;
    const which = protocol === "tcp" ? "-Hltn" : "-Hlun";
    return until(
      `a listener on ${protocol} port ${port} in ${this.name}`,
      async () => (await this.run(["ss", which, `sport = :${port}`])).stdout !== "",
      deadlineMs === undefined ? {} : { deadlineMs },
    );
  }

  /** Gives `device` an address and sets it up. IPv6 addresses need no duplicate detection here. */
  async address(device: string, ...addresses: string[]): Promise<void> {
    for (const address of addresses) {
      const flags = address.includes(":") ? ["nodad"] : [];
      await this.ip("addr", "replace", address, "dev", device, ...flags);
    }
    await this.ip("link", "set", device, "up");
  }

  async macOf(device: string): Promise<string> {
    const shown = await this.ip("-j", "link", "show", "dev", device);
    return (JSON.parse(shown.stdout) as { address: string }[])[0]!.address;
  }
}

/** For a test or hook that starts programs: a loaded machine takes long, and every wait inside has a deadline. */
const SYSTEM_TEST_MS = 60_000;

/** Why system tests cannot run here, or undefined where they can. `needs` are programs. */
export function whyNoSystemTests(needs: readonly string[] = []): string | undefined {
  if (process.platform !== "linux") return "they need Linux";
  if (process.getuid?.() !== 0) return "they need root for network namespaces";
  const absent = ["ip", "ss", "ping", ...needs].filter((program) => !findProgram(program));
  if (absent.length > 0) return `these programs are not installed: ${absent.join(", ")}`;
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch {
    return "there is no /dev/net/tun";
  }
  const probe = `pbt${process.pid}-probe`;
  const made = Bun.spawnSync(["ip", "netns", "add", probe], { stderr: "pipe" });
  if (!made.success) return `no network namespace can be made: ${made.stderr.toString().trim()}`;
  Bun.spawnSync(["ip", "netns", "del", probe]);
  return undefined;
}

/** Path of an installed program, with the folders that a user's PATH may lack. */
export function findProgram(name: string): string | undefined {
  if (name.includes("/")) return existsSync(name) ? name : undefined;
  return Bun.which(name, { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` }) ?? undefined;
}

/**
 * A group of system tests. Where they cannot run they are reported as skipped, with the reason; with CI=true
 * that is a failure, because a check that did not run has shown nothing.
 */
export function describeSystem(name: string, needs: readonly string[], body: () => void): void {
  setDefaultTimeout(SYSTEM_TEST_MS);
  const why = whyNoSystemTests(needs);
  if (why === undefined) return void describe(name, body);
  if (process.env["CI"] === "true") {
    describe(name, () => {
      test("can run", () => {
        throw new Error(`system tests cannot run: ${why}`);
      });
    });
    return;
  }
  describe.skip(`${name} (system tests cannot run: ${why})`, body);
}
