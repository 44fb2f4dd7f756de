import { tryParseMac } from "../../../src/base/mac.ts";
import { tryParseNet } from "../../../src/base/ip.ts";
import { type AccessRule, sortAccessRules } from "../../../src/config/access-rule.ts";
import type { HubOptions } from "../../../src/config/hub-options.ts";
import { DEFAULT_POLICY } from "../../../src/config/policy.ts";
import { Hub } from "../../../src/hub/hub.ts";
import { DEFAULT_HUB_SETTINGS, type HubSettings } from "../../../src/hub/hub-settings.ts";
import type { PortKind } from "../../../src/hub/port-identity.ts";
import type { Log, LogFields } from "../../../src/observe/log.ts";
import { ArrayPort } from "../../support/array-port.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const PASS_ALL: AccessRule = {
  action: "pass",
  note: "",
  enable: true,
  priority: 100,
  family: undefined,
  from: undefined,
  to: undefined,
  fromUser: undefined,
  toUser: undefined,
  fromMac: undefined,
  toMac: undefined,
  proto: undefined,
  fromPort: undefined,
  toPort: undefined,
  tcpState: undefined,
  delayMs: 0,
  jitterPercent: 0,
  lossPercent: 0,
  redirect: undefined,
};

export function drop(parts: Partial<AccessRule>): AccessRule {
  return { ...PASS_ALL, action: "drop", ...parts };
}

export function pass(parts: Partial<AccessRule>): AccessRule {
  return { ...PASS_ALL, ...parts };
}

export function net(text: string) {
  const parsed = tryParseNet(text);
  if (parsed === undefined) throw new Error(`${text} is no network`);
  return parsed;
}

export function macMatch(text: string, prefix = 48) {
  const mac = tryParseMac(text);
  if (mac === undefined) throw new Error(`${text} is no MAC`);
  return { mac, prefix };
}

export function user(name: string) {
  return { kind: "name", name } as const;
}

export function settings(
  access: readonly AccessRule[],
  options: Partial<HubOptions> = {},
): HubSettings {
  return {
    ...DEFAULT_HUB_SETTINGS,
    compat: new Set(["loop-probe"]),
    access: sortAccessRules(access),
    options: { ...DEFAULT_HUB_SETTINGS.options, ...SILENT, ...options },
  };
}

/** Hubs that send nothing of their own. */
const SILENT: Partial<HubOptions> = { NoAddressPollingIPv4: 1, NoAddressPollingIPv6: 1 };

export interface Who {
  readonly user?: string;
  readonly group?: string | undefined;
  readonly kind?: PortKind;
  readonly address?: string;
}

/** A hub with an access list and a clock that is moved by hand. */
export class AccessWorld {
  readonly clock = new ManualClock();
  readonly warnings: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
  readonly hub: Hub;
  readonly #options: Partial<HubOptions>;

  constructor(rules: readonly AccessRule[], options: Partial<HubOptions> = {}) {
    const log: Log = {
      debug() {},
      info() {},
      warn: (event, _text, fields) => void this.warnings.push({ event, fields }),
      error() {},
    };
    this.#options = options;
    this.hub = new Hub({
      name: "TEST",
      clock: this.clock,
      log,
      random: seededRandom(1),
      settings: settings(rules, options),
    });
  }

  /** Applies other rules to the ports that are there. */
  change(rules: readonly AccessRule[]): void {
    this.hub.reconfigure(settings(rules, this.#options));
  }

  attach(name: string, who: Who = {}) {
    const port = new ArrayPort(name);
    const at = this.hub.attach(port, {
      kind: who.kind ?? "bridge",
      user: who.user ?? name,
      group: who.group,
      remoteAddress: who.address ?? "203.0.113.7",
      policy: { ...DEFAULT_POLICY, no_broadcast_limiter: true },
    });
    return Object.assign(port, { at });
  }

  /** Ends the hub; no timer may be left. */
  close(): void {
    this.hub.close();
    if (this.clock.pending > 0) throw new Error("The hub has left a timer");
  }
}
