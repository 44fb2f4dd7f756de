// Tables of the kernel's packet filter, by the program nft(8). A change is one transaction: all of it or nothing.
import { VpnError } from "../base/errors.ts";

/** Where it is, also for those whose PATH leaves it out. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/** It takes milliseconds; one that hangs must not hold the process. */
const DEADLINE_MS = 5000;
/** Of what it says, so much goes into an error. */
const MAX_TOLD_CHARS = 400;
const FAMILY = "inet";
const NO_RIGHTS =
  "Cannot change the packet filter: nft lacks the right to (run as root, or with AmbientCapabilities= of " +
  "systemd; setcap on this program does not reach nft)";

/**
 * Carries out a script while everything else waits.
 * @throws VpnError `nft_missing` where the program is not installed, `nft_rights`, `nft_failed` with what it said
 */
export function applyNft(script: string): void {
  runNft(["-f", "-"], script);
}

/** Names of the tables of family inet. @throws VpnError as applyNft */
export function listNftTables(): string[] {
  const lines = runNft(["list", "tables", FAMILY]).matchAll(/^table inet (\S+)$/gm);
  return Array.from(lines, ([, name]) => name!);
}

/** A table as nft prints it, or undefined if there is none. @throws VpnError as applyNft */
export function tryReadNftTable(name: string): string | undefined {
  return listNftTables().includes(name) ? runNft(["-n", "list", "table", FAMILY, name]) : undefined;
}

/** A script that makes the table anew, whether there is one or not. `body` are its lines. */
export function replaceNftTable(name: string, body: string): string {
  // Adding what is there already is no error, so that the deletion is none either.
  return `table ${FAMILY} ${name}\ndelete table ${FAMILY} ${name}\ntable ${FAMILY} ${name} {\n${body}\n}\n`;
}

/** A script that removes the table, whether there is one or not. */
export function removeNftTable(name: string): string {
  return `table ${FAMILY} ${name}\ndelete table ${FAMILY} ${name}\n`;
}

function runNft(flags: readonly string[], stdin?: string): string {
  const program = findNft();
  const { success, stdout, stderr, exitCode } = Bun.spawnSync([program, ...flags], {
    stdin: stdin === undefined ? "ignore" : new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  if (success) return stdout.toString();
  const said = stderr.toString().trim().slice(0, MAX_TOLD_CHARS) || `exit code ${exitCode}`;
  if (said.includes("Operation not permitted")) throw new VpnError("nft_rights", NO_RIGHTS);
  throw new VpnError("nft_failed", `Cannot change the packet filter: nft says: ${said}`);
}

function findNft(): string {
  const folders = [process.env["PATH"] ?? "", ...SYSTEM_FOLDERS].join(":");
  const program = Bun.which("nft", { PATH: folders });
  if (program !== null) return program;
  throw new VpnError(
    "nft_missing",
    "Cannot change the packet filter: there is no program nft (install the package nftables)",
  );
}
