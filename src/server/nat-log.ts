import { formatAddress } from "../base/ip.ts";
import { MAX_NAT_LINES_PER_MINUTE } from "../base/limits.ts";
import { formatMac, type MacAddress } from "../base/mac.ts";
import type { Clock } from "../base/clock.ts";
import type { LogFields, Log } from "../observe/log.ts";
import type { Flow, FlowEnds } from "../secure-nat/flow.ts";

const MINUTE_MS = 60_000;

/**
 * What the security log of a hub tells of its SecureNAT (hub.md 10): who opened what to whom, and who got which address.
 * Bounded, since each line is a guest's doing.
 */
export class NatLog {
  readonly #hub: string;
  readonly #clock: Clock;
  readonly #log: Log;
  /** As the key `log` says. */
  isOn = true;
  /** For the parts of SecureNAT: what is no warning is bounded, and switched off, like the rest. */
  readonly log: Log;
  #since = -Infinity;
  #lines = 0;
  #suppressed = 0;

  constructor(hub: string, deps: { readonly clock: Clock; readonly log: Log }) {
    this.#hub = hub;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.log = {
      ...deps.log,
      info: (event, text, fields = {}) => this.#put(event, text, () => fields),
    };
  }

  /** The host is in the hub, as this session. */
  started(session: string): void {
    const text = `SecureNAT of hub ${this.#hub} has started as ${session}`;
    this.#log.info("nat_started", text, { hub: this.#hub, session });
  }

  stopped(session: string): void {
    const text = `SecureNAT of hub ${this.#hub} has stopped`;
    this.#log.info("nat_stopped", text, { hub: this.#hub, session });
  }

  failed(problem: string): void {
    const text = `SecureNAT of hub ${this.#hub} does not operate: ${problem}`;
    this.#log.warn("nat_error", text, { hub: this.#hub });
  }

  began(id: number, ends: FlowEnds, mac: MacAddress): void {
    this.#put("nat_entry_created", "A NAT entry was made", () => ({
      id,
      ...endFields(ends),
      mac: formatMac(mac),
    }));
  }

  finished(id: number, { ends, info }: Flow): void {
    this.#put("nat_entry_deleted", "A NAT entry has ended", () => ({
      id,
      ...endFields(ends),
      sent: info.bytesOut,
      received: info.bytesIn,
      seconds: Math.round((this.#clock.now() - info.created) / 1000),
    }));
  }

  /** The line is made only if there is room for it. */
  #put(event: string, text: string, fields: () => LogFields): void {
    if (!this.isOn) return;
    const now = this.#clock.now();
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#lines = 0;
    }
    if (this.#lines >= MAX_NAT_LINES_PER_MINUTE) {
      this.#suppressed += 1;
      return;
    }
    this.#lines += 1;
    const suppressed = this.#suppressed || undefined;
    this.#suppressed = 0;
    this.#log.info(event, text, { hub: this.#hub, ...fields(), suppressed });
  }
}

function endFields({ protocol, inner, innerPort, outer, outerPort }: FlowEnds): LogFields {
  const isEcho = protocol === "icmp";
  return {
    protocol,
    from: formatAddress(inner.bytes),
    from_port: isEcho ? undefined : innerPort,
    to: formatAddress(outer.bytes),
    to_port: isEcho ? undefined : outerPort,
  };
}
