// The broadcast limiter (hub.md 2.10): flows that flood the hub too fast are thinned out, then silenced.
import { MAX_STORM_RECORDS_PER_PORT, STORM_FORGET_MS } from "../base/limits.ts";
import { AgedTable } from "./aged-table.ts";
import { DROP, PASS } from "./drop-reason.ts";
import type { FrameCheck } from "./frame-check.ts";
import type { FrameView } from "./frame-view.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";

/* Specification constants: hub.md 2.10, 16. */
const DEFAULT_THRESHOLD = 32;
const WINDOW_MS = 500;
const THIN_OUT_FROM = 3;
const SILENCE_FROM = 128;
const MAX_DIVISOR = 1024;
/**
 * So many frames end a window early. At 100,000 a second the reference lets 100,000 pass before it begins to thin
 * out, which fills the queues of all ports (robustness.md FR-16); up to 1,000 a second this changes nothing.
 */
const MIN_BURST = 512;

/** MAC and which addresses they are; each address four words. */
const KEY_WORDS = 10;
const SOURCE_AT = 2;
const DESTINATION_AT = 6;

/** What a record holds besides its times: frames of the window in the upper bits of one word, the divisor below. */
const DIVISOR_BITS = 11;
const DIVISOR_MASK = (1 << DIVISOR_BITS) - 1;
/** Far above every threshold that matters. */
const MAX_COUNT = (1 << (31 - DIVISOR_BITS)) - 1;

/** Which addresses tell a record from others: both, or in strict mode one of each. */
const BOTH = 0;
const BY_SOURCE = 1;
const BY_DESTINATION = 2;

interface Records {
  readonly table: AgedTable;
  /** Records made since `since`. */
  fresh: number;
  since: number;
}

/** By the port and not in its check: they outlive a change of its policy. */
const recordsByPort = new WeakMap<PortIdentity, Records>();

/** The check of floods from a port that is limited; hosts of the server's own are not (hub.md 1.1). */
export function stormLimiter(port: PortIdentity, hub: HubParts): readonly FrameCheck[] {
  if (port.policy.no_broadcast_limiter || port.kind === "secure-nat" || port.kind === "l3")
    return [];
  return [new StormLimiter(port, hub)];
}

class StormLimiter implements FrameCheck {
  private readonly port: PortIdentity;
  private readonly hub: HubParts;
  private readonly threshold: number;
  private readonly burst: number;
  private readonly isStrict: boolean;
  private readonly isTold: boolean;
  private records: Records | undefined;

  constructor(port: PortIdentity, hub: HubParts) {
    const { options } = hub.settings;
    this.port = port;
    this.hub = hub;
    this.threshold = options.BroadcastStormDetectionThreshold || DEFAULT_THRESHOLD;
    this.burst = Math.min(Math.max(MIN_BURST, this.threshold), MAX_COUNT);
    this.isStrict = options.BroadcastLimiterStrictMode !== 0;
    this.isTold = options.DoNotSaveHeavySecurityLogs === 0;
  }

  check(frame: FrameView, now: number): number {
    const records = (this.records ??= recordsOf(this.port, this.hub));
    records.table.expire(now);
    if (!this.isStrict) return this.count(frame, records, BOTH, now);
    // Whoever varies one address stays under the record of the other.
    const bySource = this.count(frame, records, BY_SOURCE, now);
    const byDestination = this.count(frame, records, BY_DESTINATION, now);
    return bySource === PASS ? byDestination : bySource;
  }

  private count(frame: FrameView, records: Records, which: number, now: number): number {
    const { table } = records;
    fillKey(frame, table.key, which);
    const slot = table.find();
    // The first frame opens a window and is not of it.
    if (slot < 0) return this.begin(frame, records, now);
    const note = table.note(slot);
    const count = Math.min((note >>> DIVISOR_BITS) + 1, MAX_COUNT);
    const divisor = note & DIVISOR_MASK;
    const elapsed = now - table.created(slot);
    if (elapsed <= WINDOW_MS && count < this.burst) {
      table.setNote(slot, (count << DIVISOR_BITS) | divisor);
      table.touch(slot, now);
      return this.judge(divisor);
    }
    const rate = (count * 1000) / Math.max(1, Math.min(elapsed, WINDOW_MS));
    const isStorm = rate >= this.threshold;
    const next = isStorm ? raised(divisor) : Math.floor(divisor / Math.max(2, elapsed / WINDOW_MS));
    table.setNote(slot, next);
    // A record is as old as its window.
    table.reassign(slot, 0, now);
    if (!isStorm) return this.judge(next);
    if (divisor === 0) this.tell(frame, rate, now);
    return DROP.storm;
  }

  /** A flow that is not known. Made-up addresses do not get round the limiter: so many new flows are a storm, too. */
  private begin(frame: FrameView, records: Records, now: number): number {
    const { table } = records;
    if (now - records.since > WINDOW_MS) {
      records.since = now;
      records.fresh = 0;
    }
    records.fresh += 1;
    if (records.fresh > MAX_STORM_RECORDS_PER_PORT) {
      if (records.fresh === MAX_STORM_RECORDS_PER_PORT + 1)
        this.tell(frame, (records.fresh * 1000) / WINDOW_MS, now);
      return DROP.storm;
    }
    if (table.size >= MAX_STORM_RECORDS_PER_PORT) table.removeOldest();
    table.insert(0, now);
    return PASS;
  }

  private tell(frame: FrameView, rate: number, now: number): void {
    if (this.isTold) this.hub.log.storm(this.port.name, frame, rate, now);
  }

  private judge(divisor: number): number {
    if (divisor < THIN_OUT_FROM) return PASS;
    if (divisor >= SILENCE_FROM) return DROP.storm;
    return this.hub.random.fraction() * divisor < 1 ? PASS : DROP.storm;
  }
}

function raised(divisor: number): number {
  return Math.min(Math.max(divisor, 1) * 2, MAX_DIVISOR);
}

function recordsOf(port: PortIdentity, { random }: HubParts): Records {
  let records = recordsByPort.get(port);
  if (records === undefined) {
    const seed = new DataView(random.bytes(4).buffer).getInt32(0);
    const table = new AgedTable({ keyWords: KEY_WORDS, ageMs: STORM_FORGET_MS, seed });
    recordsByPort.set(port, (records = { table, fresh: 0, since: -Infinity }));
  }
  return records;
}

/** Source MAC, source and destination address; no addresses for what is not IP, of ARP the sender's alone. */
function fillKey(frame: FrameView, key: Int32Array, which: number): void {
  const { view, start } = frame;
  frame.parse();
  key.fill(0);
  let family = 0;
  const { layer3, layer3At: at } = frame;
  if (layer3 === "ipv4" || layer3 === "arp") {
    family = 4;
    if (which !== BY_DESTINATION) key[SOURCE_AT] = view.getInt32(at + (layer3 === "arp" ? 14 : 12));
    if (which !== BY_SOURCE && layer3 === "ipv4") key[DESTINATION_AT] = view.getInt32(at + 16);
  } else if (layer3 === "ipv6") {
    family = 6;
    for (let word = 0; word < 4; word += 1) {
      if (which !== BY_DESTINATION) key[SOURCE_AT + word] = view.getInt32(at + 8 + word * 4);
      if (which !== BY_SOURCE) key[DESTINATION_AT + word] = view.getInt32(at + 24 + word * 4);
    }
  }
  key[0] = (view.getUint16(start + 6) << 16) | (family << 8) | which;
  key[1] = view.getInt32(start + 8);
}
