// Both ends of TCP connections that do not go as most do. Run in namespaces:
//   odd-peer.ts serve            listens on the ports below, on all addresses
//   odd-peer.ts WHAT HOST [N]    connects, and tells in a line of JSON what it met; N is how often
import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";

export const ODD_PORT = {
  /** Sends RESET_BYTES when asked, and resets when asked again. */
  reset: 7001,
  /** Says nothing before the guest's FIN, then the hash of what it was sent. */
  patient: 7002,
  /** Never reads. */
  deaf: 7003,
  /** Sends its FIN at once behind a greeting, and reads on; what it got it tells whoever asks `told`. */
  early: 7004,
  told: 7005,
  /** Says what it hears. */
  echo: 7006,
} as const;
export const RESET_BYTES = 200_000;
export const HALF_BYTES = 3_000_000;

export interface OddReport {
  readonly bytes: number;
  readonly text?: string;
  readonly error?: string;
  readonly connected?: number;
}

const payload = Buffer.alloc(HALF_BYTES, "0123456789abcdef");
export const HALF_HASH = createHash("sha256").update(payload).digest("hex");

function serve(): void {
  let told = "";
  const on = (port: number, serveOne: (socket: Socket) => void) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      serveOne(socket);
    });
    server.listen({ host: "::", port, backlog: 4096 });
  };
  on(ODD_PORT.reset, (socket) => {
    socket.once("data", () => {
      socket.once("data", () => socket.resetAndDestroy());
      socket.write(Buffer.alloc(RESET_BYTES, "r"));
    });
    socket.resume();
  });
  on(ODD_PORT.patient, (socket) => whole(socket, (hash) => socket.end(hash)));
  on(ODD_PORT.deaf, () => undefined);
  on(ODD_PORT.early, (socket) => {
    socket.end("greeting");
    whole(socket, (hash) => (told = hash));
  });
  on(ODD_PORT.told, (socket) => socket.end(told));
  on(ODD_PORT.echo, (socket) => {
    socket.on("data", (data) => socket.write(data));
    socket.on("end", () => socket.end());
    socket.resume();
  });
}

function whole(socket: Socket, done: (hash: string) => void): void {
  const hash = createHash("sha256");
  socket.on("data", (data) => hash.update(data));
  socket.on("end", () => done(hash.digest("hex")));
  socket.resume();
}

/** Sends, and gathers what comes; `onData` is told how much that is. */
function converse(
  host: string,
  port: number,
  begin: (socket: Socket) => void,
  onData: (socket: Socket, bytes: number) => void = () => undefined,
): Promise<OddReport> {
  return new Promise((done) => {
    let bytes = 0;
    let text = "";
    let error: string | undefined;
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.on("data", (data) => {
      bytes += data.length;
      if (text.length < 100) text += data.toString("latin1");
      onData(socket, bytes);
    });
    socket.on("error", (thrown: NodeJS.ErrnoException) => (error = thrown.code ?? "error"));
    socket.on("end", () => socket.end());
    socket.on("close", () => done({ bytes, text, ...(error === undefined ? {} : { error }) }));
    begin(socket);
  });
}

/** Asks for the reset when all has come. */
function provoke(host: string): Promise<OddReport> {
  const again = (socket: Socket, bytes: number) => {
    if (bytes === RESET_BYTES) socket.write("again");
  };
  return converse(host, ODD_PORT.reset, (socket) => socket.write("go"), again);
}

/** Greets only after the other has ended, then sends on. */
function answerLate(host: string): Promise<OddReport> {
  return new Promise((done) => {
    let text = "";
    const socket = connect({ host, port: ODD_PORT.early, allowHalfOpen: true });
    socket.on("data", (data) => (text += data.toString()));
    socket.on("error", (thrown) => done({ bytes: 0, error: String(thrown) }));
    socket.on("end", () => socket.end(payload));
    socket.on("close", () => done({ bytes: text.length, text }));
  });
}

/** Writes until nothing more is taken for a second; gives how much was. */
function pushOn(host: string): Promise<OddReport> {
  return new Promise((done) => {
    const socket = connect({ host, port: ODD_PORT.deaf });
    const piece = Buffer.alloc(65_536, "d");
    let bytes = 0;
    let idle = setTimeout(() => undefined, 0);
    const push = () => {
      clearTimeout(idle);
      idle = setTimeout(() => {
        done({ bytes });
        socket.resetAndDestroy();
      }, 1000);
      do bytes += piece.length;
      while (socket.write(piece));
    };
    socket.on("connect", push);
    socket.on("drain", push);
    socket.on("error", (error) => done({ bytes, error: String(error) }));
  });
}

/** So many connections at once, all of which are open before the first says a word. */
async function crowd(host: string, count: number): Promise<OddReport> {
  let connected = 0;
  let bytes = 0;
  let error: string | undefined;
  const start = Promise.withResolvers<void>();
  const all = Array.from({ length: count }, async (_, index) => {
    const message = Buffer.alloc(20_000, `${index},`);
    await new Promise<void>((done) => {
      const heard: Buffer[] = [];
      const socket = connect({ host, port: ODD_PORT.echo, allowHalfOpen: true });
      socket.on("connect", () => {
        connected += 1;
        if (connected === count) start.resolve();
        void start.promise.then(() => socket.end(message));
      });
      socket.on("data", (data: Buffer) => heard.push(data));
      socket.on("error", (thrown: NodeJS.ErrnoException) => (error = thrown.code ?? "error"));
      socket.on("close", () => {
        if (Buffer.concat(heard).equals(message)) bytes += message.length;
        done();
      });
    });
  });
  await Promise.all(all);
  return { bytes, connected, ...(error === undefined ? {} : { error }) };
}

async function ask(what: string, host: string, count: number): Promise<OddReport> {
  switch (what) {
    case "reset":
      return provoke(host);
    case "patient":
      return converse(host, ODD_PORT.patient, (socket) => socket.end(payload));
    case "told":
      return converse(host, ODD_PORT.told, (socket) => socket.end());
    case "early":
      return answerLate(host);
    case "hold":
      return converse(host, ODD_PORT.deaf, (socket) => socket.write("hold"));
    case "deaf":
      return pushOn(host);
    default:
      return crowd(host, count);
  }
}

if (import.meta.main) {
  const [what = "", host = "", count = "1"] = process.argv.slice(2);
  if (what === "serve") serve();
  else {
    console.log(JSON.stringify(await ask(what, host, Number(count))));
    process.exit(0);
  }
}
