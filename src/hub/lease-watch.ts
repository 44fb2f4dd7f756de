// Whom DHCP servers give which address, as their acknowledgements tell when they pass (hub.md 2.8).
import type { Ipv4 } from "../base/ip.ts";
import type { MacAddress } from "../base/mac.ts";
import { DHCP_TYPE, tryParseDhcp } from "../wire/dhcp.ts";
import type { FrameView } from "./frame-view.ts";
import type { PortIdentity } from "./port-identity.ts";
import type { HubParts } from "./port-program.ts";

const UDP_BYTES = 8;
/** Leases are bound to hosts outside VLANs only. */
const NO_VLAN = 0;

/** Enters the leases that servers behind one port give. */
export class LeaseWatch {
  private readonly port: PortIdentity;
  private readonly hub: HubParts;

  constructor(port: PortIdentity, hub: HubParts) {
    this.port = port;
    this.hub = hub;
  }

  /** Looks at a DHCP message. */
  see(frame: FrameView, now: number): void {
    if (!frame.isDhcpReply) return;
    const { view, layer3At, layer4At, layer4End } = frame;
    const message = tryParseDhcp(
      new Uint8Array(
        view.buffer,
        view.byteOffset + layer4At + UDP_BYTES,
        layer4End - layer4At - UDP_BYTES,
      ),
    );
    if (message?.op !== "reply" || message.type !== DHCP_TYPE.ACK) return;
    const { yiaddr: address, chaddr: mac } = message;
    // The answer to an INFORM gives no address (RFC 2131 4.3.5).
    if (address === 0 || address === 0xffff_ffff) return;
    const { hub } = this;
    const macHigh = Math.floor(mac / 2 ** 32);
    const owner = hub.portAt(hub.fdb.lookup(macHigh, mac | 0, NO_VLAN));
    if (owner === undefined) return;
    const isNew = hub.ipTable.lease(address | 0, owner.index, macHigh, mac | 0, now);
    const isWithin = owner === this.port && hub.settings.options.NoDhcpPacketLogOutsideHub !== 0;
    if (isNew && !isWithin)
      this.tell(owner.name, address, mac, frame, view.getUint32(layer3At + 12), now);
  }

  private tell(
    port: string,
    address: Ipv4,
    mac: MacAddress,
    frame: FrameView,
    serverAddress: number,
    now: number,
  ): void {
    this.hub.log.leased(
      {
        address,
        mac,
        port,
        server: this.port.name,
        serverMac: frame.source,
        serverAddress: serverAddress as Ipv4,
      },
      now,
    );
  }
}
