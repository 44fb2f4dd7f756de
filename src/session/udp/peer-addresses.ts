import {
  formatAddress,
  isV4Mapped,
  tryParseAddress,
  unmapV4,
  type IpAddress,
} from "../../base/ip.ts";
import { PACKET_BYTES } from "../../platform/packet-memory.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  type SocketAddress,
} from "../../platform/socket-address.ts";

/** The IPs and the ports that are tried, each with each: seen by TCP, reported, told by NAT-T (protocol.md 17.5). */
const MAX_KINDS = 3;

/** Where the peer's datagrams come from, and where else they might while none have come. */
export class PeerAddresses {
  readonly #family: 4 | 6;
  readonly #ips: IpAddress[] = [];
  readonly #ports: number[] = [];
  #current: Uint8Array | undefined;

  constructor(family: 4 | 6) {
    this.#family = family;
  }

  /** In the form that sockets send to; undefined before an IP and a port are known. */
  get current(): Uint8Array | undefined {
    return this.#current;
  }

  /** The current address as text, for status and log. */
  get text(): string {
    const address = this.#current === undefined ? undefined : decodeSocketAddress(this.#current);
    if (address === undefined) return "";
    const ip = formatAddress(address.bytes);
    return address.family === 4 ? `${ip}:${address.port}` : `[${ip}]:${address.port}`;
  }

  /** All other addresses that could be the peer's. */
  *others(): Generator<Uint8Array> {
    for (const ip of this.#ips) {
      for (const port of this.#ports) {
        const address = encodeSocketAddress({ ...ip, port });
        if (this.#current === undefined || !isSame(address, this.#current, 0)) yield address;
      }
    }
  }

  /** Adds an IP that is of the socket's family and can be one machine's. */
  addIp(text: string | undefined): void {
    const parsed = text === undefined ? undefined : tryParseAddress(text);
    if (parsed === undefined) return;
    const ip = unmapV4(parsed);
    if (ip.family !== this.#family || !isMachine(ip) || this.#ips.length === MAX_KINDS) return;
    if (this.#ips.some((known) => Buffer.compare(known.bytes, ip.bytes) === 0)) return;
    this.#ips.push(ip);
    this.#choose();
  }

  addPort(port: number | undefined): void {
    if (port === undefined || port < 1 || port > 65_535 || this.#ports.includes(port)) return;
    if (this.#ports.length === MAX_KINDS) return;
    this.#ports.push(port);
    this.#choose();
  }

  #choose(): void {
    const [ip, port] = [this.#ips[0], this.#ports[0]];
    if (ip === undefined || port === undefined) return;
    this.#current ??= encodeSocketAddress({ ...ip, port });
  }

  /** Sends to the struct sockaddr at this place of packet memory from now on. */
  follow(at: number): void {
    if (this.#current !== undefined && isSame(PACKET_BYTES, this.#current, at)) return;
    const address: SocketAddress | undefined = decodeSocketAddress(
      PACKET_BYTES.subarray(at, at + 28),
    );
    if (address === undefined || address.family !== this.#family) return;
    this.#current = encodeSocketAddress(address);
  }
}

/** True if `expected` stands in `bytes` from `at` on. */
function isSame(bytes: Uint8Array, expected: Uint8Array, at: number): boolean {
  for (let n = 0; n < expected.length; n += 1) {
    if (bytes[at + n] !== expected[n]) return false;
  }
  return true;
}

/** False for addresses that are nobody's or many's: datagrams go to no crowd on a peer's word. */
function isMachine({ family, bytes }: IpAddress): boolean {
  if (family === 6)
    return bytes[0] !== 0xff && bytes.some((octet) => octet !== 0) && !isV4Mapped(bytes);
  return bytes[0] !== 0 && bytes[0]! < 224;
}
