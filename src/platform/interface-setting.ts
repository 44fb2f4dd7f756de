// Settings of interfaces that are files under /proc/sys/net (ip-sysctl of the kernel's documentation).
import { writeFileSync } from "node:fs";

/**
 * Keeps the kernel from taking a default route from IPv6 router advertisements on the interface; addresses it takes
 * all the same. Nothing to do where the kernel has no IPv6.
 * @param onFailed for a system whose settings cannot be written, as in a container without rights
 */
export function refuseDefaultRouter(device: string, onFailed: (error: unknown) => void): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${device}/accept_ra_defrtr`, "0");
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") onFailed(error);
  }
}
