// Run in a namespace by transfer(): `receive ADDRESS PORT` or `send ADDRESS PORT BYTES noise|text`. Prints one JSON line.
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { connect, createServer } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const CHUNK = 262_144;

const [role, address, port, bytes, content] = process.argv.slice(2);

/** Bytes that neither repeat nor compress, so that nothing lost, doubled or moved goes unseen. */
function* noise(total: number): Generator<Buffer> {
  const cipher = createCipheriv("aes-128-ctr", randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(CHUNK);
  for (let left = total; left > 0; left -= CHUNK) {
    yield cipher.update(left < CHUNK ? zeros.subarray(0, left) : zeros);
  }
}

/** Lines of a log with their numbers, which compress well and still do not repeat. */
function* text(total: number): Generator<Buffer> {
  let line = 0;
  for (let left = total; left > 0; left -= CHUNK) {
    let lines = "";
    while (lines.length < CHUNK) {
      lines += `${++line} GET /images/logo.png HTTP/1.1 200 5124 "https://www.example.com/" "Mozilla/5.0"\n`;
    }
    yield Buffer.from(lines.slice(0, Math.min(left, CHUNK)));
  }
}

async function send(): Promise<void> {
  const hash = createHash("sha256");
  const started = performance.now();
  const socket = connect({ host: address!, port: Number(port) });
  // The receiver's byte count comes back, and with it the proof that everything arrived.
  const answer = new Promise<number>((resolve, reject) => {
    socket.on("data", (data) => resolve(Number(data.toString())));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed before the receiver had everything")));
  });
  const body = function* () {
    for (const chunk of content === "text" ? text(Number(bytes)) : noise(Number(bytes))) {
      hash.update(chunk);
      yield chunk;
    }
  };
  await pipeline(Readable.from(body()), socket, { end: true });
  const arrived = await answer;
  report(arrived, hash.digest("hex"), performance.now() - started);
}

function receive(): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash("sha256");
    const started = performance.now();
    let count = 0;
    socket.on("data", (data) => {
      hash.update(data);
      count += data.length;
    });
    socket.on("end", () => {
      socket.end(String(count));
      report(count, hash.digest("hex"), performance.now() - started);
      server.close();
    });
  });
  server.listen(Number(port), address);
}

function report(count: number, sha256: string, ms: number): void {
  console.log(JSON.stringify({ bytes: count, sha256, ms: Math.round(ms) }));
}

if (role === "receive") receive();
else await send();
