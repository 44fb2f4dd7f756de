import type { Clock } from "../../base/clock.ts";
import { SystemError } from "../../base/errors.ts";
import { tryParseAddress, unmapV4, type IpAddress } from "../../base/ip.ts";
import type { Random } from "../../base/random.ts";
import type { FrameRun } from "../../hub/port.ts";
import type { Log } from "../../observe/log.ts";
import { hasLibc } from "../../platform/libc.ts";
import { UdpSocket } from "../../platform/udp-socket.ts";
import type { BlockCodec } from "../block-codec.ts";
import type { DatagramCodec } from "./datagram.ts";
import {
  type DirectionKeys,
  KEY_BYTES,
  LEGACY_KEY_BYTES,
  type UdpGrant,
  type UdpWish,
} from "./elements.ts";
import { LegacyCodec } from "./legacy-codec.ts";
import { DatagramPath } from "./path.ts";
import type { UdpPathStats } from "./path-stats.ts";
import { PeerAddresses } from "./peer-addresses.ts";
import { SealedCodec } from "./sealed-codec.ts";

/** A way for a session's frames over UDP, beside its TCP connections (protocol.md 17). */
export interface UdpPath {
  /** True while frames should go this way: both ends hear each other and have done so for ten seconds. */
  readonly isReady: boolean;
  /** True while the peer is heard, for status. */
  readonly isAlive: boolean;
  readonly version: 1 | 2;
  readonly isEncrypted: boolean;
  /** `192.0.2.1:40000`: where the peer's datagrams come from. */
  readonly peer: string;
  readonly stats: UdpPathStats;
  /** Seals all frames of the run; what the socket does not take is dropped and counted. */
  deliver(run: FrameRun): void;
  /** Sends what was delivered. Once per event. */
  flush(): void;
  /** Gets frames that came, decoded; the run is borrowed. */
  onRun: (run: FrameRun) => void;
  /** Called after the last run of an event. */
  onBatchEnd: () => void;
  /**
   * The run with the segment size of SYNs brought down to what a datagram carries, or the run itself. For all frames
   * of the session in that direction, whichever way they go: flows move from one to the other.
   */
  clampOut(run: FrameRun): FrameRun;
  clampIn(run: FrameRun): FrameRun;
  /** The beginning of a keep-alive's body that came by TCP: it may tell an address of the peer (17.6). */
  keepaliveNote(body: Uint8Array): void;
  close(): void;
}

export interface UdpEndDeps {
  /** Our end of the TCP connection of the login, as text. */
  readonly localAddress: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What both ends of an agreed path need beyond what was agreed. */
export interface UdpSessionDeps {
  /** The other end of the TCP connection of the login. */
  readonly remoteAddress: string;
  /** Of the compression that was granted. */
  readonly codec: BlockCodec | undefined;
}

/** A client's wish for UDP, with its socket. */
export interface UdpOffer {
  /** For the login. */
  readonly wish: UdpWish;
  /** The path that a welcome grants; its owner closes it. */
  accept(grant: UdpGrant, deps: UdpSessionDeps): UdpPath;
  /** Gives the socket back if nothing was accepted. May be called twice. */
  close(): void;
}

/** Opens a socket to offer; undefined where that is not possible, and the session has TCP alone. */
export function offerUdp(deps: UdpEndDeps): UdpOffer | undefined {
  const socket = tryOpen(deps, (local) => UdpSocket.open({ ...local, port: 0 }));
  if (socket === undefined) return undefined;
  const wish: UdpWish = {
    version: 2,
    ip: deps.localAddress,
    port: socket.local.port,
    keys: newKeys(deps.random),
    isFast: true,
  };
  let isTaken = false;
  return {
    wish,
    accept(grant, { remoteAddress, codec }) {
      isTaken = true;
      const addresses = new PeerAddresses(socket.local.family);
      addresses.addIp(remoteAddress);
      addresses.addIp(grant.ip);
      addresses.addPort(grant.port);
      return new DatagramPath({
        ...deps,
        socket,
        addresses,
        codec: codecFor(grant, wish.keys, grant.keys, deps.random),
        isFast: grant.isFast,
        ownCookie: grant.clientCookie,
        peerCookie: grant.serverCookie,
        blockCodec: codec,
      });
    },
    close() {
      if (!isTaken) socket.close();
    },
  };
}

export interface UdpGrantDeps extends UdpEndDeps, UdpSessionDeps {
  /** Ports that may be used; the first free one is. */
  readonly ports: { readonly first: number; readonly last: number };
  /** What was granted of the stream goes for the datagrams, too. */
  readonly isEncrypted: boolean;
  /** Segment sizes of TCP stay as they are (option DisableAdjustTcpMss of the hub). */
  readonly leavesMss?: boolean;
}

/** Grants what a login wishes, on a socket of its own; undefined if there is no port. The path's owner closes it. */
export function grantUdp(
  wish: UdpWish,
  deps: UdpGrantDeps,
): { readonly grant: UdpGrant; readonly path: UdpPath } | undefined {
  const socket = tryOpen(deps, (local) => UdpSocket.openFirst(local, deps.ports));
  if (socket === undefined) return undefined;
  const [serverCookie, clientCookie] = newCookies(deps.random);
  const grant: UdpGrant = {
    version: wish.version,
    ip: deps.localAddress,
    port: socket.local.port,
    keys: newKeys(deps.random),
    isFast: wish.isFast,
    serverCookie,
    clientCookie,
    isEncrypted: deps.isEncrypted,
  };
  const addresses = new PeerAddresses(socket.local.family);
  addresses.addIp(deps.remoteAddress);
  addresses.addIp(wish.ip);
  addresses.addPort(wish.port);
  const path = new DatagramPath({
    ...deps,
    socket,
    addresses,
    codec: codecFor(grant, grant.keys, wish.keys, deps.random),
    isFast: grant.isFast,
    ownCookie: serverCookie,
    peerCookie: clientCookie,
    blockCodec: deps.codec,
  });
  return { grant, path };
}

function tryOpen(
  { localAddress, log }: UdpEndDeps,
  open: (local: IpAddress) => UdpSocket | undefined,
): UdpSocket | undefined {
  const local = tryParseAddress(localAddress);
  if (!hasLibc || local === undefined) return undefined;
  try {
    return open(unmapV4(local));
  } catch (thrown) {
    if (!(thrown instanceof SystemError)) throw thrown;
    log.debug("udp_refused", `No UDP acceleration for this session: ${thrown.message}`);
    return undefined;
  }
}

function newKeys(random: Random): DirectionKeys {
  return { legacy: random.bytes(LEGACY_KEY_BYTES), sealed: random.bytes(KEY_BYTES) };
}

/** Two numbers that are neither 0 nor the same. */
function newCookies(random: Random): readonly [number, number] {
  for (;;) {
    const [first = 0, second = 0] = new Uint32Array(random.bytes(8).buffer);
    if (first !== 0 && second !== 0 && first !== second) return [first, second];
  }
}

function codecFor(
  { version, isEncrypted }: UdpGrant,
  send: DirectionKeys,
  receive: DirectionKeys,
  random: Random,
): DatagramCodec {
  if (!isEncrypted) return new LegacyCodec(version, undefined);
  if (version === 2 && send.sealed !== undefined && receive.sealed !== undefined) {
    return new SealedCodec(send.sealed, receive.sealed, random.bytes(LEGACY_KEY_BYTES));
  }
  const iv = random.bytes(LEGACY_KEY_BYTES);
  return new LegacyCodec(1, { send: send.legacy, receive: receive.legacy, iv });
}
