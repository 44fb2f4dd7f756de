// One frame of each kind that a packet log tells apart. Two stations, `left` and `right`, send them; the checksums are
// left at zero where nobody looks at them.
import {
  concatBytes,
  ethernet,
  ipv4Packet,
  ipv6Packet,
  tcpSegment,
  udpDatagram,
} from "./layers.ts";

export interface LoggedFrame {
  readonly name: string;
  readonly from: "left" | "right";
  readonly bytes: Uint8Array;
}

const LEFT = { mac: "020000000001", ipv4: "192.0.2.1", ipv6: "20010db8000000000000000000000001" };
const RIGHT = { mac: "020000000002", ipv4: "192.0.2.2", ipv6: "20010db8000000000000000000000002" };
const EVERYBODY = "ffffffffffff";
const LINK_LOCAL = "fe80000000000000000000fffe000001";

const text = (value: string) => new TextEncoder().encode(value);
const hex = (value: string) => Uint8Array.fromHex(value.replaceAll(" ", ""));
const hexOf = (value: string) => text(value).toHex();

function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes);
}

/** A TLS ClientHello with one server name (RFC 8446 4.1.2, RFC 6066 3). */
function clientHello(serverName: string): Uint8Array {
  const name = concatBytes(hex("00"), lengthPrefixed(text(serverName)));
  const sni = concatBytes(hex("0000"), lengthPrefixed(lengthPrefixed(name)));
  const body = concatBytes(
    hex("0303"),
    new Uint8Array(32).fill(7),
    hex("00 0002 1301 01 00"),
    lengthPrefixed(concatBytes(hex("0017 0000"), sni)),
  );
  const handshake = concatBytes(hex("0100"), lengthPrefixed(body));
  return concatBytes(hex("16 0301"), lengthPrefixed(handshake));
}

/** A question for `labels` (RFC 1035 4.1), as hexadecimal. */
function dnsQuery(labels: readonly string[], type: number, flags = "0100"): Uint8Array {
  const name = labels.map((label) => label.length.toString(16).padStart(2, "0") + hexOf(label));
  return hex(
    `1234 ${flags} 0001 0000 0000 0000 ${name.join("")}00 ${type.toString(16).padStart(4, "0")} 0001`,
  );
}

function dhcp(op: number): Uint8Array {
  const bytes = new Uint8Array(244);
  bytes.set(hex(`0${op} 01 06 00 deadbeef 0000 8000 00000000 c000020a c0000202 c0000203`));
  bytes.set(hex(LEFT.mac), 28);
  bytes.set(hex("63825363 350101ff"), 236);
  return bytes;
}

function arp(operation: number, sender: typeof LEFT, target: typeof LEFT): Uint8Array {
  const ip = (value: string) => Uint8Array.from(value.split("."), Number);
  return concatBytes(
    hex(`0001 0800 06 04 000${operation} ${sender.mac}`),
    ip(sender.ipv4),
    hex("000000000000"),
    ip(target.ipv4),
  );
}

export function packetLogFrames(): LoggedFrame[] {
  const frames: LoggedFrame[] = [];
  const add = (
    name: string,
    from: "left" | "right",
    type: number,
    payload: Uint8Array,
    to?: string,
  ) => {
    const [near, far] = from === "left" ? [LEFT, RIGHT] : [RIGHT, LEFT];
    frames.push({ name, from, bytes: ethernet(to ?? far.mac, near.mac, type, payload) });
  };
  const v4 = (
    name: string,
    protocol: number,
    payload: Uint8Array,
    from: "left" | "right" = "left",
    fragment = 0,
  ) => {
    const [near, far] = from === "left" ? [LEFT, RIGHT] : [RIGHT, LEFT];
    add(name, from, 0x0800, ipv4Packet(near.ipv4, far.ipv4, protocol, payload, fragment));
  };
  const v6 = (
    name: string,
    next: number,
    payload: Uint8Array,
    from: "left" | "right" = "left",
    source?: string,
  ) => {
    const [near, far] = from === "left" ? [LEFT, RIGHT] : [RIGHT, LEFT];
    add(name, from, 0x86dd, ipv6Packet(source ?? near.ipv6, far.ipv6, next, payload));
  };
  const tcp = (name: string, port: number, flags: number, data: Uint8Array | string = "") => {
    const segment = tcpSegment(40_000, port, flags, typeof data === "string" ? text(data) : data);
    v4(name, 6, segment);
    v6(`${name} over IPv6`, 6, segment);
  };
  const udp = (name: string, from: number, to: number, data: Uint8Array) => {
    v4(name, 17, udpDatagram(from, to, data));
    v6(`${name} over IPv6`, 17, udpDatagram(from, to, data));
  };

  add("ARP request", "left", 0x0806, arp(1, LEFT, RIGHT), EVERYBODY);
  add("ARP reply", "right", 0x0806, arp(2, RIGHT, LEFT));
  add("ARP of another operation", "left", 0x0806, arp(3, LEFT, RIGHT));
  v4("ICMP echo request", 1, hex("0800 0000 0001 0002 6162"));
  v4("ICMP echo reply", 1, hex("0000 0000 0001 0002 6162"), "right");
  v4("ICMP unreachable", 1, hex("0303 0000 0000 0000"));
  tcp("SYN", 80, 0x02);
  tcp("SYN and ACK to a port without a name", 40_001, 0x12);
  tcp("RST", 22, 0x04);
  tcp("all flags", 25, 0x3f);
  tcp("FIN to HTTPS", 443, 0x11);
  tcp("bare ACK", 80, 0x10);
  tcp("data", 5000, 0x18, "some data");
  tcp(
    "GET",
    80,
    0x18,
    "GET /a?b=c,d HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Some Agent/1.0 (X, Y)\r\nReferer: http://ref.example.com/x y\r\n\r\n",
  );
  tcp(
    "POST to a proxy",
    3128,
    0x18,
    "POST http://www.example.com/p HTTP/1.0\r\nhost:  spaced \r\n\r\n",
  );
  tcp("lower-case request", 8080, 0x18, "get /p\tHTTP/1.1\r\nHOST: h\r\n\r\n");
  tcp("request without Host", 80, 0x18, "GET / HTTP/1.0\r\n\r\n");
  tcp("request of four words", 80, 0x18, "GET / HTTP/1.0 x\r\nHost: h\r\n\r\n");
  tcp(
    "request with an empty value",
    80,
    0x18,
    "HEAD / HTTP/1.0\r\nHost: h\r\nReferer:\r\nUser-Agent: \u00fc\x01",
  );
  tcp("another method", 80, 0x18, "PUT / HTTP/1.1\r\nHost: h\r\n\r\n");
  tcp("request to another port", 81, 0x18, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  tcp("ClientHello", 443, 0x18, clientHello("sni.example.com"));
  tcp("cut ClientHello", 443, 0x18, clientHello("sni.example.com").subarray(0, 60));
  udp("UDP", 40_000, 40_001, text("data"));
  udp("UDP between named ports", 123, 514, text("data"));
  udp("DNS A", 40_000, 53, dnsQuery(["www", "example", "com"], 1));
  udp("DNS PTR", 40_000, 53, dnsQuery(["1", "2", "0", "192", "in-addr", "arpa"], 12));
  udp("DNS AAAA", 40_000, 53, dnsQuery(["www", "example", "com"], 28));
  udp("DNS with a comma", 40_000, 53, dnsQuery(["a,b c", "com"], 1));
  udp("DNS answer", 40_000, 53, dnsQuery(["www", "example", "com"], 1, "8180"));
  udp("DNS cut", 40_000, 53, dnsQuery(["www", "example", "com"], 1).subarray(0, 20));
  udp(
    "IKE main mode",
    500,
    500,
    hex("0102030405060708 0000000000000000 01 10 02 00 00000000 0000001c"),
  );
  udp(
    "IKE aggressive mode",
    4500,
    4500,
    hex("0102030405060708 0000000000000000 01 10 04 00 00000005 0000001c"),
  );
  udp(
    "IKE answer",
    500,
    500,
    hex("0102030405060708 0000000000000001 01 10 02 00 00000000 0000001c"),
  );
  udp("OpenVPN", 40_000, 1194, hex("38 0102030405060708 00 00000000"));
  v4("DHCP request", 17, udpDatagram(68, 67, dhcp(1)));
  v4("DHCP answer", 17, udpDatagram(67, 68, dhcp(2)), "right");
  v4("DHCP cut", 17, udpDatagram(68, 67, dhcp(1).subarray(0, 100)));
  v4("later fragment", 17, text("fragment"), "left", 0x0010);
  v4("first fragment", 17, udpDatagram(40_000, 40_001, text("data")), "left", 0x2000);
  v4("GRE", 47, hex("00000800"));
  v4("cut TCP", 6, hex("0050"));
  v4("TCP with a bad offset", 6, tcpSegment(1, 2, 0x02, new Uint8Array(0), 0xf0));
  v6("ICMPv6 echo request", 58, hex("8000 0000 0001 0002 616263"));
  v6("ICMPv6 echo reply", 58, hex("8100 0000 0001 0002 616263"), "right");
  v6("router solicitation", 58, hex("8500 0000 00000000 0101 020000000001"), "left", LINK_LOCAL);
  v6(
    "router advertisement",
    58,
    hex(
      "8600 0000 40 c0 0708 00000000 00000000 0101 020000000001 0501 0000 000005dc" +
        "0304 40 c0 00015180 00003840 00000000 20010db8000000010000000000000000" +
        "0304 40 80 00015180 00003840 00000000 20010db8000000020000000000000000",
    ),
    "left",
    LINK_LOCAL,
  );
  v6("neighbour solicitation", 58, hex(`8700 0000 00000000 ${RIGHT.ipv6} 0101 020000000001`));
  v6(
    "neighbour advertisement",
    58,
    hex(`8800 0000 60000000 ${RIGHT.ipv6} 0201 020000000002`),
    "right",
  );
  v6("multicast listener report", 58, hex("8f00 0000 0000 0000"));
  v6(
    "hop-by-hop options before UDP",
    0,
    concatBytes(hex("1100 0104 00000000"), udpDatagram(1, 2, text("d"))),
  );
  v6("IPv6 later fragment", 44, hex("1100 0010 00000001 0102030405060708"));
  v6(
    "IPv6 first fragment",
    44,
    concatBytes(hex("1100 0001 00000001"), udpDatagram(40_000, 40_001, text("data"))),
  );
  v6("IPv6 without payload", 59, new Uint8Array(0));
  v6("SCTP over IPv6", 132, hex("00010002 00000000"));
  add("another EtherType", "left", 0x88b5, text("experiment"));
  add("EtherType to everybody", "left", 0x88b5, text("experiment"), EVERYBODY);
  add(
    "tagged ICMP",
    "left",
    0x8100,
    concatBytes(hex("0064 0800"), ipv4Packet(LEFT.ipv4, RIGHT.ipv4, 1, hex("0800 0000 0001 0002"))),
  );
  add("802.3 length", "left", 0x0008, hex("aaaa0300 00000000"));
  return frames;
}
