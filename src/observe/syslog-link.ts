// What carries messages to a syslog receiver: datagrams, or one TCP connection that is dialled anew when it breaks.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { formatAddress, tryParseAddress } from "../base/ip.ts";
import type { SyslogTarget } from "./syslog-target.ts";

/** An open way to the receiver. */
export interface SyslogLink {
  /** The receiver's address as text. */
  readonly address: string;
  /** Bytes that were taken: all, fewer, or none; `onReady` of the opening says when to go on. */
  send(bytes: Uint8Array): number;
  /** In order: what was taken arrives. */
  close(): void;
  /** At once. */
  abort(): void;
}

export interface SyslogLinkEvents {
  onReady(): void;
  /** Once, unless it was closed from here. */
  onLost(why: string): void;
}

export type OpenSyslogLink = (
  target: SyslogTarget,
  events: SyslogLinkEvents,
) => Promise<SyslogLink>;

export const openSyslogLink: OpenSyslogLink = async (target, events) => {
  const literal = tryParseAddress(target.host);
  // In the form of packet logs, which leave out what goes to the receiver.
  const address =
    literal === undefined ? (await lookup(target.host)).address : formatAddress(literal.bytes);
  return target.protocol === "udp"
    ? openUdp(address, target.port, events)
    : openTcp(address, target.port, events);
};

async function openUdp(
  address: string,
  port: number,
  events: SyslogLinkEvents,
): Promise<SyslogLink> {
  const socket = await Bun.udpSocket({
    hostname: isIP(address) === 6 ? "::" : "0.0.0.0",
    socket: {
      drain: () => events.onReady(),
      // A refusal by ICMP says nothing of the next datagram.
      error: () => undefined,
    },
  });
  return {
    address,
    send: (bytes) => (socket.send(bytes, port, address) ? bytes.length : 0),
    close: () => socket.close(),
    abort: () => socket.close(),
  };
}

async function openTcp(
  address: string,
  port: number,
  events: SyslogLinkEvents,
): Promise<SyslogLink> {
  let isOver = false;
  const lose = (why: string) => {
    if (isOver) return;
    isOver = true;
    events.onLost(why);
  };
  const socket = await Bun.connect({
    hostname: address,
    port,
    socket: {
      // Receivers do not answer.
      data: () => undefined,
      drain: () => events.onReady(),
      end: (it) => void it.end(),
      close: () => lose("the receiver closed the connection"),
      error: (_, error) => lose(error.message),
    },
  });
  return {
    address,
    send: (bytes) => Math.max(socket.write(bytes), 0),
    close() {
      isOver = true;
      // Not a reset, on which the other side may throw away what it has not read yet.
      socket.end();
    },
    abort() {
      isOver = true;
      socket.terminate();
    },
  };
}
