/** Exit codes of the program, after sysexits(3). */
export const EXIT = {
  ok: 0,
  usage: 64,
  data: 65,
  noInput: 66,
  unavailable: 69,
  software: 70,
  osError: 71,
  cannotCreate: 73,
  temporary: 75,
  noPermission: 77,
  config: 78,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Error numbers that travel in PACKs (protocol.md 8). Only those we send or act upon. */
export const WIRE_ERROR = {
  NONE: 0,
  CONNECT_FAILED: 1,
  SERVER_IS_NOT_VPN: 2,
  DISCONNECTED: 3,
  PROTOCOL_ERROR: 4,
  CLIENT_IS_NOT_VPN: 5,
  USER_CANCEL: 6,
  AUTHTYPE_NOT_SUPPORTED: 7,
  HUB_NOT_FOUND: 8,
  AUTH_FAILED: 9,
  HUB_STOPPING: 10,
  SESSION_REMOVED: 11,
  ACCESS_DENIED: 12,
  SESSION_TIMEOUT: 13,
  INVALID_PROTOCOL: 14,
  TOO_MANY_CONNECTION: 15,
  HUB_IS_BUSY: 16,
  PROXY_CONNECT_FAILED: 17,
  PROXY_ERROR: 18,
  PROXY_AUTH_FAILED: 19,
  TOO_MANY_USER_SESSION: 20,
  LICENSE_ERROR: 21,
  INTERNAL_ERROR: 23,
  NOT_SUPPORTED: 33,
  NOT_FARM_CONTROLLER: 46,
  NULL_PASSWORD_LOCAL_ONLY: 51,
  NOT_ENOUGH_RIGHT: 52,
  USER_AUTHTYPE_NOT_PASSWORD: 68,
  OLD_PASSWORD_WRONG: 69,
  CERT_NOT_TRUSTED: 85,
  VERSION_INVALID: 87,
  MONITOR_MODE_DENIED: 107,
  BRIDGE_MODE_DENIED: 108,
  IP_ADDRESS_DENIED: 109,
  AUTO_DISCONNECT: 126,
  CLIENT_ID_REQUIRED: 127,
} as const;

/** Root of our errors: `code` is stable and part of the API, the message is for people. */
export class VpnError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The peer broke the protocol. `code` is the reason that the counters carry (robustness.md 3). */
export class ProtocolError extends VpnError {}

/** The peer refused, with the number of protocol.md 8. */
export class RefusedError extends VpnError {
  readonly wireError: number;
  constructor(wireError: number, message: string) {
    super(`refused_${wireError}`, message);
    this.wireError = wireError;
  }
}

/** A place in a text file, for errors that people mend with an editor. Lines and columns count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The user's configuration is wrong. Ends the program with 78 at the start. */
export class ConfigError extends VpnError {
  readonly position: SourcePosition | undefined;
  readonly key: string | undefined;
  constructor(message: string, at: { position?: SourcePosition; key?: string } = {}) {
    super("config", message);
    this.position = at.position;
    this.key = at.key;
  }
}

/** A system call failed. `errno` is the positive number of errno(3). */
export class SystemError extends VpnError {
  readonly errno: number;
  constructor(call: string, errno: number, detail: string) {
    super(`errno_${errno}`, `Cannot ${detail}: ${call} failed with ${errnoName(errno)}`);
    this.errno = errno;
  }
}

/** Ends the program with this exit code and one line on standard error. */
export class ExitError extends VpnError {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(`exit_${exitCode}`, message, options);
    this.exitCode = exitCode;
  }
}

const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "EPERM (operation not permitted)",
  2: "ENOENT (no such file or device)",
  4: "EINTR (interrupted)",
  5: "EIO (input/output error)",
  6: "ENXIO (no such device or address)",
  9: "EBADF (bad file descriptor)",
  11: "EAGAIN (would block)",
  12: "ENOMEM (out of memory)",
  13: "EACCES (permission denied)",
  14: "EFAULT (bad address)",
  16: "EBUSY (device or resource busy)",
  17: "EEXIST (exists already)",
  19: "ENODEV (no such device)",
  22: "EINVAL (invalid argument)",
  23: "ENFILE (too many open files in the system)",
  24: "EMFILE (too many open files)",
  28: "ENOSPC (no space left on device)",
  32: "EPIPE (broken pipe)",
  34: "ERANGE (out of range)",
  77: "EBADFD (file descriptor in bad state)",
  90: "EMSGSIZE (message too long)",
  98: "EADDRINUSE (address in use)",
  99: "EADDRNOTAVAIL (address not available)",
  100: "ENETDOWN (network is down)",
  101: "ENETUNREACH (network unreachable)",
  104: "ECONNRESET (connection reset by peer)",
  105: "ENOBUFS (no buffer space)",
  110: "ETIMEDOUT (timed out)",
  111: "ECONNREFUSED (connection refused)",
  112: "EHOSTDOWN (host is down)",
  113: "EHOSTUNREACH (no route to host)",
};

export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `errno ${errno}`;
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
