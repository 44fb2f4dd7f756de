// A user-mode NAT with real sockets of this machine, and a guest that is a test.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { Epoll } from "../../src/platform/epoll.ts";
import { IcmpErrors } from "../../src/ip-host/icmp-error.ts";
import { noHostDrops } from "../../src/ip-host/host-drops.ts";
import { outbox } from "../../src/ip-host/outbox.ts";
import { PacketView } from "../../src/ip-host/packet-view.ts";
import { Reassembly } from "../../src/ip-host/reassembly.ts";
import type { openPing } from "../../src/platform/ping-socket.ts";
import { echoFlows } from "../../src/secure-nat/echo-flow.ts";
import { type NatDeps, UserNat } from "../../src/secure-nat/nat.ts";
import { udpFlows } from "../../src/secure-nat/udp-flow.ts";
import { aimed, bytesOf, KeptFrames } from "../ip-host/packets.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { secureNatConfig } from "./config.ts";

export const HOST = { 4: "192.168.30.1", 6: "fd00::1" } as const;

export const GUEST = { 4: "192.168.30.10", 6: "fd00::10" } as const;
export const FAR = { 4: "198.51.100.1", 6: "2001:db8::1" } as const;
export const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;

const DATAGRAM_TABLES = ["udp", "udp6", "icmp", "icmp6", "raw", "raw6"];

/** Sockets of this process for datagrams: of other kinds the runtime opens and closes some when it likes. */
export function datagramSockets(): number {
  const inodes = new Set(
    DATAGRAM_TABLES.flatMap((table) => {
      const rows = readFileSync(`/proc/self/net/${table}`, "utf8").trim().split("\n").slice(1);
      return rows.map((row) => `socket:[${row.trim().split(/\s+/)[9]}]`);
    }),
  );
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return inodes.has(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The one that the folder itself was read by.
      return false;
    }
  }).length;
}

export function openNat(more: Partial<NatDeps> = {}, mtu = 1500, open?: typeof openPing) {
  const clock = new ManualClock();
  const cable = new KeptFrames(mtu);
  const epoll = Epoll.open();
  const icmp = new IcmpErrors(clock);
  const drops = noHostDrops();
  const warnings: string[] = [];
  const nat = new UserNat({
    link: cable.link,
    clock,
    random: seededRandom(1),
    epoll,
    config: secureNatConfig(),
    isPlain: false,
    log: { warn: (event) => void warnings.push(event) },
    addressOf: (family) => ({ family, bytes: bytesOf(HOST[family]) }),
    seed: 1,
    drops,
    factories: { tcp: () => undefined, udp: udpFlows(icmp), icmp: echoFlows(icmp, open) },
    // What the guest takes for a host far away is this machine.
    dialOf: ({ outer: { family }, outerPort: port }) => ({
      address: { family, bytes: bytesOf(LOOPBACK[family]) },
      port,
    }),
    mayReach: () => true,
    prohibited: () => undefined,
    reset: () => undefined,
    ...more,
  });
  epoll.afterTurn = () => {
    nat.handled();
    outbox.drain();
  };
  const reassembly = new Reassembly({ clock, drops });
  const view = new PacketView();
  return {
    clock,
    cable,
    nat,
    drops,
    epoll,
    warnings,
    /** The guest sends these in one event. */
    send(...frames: readonly Uint8Array[]) {
      for (const frame of frames) {
        aimed(frame, view);
        if (!view.isFragment || reassembly.receive(view)) nat.receive(view);
      }
      nat.handled();
      outbox.drain();
    },
    /** Waits until the guest has got so many frames, and gives all. */
    async frames(count: number): Promise<Uint8Array[]> {
      await until(`${count} frames`, () => cable.frames.length >= count);
      return cable.take();
    },
    async packets(count: number): Promise<Uint8Array[]> {
      return (await this.frames(count)).map((frame) => frame.subarray(14));
    },
    close() {
      nat.close();
      reassembly.close();
      epoll.close();
    },
  };
}
