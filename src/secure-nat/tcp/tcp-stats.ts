/** Numbers that only grow, of one connection or of all of a SecureNAT. Segments as they are on the wire. */
export interface TcpStats {
  segmentsIn: number;
  segmentsOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Segments, and their payload, that were sent again. */
  retransmits: number;
  retransmittedBytes: number;
  /** Times that a loss was found by later acknowledgments, by time-out; and that it turned out to be none. */
  recoveries: number;
  timeouts: number;
  spurious: number;
  /** Probes of a tail, and of a window that was closed. */
  tailProbes: number;
  windowProbes: number;
  /** Payloads that came ahead of a gap, and that had come before. */
  outOfOrder: number;
  duplicates: number;
  /** Segments answered by a challenge, and dropped for what is wrong with them. */
  challenges: number;
  dropped: number;
}

export function noTcpStats(): TcpStats {
  return {
    segmentsIn: 0,
    segmentsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    retransmits: 0,
    retransmittedBytes: 0,
    recoveries: 0,
    timeouts: 0,
    spurious: 0,
    tailProbes: 0,
    windowProbes: 0,
    outOfOrder: 0,
    duplicates: 0,
    challenges: 0,
    dropped: 0,
  };
}
