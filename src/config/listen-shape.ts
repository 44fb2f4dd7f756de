import { formatAddress, tryParseAddress } from "../base/ip.ts";
import { bool, port, textOf } from "./scalar-shapes.ts";
import type { ListenAddress } from "./server-config.ts";
import { list, oneOf, optional, refine, required, setting, table } from "./shape.ts";

/** In the one spelling of RFC 5952, so that equal addresses are equal texts. */
const address = textOf("an IPv4 or IPv6 address", canonicalAddress);

const LISTEN_EXPECTS = 'a port, "ADDRESS:PORT" or { port, address, enable }';

function tryParseListen(written: string): ListenAddress | undefined {
  const [, host, digits] = /^(.+):(\d{1,5})$/.exec(written) ?? [];
  const number = Number(digits);
  if (host === undefined || number < 1 || number > 65_535) return undefined;
  // A colon in the address needs the brackets of RFC 3986 3.2.2, or it could not be told from the port's.
  const bare = /^\[(.*:.*)\]$/.exec(host)?.[1] ?? (host.includes(":") ? "" : host);
  const found = canonicalAddress(bare);
  return found === undefined ? undefined : { address: found, port: number, enable: true };
}

function canonicalAddress(written: string): string | undefined {
  const found = tryParseAddress(written);
  return found === undefined ? undefined : formatAddress(found.bytes);
}

/** `server.listen`: two listeners that would take one port are refused (CF-13). */
export const listen = refine(
  list(
    oneOf<ListenAddress>(LISTEN_EXPECTS, {
      integer: refine(port, (number) => ({ address: undefined, port: number, enable: true })),
      string: textOf(LISTEN_EXPECTS, tryParseListen),
      table: table({
        port: required(port),
        address: optional(address),
        enable: setting(bool, true),
      }),
    }),
  ),
  (addresses, node, place) => {
    const clash = addresses.findIndex((one, index) =>
      addresses.slice(0, index).some((other) => overlap(one, other)),
    );
    const item = node.kind === "array" ? node.items[clash] : undefined;
    if (item === undefined) return addresses;
    return place.item(clash).fail(item, `a second listener on port ${addresses[clash]!.port}`);
  },
);

/** True if both cannot be bound at once: what takes its port on all addresses leaves none of them free. */
export function overlap(a: ListenAddress, b: ListenAddress): boolean {
  const isSharing = a.address === b.address || isOnAll(a, b) || isOnAll(b, a);
  return a.enable && b.enable && a.port === b.port && isSharing;
}

/** "::" is bound for both families; "0.0.0.0" for its own. */
function isOnAll(one: ListenAddress, other: ListenAddress): boolean {
  if (one.address === undefined || one.address === "::") return true;
  return one.address === "0.0.0.0" && !other.address?.includes(":");
}
