import { formatNet, tryParseAddress, tryParseNet } from "../base/ip.ts";
import type { TunnelPeer } from "./kill-switch.ts";
import type { Rule } from "../platform/ip-rule.ts";

/**
 * One change to the machine and what takes it back. Routes over the tunnel's own interface are not among them: the
 * kernel deletes those with the interface, and the interface with the process.
 */
export type UndoStep =
  | { readonly kind: "rule"; readonly rule: Rule }
  /** The packet filter's table of a kill switch, and whom it lets us reach. */
  | {
      readonly kind: "kill-switch";
      readonly table: string;
      readonly peers: readonly TunnelPeer[];
    }
  | { readonly kind: "resolved"; readonly device: string }
  | { readonly kind: "resolvconf"; readonly record: string }
  /** A resolv.conf: what stood there, and what we wrote; what somebody else wrote since then is left alone. */
  | {
      readonly kind: "resolv.conf";
      readonly path: string;
      readonly before: FileBefore;
      readonly written: string;
    };

export type FileBefore =
  | { readonly kind: "absent" }
  | { readonly kind: "file"; readonly text: string; readonly mode: number }
  | { readonly kind: "link"; readonly target: string };

/** Of another boot only files are left: rules, filters and resolvers began empty. */
export function outlivesBoot(step: UndoStep): boolean {
  return step.kind === "resolv.conf";
}

/** The step as a value for JSON. */
export function encodeStep(step: UndoStep): unknown {
  if (step.kind !== "rule") return step;
  const { to } = step.rule;
  return { kind: "rule", rule: { ...step.rule, to: to === undefined ? undefined : formatNet(to) } };
}

/** Reads what `encodeStep` made; undefined for anything else. */
export function tryParseStep(value: unknown): UndoStep | undefined {
  if (!isRecord(value)) return undefined;
  switch (value["kind"]) {
    case "rule":
      return tryParseRule(value["rule"]);
    case "kill-switch": {
      const { table } = value;
      const listed = Array.isArray(value["peers"]) ? value["peers"].map(tryParsePeer) : [undefined];
      const peers = listed.filter((peer) => peer !== undefined);
      const isGood = isText(table) && peers.length === listed.length;
      return isGood ? { kind: "kill-switch", table, peers } : undefined;
    }
    case "resolved":
      return isText(value["device"]) ? { kind: "resolved", device: value["device"] } : undefined;
    case "resolvconf":
      return isText(value["record"]) ? { kind: "resolvconf", record: value["record"] } : undefined;
    case "resolv.conf": {
      const { path, written } = value;
      const before = tryParseBefore(value["before"]);
      const isGood = isText(path) && isText(written) && before !== undefined;
      return isGood ? { kind: "resolv.conf", path, before, written } : undefined;
    }
    default:
      return undefined;
  }
}

function tryParsePeer(value: unknown): TunnelPeer | undefined {
  if (!isRecord(value)) return undefined;
  const { address, port } = value;
  const isGood = isText(address) && tryParseAddress(address) !== undefined && isWhole(port);
  return isGood ? { address, port } : undefined;
}

function tryParseBefore(value: unknown): FileBefore | undefined {
  if (!isRecord(value)) return undefined;
  const { kind, text, mode, target } = value;
  if (kind === "absent") return { kind };
  if (kind === "file" && isText(text) && isWhole(mode)) return { kind, text, mode };
  return kind === "link" && isText(target) ? { kind, target } : undefined;
}

function tryParseRule(value: unknown): UndoStep | undefined {
  if (!isRecord(value) || !isRecord(value["action"])) return undefined;
  const { family, priority } = value;
  const to = value["to"] === undefined ? undefined : tryParseNet(String(value["to"]));
  if ((family !== 4 && family !== 6) || !isWhole(priority)) return undefined;
  if (value["to"] !== undefined && to?.family !== family) return undefined;
  const { kind, table, suppressPrefix } = value["action"];
  if (kind === "unreachable")
    return { kind: "rule", rule: { family, priority, to, action: { kind } } };
  if (kind !== "lookup" || !isWhole(table)) return undefined;
  if (suppressPrefix !== undefined && !isWhole(suppressPrefix)) return undefined;
  return { kind: "rule", rule: { family, priority, to, action: { kind, table, suppressPrefix } } };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
