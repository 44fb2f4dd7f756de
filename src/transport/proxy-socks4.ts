import { VpnError } from "../base/errors.ts";
import { tryParseIpv4, writeIpv4 } from "../base/ip.ts";
import type { ProxyTalk } from "./proxy.ts";

const VERSION = 4;
const CONNECT = 1;
const GRANTED = 90;
const NO_IDENTD = 92;
const OTHER_IDENTD = 93;
/** An address 0.0.0.x with x other than 0 tells that a name follows (SOCKS4a). */
const NAME_FOLLOWS = Uint8Array.of(0, 0, 0, 1);
const MAX_TEXT_BYTES = 255;

/** SOCKS4 for an IPv4 address; SOCKS4a for all else, an IPv6 address going as text. There are no passwords. */
export async function talkSocks4(talk: ProxyTalk): Promise<void> {
  const { proxy, target } = talk;
  const user = cText("user name", proxy.user ?? "");
  const address = tryParseIpv4(target.host);
  const name = address === undefined ? cText("server's name", target.host) : new Uint8Array(0);
  const request = new Uint8Array(8 + user.length + name.length);
  request.set([VERSION, CONNECT, target.port >>> 8, target.port & 255]);
  if (address === undefined) request.set(NAME_FOLLOWS, 4);
  else writeIpv4(request, 4, address);
  request.set(user, 8);
  request.set(name, 8 + user.length);
  talk.send(request);

  const [version, answer] = await talk.take(8);
  // The answer's version is 0, not 4.
  if (version !== 0) throw new VpnError("proxy_error", "it does not speak SOCKS4");
  if (answer === GRANTED) return;
  if (answer === NO_IDENTD || answer === OTHER_IDENTD) {
    throw new VpnError("proxy_auth_failed", "it wants to hear the user name from an identd here");
  }
  throw new VpnError(
    "proxy_error",
    `it refuses the server, does not reach it or does not take the user (answer ${answer})`,
  );
}

/** Text that ends with a zero, as the protocol has it. */
function cText(what: string, text: string): Uint8Array {
  const bytes = new TextEncoder().encode(`${text}\0`);
  if (bytes.length > MAX_TEXT_BYTES + 1 || bytes.indexOf(0) !== bytes.length - 1) {
    throw new VpnError("proxy_error", `the ${what} does not fit into SOCKS4`);
  }
  return bytes;
}
