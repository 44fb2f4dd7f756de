// Field offsets and numbers of the headers that cutting and merging look at. Multi-byte constants whose name ends in
// WIRE are as a little-endian load sees them.

/* Ethernet and VLAN tags (IEEE 802.3, 802.1Q, 802.1ad). */
export const ETHERNET_BYTES: i32 = 14;
export const ETHERTYPE: usize = 12;
export const TAG_BYTES: i32 = 4;
export const IPV4_WIRE: u16 = 0x0008;
export const IPV6_WIRE: u16 = 0xdd86;
const TAG_8021Q_WIRE: u16 = 0x0081;
const TAG_8021AD_WIRE: u16 = 0xa888;

/* IPv4 (RFC 791), offsets from its first byte. */
export const IPV4_BYTES: i32 = 20;
export const IPV4_TOS: usize = 1;
export const IPV4_LENGTH: usize = 2;
export const IPV4_ID: usize = 4;
export const IPV4_FRAGMENT: usize = 6;
export const IPV4_TTL: usize = 8;
export const IPV4_PROTOCOL: usize = 9;
export const IPV4_CHECKSUM: usize = 10;
export const IPV4_ADDRESSES: usize = 12;
/** More-fragments and the offset; what is left of the field are the reserved bit and DF. */
export const FRAGMENTED_WIRE: u16 = 0xff3f;
export const DONT_FRAGMENT_WIRE: u16 = 0x0040;

/* IPv6 (RFC 8200). */
export const IPV6_BYTES: i32 = 40;
export const IPV6_LENGTH: usize = 4;
export const IPV6_NEXT_HEADER: usize = 6;
export const IPV6_HOP_LIMIT: usize = 7;
export const IPV6_ADDRESSES: usize = 8;

/* TCP (RFC 9293) and UDP (RFC 768). */
export const PROTOCOL_TCP: u8 = 6;
export const TCP_BYTES: i32 = 20;
export const TCP_SEQUENCE: usize = 4;
export const TCP_ACKNOWLEDGEMENT: usize = 8;
export const TCP_DATA_OFFSET: usize = 12;
export const TCP_FLAGS: usize = 13;
export const TCP_WINDOW: usize = 14;
export const TCP_CHECKSUM: usize = 16;
export const TCP_URGENT: usize = 18;
export const TCP_OPTIONS: usize = 20;
export const FIN: u8 = 0x01;
export const PSH: u8 = 0x08;
export const ACK: u8 = 0x10;
export const ECE: u8 = 0x40;
export const CWR: u8 = 0x80;
export const UDP_BYTES: i32 = 8;
export const UDP_LENGTH: usize = 4;
export const UDP_CHECKSUM: usize = 6;

/* SCTP (RFC 9260): its checksum is a CRC of four bytes. */
export const PROTOCOL_SCTP: u8 = 132;
export const SCTP_CHECKSUM: usize = 8;

/* struct virtio_net_hdr (virtio 1.2, 5.1.6), little-endian on the machines that this runs on. */
export const VNET_BYTES: i32 = 10;
export const VNET_FLAGS: usize = 0;
export const VNET_GSO_TYPE: usize = 1;
export const VNET_HEADER_LENGTH: usize = 2;
export const VNET_GSO_SIZE: usize = 4;
export const VNET_CHECKSUM_START: usize = 6;
export const VNET_CHECKSUM_OFFSET: usize = 8;
export const NEEDS_CHECKSUM: u8 = 1;
export const GSO_NONE: u8 = 0;
export const GSO_TCPV4: u8 = 1;
export const GSO_TCPV6: u8 = 4;
export const GSO_UDP: u8 = 5;
/** Says that the first segment has CWR set; it does not change how a frame is cut. */
export const GSO_ECN: u8 = 0x80;

/** True for the two EtherTypes that begin a VLAN tag. */
export function isTag(ethertype: u16): bool {
  return ethertype == TAG_8021Q_WIRE || ethertype == TAG_8021AD_WIRE;
}
