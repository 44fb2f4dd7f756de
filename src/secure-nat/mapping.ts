// The way out of one inner address and port, shared by all that it sends to: one socket, so that every peer sees it at
// the same outer address and port, the inner port where that is free (RFC 4787 4.1 REQ-1, 4.2). What comes is taken only
// from those that were sent to (RFC 4787 5, address- and port-dependent filtering): who opens a way with both ends, as
// games, STUN and QUIC do, gets through, and others do not. A thousand peers of one program cost one descriptor.
import { SystemError } from "../base/errors.ts";
import { formatAddress, type IpAddress } from "../base/ip.ts";
import type { HostDrops } from "../ip-host/host-drops.ts";
import { outbox } from "../ip-host/outbox.ts";
import type { DatagramError } from "../platform/error-queue.ts";
import type { DatagramSocket } from "../platform/datagram-socket.ts";
import { EPOLLERR, EPOLLIN, type EpollWatch } from "../platform/epoll.ts";
import { PACKET_VIEW } from "../platform/packet-memory.ts";
import type { IncomingMessage } from "../platform/receive-messages.ts";
import { ERRNO } from "../platform/stream-socket.ts";
import type { FlowEnds, FlowHost } from "./flow.ts";
import { wordAt } from "./flow-table.ts";
import { socketShare } from "./socket-share.ts";

/** Frames that wait are sent at this figure: they are still in the cache. */
const DRAIN_BYTES = 49_152;
const EMSGSIZE = 90;
/* struct sockaddr_in and sockaddr_in6. */
const PORT_AT = 2;
const ADDRESS_AT = { 4: 4, 6: 8 } as const;

/** One peer of a mapping. What it is given lasts for the call. */
export interface MappedFlow {
  readonly ends: FlowEnds;
  came(message: IncomingMessage): void;
  failed(error: DatagramError): void;
}

/** A peer's address and port; a number for IPv4, which look-ups are fastest with. */
type PeerKey = number | string;

/** What a kind of mappings does with sockets. */
export interface MappingKind {
  /** @throws SystemError */
  open(family: 4 | 6, preferredPort: number, ttl: number): DatagramSocket;
  close(socket: DatagramSocket): void;
}

export class Mapping {
  readonly socket: DatagramSocket;
  /** Nearly all mappings have one peer. */
  #onlyKey: PeerKey | undefined;
  #only: MappedFlow | undefined;
  /** The peers beyond it. */
  #others: Map<PeerKey, MappedFlow> | undefined;
  readonly #watch: EpollWatch;
  readonly #drops: HostDrops;
  readonly #onEmpty: () => void;
  /** The MTU that the system gave as the reason not to send. */
  #localMtu = 0;

  /** @throws SystemError if the socket cannot be watched; it stays the caller's then */
  constructor(socket: DatagramSocket, host: FlowHost, onEmpty: () => void) {
    this.socket = socket;
    this.#drops = host.drops;
    this.#onEmpty = onEmpty;
    this.#watch = host.epoll.add(socket.fd, (events) => this.#onEvents(events), EPOLLIN);
  }

  /** Flows of this mapping. */
  get size(): number {
    return (this.#only === undefined ? 0 : 1) + (this.#others?.size ?? 0);
  }

  add(flow: MappedFlow): void {
    const key = keyOfPeer(flow.ends);
    if (this.#only !== undefined) {
      this.#others ??= new Map();
      this.#others.set(key, flow);
      return;
    }
    this.#only = flow;
    this.#onlyKey = key;
  }

  /** The last one takes the mapping with it. */
  remove(flow: MappedFlow): void {
    if (this.#only === flow) this.#only = this.#onlyKey = undefined;
    else this.#others?.delete(keyOfPeer(flow.ends));
    if (this.size > 0) return;
    this.#watch.remove();
    this.#onEmpty();
  }

  /** True if there may be more. */
  readErrors(): boolean {
    return this.socket.readErrors((error) => {
      if (error.errno === EMSGSIZE && error.icmp === undefined) this.#localMtu = error.info;
      else this.#find(this.#keyAt(error.toAt))?.failed(error);
    });
  }

  /** The MTU told by the last error about a datagram that was too large for a way that is known; 0 for none. */
  takeLocalMtu(): number {
    const mtu = this.#localMtu;
    this.#localMtu = 0;
    return mtu;
  }

  #onEvents(events: number): void {
    // Errors that are left would hide what has come.
    if ((events & EPOLLERR) !== 0 && this.readErrors()) return this.#watch.again(events);
    if (!this.socket.isOpen) return;
    const hasMore = this.socket.receive((message) => {
      const flow = this.#find(this.#keyAt(message.fromAt));
      if (flow !== undefined) flow.came(message);
      else if (this.socket.kind !== "raw") this.#drops.unsolicited += countOf(message);
      if (outbox.waitingBytes >= DRAIN_BYTES) outbox.drain();
    });
    if (hasMore) this.#watch.again(EPOLLIN);
  }

  #find(key: PeerKey): MappedFlow | undefined {
    return key === this.#onlyKey ? this.#only : this.#others?.get(key);
  }

  #keyAt(at: number): PeerKey {
    const port = this.socket.kind === "udp" ? PACKET_VIEW.getUint16(at + PORT_AT) : 0;
    const { family } = this.socket;
    const address = at + ADDRESS_AT[family];
    if (family === 4) return PACKET_VIEW.getUint32(address) * 65_536 + port;
    const word = (index: number) => PACKET_VIEW.getUint32(address + index * 4);
    return keyOfWords(word(0), word(1), word(2), word(3), port);
  }
}

/** The mappings of one kind in one SecureNAT. */
export class Mappings {
  readonly #kind: MappingKind;
  readonly #all = new Map<string, Mapping>();

  constructor(kind: MappingKind) {
    this.#kind = kind;
  }

  /** The mapping of the inner address and port, a new one if need be. @throws SystemError if there can be none */
  of({ inner, innerPort }: FlowEnds, host: FlowHost, ttl: number): Mapping {
    const key = `${formatAddress(inner.bytes)} ${innerPort}`;
    const known = this.#all.get(key);
    if (known !== undefined) return known;
    if (!socketShare.take()) throw new SystemError("socket", ERRNO.EMFILE, "open a socket");
    let socket: DatagramSocket | undefined;
    const free = () => {
      if (socket !== undefined) this.#kind.close(socket);
      socketShare.give();
    };
    try {
      socket = this.#kind.open(inner.family, innerPort, ttl);
      const mapping = new Mapping(socket, host, () => {
        this.#all.delete(key);
        free();
      });
      this.#all.set(key, mapping);
      return mapping;
    } catch (thrown) {
      free();
      throw thrown;
    }
  }
}

/** Datagrams that were joined are told apart. */
function countOf({ bytes, segment }: IncomingMessage): number {
  return segment === 0 ? 1 : Math.ceil(bytes / segment);
}

/** Where the flow's socket sends to. */
export function peerOf({ dial, outer, outerPort }: FlowEnds): {
  readonly address: IpAddress;
  readonly port: number;
} {
  return dial ?? { address: outer, port: outerPort };
}

function keyOfPeer(ends: FlowEnds): PeerKey {
  const { address, port } = peerOf(ends);
  const word = (index: number) => wordAt(address.bytes, index * 4) >>> 0;
  if (address.family === 4) return word(0) * 65_536 + port;
  return keyOfWords(word(0), word(1), word(2), word(3), port);
}

function keyOfWords(a: number, b: number, c: number, d: number, port: number): string {
  return `${a}:${b}:${c}:${d}:${port}`;
}
