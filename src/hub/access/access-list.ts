// The access list of a hub, compiled: which rules can meet which ports is settled beforehand, the rest is looked up in
// trees, and what was found about a flow is remembered (hub.md 7).
import type { Clock } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import type { AccessRule } from "../../config/access-rule.ts";
import type { Log } from "../../observe/log.ts";
import type { HubSettings } from "../hub-settings.ts";
import type { PortIdentity } from "../port-identity.ts";
import { DecisionCache, UNKNOWN } from "./decision-cache.ts";
import { FLOW_WORDS, FlowKey } from "./flow-key.ts";
import { Matcher } from "./matcher.ts";
import { NameFiles, type NameFileReader, systemNameFiles } from "./name-files.ts";
import { rangesOf } from "./rule-ranges.ts";
import { RuleShelf } from "./rule-shelf.ts";
import { RuleTable } from "./rule-table.ts";
import { ANYBODY, UserTerms } from "./user-terms.ts";

/** What decide() answers where no rule is met. */
export const NO_RULE = -1;

/** What else of the settings has a say. */
const OPTIONS = ["ApplyIPv4AccessListOnArpPacket", "AccessListIncludeFileCacheLifetime"] as const;

/** Pairs of senders and receivers that are kept: more come from sessions that are long gone. */
const MAX_PAIRS = 65_536;

/** Ports that the same terms of rules mean: the list is the same for all of them. */
interface PortClass {
  readonly id: number;
  readonly terms: readonly number[];
  readonly arrival: Matcher;
  /** For frames to ports of this class, by the class of the sender. */
  readonly departures: Map<number, Matcher>;
}

interface Known {
  readonly name: string;
  readonly group: string | undefined;
  readonly of: PortClass;
}

/** The flow that was asked about last: frames of one connection come in a row. */
export interface FlowMemo {
  readonly words: Int32Array;
  length: number;
  /** The matcher that was asked, 0 for none. */
  owner: number;
  rule: number;
}

export function flowMemo(): FlowMemo {
  return { words: new Int32Array(FLOW_WORDS), length: 0, owner: 0, rule: NO_RULE };
}

export class AccessList {
  /** Those that are enabled, in their order. */
  readonly rules: readonly AccessRule[];
  /** The frame that is asked about; filled in by whoever asks. */
  readonly key: FlowKey;
  /** There are rules that name a receiver, so some are tried on departure (hub.md 7.3). */
  readonly hasDeparture: boolean;
  /** Counts up when ports may have come to mean other rules. */
  generation = 0;
  readonly #terms = new UserTerms();
  readonly #files: NameFiles;
  readonly #arrival: RuleShelf;
  readonly #departure: RuleShelf;
  readonly #settings: HubSettings;
  readonly #random: Random;
  #cache: DecisionCache | undefined;
  /** By the terms that they have in common. */
  readonly #classes = new Map<string, PortClass>();
  /** By index of the port; name and group tell whether it is still that one. */
  readonly #known: (Known | undefined)[] = [];
  #ids = 0;
  #pairs = 0;

  constructor(
    settings: HubSettings,
    deps: {
      readonly clock: Clock;
      readonly random: Random;
      readonly log: Log;
      readonly reader?: NameFileReader;
    },
  ) {
    const { options } = settings;
    this.#settings = settings;
    this.#random = deps.random;
    const rules = settings.access.filter(({ enable }) => enable);
    const ranges = rules.map(rangesOf);
    const table = new RuleTable(ranges);
    const firstForReceivers = rules.findIndex(({ toUser }) => toUser !== undefined);
    const divide = firstForReceivers < 0 ? rules.length : firstForReceivers;
    const shelved = rules.map(({ fromUser, toUser }, rule) => ({
      rule,
      from: this.#terms.add(fromUser),
      to: this.#terms.add(toUser),
    }));
    this.rules = rules;
    this.hasDeparture = divide < rules.length;
    this.#arrival = new RuleShelf(shelved.slice(0, divide), ranges, table);
    this.#departure = new RuleShelf(shelved.slice(divide), ranges, table);
    this.key = new FlowKey({
      usesMacs: rules.some(({ fromMac, toMac }) => fromMac !== undefined || toMac !== undefined),
      judgesArp: options.ApplyIPv4AccessListOnArpPacket !== 0,
    });
    this.#files = new NameFiles(this.#terms.files, {
      reader: deps.reader ?? systemNameFiles,
      clock: deps.clock,
      log: deps.log,
      lifetimeMs: options.AccessListIncludeFileCacheLifetime * 1000,
      onChange: () => this.#forget(),
    });
  }

  /** True if these settings make the same list. */
  isFor({ access, options }: HubSettings): boolean {
    const own = this.#settings;
    return (
      Bun.deepEquals(access, own.access) &&
      OPTIONS.every((name) => options[name] === own.options[name])
    );
  }

  /** False if no rule can ever be met by frames that come from this port. */
  concernsArrival(port: PortIdentity): boolean {
    return this.#arrival.size > 0 && (this.#isOpen || !this.arrivalMatcher(port).isEmpty);
  }

  /** False if no rule can ever be met by frames that go to this port. */
  concernsDeparture(port: PortIdentity): boolean {
    if (this.#departure.size === 0) return false;
    // Asked in any case: it finds out that the port is in another group, which its receivers have to know.
    const { terms } = this.#classOf(port);
    return this.#isOpen || this.#departure.hasFor(terms);
  }

  /** The rules for frames from this port, before it is known where they go; good for this generation. */
  arrivalMatcher(from: PortIdentity): Matcher {
    return this.#classOf(from).arrival;
  }

  /** The rules for frames from one port to another. */
  departureMatcher(from: PortIdentity, to: PortIdentity): Matcher {
    const sender = this.#classOf(from);
    const receiver = this.#classOf(to);
    const known = receiver.departures.get(sender.id);
    if (known !== undefined) return known;
    if (this.#pairs === MAX_PAIRS) {
      this.#forget();
      return this.departureMatcher(from, to);
    }
    const trees = this.#departure.treesFor(sender.terms, receiver.terms);
    const matcher = new Matcher(++this.#ids, trees, this.rules.length);
    receiver.departures.set(sender.id, matcher);
    this.#pairs += 1;
    return matcher;
  }

  /** The first rule that the frame in `key` meets, or NO_RULE. */
  decide(matcher: Matcher, memo: FlowMemo): number {
    const { words, length } = this.key;
    const { id } = matcher;
    if (memo.owner === id && memo.length === length) {
      let at = 0;
      while (at < length && memo.words[at] === words[at]) at += 1;
      if (at === length) return memo.rule;
    }
    const cache = (this.#cache ??= new DecisionCache(seedOf(this.#random)));
    let rule = cache.get(words, length, id);
    if (rule === UNKNOWN) {
      rule = matcher.match(this.key.values());
      if (rule === this.rules.length) rule = NO_RULE;
      cache.put(words, length, id, rule);
    }
    for (let at = 0; at < length; at += 1) memo.words[at] = words[at]!;
    memo.length = length;
    memo.owner = id;
    memo.rule = rule;
    return rule;
  }

  /** Stops reading files. */
  close(): void {
    this.#files.close();
  }

  /** Files can make any port meet rules that it does not meet now. */
  get #isOpen(): boolean {
    return this.#terms.files.length > 0;
  }

  #classOf(port: PortIdentity): PortClass {
    const known = this.#known[port.index];
    if (known !== undefined && known.name === port.name) {
      if (known.group === port.group) return known.of;
      // Receivers may hold what they found for this sender.
      this.generation += 1;
    }
    const terms = this.#terms.of(port, this.#files);
    const key = terms.join();
    let found = this.#classes.get(key);
    if (found === undefined) {
      const trees = this.#arrival.treesFor(terms, [ANYBODY]);
      const arrival = new Matcher(++this.#ids, trees, this.rules.length);
      found = { id: ++this.#ids, terms, arrival, departures: new Map() };
      this.#classes.set(key, found);
    }
    this.#known[port.index] = { name: port.name, group: port.group, of: found };
    return found;
  }

  /** Numbers are not given again, so what the cache holds of matchers that are gone is never found. */
  #forget(): void {
    this.generation += 1;
    this.#classes.clear();
    this.#known.length = 0;
    this.#pairs = 0;
  }
}

function seedOf(random: Random): number {
  return new DataView(random.bytes(4).buffer).getInt32(0);
}
