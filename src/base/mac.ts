/**
 * A MAC address as one number: the first two octets times 2^32 plus the last four. Number keys are what
 * look-ups on the frame path are fast with (dataplane.md 5).
 */
export type MacAddress = number & { readonly __brand: "MacAddress" };

export const MAC_BROADCAST = 0xffff_ffff_ffff as MacAddress;
export const MAC_ZERO = 0 as MacAddress;

/** Reads the six octets at `at`. */
export function readMac(bytes: Uint8Array, at: number): MacAddress {
  return (((bytes[at]! << 8) | bytes[at + 1]!) * 4294967296 +
    (((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) >>>
      0)) as MacAddress;
}

export function writeMac(bytes: Uint8Array, at: number, mac: MacAddress): void {
  const high = Math.floor(mac / 4294967296);
  bytes[at] = high >>> 8;
  bytes[at + 1] = high;
  bytes[at + 2] = mac >>> 24;
  bytes[at + 3] = mac >>> 16;
  bytes[at + 4] = mac >>> 8;
  bytes[at + 5] = mac;
}

/** True for broadcast and multicast: the I/G bit of the first octet is set. */
export function isGroupMac(mac: MacAddress): boolean {
  return Math.floor(mac / 2 ** 40) % 2 === 1;
}

/** `02:00:5e:00:53:01`, in lower case. */
export function formatMac(mac: MacAddress): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replace(/..(?!$)/g, "$&:");
}

/** Parses six two-digit octets separated by `:` or `-`, or twelve digits; undefined for anything else. */
export function tryParseMac(text: string): MacAddress | undefined {
  const hex = /^(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$|^[0-9a-f]{12}$/i.test(text)
    ? text.replace(/[:-]/g, "")
    : undefined;
  return hex === undefined ? undefined : (parseInt(hex, 16) as MacAddress);
}
