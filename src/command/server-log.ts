import { hostname } from "node:os";
import { join } from "node:path";
import type { ServerConfig } from "../config/server-config.ts";
import type { LogFormat, LogLevel } from "../observe/log.ts";
import { diskStorage } from "../observe/log-storage.ts";
import { ServerLogs, type ServerLogsSettings } from "../observe/server-logs.ts";
import { openSyslogLink } from "../observe/syslog-link.ts";
import { serviceNames } from "../platform/service-names.ts";
import type { CommandEnvironment } from "./environment.ts";

interface LogFlags {
  readonly logLevel: LogLevel | undefined;
  readonly logFormat: LogFormat | undefined;
}

/** Flags win over what the file says. */
export function logForm(config: ServerConfig, flags: LogFlags) {
  return {
    level: flags.logLevel ?? config.log.level,
    format: flags.logFormat ?? config.log.format,
  };
}

/** All settings of the logs of a server that keeps its state in `stateDir`. */
export function logPlan(
  config: ServerConfig,
  flags: LogFlags,
  stateDir: string,
): ServerLogsSettings {
  const { dir, rotation, maxBytes, keepMs, minFreeBytes, syslog, syslogLevel } = config.log;
  const place = dir ?? join(stateDir, "log");
  return {
    ...logForm(config, flags),
    files: place === "-" ? undefined : { dir: place, rotation, maxBytes, keepMs, minFreeBytes },
    syslog,
    syslogLevel,
  };
}

/** The logs of a server that begins: standard error, until it is known where files go. */
export function openServerLogs(
  environment: CommandEnvironment,
  form: ReturnType<typeof logForm>,
): ServerLogs {
  const { clock, processId } = environment;
  return new ServerLogs(form, {
    clock,
    storage: diskStorage,
    standardError: (line) => environment.stderr(`${line}\n`),
    openSyslog: openSyslogLink,
    sender: { host: hostname(), app: "vpn", processId },
    serviceName: serviceNames(),
  });
}
