import { lookup } from "node:dns/promises";
import { formatAddress, tryParseAddress, unmapV4 } from "../base/ip.ts";

/** An address a datagram goes to or came from; `text` in the one form of `formatAddress`. */
export interface RadiusAddress {
  readonly family: 4 | 6;
  readonly text: string;
}

export interface RadiusSocket {
  /** A datagram that cannot be sent is lost, as others are on their way. */
  send(bytes: Uint8Array, address: RadiusAddress, port: number): void;
  close(): void;
}

export interface DatagramSink {
  /** The bytes are the sink's own. */
  datagram(bytes: Uint8Array, from: string, port: number): void;
  /** The network said that something sent did not arrive: ICMP, which anybody may forge. */
  undelivered(): void;
}

/** Names and datagrams, handed in so that a test can stand in for both. */
export interface RadiusNetwork {
  /** At least one address, or an error. */
  resolve(host: string): Promise<readonly RadiusAddress[]>;
  /** A socket on a port of the system's choice. */
  open(family: 4 | 6, sink: DatagramSink): Promise<RadiusSocket>;
}

export const systemRadiusNetwork: RadiusNetwork = {
  async resolve(host) {
    const found = await lookup(host, { all: true, verbatim: true });
    return found.map(({ address, family }) => ({
      family: family === 6 ? 6 : 4,
      text: canonicalAddress(address),
    }));
  },

  async open(family, sink) {
    const socket = await Bun.udpSocket({
      hostname: family === 4 ? "0.0.0.0" : "::",
      socket: {
        // The runtime reads the next datagram into the same memory.
        data: (_socket, bytes, port, address) =>
          sink.datagram(new Uint8Array(bytes), canonicalAddress(address), port),
        error: () => sink.undelivered(),
      },
    });
    return {
      send: (bytes, address, port) => {
        try {
          socket.send(bytes, port, address.text);
        } catch (thrown) {
          // No route, no buffer: it is lost, and the next try follows. Anything else is a fault of ours.
          if (!(thrown instanceof Error && "errno" in thrown)) throw thrown;
        }
      },
      close: () => socket.close(),
    };
  },
};

/** One text for one address, however the system wrote it; a zone stays, since it names the link. */
function canonicalAddress(text: string): string {
  const [address, zone] = text.split("%", 2);
  const parsed = tryParseAddress(address!);
  if (parsed === undefined) return text;
  const plain = formatAddress(unmapV4(parsed).bytes);
  return zone === undefined ? plain : `${plain}%${zone}`;
}
