import { existsSync } from "node:fs";
import { join } from "node:path";

/**
 * True for a Wi-Fi interface. Most access points take frames of the one station only that has logged in there, so that
 * those of others, which a bridge sends, are lost.
 */
export function isWireless(device: string, classNet = "/sys/class/net"): boolean {
  return ["wireless", "phy80211"].some((entry) => existsSync(join(classNet, device, entry)));
}
