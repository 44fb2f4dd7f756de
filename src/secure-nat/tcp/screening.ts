// Whether a segment is of the connection and its window (RFC 9293 3.10.7.4, RFC 7323 5, RFC 5961): the first thing that
// is asked of it. What does not fit is answered here.
import { TCP_FLAG } from "../../wire/tcp.ts";
import type { ConnectionCore } from "./connection-core.ts";
import { incoming } from "./incoming.ts";
import type { TcpReceiver } from "./receiver.ts";
import type { TcpState } from "./tcp-io.ts";

/**
 * - `take` it is to be looked at further
 * - `done` nothing is to be done
 * - `repeat-syn` the peer asks for the SYN+ACK once more
 * - `reset` the peer ends the connection
 * - `syn` a SYN where none belongs
 * - `old` something that has an end comes once more: it was answered
 */
export type Verdict = "take" | "done" | "repeat-syn" | "reset" | "syn" | "old";

/** Screens the segment that was just read (incoming.ts), whose first byte stands at `position`. */
export function screen(
  core: ConnectionCore,
  state: TcpState,
  position: number,
  now: number,
): Verdict {
  const { flags } = incoming;
  const { receiver, answers } = core;
  const isBareSyn = (flags & (TCP_FLAG.SYN | TCP_FLAG.ACK)) === TCP_FLAG.SYN;
  if (isBareSyn && position === 0 && state === "syn-received") {
    return answers.mayAnswer(now) ? "repeat-syn" : "done";
  }
  if ((flags & TCP_FLAG.RST) !== 0) return screenReset(core, position, now);
  // Before its timestamp: a guest that has started anew need not send any, and must be answered.
  if ((flags & TCP_FLAG.SYN) !== 0) return "syn";
  if (core.hasTimestamps && !isYoung(core, position, now)) return "done";
  if ((flags & TCP_FLAG.ACK) === 0) {
    answers.drop();
    return "done";
  }
  const length = incoming.payloadBytes + (flags & TCP_FLAG.FIN);
  if (isAcceptable(receiver, position, length)) {
    // RFC 7323 4.3: not of a segment outside the window, which anybody may have sent.
    if (core.hasTimestamps && position <= core.output.lastAcknowledged) {
      core.output.recentTimestamp = incoming.options.timestampValue;
    }
    return "take";
  }
  if (length === 0) answers.challenge(now);
  else {
    const end = Math.min(position + length, receiver.next);
    if (position < end) receiver.noteRepeat(position, end);
    answers.now();
  }
  // A closed window lets nothing in but what the peer has to say of ours.
  if (position !== receiver.next) return length > 0 ? "old" : "done";
  incoming.payloadBytes = 0;
  incoming.flags &= ~TCP_FLAG.FIN;
  return "take";
}

/** RFC 5961 3.2: only the very next number ends the connection, any other of the window is asked about. */
function screenReset(
  { receiver, answers }: ConnectionCore,
  position: number,
  now: number,
): Verdict {
  if (position === receiver.next) return "reset";
  if (position > receiver.next && position < receiver.edge) answers.challenge(now);
  else answers.drop();
  return "done";
}

/** RFC 7323 3.2: what comes without a timestamp is not of this connection; 5.3: what is older than the last is an echo. */
function isYoung({ output, answers }: ConnectionCore, position: number, now: number): boolean {
  const { options } = incoming;
  if (!options.hasTimestamps) {
    answers.drop();
    return false;
  }
  if (((options.timestampValue - output.recentTimestamp) | 0) < 0) {
    answers.challenge(now, position, incoming.payloadBytes);
    return false;
  }
  return true;
}

function isAcceptable({ next, edge }: TcpReceiver, position: number, length: number): boolean {
  if (length === 0) return position >= next && position <= edge;
  return position < edge && position + length > next;
}
