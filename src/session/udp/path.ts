import type { Clock, Timer } from "../../base/clock.ts";
import { SystemError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { MssClamp } from "../../hub/mss-clamp.ts";
import type { FrameRun } from "../../hub/port.ts";
import type { Log } from "../../observe/log.ts";
import type { Watch } from "../../platform/poller.ts";
import { watchShared } from "../../platform/shared-poller.ts";
import type { IncomingMessage } from "../../platform/receive-messages.ts";
import type { UdpSocket } from "../../platform/udp-socket.ts";
import type { BlockCodec } from "../block-codec.ts";
import { type DatagramCodec, FLAG_CODED } from "./datagram.ts";
import { DatagramReceiver } from "./datagram-receiver.ts";
import { DatagramSender } from "./datagram-sender.ts";
import { Liveness } from "./liveness.ts";
import { carriedMss } from "./mss.ts";
import { readNattNote } from "./natt-note.ts";
import { emptyUdpPathStats, type UdpPathStats } from "./path-stats.ts";
import type { PeerAddresses } from "./peer-addresses.ts";
import type { UdpPath } from "./udp-path.ts";

/** Calls of the system after which other events of the process get their turn: about a millisecond's work. */
const TURN_CALLS = 4;

export interface PathDeps {
  readonly socket: UdpSocket;
  readonly codec: DatagramCodec;
  readonly addresses: PeerAddresses;
  readonly isFast: boolean;
  readonly ownCookie: number;
  readonly peerCookie: number;
  readonly blockCodec: BlockCodec | undefined;
  /** Flows keep their segment size, and large datagrams are cut on their way. */
  readonly leavesMss?: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The way of one session's frames over UDP, the same on both ends (protocol.md 17). */
export class DatagramPath implements UdpPath {
  onRun: (run: FrameRun) => void = () => {};
  onBatchEnd: () => void = () => {};
  readonly version: 1 | 2;
  readonly isEncrypted: boolean;
  readonly stats: UdpPathStats = emptyUdpPathStats();
  readonly #deps: PathDeps;
  readonly #liveness: Liveness;
  readonly #sender: DatagramSender;
  readonly #receiver: DatagramReceiver;
  readonly #watch: Watch;
  readonly #clamp: MssClamp | undefined;
  #keepalive: Timer;
  #now = 0;
  #isClosed = false;

  constructor(deps: PathDeps) {
    const { socket, codec, addresses, clock, random } = deps;
    const { stats } = this;
    this.#deps = deps;
    this.version = codec.version;
    this.isEncrypted = codec.isEncrypted;
    this.#liveness = new Liveness({ isFast: deps.isFast, triesSize: codec.isEncrypted });
    const shared = { socket, codec, liveness: this.#liveness, addresses, stats, random };
    this.#sender = new DatagramSender({ ...shared, cookie: deps.peerCookie });
    const take = (run: FrameRun, isCoded: boolean) => this.#take(run, isCoded);
    this.#receiver = new DatagramReceiver({ ...shared, cookie: deps.ownCookie, take });
    if (deps.leavesMss !== true)
      this.#clamp = new MssClamp(carriedMss(socket.local.family, codec.isEncrypted));
    this.#watch = watchShared(socket.fd, this.#turn);
    this.#watch.arm();
    // Right after the welcome, which the peer may be reading still.
    this.#keepalive = clock.after(0, this.#sendKeepalive);
  }

  get isReady(): boolean {
    return !this.#isClosed && this.#liveness.isReady(this.#deps.clock.now());
  }

  get isAlive(): boolean {
    return !this.#isClosed && this.#liveness.isAlive(this.#deps.clock.now());
  }

  get peer(): string {
    return this.#deps.addresses.text;
  }

  clampOut(run: FrameRun): FrameRun {
    return this.#clamp?.rewrite(run) ?? run;
  }

  clampIn(run: FrameRun): FrameRun {
    return this.#clamp?.rewrite(run) ?? run;
  }

  // Out.

  deliver(run: FrameRun): void {
    if (this.#isClosed) return;
    this.#now = this.#deps.clock.now();
    const { blockCodec } = this.#deps;
    if (blockCodec === undefined) this.#sender.take(run, 0, this.#now);
    else blockCodec.encode(run, this.#encoded);
  }

  readonly #encoded = (blocks: FrameRun): void => this.#sender.take(blocks, FLAG_CODED, this.#now);

  flush(): void {
    if (this.#isClosed) return;
    this.#sender.flush();
    this.#countSent();
  }

  #countSent(): void {
    const { sentDatagrams, refusedDatagrams } = this.#deps.socket.stats;
    this.stats.sentDatagrams = sentDatagrams;
    this.stats.drops.refused = refusedDatagrams;
  }

  readonly #sendKeepalive = (): void => {
    if (this.#isClosed) return;
    const { clock, random, addresses } = this.#deps;
    const now = clock.now();
    this.#sender.sendKeepalive(now, this.#liveness.isAlive(now) ? [] : addresses.others());
    this.#countSent();
    this.#keepalive = clock.after(this.#liveness.keepaliveDelay(random), this.#sendKeepalive);
  };

  // In.

  readonly #turn = (): void => {
    if (this.#isClosed) return;
    this.#now = this.#deps.clock.now();
    let messages = 0;
    for (let calls = 0; calls < TURN_CALLS; calls += 1) {
      const count = this.#deps.socket.receive(this.#takeMessage);
      this.#receiver.handOver();
      messages += count;
      if (count === 0 || this.#isClosed) break;
    }
    if (messages > 0) this.onBatchEnd();
    if (this.#isClosed) return;
    // While datagrams come, looking is cheaper than asking to be told.
    if (messages > 0) setImmediate(this.#turn);
    else this.#arm();
  };

  readonly #takeMessage = (message: IncomingMessage): void =>
    this.#receiver.takeMessage(message, this.#now);

  #take(run: FrameRun, isCoded: boolean): void {
    if (this.#isClosed) return;
    if (!isCoded) return this.onRun(run);
    const { blockCodec } = this.#deps;
    if (blockCodec === undefined) this.stats.drops.size += run.count;
    else blockCodec.decode(run, this.#decoded);
  }

  readonly #decoded = (frames: FrameRun): void => this.onRun(frames);

  #arm(): void {
    try {
      this.#watch.arm();
    } catch (thrown) {
      if (!(thrown instanceof SystemError)) throw thrown;
      // The session goes on by TCP.
      this.#deps.log.warn("udp_lost", thrown.message);
      this.close();
    }
  }

  keepaliveNote(body: Uint8Array): void {
    const { port, ip } = readNattNote(body);
    this.#deps.addresses.addIp(ip);
    this.#deps.addresses.addPort(port);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#keepalive.cancel();
    this.#watch.remove();
    this.#sender.close();
    this.#deps.socket.close();
  }
}
