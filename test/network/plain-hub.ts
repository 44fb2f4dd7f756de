// The switch once more, as plainly as it can be said: Maps, strings and copies. The model that the fast one
// has to agree with.
import type { Policy } from "../../src/config/policy.ts";
import type { DropReason } from "../../src/hub/drop-reason.ts";
import type { PortKind } from "../../src/hub/port-identity.ts";

interface Station {
  port: PlainPort;
  updated: number;
  moves: number[];
}

export class PlainPort {
  readonly kind: PortKind;
  readonly policy: Policy;
  readonly received: Uint8Array[] = [];
  readonly drops: Partial<Record<DropReason, number>> = {};
  readonly addresses = new Map<string, number>();
  isReady = true;

  constructor(kind: PortKind, policy: Policy) {
    this.kind = kind;
    this.policy = policy;
  }

  get isNetworkSession(): boolean {
    return this.kind === "client" || this.kind === "bridge" || this.kind === "monitor";
  }

  drop(reason: DropReason): void {
    this.drops[reason] = (this.drops[reason] ?? 0) + 1;
  }

  take(bytes: Uint8Array): void {
    if (this.isReady) this.received.push(bytes);
    else this.drop("queue_full");
  }
}

export class PlainHub {
  readonly ports = new Set<PlainPort>();
  readonly stations = new Map<string, Station>();

  detach(port: PlainPort): void {
    this.ports.delete(port);
    for (const [key, station] of this.stations)
      if (station.port === port) this.stations.delete(key);
  }

  forward(bytes: Uint8Array, from: PlainPort, now: number): void {
    const refused = this.judge(bytes, from, now);
    if (refused !== undefined) return from.drop(refused);
    for (const port of this.ports) if (port.kind === "monitor") port.take(bytes);
    const to = this.destination(bytes);
    if (to !== undefined) return to.take(bytes);
    for (const port of this.ports) if (port !== from && port.kind !== "monitor") port.take(bytes);
  }

  private judge(bytes: Uint8Array, from: PlainPort, now: number): DropReason | undefined {
    for (const [key, { updated }] of this.stations)
      if (now - updated > 600_000) this.stations.delete(key);
    if (from.kind === "monitor") return "monitor_port";
    if (bytes.length < 14 || bytes.length > 1600) return "frame_length";
    if (headerIsCut(bytes)) return "frame_header";
    const [dst, src] = [hex(bytes, 0, 6), hex(bytes, 6, 12)];
    if (bytes[6]! % 2 === 1 || src === "000000000000" || src === dst) return "src_mac";
    if (dst === "0180c2000001") return "pause_frame";
    const refused = this.learn(src + vlanOf(bytes), from, now);
    if (refused !== undefined) return refused;
    if (this.destination(bytes) === from) return "same_port";
    return countAddress(bytes, from, now) ? undefined : "ip_limit";
  }

  private learn(key: string, from: PlainPort, now: number): DropReason | undefined {
    const known = this.stations.get(key);
    if (known?.port === from) {
      known.updated = now;
      return undefined;
    }
    const isFresh = known !== undefined && now - known.updated < 13_000;
    if (known !== undefined) {
      const { kind } = known.port;
      if (kind === "secure-nat" || kind === "l3") return "mac_spoof";
      const isHeld = kind === "local-bridge" || kind === "cascade";
      if (isFresh && isHeld && from.isNetworkSession) return "mac_spoof";
      if (isFresh && (from.kind === "local-bridge" || from.policy.check_mac)) return "mac_spoof";
    }
    const owned = [...this.stations.values()].filter((station) => station.port === from).length;
    if (from.policy.no_bridge && owned >= 3) return "mac_limit";
    if (from.policy.max_mac > 0 && owned >= Math.max(3, from.policy.max_mac)) return "mac_limit";
    const second = Math.floor(now / 1000);
    const moves = (known?.moves ?? []).filter((move) => move === second);
    if (moves.length >= 10) return "mac_flap";
    this.stations.set(key, {
      port: from,
      updated: now,
      moves: known === undefined ? [] : [...moves, second],
    });
    return undefined;
  }

  private destination(bytes: Uint8Array): PlainPort | undefined {
    if (bytes[0]! % 2 === 1) return undefined;
    return this.stations.get(hex(bytes, 0, 6) + vlanOf(bytes))?.port;
  }
}

function hex(bytes: Uint8Array, from: number, to: number): string {
  return bytes.subarray(from, to).toHex();
}

function typeAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 256 + bytes[at + 1]!;
}

function isTagged(bytes: Uint8Array): boolean {
  return typeAt(bytes, 12) === 0x8100;
}

function vlanOf(bytes: Uint8Array): string {
  return isTagged(bytes) ? `.${typeAt(bytes, 14) % 4096 || ""}` : ".";
}

function headerIsCut(bytes: Uint8Array): boolean {
  const header = isTagged(bytes) ? 18 : 14;
  if (bytes.length < header) return true;
  const length = typeAt(bytes, header - 2);
  if (length >= 1536) return false;
  const payload = bytes.subarray(header);
  if (length > payload.length || length < 3) return true;
  return payload[0] === 0xaa && payload[1] === 0xaa && length < 8;
}

/** Of untagged and once tagged ARP, IPv4 and IPv6 without the exemptions: the fuzzer makes no such frames. */
function countAddress(bytes: Uint8Array, from: PlainPort, now: number): boolean {
  const at = isTagged(bytes) ? 18 : 14;
  const type = typeAt(bytes, at - 2);
  const layer3 = bytes.subarray(at);
  let address: string | undefined;
  if (type === 0x0800 && layer3.length >= 20) address = hex(layer3, 12, 16);
  if (type === 0x0806 && layer3.length >= 28) address = hex(layer3, 14, 18);
  if (type === 0x86dd && layer3.length >= 40) address = hex(layer3, 8, 24);
  if (address === undefined) return true;
  const limit =
    address.length === 8
      ? from.policy.no_routing
        ? 4
        : Infinity
      : from.policy.no_routing_v6
        ? 15
        : Infinity;
  for (const [known, updated] of from.addresses)
    if (now - updated > 60_000) from.addresses.delete(known);
  const owned = [...from.addresses.keys()].filter((known) => known.length === address.length);
  if (!from.addresses.has(address) && owned.length >= limit) return false;
  from.addresses.set(address, now);
  return true;
}
