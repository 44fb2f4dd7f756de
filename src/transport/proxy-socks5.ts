import { VpnError } from "../base/errors.ts";
import { tryParseAddress } from "../base/ip.ts";
import type { ProxyTalk } from "./proxy.ts";

// RFC 1928, with the login of RFC 1929.

const VERSION = 5;
const METHOD = { none: 0, password: 2, refused: 0xff } as const;
const CONNECT = 1;
const ADDRESS_TYPE = { ipv4: 1, name: 3, ipv6: 4 } as const;
const LOGIN_VERSION = 1;
const MAX_TEXT_BYTES = 255;

/** RFC 1928 6. */
const REPLIES: Readonly<Record<number, string>> = {
  1: "it failed",
  2: "its rules do not allow this connection",
  3: "the network of the server is unreachable",
  4: "the server is unreachable",
  5: "the server refuses the connection",
  6: "the server does not answer in time",
  7: "it cannot do CONNECT",
  8: "it cannot reach addresses of this kind",
};

/** SOCKS5 with names for the proxy to resolve; a login only where the proxy asks for it. */
export async function talkSocks5(talk: ProxyTalk): Promise<void> {
  const { proxy } = talk;
  const methods = proxy.user === undefined ? [METHOD.none] : [METHOD.none, METHOD.password];
  talk.send(Uint8Array.of(VERSION, methods.length, ...methods));
  const [version, method] = await talk.take(2);
  if (version !== VERSION) throw new VpnError("proxy_error", "it does not speak SOCKS5");
  if (method === METHOD.password && proxy.user !== undefined) await logIn(talk);
  else if (method === METHOD.refused) {
    throw new VpnError(
      "proxy_auth_failed",
      proxy.user === undefined
        ? "it asks for a login, probably a user name and a password"
        : "it takes no login by user name and password",
    );
  } else if (method !== METHOD.none) {
    throw new VpnError("proxy_error", `it wants the method ${method}, which was not offered`);
  }
  talk.send(encodeRequest(talk));
  await readReply(talk);
}

async function logIn(talk: ProxyTalk): Promise<void> {
  const { user, password } = talk.proxy;
  const parts = [
    counted("user name", new TextEncoder().encode(user)),
    counted("password", password ?? new Uint8Array(0)),
  ];
  talk.send(Uint8Array.of(LOGIN_VERSION, ...parts[0]!, ...parts[1]!));
  const [, status] = await talk.take(2);
  if (status !== 0) {
    throw new VpnError("proxy_auth_failed", `it refuses the user ${user} or the password`);
  }
}

function encodeRequest({ target }: ProxyTalk): Uint8Array {
  const address = tryParseAddress(target.host);
  const where =
    address === undefined
      ? [ADDRESS_TYPE.name, ...counted("server's name", new TextEncoder().encode(target.host))]
      : [address.family === 4 ? ADDRESS_TYPE.ipv4 : ADDRESS_TYPE.ipv6, ...address.bytes];
  return Uint8Array.of(VERSION, CONNECT, 0, ...where, target.port >>> 8, target.port & 255);
}

async function readReply(talk: ProxyTalk): Promise<void> {
  const [version, reply, , type] = await talk.take(4);
  if (version !== VERSION) throw new VpnError("proxy_error", "it does not speak SOCKS5");
  if (reply !== 0) {
    throw new VpnError(
      "proxy_error",
      REPLIES[reply!] ?? `it answers ${reply}, which nothing means`,
    );
  }
  // Where the proxy connects from, which nobody needs to know.
  switch (type) {
    case ADDRESS_TYPE.ipv4:
      return void (await talk.take(4 + 2));
    case ADDRESS_TYPE.ipv6:
      return void (await talk.take(16 + 2));
    case ADDRESS_TYPE.name:
      return void (await talk.take((await talk.take(1))[0]! + 2));
    default:
      throw new VpnError("proxy_error", "it names an address of an unknown kind");
  }
}

/** A length in one byte, then the bytes. */
function counted(what: string, bytes: Uint8Array): Uint8Array {
  if (bytes.length > MAX_TEXT_BYTES) {
    throw new VpnError("proxy_error", `the ${what} is too long for SOCKS5`);
  }
  return Uint8Array.of(bytes.length, ...bytes);
}
