// What a connection has from the SYN on.
import { Answers } from "./answers.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import { termsOf } from "./handshake-terms.ts";
import { incoming } from "./incoming.ts";
import { TcpReceiver } from "./receiver.ts";
import { RttEstimator } from "./rtt.ts";
import { SegmentOutput } from "./segment-output.ts";
import type { SegmentWriter } from "./segment-writer.ts";
import { TcpSender } from "./sender.ts";
import type { TcpIo } from "./tcp-io.ts";
import type { TcpStats } from "./tcp-stats.ts";

export interface ConnectionCore {
  readonly receiver: TcpReceiver;
  readonly sender: TcpSender;
  readonly output: SegmentOutput;
  readonly answers: Answers;
  readonly hasTimestamps: boolean;
  readonly peerScale: number;
}

export interface CoreParts {
  readonly io: TcpIo;
  readonly writer: SegmentWriter;
  readonly chunks: ChunkPool;
  readonly stats: TcpStats;
  readonly family: 4 | 6;
  readonly initialSequence: number;
  readonly timestamp: () => number;
  readonly soil: () => void;
}

/** Made of the SYN that was just read (incoming.ts). */
export function beginCore(parts: CoreParts): ConnectionCore {
  const { writer, chunks, stats, timestamp, initialSequence, soil } = parts;
  const { options } = incoming;
  const terms = termsOf(options, parts.family, writer.maxSegmentBytes);
  const receiver = new TcpReceiver(parts.io, chunks, incoming.sequence, stats);
  const output = new SegmentOutput({ writer, terms, receiver, initialSequence, stats, timestamp });
  output.recentTimestamp = options.timestampValue;
  const transmit = (start: number, bytes: number, flags: number) => {
    if (!output.data(start, bytes, flags, sender.buffer)) return false;
    answers.gaveWithData();
    return true;
  };
  const sender = new TcpSender(1, terms, new RttEstimator(), chunks, stats, {
    transmit,
    timestamp,
  });
  const { hasSack, hasTimestamps, peerScale } = terms;
  const answers = new Answers({ receiver, sender, output, hasSack, stats, soil });
  sender.window.offer(0, 1, incoming.window, 0);
  return { receiver, sender, output, answers, hasTimestamps, peerScale };
}
