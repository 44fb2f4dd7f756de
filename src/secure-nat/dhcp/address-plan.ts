import { type Ipv4, maskOfPrefix } from "../../base/ip.ts";
import { MAX_DHCP_BINDINGS } from "../../base/limits.ts";
import type { MacAddress } from "../../base/mac.ts";
import { AddressPool } from "./address-pool.ts";
import type { Bindings } from "./bindings.ts";
import type { DhcpServerConfig } from "./dhcp-reply.ts";
import type { LeaseOrigin } from "./lease.ts";

/** An address that a client may have, and why. */
export interface Entitlement {
  readonly address: Ipv4;
  readonly origin: LeaseOrigin;
}

/** Who may have which address of the network. Made anew when settings change. */
export class AddressPlan {
  readonly pool: AddressPool;
  readonly #bindings: Bindings;
  readonly #network: Ipv4;
  readonly #mask: Ipv4;
  readonly #fixed: ReadonlyMap<MacAddress, Ipv4>;
  /** Of hosts that the settings name, and of MACs with an address of their own: nobody else gets them. */
  readonly #reserved: ReadonlySet<Ipv4>;
  readonly #own: Ipv4;
  readonly #isScattered: boolean;
  readonly #userAddressOf: (mac: MacAddress) => Ipv4 | undefined;

  constructor(
    config: DhcpServerConfig,
    bindings: Bindings,
    userAddressOf: (mac: MacAddress) => Ipv4 | undefined,
  ) {
    const { dhcp, address } = config;
    this.#bindings = bindings;
    this.#mask = maskOfPrefix(config.prefix);
    this.#network = ((address & this.#mask) >>> 0) as Ipv4;
    this.#own = address;
    this.#isScattered = dhcp.isScattered === true;
    this.#userAddressOf = userAddressOf;
    this.#fixed = new Map(dhcp.fixed.map((fixed) => [fixed.mac, fixed.address]));
    this.#reserved = new Set([
      address,
      ...(dhcp.gateway === undefined ? [] : [dhcp.gateway]),
      ...dhcp.dns,
      ...dhcp.ntp,
      ...dhcp.routes.map(({ via }) => via),
      ...this.#fixed.values(),
    ]);
    this.pool = new AddressPool(dhcp.first, dhcp.last, (taken) => !this.#isFree(taken));
  }

  /** True for the address of a host in the network other than our own. */
  isOfHost(address: Ipv4): boolean {
    const part = (address & ~this.#mask) >>> 0;
    const isInside = (address & this.#mask) >>> 0 === this.#network;
    return isInside && part !== 0 && part !== ~this.#mask >>> 0 && address !== this.#own;
  }

  /** The one address that is this client's by its user or by the settings. */
  fixedOf(mac: MacAddress): Entitlement | undefined {
    const ofUser = this.#userAddressOf(mac);
    if (ofUser !== undefined) return { address: ofUser, origin: "user" };
    const fixed = this.#fixed.get(mac);
    return fixed === undefined ? undefined : { address: fixed, origin: "static" };
  }

  /**
   * Whether this client may have this address: its own, whoever else has asked for it, or one of the pool that is free. A
   * lease from when the pool was another one stays with its holder until it is over (robustness.md DH-14).
   */
  mayHave(mac: MacAddress, address: Ipv4): Entitlement | undefined {
    const fixed = this.fixedOf(mac);
    const binding = this.#bindings.at(address);
    const isOwn = binding?.mac === mac && binding.hold !== "resting";
    if (!isOwn && (binding !== undefined || this.#isFull)) return undefined;
    if (fixed !== undefined) {
      if (fixed.address !== address || !this.isOfHost(address)) return undefined;
      // Of the pool others may have it by the time the user comes (hub.md 11.5).
      return fixed.origin === "user" && this.pool.contains(address) ? undefined : fixed;
    }
    const isLeased = isOwn && binding.hold === "leased" && binding.origin === "pool";
    const isAllowed = isLeased ? this.isOfHost(address) : this.isAnybodys(address);
    return isAllowed ? { address, origin: "pool" } : undefined;
  }

  /** For a client that looks for an address: the one it asks for, its own, the last it had (RFC 2131 4.3.1), or a free one. */
  choose(mac: MacAddress, requested: Ipv4): Entitlement | undefined {
    const fixed = this.fixedOf(mac);
    if (fixed !== undefined) return this.mayHave(mac, fixed.address);
    const own = this.#bindings.leases.get(mac) ?? this.#bindings.offers.get(mac);
    for (const address of [requested, own?.address, this.#bindings.before(mac)]) {
      if (address === undefined || !this.isAnybodys(address)) continue;
      const granted = this.mayHave(mac, address);
      if (granted !== undefined) return granted;
    }
    if (this.#isFull) return undefined;
    const scattered = this.#isScattered ? this.pool.scatteredFree(scatter(mac)) : undefined;
    const free = scattered ?? this.pool.lowestFree();
    return free === undefined ? undefined : { address: free, origin: "pool" };
  }

  /** Of the pool, and of nobody by the settings. */
  isAnybodys(address: Ipv4): boolean {
    const isUsable = this.pool.contains(address) && this.isOfHost(address);
    return isUsable && !this.#reserved.has(address);
  }

  get #isFull(): boolean {
    return this.#bindings.size >= MAX_DHCP_BINDINGS;
  }

  #isFree(address: Ipv4): boolean {
    return this.#bindings.at(address) === undefined && this.isAnybodys(address);
  }
}

/** Spreads MACs of one maker, which differ in their last octets, over all numbers of 32 bits. */
function scatter(mac: MacAddress): number {
  return Math.imul((mac | 0) ^ Math.floor(mac / 2 ** 32), 0x9e37_79b1) >>> 0;
}
