// Telling whether a process that left its mark on disk is still the one that runs.
import { readFileSync } from "node:fs";

/** A process, told apart from a later one that was given the same number. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks from the boot to the start of the process (proc_pid_stat(5), field 22). */
  readonly startTicks: number;
  readonly boot: string;
}

/** The mark of a process, undefined if none runs under this number. */
export function tryMarkProcess(pid: number): ProcessMark | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in field 2 may hold spaces and brackets: fields are counted behind its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A dead process whose parent has not looked yet undoes nothing any more.
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return { pid, startTicks: Number(fields[19]), boot: bootId() };
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}

/** True if the process of the mark still runs. */
export function isRunning(mark: ProcessMark): boolean {
  const now = tryMarkProcess(mark.pid);
  return now?.startTicks === mark.startTicks && now.boot === mark.boot;
}

/** A text that every boot of the kernel makes anew. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
