import { DEFAULT_HUB_OPTIONS, type HubOptions } from "../../../src/config/hub-options.ts";
import { DEFAULT_POLICY } from "../../../src/config/policy.ts";
import { Hub } from "../../../src/hub/hub.ts";
import { DEFAULT_HUB_SETTINGS } from "../../../src/hub/hub-settings.ts";
import type { PortKind } from "../../../src/hub/port-identity.ts";
import {
  formatPacket,
  NO_PACKETS,
  PACKET_KINDS,
  type PacketLevels,
  type PacketRecord,
} from "../../../src/observe/packet-record.ts";
import { ArrayPort, runOf } from "../../support/array-port.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { recordingLog } from "../../support/test-server.ts";

/** Those of Debian that the recorded frames touch. */
const SERVICES = new Map(
  Object.entries({
    "22/tcp": "ssh",
    "25/tcp": "smtp",
    "80/tcp": "http",
    "443/tcp": "https",
    "8080/tcp": "http-alt",
    "53/udp": "domain",
    "67/udp": "bootps",
    "68/udp": "bootpc",
    "123/udp": "ntp",
    "500/udp": "isakmp",
    "514/udp": "syslog",
    "1194/udp": "openvpn",
    "4500/udp": "ipsec-nat-t",
  }),
);

export const EVERY_KIND: PacketLevels = {
  ...NO_PACKETS,
  ...Object.fromEntries(PACKET_KINDS.map((kind) => [kind, 1])),
};
export const EVERY_BYTE: PacketLevels = {
  ...NO_PACKETS,
  ...Object.fromEntries(PACKET_KINDS.map((kind) => [kind, 2])),
};

/** A hub with a packet log and two sessions, on a clock that is moved by hand. */
export class PacketWorld {
  readonly clock = new ManualClock();
  readonly records: PacketRecord[] = [];
  lost = 0;
  isOpen = true;
  readonly hub: Hub;
  readonly left: ArrayPort;
  readonly right: ArrayPort;

  constructor(levels: PacketLevels, options: Partial<HubOptions> = {}) {
    const isOpen = () => this.isOpen;
    this.hub = new Hub({
      name: "TEST",
      clock: this.clock,
      log: recordingLog(),
      random: seededRandom(1),
      settings: {
        ...DEFAULT_HUB_SETTINGS,
        options: { ...DEFAULT_HUB_OPTIONS, ...options },
        packetLevels: levels,
      },
      packetSink: {
        get isOpen() {
          return isOpen();
        },
        put: (record) => void this.records.push(record),
        lose: (count) => void (this.lost += count),
      },
    });
    this.left = this.attach("SID-LEFT-1", "10.9.0.2");
    this.right = this.attach("SID-RIGHT-2", "10.9.1.2");
  }

  attach(name: string, remoteAddress: string | undefined, kind: PortKind = "bridge"): ArrayPort {
    const port = new ArrayPort(name);
    const policy = { ...DEFAULT_POLICY, no_broadcast_limiter: true };
    this.hub.attach(port, { kind, user: name, policy, remoteAddress });
    return port;
  }

  send(from: ArrayPort, ...frames: readonly Uint8Array[]): void {
    from.into!.deliver(runOf(frames));
    from.into!.flush();
  }

  /** The lines so far, without their dates and times. */
  lines(): string[] {
    this.clock.advance(10);
    return this.records.map((record) => withoutTime(this.textOf(record)));
  }

  textOf(record: PacketRecord): string {
    return formatPacket(record, "TEST", "text", (port, transport) =>
      SERVICES.get(`${port}/${transport}`),
    );
  }
}

export function withoutTime(line: string): string {
  return line.split(",").slice(2).join(",");
}
