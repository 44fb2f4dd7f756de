import { accessSync, constants, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { EXIT, ExitError } from "../base/errors.ts";

interface SystemProgram {
  readonly name: string;
  /** Arguments that keep it in the foreground, IPv4 only, on one interface. */
  readonly args: (device: string, filePrefix: string) => string[];
  /** What it leaves behind. */
  readonly files: (filePrefix: string) => string[];
}

/** In this order: the first that is installed is taken. */
const PROGRAMS: readonly SystemProgram[] = [
  {
    name: "dhclient",
    args: (device, prefix) => [
      "-4",
      "-d",
      "-q",
      "-pf",
      `${prefix}.pid`,
      "-lf",
      `${prefix}.leases`,
      device,
    ],
    files: (prefix) => [`${prefix}.pid`, `${prefix}.leases`, `${prefix}.leases~`],
  },
  {
    name: "udhcpc",
    args: (device) => ["-f", "-R", "-i", device],
    files: () => [],
  },
  {
    name: "dhcpcd",
    args: (device) => ["-4", "-B", "-q", device],
    files: () => [],
  },
];

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
  const found = findProgram(options.path);
  const prefix = join(options.stateDir, `dhcp-${options.device}`);
  let stopping = false;
  const child = Bun.spawn([found.file, ...found.program.args(options.device, prefix)], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
    onExit: (_child, code) => {
      if (!stopping) options.onExit(found.program.name, code);
    },
  });
  return {
    async stop() {
      stopping = true;
      child.kill("SIGTERM");
      await child.exited;
      for (const file of found.program.files(prefix)) rmSync(file, { force: true });
    },
  };
}

function findProgram(path: string): { program: SystemProgram; file: string } {
  for (const program of PROGRAMS) {
    for (const folder of path.split(delimiter)) {
      const file = join(folder || ".", program.name);
      if (isExecutable(file)) return { program, file };
    }
  }
  const names = PROGRAMS.map((program) => program.name).join(", ");
  throw new ExitError(
    EXIT.unavailable,
    `No DHCP client of the system is installed (${names}): use --dhcp-client own`,
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
