// Where guests may go (hub.md 11.3, robustness.md IP-18). Their packets leave by sockets of this process, so that
// whoever trusts this machine by its address, loopback first of all, would trust every guest of the hub.
import type { Clock } from "../base/clock.ts";
import { readIpv4, type IpAddress, type Ipv4, tryParseAddress } from "../base/ip.ts";
import { listAddresses } from "../platform/ip-address.ts";

/**
 * Why a destination is refused:
 * - `nowhere` no host can have this address: unspecified, group, broadcast, reserved, IPv4 in disguise
 * - `loopback`, `link_local`, `metadata` places that serve this machine alone
 * - `own_port` a port of this server, by whichever address of this machine
 * - `own_tunnel` a server that this one has a tunnel to: the tunnel would run through itself
 */
export type DestinationRefusal =
  "nowhere" | "loopback" | "link_local" | "metadata" | "own_port" | "own_tunnel";

/** An address with a port. */
export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

/** What this process has outside, asked for as often as something new is begun: cheap to answer. */
export interface OwnPlaces {
  /** Ports that it listens on, TCP and UDP. */
  readonly listeningPorts: () => ReadonlySet<number>;
  /** Servers that it has tunnels to. */
  readonly tunnelServers: () => readonly Endpoint[];
}

export const NO_OWN_PLACES: OwnPlaces = {
  listeningPorts: () => new Set(),
  tunnelServers: () => [],
};

/** Addresses of this machine change seldom; a guest that connects in a loop must not ask the kernel each time. */
const FRESH_MS = 1000;

/** Instance metadata of hosters outside 169.254.0.0/16: whoever reads it gets the machine's own credentials. */
export const METADATA = {
  v4: ["100.100.100.200", "168.63.129.16", "192.0.0.192"],
  v6: ["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"],
} as const;
const METADATA_V4 = new Set(METADATA.v4.map((text) => address(text).v4));
const METADATA_V6 = METADATA.v6.map((text) => address(text).bytes);

/** Prefixes of IPv6 that carry an IPv4 address, and where: packets to them may be turned into IPv4 by a router. */
const CARRIERS = [
  // NAT64 (RFC 6052 2.1, RFC 8215), 6to4 (RFC 3056 2).
  { prefix: [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0], at: 12 },
  { prefix: [0x00, 0x64, 0xff, 0x9b, 0x00, 0x01], at: 12 },
  { prefix: [0x20, 0x02], at: 2 },
] as const;

export class DestinationRule {
  readonly #clock: Clock;
  readonly #allowHost: boolean;
  readonly #own: OwnPlaces;
  readonly #readAddresses: () => readonly Uint8Array[];
  #addresses: readonly Uint8Array[] = [];
  #readAt = -Infinity;

  /** @param readAddresses of this machine, as often as once a second */
  constructor(
    clock: Clock,
    options: { readonly allowHost: boolean; readonly own?: OwnPlaces },
    readAddresses: () => readonly Uint8Array[] = hostAddresses,
  ) {
    this.#clock = clock;
    this.#allowHost = options.allowHost;
    this.#own = options.own ?? NO_OWN_PLACES;
    this.#readAddresses = readAddresses;
  }

  /**
   * Whether a guest may send to this address, 4 or 16 bytes at an offset, and port, 0 for protocols without.
   * Gives undefined if it may. To be asked when something is begun, not for every packet.
   */
  refuses(
    bytes: Uint8Array,
    at: number,
    length: 4 | 16,
    port: number,
  ): DestinationRefusal | undefined {
    const kind =
      length === 4 ? kindOfV4(readIpv4(bytes, at)) : kindOfV6(bytes.subarray(at, at + length));
    if (kind === "nowhere") return kind;
    if (this.#allowHost) return undefined;
    return kind ?? this.#ownKind(bytes.subarray(at, at + length), port);
  }

  #ownKind(bytes: Uint8Array, port: number): DestinationRefusal | undefined {
    if (port === 0) return undefined;
    if (this.#own.listeningPorts().has(port) && this.#isOfHost(bytes)) return "own_port";
    for (const server of this.#own.tunnelServers()) {
      if (server.port === port && isSame(server.address.bytes, bytes)) return "own_tunnel";
    }
    return undefined;
  }

  #isOfHost(bytes: Uint8Array): boolean {
    const now = this.#clock.now();
    if (now - this.#readAt >= FRESH_MS) {
      this.#addresses = this.#readAddresses();
      this.#readAt = now;
    }
    return this.#addresses.some((own) => isSame(own, bytes));
  }
}

function kindOfV4(address: Ipv4): DestinationRefusal | undefined {
  const first = address >>> 24;
  // This host on this network, which the system takes for loopback; groups, reserved addresses and broadcast.
  if (first === 0 || first >= 224) return "nowhere";
  if (first === 127) return "loopback";
  // With 169.254.169.254, the metadata address of most hosters.
  if (address >>> 16 === 0xa9fe) return "link_local";
  return METADATA_V4.has(address) ? "metadata" : undefined;
}

function kindOfV6(bytes: Uint8Array): DestinationRefusal | undefined {
  if (bytes[0] === 0xff) return "nowhere";
  // ::/64 without ::1: unspecified, IPv4-compatible and IPv4-mapped, which have no place on a wire (RFC 4942 2.2).
  if (startsWith(bytes, [0, 0, 0, 0, 0, 0, 0, 0])) {
    return isLoopbackV6(bytes) ? "loopback" : "nowhere";
  }
  if (bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80) return "link_local";
  if (METADATA_V6.some((metadata) => isSame(metadata, bytes))) return "metadata";
  for (const { prefix, at } of CARRIERS) {
    if (startsWith(bytes, prefix)) return kindOfV4(readIpv4(bytes, at));
  }
  return undefined;
}

function isLoopbackV6(bytes: Uint8Array): boolean {
  return bytes.subarray(8, 15).every((octet) => octet === 0) && bytes[15] === 1;
}

function startsWith(bytes: Uint8Array, prefix: readonly number[]): boolean {
  return prefix.every((octet, index) => bytes[index] === octet);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, index) => octet === b[index]);
}

function hostAddresses(): Uint8Array[] {
  return listAddresses().map(({ net }) => net.bytes);
}

function address(text: string): IpAddress & { readonly v4: Ipv4 } {
  const parsed = tryParseAddress(text)!;
  return { ...parsed, v4: readIpv4(parsed.bytes, 0) };
}
