// The packet log of one hub: frames are caught on their way, and become lines in a later turn of the event loop.
import type { Clock, Timer } from "../../base/clock.ts";
import { PACKET_LINES_PER_TURN } from "../../base/limits.ts";
import type { PacketDraft, PacketSink } from "../../observe/packet-record.ts";
import type { FrameView } from "../frame-view.ts";
import type { PortIdentity } from "../port-identity.ts";
import { Dissection } from "./dissection.ts";
import { macDigits } from "./mac-digits.ts";
import { type CaughtFrame, PacketCatch } from "./packet-catch.ts";
import { describeFrame, requestOf } from "./packet-text.ts";

/** Levels of a caught frame whose line may turn out to be none. */
export const IF_REQUEST = 4;
/** Whether the line shows where the two ends of the tunnel are. */
export const WITH_PLACES = 8;
/** Requests are not looked into (hub.md 3, DisableHttpParsing). */
export const WITHOUT_REQUESTS = 16;
const LEVEL_BITS = 3;
const ALL = 2;

export class PacketLog {
  readonly sink: PacketSink;
  readonly #clock: Clock;
  readonly #caught = new PacketCatch();
  readonly #found = new Dissection();
  #turn: Timer | undefined;
  #isClosed = false;

  constructor(sink: PacketSink, clock: Clock) {
    this.sink = sink;
    this.#clock = clock;
  }

  /** Notes a frame; `flags` is its level with the bits above. */
  catch(frame: FrameView, kept: number, flags: number, from: PortIdentity): void {
    const about = { wall: this.#clock.wall(), level: flags, from, to: frame.to };
    if (this.#isClosed || !this.#caught.add(frame, kept, about)) return this.sink.lose(1);
    this.#turn ??= this.#clock.after(0, () => this.#work());
  }

  /** Makes lines of what was caught so far. The hub is about to close: what its ports still send leaves no line. */
  close(): void {
    this.#isClosed = true;
    this.#turn?.cancel();
    this.#turn = undefined;
    while (!this.#caught.isEmpty) this.#write();
  }

  #work(): void {
    this.#turn = undefined;
    for (let i = 0; i < PACKET_LINES_PER_TURN && !this.#caught.isEmpty; i += 1) this.#write();
    if (!this.#caught.isEmpty) this.#turn = this.#clock.after(0, () => this.#work());
  }

  #write(): void {
    const caught = this.#caught.take();
    if (caught === undefined) return;
    const { bytes, level } = caught;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const found = this.#found;
    found.read(view, 0, bytes.length);
    if ((level & WITHOUT_REQUESTS) !== 0) found.forgetRequest();
    if ((level & IF_REQUEST) !== 0 && requestOf(bytes, view, found) === undefined) return;
    const record = draftOf(caught, view);
    describeFrame(record, bytes, view, found);
    this.sink.put(record);
  }
}

/** What is known without looking at more than the first header. */
function draftOf({ bytes, size, wall, level, from, to }: CaughtFrame, view: DataView): PacketDraft {
  return {
    wall,
    from: from.name,
    to: to?.name ?? "",
    fromMac: macDigits(bytes, 6),
    toMac: macDigits(bytes, 0),
    etherType: view.getUint16(12),
    size,
    kind: "",
    subKind: "",
    fromIp: "",
    toIp: "",
    transport: undefined,
    fromPort: undefined,
    toPort: undefined,
    sequence: undefined,
    acknowledgement: undefined,
    note: "",
    data: (level & LEVEL_BITS) === ALL ? bytes.toHex().toUpperCase() : "",
    places: (level & WITH_PLACES) === 0 ? undefined : { from: placeOf(from), to: placeOf(to) },
  };
}

/** Of sessions from outside only (hub.md 1). */
function placeOf(port: PortIdentity | undefined): string {
  return port?.isNetworkSession === true ? (port.remoteAddress ?? "") : "";
}
