// Settings of interfaces that are files under /proc/sys/net (ip-sysctl of the kernel's documentation).
import { readFileSync, writeFileSync } from "node:fs";

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

/**
 * The value of a setting by its place under /proc/sys/net, such as "ipv4/ip_forward"; undefined where the kernel does
 * not have it, as one without IPv6.
 */
export function trySetting(place: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/net/${place}`, "utf8").trim();
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Changes one. @throws Error of the file system, EACCES or EROFS without the right to */
export function writeSetting(place: string, value: string): void {
  writeFileSync(`/proc/sys/net/${place}`, value);
}
