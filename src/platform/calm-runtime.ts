import { addressOf, cString, hasLibc, libc } from "./libc.ts";

/** The runtime's collector looks once in this time whether there is garbage, in milliseconds, instead of each second. */
const COLLECT_MS = "20000";
const VARIABLE = "BUN_GC_TIMER_INTERVAL";

/**
 * Lets a program that mostly waits sleep: the runtime wakes each second to look for garbage, which is most of what an
 * idle server uses. It reads the period from its environment, once, when it starts; so the process starts the same
 * program anew in its own place, as the same process, 10 ms later. Whoever sets the variable himself keeps his value.
 * Returns where that is so, where it has been done, and where the system refuses.
 * @param program path of the executable
 * @param args after the program's name
 */
export function calmRuntime(program: string, args: readonly string[]): void {
  if (!hasLibc || process.env[VARIABLE] !== undefined) return;
  const environment = Object.entries({ ...process.env, [VARIABLE]: COLLECT_MS });
  const argv = stringTable([program, ...args]);
  const envp = stringTable(environment.map(([name, value]) => `${name}=${value ?? ""}`));
  // The strings must outlive the call that reads them.
  libc.execve(cString(program), argv.table, envp.table);
  argv.strings.length = envp.strings.length = 0;
}

/** Addresses of the strings with a zero at the end, as execve(2) wants them. */
function stringTable(texts: readonly string[]): { table: BigUint64Array; strings: Uint8Array[] } {
  const strings = texts.map(cString);
  const table = new BigUint64Array(strings.length + 1);
  strings.forEach((bytes, i) => (table[i] = BigInt(addressOf(bytes))));
  return { table, strings };
}
