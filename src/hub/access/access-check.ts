import type { AccessRule } from "../../config/access-rule.ts";
import { DROP, PASS, TAKEN } from "../drop-reason.ts";
import type { FrameCheck } from "../frame-check.ts";
import type { FrameView } from "../frame-view.ts";
import type { PortIdentity } from "../port-identity.ts";
import type { HubParts } from "../port-program.ts";
import { type AccessList, flowMemo, NO_RULE } from "./access-list.ts";
import type { Matcher } from "./matcher.ts";
import { redirectFrame, redirectUrl, requestBytes } from "./redirect.ts";

/** Stage 1 (hub.md 7.3): frames that come from the port meet the rules above the first that names a receiver. */
export function accessArrival(port: PortIdentity, hub: HubParts): readonly FrameCheck[] {
  return hub.access.concernsArrival(port) ? [new ArrivalCheck(port, hub)] : [];
}

/** Stage 2: frames to the port that stage 1 has not decided on meet the other rules. */
export function accessDeparture(port: PortIdentity, hub: HubParts): readonly FrameCheck[] {
  return hub.access.concernsDeparture(port) ? [new DepartureCheck(port, hub.access)] : [];
}

class ArrivalCheck implements FrameCheck {
  readonly #port: PortIdentity;
  readonly #hub: HubParts;
  readonly #list: AccessList;
  readonly #memo = flowMemo();
  #matcher: Matcher;
  #generation: number;

  constructor(port: PortIdentity, hub: HubParts) {
    this.#port = port;
    this.#hub = hub;
    this.#list = hub.access;
    this.#matcher = this.#list.arrivalMatcher(port);
    this.#generation = this.#list.generation;
  }

  check(frame: FrameView): number {
    const list = this.#list;
    if (!list.key.read(frame)) return PASS;
    if (this.#generation !== list.generation) {
      this.#matcher = list.arrivalMatcher(this.#port);
      this.#generation = list.generation;
    }
    const rule = list.decide(this.#matcher, this.#memo);
    if (rule === NO_RULE) return PASS;
    // Where there is no second stage the mark would only cut runs in pieces.
    if (list.hasDeparture) frame.isJudged = true;
    return this.#apply(list.rules[rule]!, frame);
  }

  #apply(rule: AccessRule, frame: FrameView): number {
    if (rule.redirect !== undefined && requestBytes(frame) > 0)
      return this.#redirect(rule.redirect, frame);
    if (rule.action === "drop") return DROP.access_list;
    if (rule.lossPercent > 0 && this.#hub.random.fraction() * 100 < rule.lossPercent)
      return DROP.access_loss;
    return rule.delayMs === 0 ? PASS : this.#delay(rule, frame);
  }

  #delay({ delayMs, jitterPercent }: AccessRule, frame: FrameView): number {
    const jitter =
      jitterPercent === 0 ? 0 : (jitterPercent / 100) * (2 * this.#hub.random.fraction() - 1);
    return this.#hub.park(frame, delayMs * (1 + jitter)) ? TAKEN : DROP.delay_full;
  }

  /** Sessions of the server's own have nobody who could follow. */
  #redirect(pattern: string, frame: FrameView): number {
    const port = this.#port;
    if (!port.isNetworkSession) return DROP.access_list;
    const who = { user: port.user, session: port.name, address: port.remoteAddress ?? "" };
    const url = redirectUrl(pattern, who, this.#hub.clock.wall());
    const answer = redirectFrame(frame, url);
    if (answer === undefined) return DROP.access_list;
    this.#hub.send(answer, port);
    return TAKEN;
  }
}

class DepartureCheck implements FrameCheck {
  readonly #port: PortIdentity;
  readonly #list: AccessList;
  readonly #memo = flowMemo();
  /** The sender of the frame before, and the rules for frames from there. */
  #sender = "";
  #matcher: Matcher | undefined;
  #generation = -1;

  constructor(port: PortIdentity, list: AccessList) {
    this.#port = port;
    this.#list = list;
  }

  check(frame: FrameView): number {
    const { from } = frame;
    const list = this.#list;
    if (frame.isJudged || from === undefined || !list.key.read(frame)) return PASS;
    if (this.#sender !== from.name || this.#generation !== list.generation) {
      this.#matcher = list.departureMatcher(from, this.#port);
      this.#sender = from.name;
      this.#generation = list.generation;
    }
    const rule = this.#matcher === undefined ? NO_RULE : list.decide(this.#matcher, this.#memo);
    return rule !== NO_RULE && list.rules[rule]!.action === "drop" ? DROP.access_list : PASS;
  }
}
