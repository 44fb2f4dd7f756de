import { SystemError } from "../base/errors.ts";
import { DevicePort } from "../bridge/device-port.ts";
import { addAddress, removeAddress } from "../platform/ip-address.ts";
import { changeLink } from "../platform/link.ts";
import { openPoller, type Poller } from "../platform/poller.ts";
import { trySetFqCodel } from "../platform/qdisc.ts";
import { openTap, type Tap } from "../platform/tap.ts";
import type { OpenNic } from "./nic.ts";

/** Packets, of up to 64 KiB each, that may wait for us: what is longer only adds delay (dataplane.md 7). */
const TX_QUEUE_LENGTH = 128;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;

/** A TAP of this machine. */
export const openTapNic: OpenNic = ({ device, mtu, mac, onLost }) => {
  const tap = openTap({ name: device, mtu, mac, txQueueLength: TX_QUEUE_LENGTH });
  // A kernel without it has longer queues, and nothing else is lost.
  trySetFqCodel(tap.index);
  const poller = openPollerFor(tap);
  const port = new DevicePort({ device: tap, poller, onClosed: onLost });
  return {
    device,
    port,
    setUp: () => changeLink(tap.index, { isUp: true }),
    addAddress: (net, metric) => addAddress(tap.index, net, metric),
    removeAddress(net) {
      try {
        removeAddress(tap.index, net);
      } catch (error) {
        const isGone =
          error instanceof SystemError && (error.errno === EADDRNOTAVAIL || error.errno === ENODEV);
        if (!isGone) throw error;
      }
    },
    close() {
      port.close({ code: "client_ended" });
      poller.close();
    },
  };
};

/** A TAP that nobody can wait for is of no use, and stays as long as its descriptor. */
function openPollerFor(tap: Tap): Poller {
  try {
    return openPoller();
  } catch (error) {
    tap.close();
    throw error;
  }
}
