// Routes of the main table, or of another where one is named.
import { formatAddress, formatNet, type IpAddress, type Net } from "../base/ip.ts";
import { AF_INET, AF_INET6 } from "./ip-address.ts";
import { attributeNumber, NetlinkMessage, readAttributes } from "./netlink-message.ts";
import { MAIN_TABLE } from "./ip-rule.ts";
import { netlinkDump, netlinkOrder } from "./netlink.ts";

/* <linux/rtnetlink.h> */
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const ROUTE_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_TABLE = 15;
/** Tables above 255 do not fit the header. */
const RT_TABLE_UNSPEC = 0;
const RTNH_F_ONLINK = 4;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNSPEC = 0;
const RTN_UNICAST = 1;
const NLM_F_CREATE = 0x400;
const NLM_F_EXCL = 0x200;

/** A route to a network over a gateway, an interface, or both. The default route is a network of prefix 0. */
export interface Route {
  readonly to: Net;
  readonly via?: IpAddress;
  readonly device?: number;
  /** The lower one wins. The kernel's own choice if not given. */
  readonly metric?: number;
  /** The main table if not given. */
  readonly table?: number;
  /** The gateway is a neighbour on the device, whatever the addresses say. */
  readonly onlink?: boolean;
}

/** @throws SystemError, EEXIST for a route that is there, ENETUNREACH if the gateway is not reachable */
export function addRoute(route: Route): void {
  const scope = route.via === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const info = routeInfo(route, RTPROT_STATIC, scope, RTN_UNICAST);
  netlinkOrder(
    message(RTM_NEWROUTE, info, route),
    NLM_F_CREATE | NLM_F_EXCL,
    describe("add", route),
  );
}

/** Removes the route that has all that is named. @throws SystemError, ESRCH (3) if there is none */
export function removeRoute(route: Route): void {
  const info = routeInfo(route, 0, RT_SCOPE_NOWHERE, RTN_UNSPEC);
  netlinkOrder(message(RTM_DELROUTE, info, route), 0, describe("remove", route));
}

/** Routes of the main table to networks and hosts. @throws SystemError */
export function listRoutes(): Route[] {
  const question = new NetlinkMessage(RTM_GETROUTE, new Uint8Array(ROUTE_BYTES));
  const found: Route[] = [];
  for (const { type, body } of netlinkDump(question, "list the routes")) {
    if (type !== RTM_NEWROUTE || body[7] !== RTN_UNICAST) continue;
    const attributes = readAttributes(body, ROUTE_BYTES);
    if (attributeNumber(attributes.get(RTA_TABLE), body[4]!) !== MAIN_TABLE) continue;
    const family = body[0] === AF_INET ? 4 : 6;
    const bytes = attributes.get(RTA_DST)?.slice() ?? new Uint8Array(family === 4 ? 4 : 16);
    const via = attributes.get(RTA_GATEWAY);
    const device = attributeNumber(attributes.get(RTA_OIF), 0);
    found.push({
      to: { family, bytes, prefix: body[1]! },
      ...(via === undefined ? {} : { via: { family, bytes: via.slice() } }),
      ...(device === 0 ? {} : { device }),
    });
  }
  return found;
}

/** struct rtmsg: family, prefix lengths of destination and source, tos, table, protocol, scope, type, u32 flags. */
function routeInfo(route: Route, protocol: number, scope: number, type: number): Uint8Array {
  const info = new Uint8Array(ROUTE_BYTES);
  info[0] = route.to.family === 4 ? AF_INET : AF_INET6;
  info[1] = route.to.prefix;
  info[4] = RT_TABLE_UNSPEC;
  info[5] = protocol;
  info[6] = scope;
  info[7] = type;
  if (route.onlink === true) info[8] = RTNH_F_ONLINK;
  return info;
}

function message(type: number, info: Uint8Array, route: Route): NetlinkMessage {
  const built = new NetlinkMessage(type, info).number(RTA_TABLE, route.table ?? MAIN_TABLE);
  if (route.to.prefix > 0) built.bytes(RTA_DST, route.to.bytes);
  if (route.via !== undefined) built.bytes(RTA_GATEWAY, route.via.bytes);
  if (route.device !== undefined) built.number(RTA_OIF, route.device);
  if (route.metric !== undefined) built.number(RTA_PRIORITY, route.metric);
  return built;
}

function describe(verb: string, route: Route): string {
  const via = route.via === undefined ? "" : ` via ${formatAddress(route.via.bytes)}`;
  return `${verb} route ${formatNet(route.to)}${via}`;
}
