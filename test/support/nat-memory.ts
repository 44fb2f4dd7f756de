import { readMac } from "../../src/base/mac.ts";
import type { NatMemory } from "../../src/server/hub-nat.ts";

/** Forgets leases, and makes the same identity for every hub. */
export const FAKE_NAT_MEMORY: NatMemory = {
  identity: () => ({
    mac: readMac(new Uint8Array([0x5e, 0, 0x53, 0, 0, 0x30]), 0),
    ipv6Prefix: {
      family: 6,
      bytes: Uint8Array.of(0xfd, 0x53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      prefix: 64,
    },
  }),
  leases: () => ({ read: () => [], write: () => undefined }),
  forget: () => undefined,
};
