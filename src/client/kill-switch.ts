import { EXIT, ExitError } from "../base/errors.ts";
import { runProgramAtOnce, tryFindProgram } from "./system-program.ts";

// A table of the packet filter that lets nothing out but the tunnel. It stands from before the first connection until
// the account ends, also between sessions and after a crash.
//
// Names are resolved before it stands and through the tunnel afterwards. While there is no session no question leaves:
// the addresses that were found before are dialled. To let DNS out to the uplink's resolvers would tell them, and
// everybody on the way, every name that any program asks for, which is what the switch is there to prevent.

/** Where the tunnel itself goes: a server, or the proxy before it. */
export interface TunnelPeer {
  /** Text of an IPv4 or IPv6 address. */
  readonly address: string;
  readonly port: number;
}

/** Longer names of accounts are told by their digest; the kernel's limit is 255. */
const MAX_NAME_CHARS = 200;

/** `patchbay_NAME`, with what nft takes for no part of a name written as `.XX`. */
export function killSwitchTable(account: string): string {
  const name = [...new TextEncoder().encode(account)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /\w/.test(character) ? character : `.${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");
  const short =
    name.length <= MAX_NAME_CHARS
      ? name
      : new Bun.CryptoHasher("sha256").update(name).digest("hex");
  return `patchbay_${short}`;
}

/** The commands for nft(8) that put the table in place of one of before, in one transaction. */
export function killSwitchScript(
  table: string,
  device: string,
  peers: readonly TunnelPeer[],
): string {
  return `table inet ${table}
delete table inet ${table}
table inet ${table} {
${set("tcp4", "ipv4_addr . inet_service", peers.filter(isIpv4).map(elementOf))}
${set("tcp6", "ipv6_addr . inet_service", peers.filter(isIpv6).map(elementOf))}
${set("udp4", "ipv4_addr", peers.filter(isIpv4).map(addressOf))}
${set("udp6", "ipv6_addr", peers.filter(isIpv6).map(addressOf))}
  chain output {
    type filter hook output priority filter; policy drop;
    oifname { "lo", "${device}" } accept
    ip daddr . tcp dport @tcp4 accept
    ip6 daddr . tcp dport @tcp6 accept
    meta l4proto udp ip daddr @udp4 accept comment "UDP acceleration, whose port the server chooses"
    meta l4proto udp ip6 daddr @udp6 accept
    udp sport 68 udp dport 67 accept comment "the uplink's DHCP"
    udp sport 546 udp dport 547 accept
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
    counter reject with icmpx admin-prohibited
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    oifname "${device}" accept
    iifname "${device}" accept
    counter reject with icmpx admin-prohibited
  }
}
`;
}

/** The commands that remove the table, whether or not it is there. */
export function killSwitchRemoval(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/** The path of `nft`. @throws ExitError 69 where it is not installed */
export function findNft(searchPath: string): string {
  const nft = tryFindProgram("nft", searchPath);
  if (nft !== undefined) return nft;
  throw new ExitError(
    EXIT.unavailable,
    "The kill switch needs the program nft, which is not installed (Debian's package nftables)",
  );
}

/**
 * Has nft do all commands, or none. It takes some milliseconds, and the caller waits: nothing is to be sent before.
 * @throws VpnError `program_failed` with what nft said
 */
export function runNft(nft: string, script: string): void {
  runProgramAtOnce([nft, "-f", "-"], script);
}

function set(name: string, type: string, elements: readonly string[]): string {
  const unique = [...new Set(elements)];
  const list = unique.length === 0 ? "" : ` elements = { ${unique.join(", ")} };`;
  return `  set ${name} { type ${type};${list} }`;
}

const isIpv6 = ({ address }: TunnelPeer) => address.includes(":");
const isIpv4 = (peer: TunnelPeer) => !isIpv6(peer);
const elementOf = ({ address, port }: TunnelPeer) => `${address} . ${port}`;
const addressOf = ({ address }: TunnelPeer) => address;
