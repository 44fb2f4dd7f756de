import {
  ConfigError,
  EXIT,
  ExitError,
  messageOf,
  RefusedError,
  SystemError,
  VpnError,
  WIRE_ERROR,
  type ExitCode,
} from "../base/errors.ts";
import { ConfigProblemsError } from "../config/problem.ts";
import { escapeForLog } from "../observe/log.ts";

const EPERM = 1;
const EACCES = 13;

/** Exit codes of errors of ours that carry no number of their own. */
const EXIT_OF_CODE: Readonly<Record<string, ExitCode>> = {
  cancelled: EXIT.interrupted,
  certificate: EXIT.noPermission,
  certificate_changed: EXIT.noPermission,
  connect_failed: EXIT.unavailable,
  not_vpn_server: EXIT.unavailable,
  proxy_auth_failed: EXIT.noPermission,
  proxy_connect_failed: EXIT.unavailable,
  proxy_error: EXIT.unavailable,
  proxy_invalid: EXIT.config,
  resolve_failed: EXIT.unavailable,
  timeout: EXIT.unavailable,
  tls_failed: EXIT.unavailable,
};

/** The same for the answers of servers (protocol.md 8). */
const EXIT_OF_REFUSAL: Readonly<Record<number, ExitCode>> = {
  [WIRE_ERROR.AUTH_FAILED]: EXIT.noPermission,
  [WIRE_ERROR.ACCESS_DENIED]: EXIT.noPermission,
  [WIRE_ERROR.NULL_PASSWORD_LOCAL_ONLY]: EXIT.noPermission,
  [WIRE_ERROR.NOT_ENOUGH_RIGHT]: EXIT.noPermission,
  [WIRE_ERROR.MONITOR_MODE_DENIED]: EXIT.noPermission,
  [WIRE_ERROR.BRIDGE_MODE_DENIED]: EXIT.noPermission,
  [WIRE_ERROR.IP_ADDRESS_DENIED]: EXIT.noPermission,
  [WIRE_ERROR.HUB_STOPPING]: EXIT.temporary,
  [WIRE_ERROR.SESSION_REMOVED]: EXIT.temporary,
  [WIRE_ERROR.SESSION_TIMEOUT]: EXIT.temporary,
  [WIRE_ERROR.HUB_IS_BUSY]: EXIT.temporary,
  [WIRE_ERROR.TOO_MANY_USER_SESSION]: EXIT.temporary,
  [WIRE_ERROR.AUTO_DISCONNECT]: EXIT.temporary,
};

/** The same for what the runtime throws about files. */
const EXIT_OF_ERRNO: Readonly<Record<string, ExitCode>> = {
  EACCES: EXIT.noPermission,
  EISDIR: EXIT.noInput,
  ENOENT: EXIT.noInput,
  ENOTDIR: EXIT.noInput,
  EPERM: EXIT.noPermission,
  EROFS: EXIT.cannotCreate,
  ENOSPC: EXIT.cannotCreate,
};

/** The code that the program ends with when this was thrown. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (thrown instanceof ExitError) return thrown.exitCode;
  if (thrown instanceof AggregateError && thrown.errors.length > 0)
    return exitCodeOf(thrown.errors[0]);
  if (thrown instanceof ConfigError) return EXIT.config;
  if (thrown instanceof RefusedError) return EXIT_OF_REFUSAL[thrown.wireError] ?? EXIT.unavailable;
  if (thrown instanceof SystemError) {
    return thrown.errno === EPERM || thrown.errno === EACCES ? EXIT.noPermission : EXIT.osError;
  }
  if (thrown instanceof VpnError) return EXIT_OF_CODE[thrown.code] ?? EXIT.temporary;
  return EXIT_OF_ERRNO[errnoCodeOf(thrown) ?? ""] ?? EXIT.software;
}

/**
 * Writes one line for each error: `vpn: text`, `FILE:LINE:COLUMN: text` for what stands in a file, or one JSON
 * object. A stack trace only where `debug` asks for it. Answers the exit code.
 */
export function reportFailure(
  thrown: unknown,
  to: { write: (line: string) => void; json: boolean; debug: boolean },
): ExitCode {
  const exitCode = exitCodeOf(thrown);
  for (const error of flatten(thrown)) {
    const stack = to.debug && error instanceof Error ? error.stack : undefined;
    if (to.json) to.write(`${JSON.stringify(errorObject(error, exitCode, stack))}\n`);
    else to.write(`${errorLine(error, exitCode)}\n${stack === undefined ? "" : `${stack}\n`}`);
  }
  return exitCode;
}

/** One error for each line that people get. */
function flatten(thrown: unknown): unknown[] {
  if (thrown instanceof ConfigProblemsError) {
    return thrown.problems.map(
      ({ position, key, text }) =>
        new ConfigError(key === "" ? text : `${key}: ${text}`, { position, key }),
    );
  }
  return thrown instanceof AggregateError && thrown.errors.length > 0
    ? thrown.errors.flatMap(flatten)
    : [thrown];
}

function errorLine(error: unknown, exitCode: ExitCode): string {
  // The message may quote names that came from a file or a peer (CL-14); the backslash is harmless here.
  const text = escapeForLog(messageOf(error)).replaceAll("\\\\", "\\");
  const position = error instanceof ConfigError ? error.position : undefined;
  if (position !== undefined)
    return `${position.file}:${position.line}:${position.column}: ${text}`;
  return exitCode === EXIT.software
    ? `vpn: Internal error: ${text} (VPN_DEBUG=1 shows where)`
    : `vpn: ${text}`;
}

function errorObject(error: unknown, exitCode: ExitCode, stack: string | undefined): object {
  const at = error instanceof ConfigError ? { key: error.key, ...error.position } : {};
  return {
    error: {
      code: error instanceof VpnError ? error.code : (errnoCodeOf(error) ?? "internal"),
      message: messageOf(error),
      exitCode,
      ...at,
      stack,
    },
  };
}

function errnoCodeOf(thrown: unknown): string | undefined {
  const code = thrown instanceof Error ? (thrown as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}
