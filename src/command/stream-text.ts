import type { StreamStatus } from "../session/stream-status.ts";

/** `2/8`: TCP connections that there are, and how many there may be. */
export function connectionsText({ connections, maxConnections }: StreamStatus): string {
  return `${connections}/${maxConnections}`;
}

/** How the bytes of a session travel, in few words: `TLS, half duplex, lz4, UDP`. In clear is said first. */
export function streamText(stream: StreamStatus): string {
  const words = [stream.encrypted ? "TLS" : "NOT ENCRYPTED"];
  if (stream.halfDuplex) words.push("half duplex");
  if (stream.qos) words.push("QoS");
  if (stream.compression !== "none") words.push(stream.compression);
  if (stream.udp !== "off") words.push(stream.udp === "active" ? "UDP" : "UDP waiting");
  return words.join(", ");
}
