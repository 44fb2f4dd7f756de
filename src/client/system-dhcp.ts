import { rmSync } from "node:fs";
import { join } from "node:path";
import { EXIT, ExitError } from "../base/errors.ts";
import { tryFindProgram } from "./system-program.ts";

interface SystemProgram {
  readonly name: string;
  /** Arguments that keep it in the foreground, IPv4 only, on one interface. */
  readonly start: (device: string, filePrefix: string) => string[];
  /** Arguments that make it give the lease back and undo what it has set; without them a signal does so. */
  readonly release?: (device: string, filePrefix: string) => string[];
  /** What it leaves behind. */
  readonly files: readonly string[];
}

const dhclientFiles = (prefix: string) => ["-pf", `${prefix}.pid`, "-lf", `${prefix}.leases`];

/** In this order: the first that is installed is taken. */
const PROGRAMS: readonly SystemProgram[] = [
  {
    name: "dhclient",
    start: (device, prefix) => ["-4", "-d", "-q", ...dhclientFiles(prefix), device],
    release: (device, prefix) => ["-4", "-r", "-q", ...dhclientFiles(prefix), device],
    files: [".pid", ".leases", ".leases~"],
  },
  { name: "udhcpc", start: (device) => ["-f", "-R", "-i", device], files: [] },
  { name: "dhcpcd", start: (device) => ["-4", "-B", "-q", device], files: [] },
];

/** Giving a lease back is one packet. */
const RELEASE_MS = 2_000;

export interface SystemDhcp {
  /** Ends the program and removes its files. */
  stop(): Promise<void>;
}

/**
 * Runs the machine's own DHCP client on an interface until it is stopped.
 * @throws ExitError 69 where none is installed
 */
export function startSystemDhcp(options: {
  device: string;
  stateDir: string;
  path: string;
  onExit: (program: string, code: number | null) => void;
}): SystemDhcp {
  const { device } = options;
  const { program, file } = findProgram(options.path);
  const prefix = join(options.stateDir, `dhcp-${device}`);
  let isStopping = false;
  const child = Bun.spawn([file, ...program.start(device, prefix)], {
    ...QUIET,
    onExit: (_child, code) => {
      if (!isStopping) options.onExit(program.name, code);
    },
  });
  return {
    async stop() {
      isStopping = true;
      if (program.release !== undefined && child.exitCode === null) {
        const command = [file, ...program.release(device, prefix)];
        await Bun.spawn(command, { ...QUIET, timeout: RELEASE_MS }).exited;
      }
      child.kill("SIGTERM");
      await child.exited;
      for (const suffix of program.files) rmSync(prefix + suffix, { force: true });
    },
  };
}

const QUIET = { stdin: "ignore", stdout: "ignore", stderr: "ignore" } as const;

function findProgram(path: string): { program: SystemProgram; file: string } {
  for (const program of PROGRAMS) {
    const file = tryFindProgram(program.name, path);
    if (file !== undefined) return { program, file };
  }
  const names = PROGRAMS.map((program) => program.name).join(", ");
  throw new ExitError(
    EXIT.unavailable,
    `No DHCP client of the system is installed (${names}): use --dhcp-client own`,
  );
}
