import { IPV4_ANY, IPV4_BROADCAST, type Ipv4 } from "../base/ip.ts";
import { MAC_BROADCAST, writeMac, type MacAddress } from "../base/mac.ts";
import { DHCP_OPTION, encodeAddresses, encodeNumber } from "../wire/dhcp-option.ts";
import type { DhcpMessage, DhcpType } from "../wire/dhcp.ts";
import { encodeText } from "../wire/text.ts";
import { encodeDhcpFrame } from "./dhcp-frame.ts";
import type { DhcpLease } from "./dhcp-lease.ts";

/** Largest message that we take (RFC 2132 9.10): what an Ethernet frame carries. */
const MAX_MESSAGE_BYTES = 1_500;
const HARDWARE_ETHERNET = 1;
/** A host name is one label (RFC 1035 2.3.4). */
const MAX_HOSTNAME_CHARS = 63;

/** What is asked for. The order counts: RFC 3442 wants routes before the router. */
const PARAMETER_LIST = Uint8Array.of(
  DHCP_OPTION.SUBNET_MASK,
  DHCP_OPTION.CLASSLESS_ROUTES,
  DHCP_OPTION.OLD_CLASSLESS_ROUTES,
  DHCP_OPTION.ROUTER,
  DHCP_OPTION.DNS,
  DHCP_OPTION.DOMAIN,
  DHCP_OPTION.MTU,
  DHCP_OPTION.LEASE_TIME,
  DHCP_OPTION.RENEWAL_TIME,
  DHCP_OPTION.REBINDING_TIME,
);

type Option = readonly [code: number, value: Uint8Array];

/** A message of a client, before it has its layers. */
export interface DhcpRequest {
  readonly type: DhcpType;
  readonly xid: number;
  readonly secs: number;
  /** The client's address where it has one: the source of the packet, too. */
  readonly ciaddr?: Ipv4;
  /** A server that is spoken to alone; absent means everybody. */
  readonly to?: { readonly mac: MacAddress; readonly address: Ipv4 };
  readonly options: readonly Option[];
}

/** The Ethernet frame of a request of the client with this MAC, which is its identifier as well. */
export function encodeRequest(mac: MacAddress, request: DhcpRequest): Uint8Array {
  const clientId = new Uint8Array(7);
  clientId[0] = HARDWARE_ETHERNET;
  writeMac(clientId, 1, mac);
  const ciaddr = request.ciaddr ?? IPV4_ANY;
  const message: DhcpMessage = {
    op: "request",
    type: request.type,
    xid: request.xid,
    secs: request.secs,
    // The client sees every frame of its cable, so answers need not be flooded to the whole hub.
    wantsBroadcast: false,
    ciaddr,
    yiaddr: IPV4_ANY,
    siaddr: IPV4_ANY,
    giaddr: IPV4_ANY,
    chaddr: mac,
    options: new Map([[DHCP_OPTION.CLIENT_ID, clientId], ...request.options]),
  };
  return encodeDhcpFrame(message, {
    srcMac: mac,
    dstMac: request.to?.mac ?? MAC_BROADCAST,
    src: ciaddr,
    dst: request.to?.address ?? IPV4_BROADCAST,
  });
}

/** What discovers and requests tell and ask. */
export function parameterOptions(hostname: string | undefined): Option[] {
  const name = encodeText((hostname ?? "").slice(0, MAX_HOSTNAME_CHARS));
  const asked: Option[] = [
    [DHCP_OPTION.MAX_MESSAGE_SIZE, encodeNumber(MAX_MESSAGE_BYTES, 2)],
    [DHCP_OPTION.PARAMETER_LIST, PARAMETER_LIST],
  ];
  return name.length === 0 ? asked : [...asked, [DHCP_OPTION.HOST_NAME, name]];
}

export function addressOption(lease: DhcpLease): Option {
  return [DHCP_OPTION.REQUESTED_ADDRESS, encodeAddresses([lease.address])];
}

export function serverOption(lease: DhcpLease): Option {
  return [DHCP_OPTION.SERVER_ID, encodeAddresses([lease.server])];
}
