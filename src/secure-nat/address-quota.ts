import type { Flow, FlowProtocol } from "./flow.ts";

type Held = Record<FlowProtocol, Set<Flow>>;

/** Flows by inner address and protocol, the oldest first: for limits that end one to make room for another. */
export class AddressQuota {
  readonly #held = new Map<string, Held>();

  enter(address: string, flow: Flow): void {
    const held = this.#held.get(address) ?? { tcp: new Set(), udp: new Set(), icmp: new Set() };
    this.#held.set(address, held);
    held[flow.ends.protocol].add(flow);
  }

  leave(address: string, flow: Flow): void {
    const held = this.#held.get(address);
    if (held === undefined) return;
    held[flow.ends.protocol].delete(flow);
    if (held.tcp.size + held.udp.size + held.icmp.size === 0) this.#held.delete(address);
  }

  /** How many flows of this protocol the address has. */
  count(address: string, protocol: FlowProtocol): number {
    return this.#held.get(address)?.[protocol].size ?? 0;
  }

  /** The oldest of them that may be ended. */
  oldest(
    address: string,
    protocol: FlowProtocol,
    mayEnd: (flow: Flow) => boolean,
  ): Flow | undefined {
    return this.#held.get(address)?.[protocol].values().find(mayEnd);
  }
}
