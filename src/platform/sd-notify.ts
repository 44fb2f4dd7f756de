import type { Clock, Timer } from "../base/clock.ts";
import { isDatagramPath, UnixDatagram } from "./unix-datagram.ts";

// What a service tells its manager (sd_notify(3)): that it is ready, how it is, and that it is not stuck. Without a
// manager nothing is sent anywhere.

export interface ServiceNotifier {
  /** The service does its work from now on; it tells so again after a reload. */
  ready(status: string): void;
  /** One line for `systemctl status`. */
  status(text: string): void;
  reloading(): void;
  stopping(): void;
  /** May be called twice. */
  close(): void;
}

/** Told twice within the time that the manager waits (sd_watchdog_enabled(3)). */
const BEATS = 2;

/**
 * Finds the manager in the environment variables. While it is told `ready` it gets a sign of life in time: the timer
 * runs in the loop that does the work, so a loop that hangs gives none.
 */
export function openServiceNotifier(
  env: Readonly<Record<string, string | undefined>>,
  processId: number,
  clock: Clock,
): ServiceNotifier {
  const path = env["NOTIFY_SOCKET"] ?? "";
  if (!isDatagramPath(path)) return SILENT;
  const socket = new UnixDatagram(path);
  const watchdogMs = watchdogOf(env, processId);
  let beat: Timer | undefined;
  const send = (...lines: string[]) => void socket.trySend(lines.join("\n"));
  return {
    ready(status) {
      send("READY=1", statusLine(status));
      if (watchdogMs === undefined || beat !== undefined) return;
      beat = clock.every(watchdogMs / BEATS, () => send("WATCHDOG=1"));
    },
    status: (text) => send(statusLine(text)),
    reloading: () => send("RELOADING=1"),
    stopping: () => send("STOPPING=1"),
    close() {
      beat?.cancel();
      socket.close();
    },
  };
}

/** A line ends a field. */
function statusLine(text: string): string {
  return `STATUS=${text.replaceAll(/[\r\n]+/g, " ")}`;
}

/** Milliseconds; undefined where no signs of life are wanted of this process. */
function watchdogOf(
  env: Readonly<Record<string, string | undefined>>,
  processId: number,
): number | undefined {
  const micros = /^\d{1,15}$/.test(env["WATCHDOG_USEC"] ?? "") ? Number(env["WATCHDOG_USEC"]) : 0;
  const isOurs = (env["WATCHDOG_PID"] ?? String(processId)) === String(processId);
  return isOurs && micros >= 1000 ? micros / 1000 : undefined;
}

const nothing = () => undefined;
const SILENT: ServiceNotifier = {
  ready: nothing,
  status: nothing,
  reloading: nothing,
  stopping: nothing,
  close: nothing,
};
