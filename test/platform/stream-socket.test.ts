import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { SystemError } from "../../src/base/errors.ts";
import { tryParseAddress } from "../../src/base/ip.ts";
import { Epoll, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from "../../src/platform/epoll.ts";
import { addressOf, libc } from "../../src/platform/libc.ts";
import {
  PACKET_BASE,
  PACKET_BYTES,
  PACKET_VIEW,
  reserve,
} from "../../src/platform/packet-memory.ts";
import { SOCKET_OPTION, tryGetSocketOption } from "../../src/platform/socket-option.ts";
import { ERRNO, StreamSocket } from "../../src/platform/stream-socket.ts";
import { until } from "../support/process.ts";

const RLIMIT_NOFILE = 7;
const areaAt = reserve(65_536);
const vectorAt = reserve(4096 * 16);
const chunk = new Uint8Array(65_536);
const chunkAddress = addressOf(chunk);

const opened: (() => unknown)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});

async function listen(host: string, onSocket: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    opened.push(() => socket.destroy());
    socket.on("error", () => undefined);
    onSocket(socket);
  });
  opened.push(() => server.close());
  await new Promise<void>((done) => server.listen(0, host, done));
  return (server.address() as { port: number }).port;
}

/** A socket whose events are gathered. */
function connect(host: string, port: number): { socket: StreamSocket; events: () => number } {
  const socket = StreamSocket.connect({ ...tryParseAddress(host)!, port });
  opened.push(() => socket.close());
  const epoll = Epoll.open();
  let seen = 0;
  epoll.add(socket.fd, (events) => (seen |= events));
  opened.push(() => epoll.close());
  return { socket, events: () => seen };
}

async function connected(host: string, port: number): Promise<StreamSocket> {
  const { socket, events } = connect(host, port);
  await until("the connect", () => (events() & EPOLLOUT) !== 0);
  expect(socket.connectError()).toBe(0);
  return socket;
}

/** An array of struct iovec over pieces of packet memory. */
function vectors(pieces: readonly { at: number; bytes: number }[]): number {
  for (const [index, { at, bytes }] of pieces.entries()) {
    PACKET_VIEW.setBigUint64(vectorAt + index * 16, BigInt(PACKET_BASE + at), true);
    PACKET_VIEW.setBigUint64(vectorAt + index * 16 + 8, BigInt(bytes), true);
  }
  return pieces.length;
}

const put = (at: number, text: string) => {
  const bytes = new TextEncoder().encode(text);
  PACKET_BYTES.set(bytes, at);
  return { at, bytes: bytes.length };
};

describe.each(["127.0.0.1", "::1"])("StreamSocket to %s", (host) => {
  test("writev() sends pieces of packet memory in order, read() brings answers", async () => {
    let received = "";
    const port = await listen(host, (socket) => {
      socket.on("data", (data) => {
        received += data.toString();
        socket.write("answer");
      });
    });
    const socket = await connected(host, port);
    const count = vectors([put(areaAt, "one,"), put(areaAt + 100, "two,"), put(areaAt + 50, "3")]);
    expect(socket.writev(vectorAt, count)).toBe(9);
    await until("the bytes", () => received === "one,two,3");
    let bytes = 0;
    await until("the answer", () => (bytes = socket.read(chunkAddress, chunk.length)) > 0);
    expect(new TextDecoder().decode(chunk.subarray(0, bytes))).toBe("answer");
    expect(socket.read(chunkAddress, chunk.length)).toBe(-ERRNO.EAGAIN);
  });

  test("finish() ends one direction; the other goes on", async () => {
    let isEnded = false;
    const port = await listen(host, (socket) => {
      socket.resume();
      socket.on("end", () => {
        isEnded = true;
        socket.end("late");
      });
    });
    const socket = await connected(host, port);
    socket.finish();
    await until("the end", () => isEnded);
    let text = "";
    await until("the end of the other side", () => {
      const bytes = socket.read(chunkAddress, chunk.length);
      if (bytes > 0) text += new TextDecoder().decode(chunk.subarray(0, bytes));
      return bytes === 0;
    });
    expect(text).toBe("late");
  });

  test("connect() to a port where nobody listens is refused", async () => {
    const port = await listen(host, () => undefined);
    opened.pop()!();
    const { socket, events } = connect(host, port);
    await until("the refusal", () => events() !== 0);
    expect(socket.connectError()).toBe(ERRNO.ECONNREFUSED);
  });
});

describe("StreamSocket", () => {
  test("writev() takes what the peer's window and the buffers hold, then answers EAGAIN", async () => {
    const port = await listen("127.0.0.1", (socket) => socket.pause());
    const socket = await connected("127.0.0.1", port);
    const count = vectors([{ at: areaAt, bytes: 65_536 }]);
    let taken = 0;
    let last = 0;
    while ((last = socket.writev(vectorAt, count)) > 0) taken += last;
    expect(last).toBe(-ERRNO.EAGAIN);
    expect(taken).toBeGreaterThan(65_536);
    // What the kernel holds of one flow is bounded, whatever its own default is.
    expect(taken).toBeLessThan(32 << 20);
  });

  test("writev() of more vectors than the system takes is a short write", async () => {
    const port = await listen("127.0.0.1", (socket) => socket.resume());
    const socket = await connected("127.0.0.1", port);
    const count = vectors(Array.from({ length: 1500 }, () => ({ at: areaAt, bytes: 1 })));
    expect(socket.writev(vectorAt, count)).toBe(1024);
  });

  test("reset() is a reset for the peer", async () => {
    const errors: string[] = [];
    let isOpen = false;
    const port = await listen("127.0.0.1", (socket) => {
      isOpen = true;
      socket.resume();
      socket.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code ?? ""));
    });
    const socket = await connected("127.0.0.1", port);
    await until("the accept", () => isOpen);
    socket.reset();
    socket.reset();
    await until("the reset", () => errors.length > 0);
    expect(errors).toEqual(["ECONNRESET"]);
  });

  test("read() tells of the peer's reset", async () => {
    const peers: Socket[] = [];
    const port = await listen("127.0.0.1", (socket) => peers.push(socket));
    const { socket, events } = connect("127.0.0.1", port);
    await until("the accept", () => peers.length > 0);
    peers[0]!.resetAndDestroy();
    await until("the reset", () => (events() & (EPOLLIN | EPOLLRDHUP)) !== 0);
    expect(socket.read(chunkAddress, chunk.length)).toBe(-ERRNO.ECONNRESET);
    expect(socket.writev(vectorAt, vectors([{ at: areaAt, bytes: 1 }]))).toBe(-ERRNO.EPIPE);
  });

  test("connect() without a route fails at once with the system's reason", () => {
    expect(() => StreamSocket.connect({ ...tryParseAddress("255.255.255.255")!, port: 9 })).toThrow(
      "ENETUNREACH",
    );
  });

  test("connect() sets the options that a relay needs", async () => {
    const port = await listen("127.0.0.1", () => undefined);
    const socket = await connected("127.0.0.1", port);
    expect(tryGetSocketOption(socket.fd, SOCKET_OPTION.noDelay)).toBe(1);
    expect(tryGetSocketOption(socket.fd, SOCKET_OPTION.notSentLowat)).toBe(524_288);
    expect(tryGetSocketOption(socket.fd, [1, 9])).toBe(1);
  });

  test("connect() beyond the limit on open files throws EMFILE and leaves nothing open", () => {
    const limit = new BigUint64Array(2);
    expect(libc.getrlimit(RLIMIT_NOFILE, limit)).toBe(0);
    const lowered = new BigUint64Array([3n, limit[1]!]);
    expect(libc.setrlimit(RLIMIT_NOFILE, lowered)).toBe(0);
    let thrown: unknown;
    try {
      StreamSocket.connect({ ...tryParseAddress("127.0.0.1")!, port: 9 });
    } catch (error) {
      thrown = error;
    } finally {
      libc.setrlimit(RLIMIT_NOFILE, limit);
    }
    expect(thrown).toBeInstanceOf(SystemError);
    expect((thrown as SystemError).errno).toBe(ERRNO.EMFILE);
  });
});
