import type { Socket, SocketHandler } from "bun";

/**
 * Gives a connected or connecting TCP descriptor to the runtime, which owns it from then on. `open` is called before
 * this returns, and `drain` as soon as the socket can be written to. Rejects where the runtime does not take it; then
 * the descriptor is still the caller's.
 */
export function adoptSocket<Data>(options: {
  fd: number;
  data: Data;
  socket: SocketHandler<Data>;
}): Promise<Socket<Data>> {
  // The types leave out the overload for descriptors (FdSocketOptions).
  return Bun.connect<Data>(options as unknown as Bun.TCPSocketConnectOptions<Data>);
}

/** The runtime's types do not know of it. */
export function descriptorOf(socket: Socket<unknown>): number {
  return (socket as unknown as { fd: number }).fd;
}
