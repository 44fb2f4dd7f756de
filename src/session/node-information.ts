import { swapBytes } from "../base/swap-bytes.ts";
import { tryParseAddress } from "../base/ip.ts";
import type { Pack } from "../wire/pack.ts";
import { WIRE_BUILD, WIRE_VERSION } from "./handshake.ts";

/** What a client tells of itself and of the way it came, for session lists and logs (protocol.md 7.6). */
export interface NodeInformation {
  readonly product: string;
  readonly osName: string;
  readonly osVersion: string;
  readonly hostName: string;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly serverProduct: string;
  readonly serverVersion: number;
  readonly serverBuild: number;
  readonly serverHost: string;
  readonly serverAddress: string;
  readonly serverPort: number;
  /** The proxy that stands between, if one does. */
  readonly proxy:
    { readonly host: string; readonly address: string; readonly port: number } | undefined;
  /** 16 random bytes of this installation. */
  readonly installation: Uint8Array;
}

/** Adds the elements to a login. Numbers travel byte-swapped, a quirk that readers rely on. */
export function nodeInformation(pack: Pack, node: NodeInformation): Pack {
  pack
    .setStr("ClientProductName", node.product)
    .setStr("ServerProductName", node.serverProduct)
    .setStr("ClientOsName", node.osName)
    .setStr("ClientOsVer", node.osVersion)
    .setStr("ClientOsProductId", "--")
    .setStr("ClientHostname", node.hostName)
    .setStr("ServerHostname", node.serverHost)
    .setStr("ProxyHostname", node.proxy?.host ?? "")
    .setData("UniqueId", node.installation)
    .setInt("ClientProductVer", swapBytes(WIRE_VERSION))
    .setInt("ClientProductBuild", swapBytes(WIRE_BUILD))
    .setInt("ServerProductVer", swapBytes(node.serverVersion))
    .setInt("ServerProductBuild", swapBytes(node.serverBuild))
    .setInt("ClientPort", swapBytes(node.clientPort))
    .setInt("ServerPort2", swapBytes(node.serverPort))
    .setInt("ProxyPort", swapBytes(node.proxy?.port ?? 0));
  address(pack, "Client", node.clientAddress);
  address(pack, "Server", node.serverAddress);
  address(pack, "Proxy", node.proxy?.address ?? "0.0.0.0");
  for (const name of ["V_IsWindows", "V_IsNT", "V_IsServer", "V_IsBeta"]) pack.setBool(name, false);
  for (const name of ["V_VerMajor", "V_VerMinor", "V_Build", "V_ServicePack"]) pack.setInt(name, 0);
  return pack.setStr("V_Title", node.osName);
}

/** An IPv4 address goes into the four elements of protocol.md 4, an IPv6 one beside them as sixteen bytes. */
function address(pack: Pack, whose: string, text: string): void {
  const isV6 = text.includes(":");
  pack.setAddress(`${whose}IpAddress`, isV6 ? "0.0.0.0" : text);
  pack.setData(`${whose}IpAddress6`, (isV6 && tryParseAddress(text)?.bytes) || new Uint8Array(16));
}
