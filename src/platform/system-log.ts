import { UnixDatagram } from "./unix-datagram.ts";

/** Where syslogd or journald listens on Linux. */
const SOCKET = "/dev/log";
/** RFC 5424 6.2.1: facility "system daemons", severity "informational". */
const PRIORITY = 3 * 8 + 6;

export interface SystemLog {
  write(line: string): void;
  /** May be called twice. */
  close(): void;
}

/** The system's log, for a program that has no other place to write to; without one the lines are lost. */
export function openSystemLog(name: string, processId: number): SystemLog {
  const socket = new UnixDatagram(SOCKET);
  return {
    // The form of syslog(3): the receiver adds the time and the host.
    write: (line) => void socket.trySend(`<${PRIORITY}>${name}[${processId}]: ${line}`),
    close: () => socket.close(),
  };
}
