import { DHCP_OPTION, type DhcpOptions } from "../../wire/dhcp-option.ts";

/** Of a label (RFC 1035 2.3.4): what is longer is no name of a host. */
const MAX_HOST_NAME_CHARS = 63;
/** What the reference calls itself where it asks for an address of its own (hub.md 11.4). */
const OTHER_SECURE_NAT = /^securenat[-_]/i;

/** Option 12 as lists show it: up to 63 printable characters, "" without one. A guest can write anything there. */
export function hostNameOf(options: DhcpOptions): string {
  const value = options.get(DHCP_OPTION.HOST_NAME);
  if (value === undefined) return "";
  const text = new TextDecoder().decode(value);
  const printable = text.replace(/[\p{C}\p{Zl}\p{Zp}\ufffd]/gu, "").trim();
  return [...printable].slice(0, MAX_HOST_NAME_CHARS).join("");
}

/** True for another SecureNAT: two that are on one network must not feed each other. */
export function isOtherSecureNat(hostname: string): boolean {
  return OTHER_SECURE_NAT.test(hostname);
}
