import { formatBytes, formatDuration, formatMoment, formatRate } from "../cli/figure.ts";
import type { Timer } from "../base/clock.ts";
import type { ClientEvent, ClientStatus } from "../client/status.ts";
import { escapeForLog } from "../observe/log.ts";
import type { CommandEnvironment } from "./environment.ts";

// What a person, or a program, sees of a client that runs in the foreground.

export interface ClientView {
  event(event: ClientEvent): void;
  /** A line of the log, without its end. */
  log(line: string): void;
  /** Draws nothing until the returned function is called: somebody is asked something. */
  hold(): () => void;
  /** Nothing is drawn after this. May be called twice. */
  close(): void;
}

/** One JSON object a line. */
export function jsonView(environment: CommandEnvironment): ClientView {
  return {
    event(event) {
      const time = new Date(environment.clock.wall()).toISOString();
      environment.stdout(`${JSON.stringify({ time, ...event })}\n`);
    },
    log: (line) => environment.stderr(`${line}\n`),
    hold: () => () => undefined,
    close: () => undefined,
  };
}

/** A line for each event that matters to a person. */
export function lineView(environment: CommandEnvironment): ClientView {
  return {
    event(event) {
      const text = sentenceOf(event);
      if (text === undefined) return;
      environment.stdout(`${formatMoment(environment.clock.wall())}  ${text}\n`);
    },
    log: (line) => environment.stderr(`${line}\n`),
    hold: () => () => undefined,
    close: () => undefined,
  };
}

const REDRAW_MS = 1000;

/** The lines, and below them one that lives: state, addresses, rates. Only this view has a timer. */
export class LiveView implements ClientView {
  readonly #environment: CommandEnvironment;
  readonly #status: () => ClientStatus | undefined;
  readonly #lines: ClientView;
  readonly #timer: Timer;
  readonly #rates = new RateMeter();
  /** Characters on the live line that the next one has to cover. */
  #drawn = 0;
  #isClosed = false;
  #isHeld = false;

  constructor(environment: CommandEnvironment, status: () => ClientStatus | undefined) {
    this.#environment = environment;
    this.#status = status;
    this.#lines = lineView(environment);
    this.#timer = environment.clock.every(REDRAW_MS, () => this.#draw());
  }

  event(event: ClientEvent): void {
    this.#clear();
    this.#lines.event(event);
    if (event.event !== "disconnected") this.#draw();
  }

  log(line: string): void {
    this.#clear();
    this.#lines.log(line);
    this.#draw();
  }

  hold(): () => void {
    this.#clear();
    this.#isHeld = true;
    return () => void (this.#isHeld = false);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#clear();
    this.#isClosed = true;
    this.#timer.cancel();
  }

  #draw(): void {
    const status = this.#isClosed || this.#isHeld ? undefined : this.#status();
    if (status === undefined) return;
    const rates = this.#rates.measure(status, this.#environment.clock.now());
    const pieces = livePieces(status, rates, this.#environment.clock.wall());
    // One column stays free: a full line would scroll.
    const text = fitting(pieces, this.#environment.columns() - 1);
    const width = Bun.stringWidth(text);
    this.#environment.stdout(`\r${text}${" ".repeat(Math.max(0, this.#drawn - width))}`);
    this.#drawn = width;
  }

  #clear(): void {
    if (this.#drawn > 0) this.#environment.stdout(`\r${" ".repeat(this.#drawn)}\r`);
    this.#drawn = 0;
  }
}

interface Rates {
  /** Bits per second. */
  readonly up: number;
  readonly down: number;
}

/** Rates between two looks at the counters of one session. */
class RateMeter {
  #last: { session: string; at: number; up: number; down: number } | undefined;

  measure(status: ClientStatus, now: number): Rates {
    const { session } = status;
    const last = this.#last;
    this.#last =
      session === undefined
        ? undefined
        : { session: session.name, at: now, up: session.outBytes, down: session.inBytes };
    if (session === undefined || last === undefined || last.session !== session.name) {
      return { up: 0, down: 0 };
    }
    const seconds = Math.max(now - last.at, 1) / 1000;
    return {
      up: ((session.outBytes - last.up) * 8) / seconds,
      down: ((session.inBytes - last.down) * 8) / seconds,
    };
  }
}

/** The parts of the live line, the most important first. */
function livePieces(status: ClientStatus, rates: Rates, wall: number): string[] {
  const { session, retry } = status;
  if (session !== undefined) {
    return [
      ...(status.insecure ? ["INSECURE"] : []),
      `up ${formatRate(rates.up)}`,
      `down ${formatRate(rates.down)}`,
      status.addresses[0] ?? "no address",
      `${formatBytes(session.outBytes)} / ${formatBytes(session.inBytes)}`,
      formatDuration(wall - session.connectedAt),
      escapeForLog(session.name),
    ];
  }
  if (retry !== undefined) {
    return [
      `trying again in ${formatDuration(retry.at - wall)}`,
      escapeForLog(retry.error.message),
    ];
  }
  return [status.state, status.server];
}

function fitting(pieces: readonly string[], width: number): string {
  let text = "";
  for (const piece of pieces) {
    const longer = text === "" ? piece : `${text}  ${piece}`;
    if (Bun.stringWidth(longer) > width) break;
    text = longer;
  }
  return text;
}

/** What happened, for people; undefined for steps that only machines care about. */
export function sentenceOf(event: ClientEvent): string | undefined {
  switch (event.event) {
    case "resolving":
    case "negotiating":
    case "authenticating":
      return undefined;
    case "connecting":
      return "Connecting";
    case "certificate_pinned":
      return `First use of this server: its certificate sha256:${event.sha256} is remembered`;
    case "connected": {
      const insecure = event.insecure ? ", INSECURE: its certificate was not looked at" : "";
      const message = event.message === "" ? "" : `\n${indented(event.message)}`;
      const nic = event.nic === undefined ? "" : ` on ${event.nic}`;
      return `Connected to ${event.server} as ${escapeForLog(event.session)}${nic}${insecure}${message}`;
    }
    case "address":
      return `Address ${event.addresses.join(", ")} (${event.from})`;
    case "address_lost":
      return `The address is gone (${event.reason})`;
    case "warning":
      return `Warning: ${escapeForLog(event.message)}`;
    case "retrying":
      return `${escapeForLog(event.message)}; trying again in ${formatDuration(event.delayMs)}`;
    case "disconnected":
      return `Disconnected (${event.reason})`;
  }
}

/** The hub's message: its lines kept, its control characters shown. */
function indented(message: string): string {
  const lines = message.trimEnd().split(/\r?\n/);
  return lines.map((line) => `    ${escapeForLog(line)}`).join("\n");
}
