import type { Clock } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import { MAX_NTLM_HELPERS, MAX_OUTSIDE_WAITING, OUTSIDE_TIMEOUT_MS } from "../base/limits.ts";
import type { Log } from "../observe/log.ts";
import { encodeText } from "../wire/text.ts";
import type { Authority, OutsideRequest, OutsideVerdict } from "./authority.ts";
import { Gate } from "./gate.ts";
import { runHelper, type HelperAnswer, type RunHelper } from "./ntlm-helper.ts";

const PROTOCOL = "--helper-protocol=ntlm-server-1";
const MAX_COMPLAINT_CHARS = 200;

const NO_ANSWER: OutsideVerdict = { kind: "unavailable", reason: "the NT domain gave no answer" };

export interface NtlmDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** A process unless a test stands in. */
  readonly run?: RunHelper;
}

/**
 * Asks an NT domain through Samba's `ntlm_auth`, which talks to winbind (hub.md 9.2). The password goes through a
 * pipe, never onto a command line; a few helpers run at once, at most 64 logins wait.
 */
export class NtlmAuthority implements Authority {
  readonly #helper: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #run: RunHelper;
  readonly #closing = new AbortController();
  readonly #gate = new Gate({
    atOnce: MAX_NTLM_HELPERS,
    waiting: MAX_OUTSIDE_WAITING - MAX_NTLM_HELPERS,
  });

  /** `helper` is the path of ntlm_auth. */
  constructor(helper: string, deps: NtlmDeps) {
    this.#helper = helper;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#run = deps.run ?? runHelper;
  }

  async ask(request: OutsideRequest, signal: AbortSignal): Promise<OutsideVerdict> {
    // Nothing to prove, and winbind may take it for an anonymous bind.
    if (request.password.length === 0) return { kind: "rejected" };
    const until = this.#clock.now() + OUTSIDE_TIMEOUT_MS;
    const either = AbortSignal.any([signal, this.#closing.signal]);
    const verdict = await this.#gate.tryRun(() => this.#ask(request, until, either));
    return verdict ?? { kind: "unavailable", reason: "too many logins wait for the NT domain" };
  }

  /** Helpers that run are ended; logins that wait are answered as unavailable. */
  close(): void {
    this.#closing.abort();
  }

  async #ask(request: OutsideRequest, until: number, signal: AbortSignal): Promise<OutsideVerdict> {
    const timeoutMs = until - this.#clock.now();
    if (timeoutMs <= 0 || signal.aborted) return NO_ANSWER;
    try {
      return this.#judge(request, await this.#askHelper(request, timeoutMs, signal));
    } catch (thrown) {
      const reason = `cannot run ${this.#helper}: ${messageOf(thrown)}`;
      this.#log.error("ntlm_helper_failed", `NT login of ${request.user}: ${reason}`);
      return { kind: "unavailable", reason };
    }
  }

  #askHelper(
    request: OutsideRequest,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<HelperAnswer> {
    const { name, domain } = splitName(request.user);
    const command = [this.#helper, PROTOCOL];
    if (request.group !== undefined) {
      const group = domain === undefined ? request.group : `${domain}\\${request.group}`;
      command.push(`--require-membership-of=${group}`);
    }
    // In base64, so that no name and no password can begin a line of its own.
    const line = (key: string, value: Uint8Array) =>
      `${key}:: ${Buffer.from(value).toString("base64")}\n`;
    const text =
      line("Username", encodeText(name)) +
      (domain === undefined ? "" : line("NT-Domain", encodeText(domain))) +
      line("Password", request.password);
    const options = { clock: this.#clock, timeoutMs, signal };
    return this.#run(command, encodeText(`${text}.\n`), options);
  }

  #judge(request: OutsideRequest, { lines, complaints }: HelperAnswer): OutsideVerdict {
    const verdict = lines?.find((line) => line.startsWith("Authenticated:"));
    if (verdict === "Authenticated: Yes") return { kind: "accepted" };
    const error = lines?.find((line) => /^(?:Authentication-)?Error:/.test(line));
    const said = [error, ...complaints.split("\n")].filter(Boolean).join("; ");
    // Without winbind the helper says no to everybody, and why on standard error.
    const isAnswer = verdict === "Authenticated: No" && !/winbind/i.test(complaints);
    const level = isAnswer ? "info" : "warn";
    this.#log[level]("ntlm_rejected", `NT login of ${request.user} refused`, {
      user: request.user,
      hub: request.hub,
      address: request.address,
      helper: said === "" ? undefined : said.slice(0, MAX_COMPLAINT_CHARS),
    });
    return isAnswer ? { kind: "rejected" } : NO_ANSWER;
  }
}

/** `DOMAIN\name`, `name@domain`, or a name of the domain that this machine has joined. */
function splitName(user: string): { name: string; domain: string | undefined } {
  const backslash = user.indexOf("\\");
  if (backslash > 0) {
    return { name: user.slice(backslash + 1), domain: user.slice(0, backslash) };
  }
  const at = user.lastIndexOf("@");
  return at > 0
    ? { name: user.slice(0, at), domain: user.slice(at + 1) }
    : { name: user, domain: undefined };
}
