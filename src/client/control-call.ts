import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { EXIT, ExitError, messageOf, VpnError } from "../base/errors.ts";
import { findSocket } from "../platform/socket-path.ts";
import type { ClientStatus } from "./status.ts";

export const CONTROL_CALLS = ["status", "disconnect"] as const;
export type ControlCall = (typeof CONTROL_CALLS)[number];

const SUFFIX = ".sock";
/** NAME_MAX of Linux, less the suffix. */
const MAX_FILE_CHARS = 250;
/** A status has about 1 KiB. */
const MAX_ANSWER_CHARS = 65_536;
/** A client that lives answers at once. */
const ANSWER_MS = 5_000;
/** Putting everything away takes a client 5 s at most. */
const GOODBYE_MS = 10_000;

/** Where the client called `name` is known in the state directory; see `findSocket`. Case does not count. */
export function controlPath(stateDir: string, name: string): string {
  const file = [...new TextEncoder().encode(name.toLowerCase())].map(fileCharacter).join("");
  // Cut names might meet; the digest keeps them apart.
  const short =
    file.length <= MAX_FILE_CHARS
      ? file
      : new Bun.CryptoHasher("sha256").update(file).digest("hex");
  return join(stateDir, short + SUFFIX);
}

/** The paths of all clients in the state directory, in order; some may be dead. */
export function listControls(stateDir: string): string[] {
  try {
    // A name that begins with a dot is none of a client, see `fileCharacter`.
    const names = readdirSync(stateDir).filter((name) => /^[^.].*\.sock$/.test(name));
    return names.sort().map((name) => join(stateDir, name));
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return [];
    throw error;
  }
}

export interface RunningClient {
  readonly path: string;
  readonly status: ClientStatus;
}

/**
 * The clients that run with the state directory, or the one called `name`. Sockets of clients that died are passed
 * over; the next client of that name removes them. @throws what the system says of a socket of somebody else
 */
export async function findRunning(
  stateDir: string,
  clock: Clock,
  name?: string,
): Promise<RunningClient[]> {
  const paths = name === undefined ? listControls(stateDir) : [controlPath(stateDir, name)];
  const found = await Promise.all(
    paths.map(async (path) => ({ path, status: await askStatus(path, clock) })),
  );
  return found.filter((client): client is RunningClient => client.status !== undefined);
}

/** The status of the client at `path`; undefined where none runs. @throws VpnError `control_failed` */
export async function askStatus(path: string, clock: Clock): Promise<ClientStatus | undefined> {
  const found = await callSocket(path, { call: "status" }, { limitMs: ANSWER_MS, clock });
  return found as ClientStatus | undefined;
}

/**
 * Ends the client at `path` and waits until it has put everything away. False where none runs.
 * @throws VpnError `control_failed`
 */
export async function askDisconnect(path: string, clock: Clock): Promise<boolean> {
  const wait = { limitMs: GOODBYE_MS, clock, untilClosed: true };
  return (await callSocket(path, { call: "disconnect" }, wait)) !== undefined;
}

interface CallLimits {
  readonly limitMs: number;
  readonly clock: Clock;
  readonly untilClosed?: boolean;
}

/** Letters, digits and a few signs stand for themselves; anything else, a path's `/` above all, as %XX. */
function fileCharacter(byte: number): string {
  const character = String.fromCharCode(byte);
  return /[A-Za-z0-9_@+=-]/.test(character)
    ? character
    : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`;
}

/**
 * The result of a call at the socket known as `wanted`; undefined where nobody listens. With `untilClosed` it is
 * handed over when the other side has closed the connection. @throws VpnError `control_failed`
 */
export async function callSocket(
  wanted: string,
  request: { readonly call: string; readonly names?: readonly string[] },
  { limitMs, clock, untilClosed = false }: CallLimits,
): Promise<unknown> {
  const path = findSocket(wanted);
  if (path === undefined) return undefined;
  const ended = Promise.withResolvers<unknown>();
  const fail = (why: string, code = "") => ended.reject(failureOf(path, why, code));
  const decoder = new TextDecoder();
  let text = "";
  let result: { readonly value: unknown } | undefined;
  const deadline = clock.after(limitMs, () => fail(`no answer within ${limitMs / 1000} s`));
  // The connection may fail before anybody waits for its end.
  ended.promise.catch(() => undefined);
  try {
    const socket = await Bun.connect({
      unix: path,
      socket: {
        open: (opened) => void opened.write(`${JSON.stringify(request)}\n`),
        data(_socket, chunk) {
          text += decoder.decode(chunk, { stream: true });
          if (text.length > MAX_ANSWER_CHARS) return fail("the answer is too long");
          const end = text.indexOf("\n");
          if (end < 0 || result !== undefined) return;
          result = tryParseAnswer(text.slice(0, end), fail);
          if (!untilClosed && result !== undefined) ended.resolve(result.value);
        },
        close: () =>
          result === undefined ? fail("it gave no answer") : ended.resolve(result.value),
        error: (_socket, error) => fail(error.message),
        // The promise of the call tells the same.
        connectError: () => undefined,
      },
    });
    return await ended.promise.finally(() => socket.terminate());
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === "ECONNREFUSED" || code === "ENOENT") return undefined;
    throw error;
  } finally {
    deadline.cancel();
  }
}

/** What the other side refused in its own words is told in them, with its exit code where it has one. */
function failureOf(path: string, why: string, code: string): VpnError {
  const exitCode = Object.values(EXIT).find((known) => code === `exit_${known}`);
  if (exitCode !== undefined) return new ExitError(exitCode, why);
  if (code !== "") return new VpnError(code, why);
  return new VpnError("control_failed", `Cannot ask the client at ${path}: ${why}`);
}

function tryParseAnswer(
  line: string,
  fail: (why: string, code?: string) => void,
): { readonly value: unknown } | undefined {
  try {
    const parsed = JSON.parse(line) as {
      ok?: unknown;
      result?: unknown;
      error?: { message?: unknown; code?: unknown };
    };
    if (parsed.ok === true) return { value: parsed.result };
    fail(String(parsed.error?.message ?? "it refused"), String(parsed.error?.code ?? ""));
  } catch (error) {
    fail(messageOf(error));
  }
  return undefined;
}
