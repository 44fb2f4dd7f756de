import type { Log } from "./log.ts";
import type { LogTrouble } from "./log-file.ts";
import type { SyslogTrouble } from "./syslog.ts";

/** Says in the log that is left what has become of another one. */
export function tellTrouble(log: Log, trouble: LogTrouble): void {
  const { path } = trouble;
  if (trouble.kind === "recovered") {
    const { lost } = trouble;
    return log.info("log_recovered", "A log is written again", { path, lost });
  }
  const why = trouble.kind === "failed" ? trouble.why : "lines come faster than they are written";
  log.warn("log_lost", `Lines of a log are being lost: ${why}`, { path });
}

/** Likewise of the syslog receiver. */
export function tellSyslogTrouble(log: Log, trouble: SyslogTrouble): void {
  if (trouble.kind === "recovered") {
    const { lost } = trouble;
    return log.info("syslog_recovered", "The syslog receiver is there again", { lost });
  }
  log.warn("syslog_lost", `The syslog receiver cannot be reached: ${trouble.why}`);
}
