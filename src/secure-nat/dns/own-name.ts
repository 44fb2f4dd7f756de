import { isSameName, tryEncodeDnsName } from "../../wire/dns.ts";

/** Names that a resolver on this machine makes up of what it knows of it (systemd-resolved(8), RFC 6761 6.3). */
const MADE_UP = ["localhost", "_gateway", "_outbound", "_localdnsstub", "_localdnsproxy"].map(
  (name) => tryEncodeDnsName(name)!,
);
const LOCALHOST = MADE_UP[0]!;

/**
 * True for a name that tells of this machine and of nothing in the DNS: its own name without a domain, `localhost` and
 * what is below it. With its domain the machine's name is one like others.
 * @param name in the form of `DnsQuestion`
 */
export function isOwnName(name: Uint8Array, hostName: string): boolean {
  if (isSameName(name.subarray(-LOCALHOST.length), LOCALHOST)) return isAtLabel(name);
  if (MADE_UP.some((own) => isSameName(name, own))) return true;
  const host = tryEncodeDnsName(hostName.split(".", 1)[0]!);
  return host !== undefined && isSameName(name, host);
}

/** Whether the tail of the name that looks like `localhost` is a label, and not a part of a longer one. */
function isAtLabel(name: Uint8Array): boolean {
  let at = 0;
  while (at < name.length - LOCALHOST.length) at += name[at]! + 1;
  return at === name.length - LOCALHOST.length;
}
