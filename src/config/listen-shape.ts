import { tryParseAddress } from "../base/ip.ts";
import { bool, port } from "./scalar-shapes.ts";
import type { ListenAddress } from "./server-config.ts";
import {
  list,
  mismatch,
  oneOf,
  optional,
  refine,
  required,
  setting,
  type Shape,
  table,
} from "./shape.ts";

const address: Shape<string> = {
  expects: "an IPv4 or IPv6 address",
  read: (node, place) =>
    node.kind === "string" && tryParseAddress(node.value) !== undefined
      ? node.value
      : place.fail(node, mismatch(address.expects, node)),
};

const LISTEN_EXPECTS = 'a port, "ADDRESS:PORT" or { port, address, enable }';

const listenText: Shape<ListenAddress> = {
  expects: LISTEN_EXPECTS,
  read(node, place) {
    const found = node.kind === "string" ? tryParseListen(node.value) : undefined;
    return found ?? place.fail(node, mismatch(LISTEN_EXPECTS, node));
  },
};

function tryParseListen(written: string): ListenAddress | undefined {
  const [, host, digits] = /^(.+):(\d{1,5})$/.exec(written) ?? [];
  const number = Number(digits);
  if (host === undefined || number < 1 || number > 65_535) return undefined;
  // A colon in the address needs the brackets of RFC 3986 3.2.2, or it could not be told from the port's.
  const bare = /^\[(.*:.*)\]$/.exec(host)?.[1] ?? (host.includes(":") ? "" : host);
  if (tryParseAddress(bare) === undefined) return undefined;
  return Object.freeze({ address: bare, port: number, enable: true });
}

/** `server.listen`: two listeners that would take one port are refused (CF-13). */
export const listen = refine(
  list(
    oneOf<ListenAddress>(LISTEN_EXPECTS, {
      integer: refine(port, (number) =>
        Object.freeze({ address: undefined, port: number, enable: true }),
      ),
      string: listenText,
      table: table({
        port: required(port),
        address: optional(address),
        enable: setting(bool, true),
      }),
    }),
  ),
  (addresses, node, place) => {
    const clash = addresses.findIndex((one, index) =>
      addresses.slice(0, index).some((other) => isSameSocket(one, other)),
    );
    const item = node.kind === "array" ? node.items[clash] : undefined;
    if (item === undefined) return addresses;
    return place.item(clash).fail(item, `a second listener on port ${addresses[clash]!.port}`);
  },
);

/** A listener without an address takes its port on all of them. */
function isSameSocket(a: ListenAddress, b: ListenAddress): boolean {
  const overlap = a.address === undefined || b.address === undefined || a.address === b.address;
  return a.enable && b.enable && a.port === b.port && overlap;
}
