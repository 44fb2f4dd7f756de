import type { MacAddress } from "../base/mac.ts";
import type { BridgeConfig } from "../config/bridge-shape.ts";
import type { FrameDevice } from "../platform/frame-device.ts";
import { tryGetLink, type Link } from "../platform/link.ts";
import { openPacketSocket } from "../platform/packet-socket.ts";
import { trySetFqCodel } from "../platform/qdisc.ts";
import { openTap } from "../platform/tap.ts";

/** Packets, of up to 64 KiB each, that may wait for us: what is longer only adds delay (dataplane.md 7). */
const TX_QUEUE_LENGTH = 128;

/** The interface behind a bridge. */
export interface BridgeDevice {
  readonly device: FrameDevice;
  /** Of the interface: another of the same name is another interface. */
  readonly index: number;
  readonly station: MacAddress;
  /** This machine uses the interface, too, under that address. */
  readonly isShared: boolean;
  /** DHCP messages of this station do not come in any more; undefined: those of all do. */
  refuseDhcp(station: MacAddress | undefined): void;
}

/** What a bridge asks this machine for; tests have another. */
export interface Machine {
  /** @param mac of a TAP for which the configuration names none @throws SystemError that says what to do */
  open(config: BridgeConfig, mac: () => MacAddress): BridgeDevice;
  link(device: string): Link | undefined;
}

export const thisMachine: Machine = { open: openDevice, link: tryGetLink };

function openDevice(config: BridgeConfig, mac: () => MacAddress): BridgeDevice {
  if (config.kind === "tap") {
    const { device: name, mtu } = config;
    const station = config.mac ?? mac();
    const tap = openTap({
      name,
      mtu,
      mac: station,
      txQueueLength: TX_QUEUE_LENGTH,
      isUp: true,
    });
    // A kernel without it has longer queues, and nothing else is lost.
    trySetFqCodel(tap.index);
    return {
      device: tap,
      index: tap.index,
      station,
      isShared: false,
      refuseDhcp: () => undefined,
    };
  }
  const { device: name, promiscuous, monitor } = config;
  const socket = openPacketSocket({ name, promiscuous, sendOnly: monitor });
  const { index, mac: station } = socket.link;
  return {
    device: socket,
    index,
    station,
    isShared: true,
    refuseDhcp: (refused) => socket.refuseDhcp(refused),
  };
}
