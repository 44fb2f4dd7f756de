import type { Socket, TCPSocketListener } from "bun";
import { testCertificate } from "../support/test-server.ts";

// Between two ends of a connection: what goes over the wire, seen, joined or cut.

/** Of what a test has opened here; it calls them at its end. */
export type Closers = (() => void | Promise<void>)[];

/**
 * A relay that joins what the server sends within a few milliseconds, or cuts it into single bytes. While it is deaf
 * nothing of the client's goes on, not even its end.
 */
export function relay(
  closers: Closers,
  form: "joined" | "single bytes",
  seen: Buffer[] = [],
  ear: { isDeaf: boolean } | undefined = undefined,
) {
  return (port: number): number => {
    const pending: Buffer[] = [];
    let down: Socket<unknown> | undefined;
    let timer: Timer | undefined;
    const flush = () => {
      const bytes = Buffer.concat(pending.splice(0));
      if (form === "joined") return void down?.write(bytes);
      down?.setNoDelay(true);
      for (const byte of bytes) down?.write(Uint8Array.of(byte));
    };
    let up: Promise<Socket<unknown>> | undefined;
    const listener: TCPSocketListener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      allowHalfOpen: ear !== undefined,
      socket: {
        open(socket) {
          down = socket;
          up = Bun.connect({
            hostname: "127.0.0.1",
            port,
            socket: {
              data(_, chunk) {
                seen.push(Buffer.from(chunk));
                pending.push(Buffer.from(chunk));
                clearTimeout(timer);
                timer = setTimeout(flush, 20);
              },
              close: () => void down?.end(),
            },
          });
        },
        data(_, chunk) {
          const copy = Buffer.from(chunk);
          if (ear?.isDeaf !== true) void up!.then((socket) => socket.write(copy));
        },
        // Without this the runtime closes in spite of `allowHalfOpen`.
        end(socket) {
          if (ear?.isDeaf !== true) socket.end();
        },
        close: () => void up?.then((socket) => socket.end()),
      },
    });
    closers.push(() => {
      clearTimeout(timer);
      listener.stop(true);
    });
    return listener.port;
  };
}

/** A TLS 1.2 server behind a relay that keeps what the client sends. */
export async function sniffed(closers: Closers, seen: Buffer[]): Promise<{ port: number }> {
  const { cert, key } = await testCertificate();
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    tls: { cert, key, maxVersion: 0x0303 } as Bun.TLSOptions,
    socket: { data() {} },
  });
  let up: Promise<Socket<unknown>> | undefined;
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        up = Bun.connect({
          hostname: "127.0.0.1",
          port: server.port,
          socket: {
            data: (_, chunk) => void socket.write(Buffer.from(chunk)),
            close: () => void socket.end(),
          },
        });
      },
      data(_, chunk) {
        const copy = Buffer.from(chunk);
        seen.push(copy);
        void up!.then((socket) => socket.write(copy));
      },
      close: () => void up?.then((socket) => socket.end()),
    },
  });
  closers.push(() => {
    listener.stop(true);
    server.stop(true);
  });
  return { port: listener.port };
}

export function lastRecordType(bytes: Buffer): number {
  let type = -1;
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) type = bytes[at]!;
  return type;
}
