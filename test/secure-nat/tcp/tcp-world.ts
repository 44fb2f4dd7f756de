// A guest that speaks plain segments, and the machine that answers it, on a clock that stands still.
import { read, toArrayBuffer } from "bun:ffi";
import { type IpAddress, readIpv4, tryParseAddress } from "../../../src/base/ip.ts";
import { type MacAddress } from "../../../src/base/mac.ts";
import type { FrameRun, FrameSink } from "../../../src/hub/port.ts";
import type { HostLink } from "../../../src/ip-host/link.ts";
import { outbox } from "../../../src/ip-host/outbox.ts";
import { SoftwarePort } from "../../../src/ip-host/software-port.ts";
import { PACKET_BASE, PACKET_VIEW } from "../../../src/platform/packet-memory.ts";
import type { TcpConnection } from "../../../src/secure-nat/tcp/tcp-connection.ts";
import {
  CHUNK_BYTES,
  type TcpCloseReason,
  type TcpIo,
} from "../../../src/secure-nat/tcp/tcp-io.ts";
import { TcpStack } from "../../../src/secure-nat/tcp/tcp-stack.ts";
import { encodeEthernet, tryParseEthernet } from "../../../src/wire/ethernet.ts";
import { encodeIpv4Packet, IP_PROTOCOL, tryParseIpv4Packet } from "../../../src/wire/ipv4.ts";
import { TCP_FLAG, TcpOptions } from "../../../src/wire/tcp.ts";
import { encodeTcp, type TcpSegment, tryParseTcp } from "../../support/tcp-segment.ts";
import { framesOf, runOf } from "../../support/array-port.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { seededRandom } from "../../support/seeded-random.ts";

export const HOST_MAC = 0x02_00_00_00_00_01 as MacAddress;
export const GUEST_MAC = 0x02_00_00_00_00_02 as MacAddress;
export const INNER = address("192.168.30.10");
export const OUTER = address("198.51.100.7");
const NO_BYTES = new Uint8Array(0);

export function address(text: string): IpAddress {
  const parsed = tryParseAddress(text);
  if (parsed === undefined) throw new Error(`Cannot parse ${text}`);
  return parsed;
}

/** Numbered bytes of a stream: what stands at a position can be told anywhere. */
export function stream(from: number, bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let n = 0; n < bytes; n += 1) made[n] = byteAt(from + n);
  return made;
}

export function byteAt(position: number): number {
  return (position * 31 + (position >>> 8) * 7 + (position >>> 16)) & 0xff;
}

/** The socket side: takes bytes up to a bound and writes down what happens. */
export class FakeIo implements TcpIo {
  readonly events: string[] = [];
  readonly taken: Uint8Array[] = [];
  takenBytes = 0;
  /** Bytes that are still taken. */
  capacity = Infinity;
  keepsBytes = true;
  onRoom: () => void = () => undefined;

  deliver(vectorAt: number, vectors: number, bytes: number): number {
    let left = Math.min(bytes, this.capacity);
    const all = left;
    let seen = 0;
    for (let n = 0; n < vectors; n += 1) {
      const entry = vectorAt + 16 * n;
      const length = PACKET_VIEW.getUint32(entry + 8, true);
      seen += length;
      const part = Math.min(length, left);
      if (part > 0 && this.keepsBytes) {
        const low = PACKET_VIEW.getUint32(entry, true);
        const high = PACKET_VIEW.getUint32(entry + 4, true);
        this.taken.push(bytesAt(low + high * 2 ** 32, part));
      }
      left -= part;
    }
    if (seen !== bytes) throw new Error(`${seen} bytes in vectors that were to have ${bytes}`);
    this.capacity -= all;
    this.takenBytes += all;
    return all;
  }

  finished(): void {
    this.events.push("finished");
  }

  room(): void {
    this.events.push("room");
    this.onRoom();
  }

  established(): void {
    this.events.push("established");
  }

  closed(reason: TcpCloseReason): void {
    this.events.push(`closed ${reason}`);
  }

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.taken));
  }
}

/** Bytes at an address of this process, copied. */
function bytesAt(at: number, bytes: number): Uint8Array {
  const offset = at - PACKET_BASE;
  if (offset >= 0 && offset < PACKET_VIEW.byteLength) {
    return new Uint8Array(PACKET_VIEW.buffer.slice(offset, offset + bytes));
  }
  // A first look, so that a wrong address fails here.
  read.u8(at as Parameters<typeof read.u8>[0], 0);
  return new Uint8Array(toArrayBuffer(at as Parameters<typeof toArrayBuffer>[0], 0, bytes)).slice();
}

export interface GuestSegment {
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
}

export class TcpWorld {
  readonly clock: ManualClock;
  readonly io = new FakeIo();
  readonly stack: TcpStack;
  readonly port: SoftwarePort;
  connection: TcpConnection;
  /** What the guest has heard and not looked at. */
  readonly heard: TcpSegment[] = [];
  /** Frames go there instead, if set. */
  onFrame: ((frame: Uint8Array) => void) | undefined;
  readonly innerPort: number;
  readonly outerPort = 80;
  /** The guest's initial sequence number, and the machine's once it is known. */
  readonly guestInitial: number;
  hostInitial = 0;

  constructor(
    settings: {
      guestInitial?: number;
      innerPort?: number;
      isPlainReset?: boolean;
      maxBytes?: number;
      clock?: ManualClock;
      mtu?: number;
    } = {},
  ) {
    this.clock = settings.clock ?? new ManualClock();
    this.guestInitial = settings.guestInitial ?? 1000;
    this.innerPort = settings.innerPort ?? 40_000;
    const sink: FrameSink = {
      deliver: (run: FrameRun) => {
        for (const frame of framesOf(run)) {
          if (this.onFrame !== undefined) this.onFrame(frame);
          else this.heard.push(this.parse(frame));
        }
      },
      flush: () => undefined,
      ready: true,
      onReady: undefined,
    };
    const link: HostLink = { mac: HOST_MAC, sink, mtu: settings.mtu ?? 1500 };
    this.stack = new TcpStack({
      clock: this.clock,
      random: seededRandom(7),
      link,
      isPlainReset: settings.isPlainReset ?? false,
      ...(settings.maxBytes === undefined ? {} : { maxBytes: settings.maxBytes }),
    });
    this.port = new SoftwarePort("HOST", {
      mac: HOST_MAC,
      packet: (packet) => {
        if (!packet.hasRightSum) throw new Error("A guest of a test has a wrong checksum");
        if (this.connection.state === "closed") this.stack.reject(packet);
        else this.connection.receive(packet);
      },
      arp: () => undefined,
      handled: () => this.stack.flush(),
    });
    this.connection = this.stack.connect(
      { inner: INNER, innerPort: this.innerPort, outer: OUTER, outerPort: this.outerPort },
      GUEST_MAC,
      this.io,
    );
  }

  /** The guest sends segments in one event. */
  send(...segments: GuestSegment[]): void {
    this.sendFrames(segments.map((segment) => this.frame(segment)));
  }

  sendFrames(frames: readonly Uint8Array[]): void {
    if (frames.length === 0) return;
    this.port.deliver(runOf(frames));
    this.port.flush();
  }

  frame(of: GuestSegment): Uint8Array {
    const segment = encodeTcp(
      {
        sourcePort: this.innerPort,
        destinationPort: this.outerPort,
        sequence: (of.seq ?? 0) >>> 0,
        acknowledgment: (of.ack ?? 0) >>> 0,
        flags: of.flags ?? TCP_FLAG.ACK,
        window: of.window ?? 0xffff,
        options: of.options ?? NO_BYTES,
        payload: of.payload ?? NO_BYTES,
      },
      { source: INNER, destination: OUTER },
    );
    return ethernet(segment);
  }

  parse(frame: Uint8Array): TcpSegment {
    const ip = tryParseIpv4Packet(tryParseEthernet(frame)?.payload ?? NO_BYTES);
    if (ip === undefined) throw new Error("The machine sent no IPv4 packet, or a wrong checksum");
    const segment = tryParseTcp(ip.payload, { source: OUTER, destination: INNER });
    if (segment === undefined) throw new Error("The machine sent no segment, or a wrong checksum");
    return segment;
  }

  /** Handshake: SYN with these options, SYN+ACK, ACK; gives the SYN+ACK. */
  establish(
    options = synOptions(),
    window = 0xffff,
    ackOptions?: (answer: TcpSegment) => Uint8Array,
  ): TcpSegment {
    this.send({ seq: this.guestInitial, flags: TCP_FLAG.SYN, window, options });
    this.connection.open();
    this.stack.flush();
    const answer = this.take();
    this.hostInitial = answer.sequence;
    this.send({ ...this.next(), window, ...(ackOptions ? { options: ackOptions(answer) } : {}) });
    return answer;
  }

  /** Numbers of a segment that follows upon so many bytes of either side. */
  next(sent = 0, got = 0): { seq: number; ack: number } {
    return {
      seq: (this.guestInitial + 1 + sent) >>> 0,
      ack: (this.hostInitial + 1 + got) >>> 0,
    };
  }

  /** The target sends bytes of the numbered stream. */
  write(from: number, bytes: number): void {
    for (let done = 0; done < bytes;) {
      const part = Math.min(bytes - done, CHUNK_BYTES, this.connection.sendRoom);
      if (part === 0) throw new Error("No room to write");
      const chunk = this.stack.chunks.take();
      if (chunk === undefined) throw new Error("No chunk left");
      chunk.bytes.set(stream(from + done, part));
      chunk.end = part;
      this.connection.write(chunk);
      done += part;
    }
    this.stack.flush();
  }

  /** The one segment that the guest has heard. */
  take(): TcpSegment {
    if (this.heard.length !== 1)
      throw new Error(`${this.heard.length} segments were heard: ${this.told}`);
    return this.heard.pop()!;
  }

  takeAll(): TcpSegment[] {
    return this.heard.splice(0);
  }

  /** As text, numbers counted from the initial ones: flags, bytes from:to, ack. */
  get told(): string {
    return this.takeAll()
      .map((segment) => this.tell(segment))
      .join(", ");
  }

  tell(segment: TcpSegment): string {
    const names = (["SYN", "FIN", "RST", "PSH", "ACK"] as const).filter(
      (name) => segment.flags & TCP_FLAG[name],
    );
    const letters = names.map((name) => (name === "ACK" ? "." : name[0])).join("");
    const from = (segment.sequence - this.hostInitial) | 0;
    const ack = (segment.acknowledgment - this.guestInitial) | 0;
    return `${letters} ${from}:${from + segment.payload.length} ${ack}`;
  }

  close(): void {
    this.stack.close();
    outbox.drain();
    if (this.clock.pending !== 0) throw new Error(`${this.clock.pending} timers are left`);
    if (this.stack.chunks.taken !== 0)
      throw new Error(`${this.stack.chunks.taken} chunks are left`);
  }
}

export function ethernet(segment: Uint8Array): Uint8Array {
  const payload = encodeIpv4Packet({
    src: readIpv4(INNER.bytes, 0),
    dst: readIpv4(OUTER.bytes, 0),
    protocol: IP_PROTOCOL.TCP,
    payload: segment,
    dontFragment: true,
  });
  return encodeEthernet({ dst: HOST_MAC, src: GUEST_MAC, tags: [], etherType: 0x0800, payload });
}

/** MSS, SACK permitted, timestamps, window scale: each as asked for. */
export function synOptions(
  offer: { mss?: number; sack?: boolean; timestamp?: number; scale?: number } = {
    mss: 1460,
    sack: true,
    scale: 7,
  },
): Uint8Array {
  const bytes: number[] = [];
  if (offer.mss !== undefined) bytes.push(2, 4, offer.mss >> 8, offer.mss & 255);
  if (offer.sack === true) bytes.push(1, 1, 4, 2);
  if (offer.timestamp !== undefined) bytes.push(...timestamps(offer.timestamp, 0));
  if (offer.scale !== undefined) bytes.push(1, 3, 3, offer.scale);
  return new Uint8Array(bytes);
}

export function timestamps(value: number, echo: number): Uint8Array {
  const bytes = new Uint8Array([1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, value);
  view.setUint32(8, echo);
  return bytes;
}

export function sack(...edges: number[]): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * edges.length);
  bytes.set([1, 1, 5, 2 + 4 * edges.length]);
  const view = new DataView(bytes.buffer);
  for (const [n, edge] of edges.entries()) view.setUint32(4 + 4 * n, edge >>> 0);
  return bytes;
}

export function optionsOf(segment: TcpSegment): TcpOptions {
  const options = new TcpOptions();
  const { buffer, byteOffset, byteLength } = segment.options;
  options.read(new DataView(buffer, byteOffset, byteLength), 0, byteLength);
  return options;
}
