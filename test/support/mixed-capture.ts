import { mixedFrames } from "../client/capture/mixed-frames.ts";
import { ACK, PSH, SEGMENT, Seeded, tcpFrame } from "../wasm/random-frames.ts";

// What a LAN carries, as a capture: to be sent into one end of a way and compared with what comes out of the other.

/** All frames are from this station, so that those of tests are told from those of others. */
export const REPLAY_STATION = "02:00:5e:00:53:a1";
const SOURCE = Uint8Array.of(0x02, 0x00, 0x5e, 0x00, 0x53, 0xa1);
/** Nobody: frames to it are flooded. */
const NOBODY = Uint8Array.of(0x02, 0x00, 0x5e, 0x00, 0x53, 0x99);
const MIN_FRAME = 14;

/**
 * Frames of all kinds, ARP, IPv4 and IPv6 with all protocols, fragments, tags, multicast, LLDP, BPDUs, cut ones, of 14
 * bytes to the longest; and among them flows of TCP that an offload may put together, and has to take apart again.
 */
export function mixedCapture(): Uint8Array[] {
  const odd = mixedFrames().map((frame) => {
    frame.set(SOURCE, 6);
    if ((frame[0]! & 1) === 0) frame.set(NOBODY);
    return frame;
  });
  const flows = [false, true].flatMap((v6) =>
    [40_000, 40_001].map((sourcePort) =>
      Array.from({ length: 60 }, (_, n) => {
        const frame = tcpFrame({
          ...SEGMENT,
          v6,
          sourcePort,
          sequence: 1 + n * 1400,
          id: n,
          flags: n % 20 === 19 ? ACK | PSH : ACK,
          payload: new Seeded(n).bytes(1400),
        });
        frame.set(NOBODY);
        frame.set(SOURCE, 6);
        return frame;
      }),
    ),
  );
  const random = new Seeded(7);
  const sources = [odd, ...flows];
  const all: Uint8Array[] = [];
  while (sources.some((source) => source.length > 0)) {
    const from = random.pick(sources.filter((source) => source.length > 0));
    // In pieces, as flows come.
    all.push(...from.splice(0, 1 + random.below(6)));
  }
  return all.filter((frame) => frame.length >= MIN_FRAME);
}

/** What frames have alike whose order matters, of a frame in hexadecimal digits: addresses and ports, or else the type. */
export function flowOf(frame: string): string {
  const bytes = (from: number, to: number) => frame.slice(2 * from, 2 * to);
  switch (bytes(12, 14)) {
    case "0800":
      return bytes(26, 38);
    case "86dd":
      return bytes(22, 58);
    default:
      return bytes(0, 14);
  }
}

/** The file that tcpreplay(1) reads: libpcap's format, Ethernet. */
export function pcapFile(frames: readonly Uint8Array[]): Uint8Array {
  const head = new DataView(new ArrayBuffer(24));
  for (const [at, value] of [
    [0, 0xa1b2c3d4],
    [16, 65_535],
    [20, 1],
  ] as const)
    head.setUint32(at, value, true);
  head.setUint16(4, 2, true);
  head.setUint16(6, 4, true);
  const parts = frames.flatMap((frame, n) => {
    const record = new DataView(new ArrayBuffer(16));
    record.setUint32(4, n, true);
    record.setUint32(8, frame.length, true);
    record.setUint32(12, frame.length, true);
    return [new Uint8Array(record.buffer), frame];
  });
  return new Uint8Array(Bun.concatArrayBuffers([new Uint8Array(head.buffer), ...parts]));
}
