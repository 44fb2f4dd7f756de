// TUN interfaces: as a TAP, but what passes are IP packets without Ethernet headers
// (Documentation/networking/tuntap.rst).
import { SystemError } from "../base/errors.ts";
import type { FrameDevice } from "./frame-device.ts";
import { changeLink, tryGetLink } from "./link.ts";
import { trySetFqCodel } from "./qdisc.ts";
import { attach, expectName, setOffload } from "./tap.ts";

const ENODEV = 19;
const EOPNOTSUPP = 95;
/** Packets, of up to 64 KiB each, that may wait for us: what is longer only adds delay (dataplane.md 7). */
const TX_QUEUE_LENGTH = 128;

/** An open TUN, a virtio-net header before each packet. The interface goes when it is closed. */
export interface Tun extends FrameDevice {
  readonly index: number;
}

/**
 * Makes a TUN; it is still down.
 * @throws SystemError whose text says what to do
 * @throws VpnError `tun_name` for a name that no interface can have
 */
export function openTun(name: string, mtu: number): Tun {
  expectName(name, "TUN");
  const detail = `make TUN "${name}"`;
  const device = attach(name, "TUN");
  try {
    if (!device.hasVnetHeader || setOffload(device.fd) === 0) {
      throw new SystemError("TUNSETOFFLOAD", EOPNOTSUPP, detail);
    }
    const link = tryGetLink(name);
    if (link === undefined) throw new SystemError("netlink", ENODEV, detail);
    changeLink(link.index, { mtu, txQueueLength: TX_QUEUE_LENGTH });
    // A kernel without it has longer queues, and nothing else is lost.
    trySetFqCodel(link.index);
    return Object.assign(device, { index: link.index });
  } catch (thrown) {
    device.close();
    throw thrown;
  }
}
