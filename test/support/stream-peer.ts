// Run in a namespace by streams(): `receive ADDRESS PORT` or `send ADDRESS PORT FLOWS PER_SECOND SECONDS`. The receiver
// ends with the stream and prints one JSON line.
import { createSocket, type Socket } from "node:dgram";

const [role, address, port, flows, perSecond, seconds] = process.argv.slice(2);
/** Of a datagram: flow and number, and so much more that it is bulk and nothing urgent. */
const BYTES = 400;
const LAST = 0xffff_ffff;

const bind = (socket: Socket, at?: number) =>
  new Promise<void>((done) => socket.bind(at ?? 0, at === undefined ? undefined : address, done));

async function send(): Promise<void> {
  const family = address!.includes(":") ? "udp6" : "udp4";
  const sockets = Array.from({ length: Number(flows) }, () => createSocket(family));
  await Promise.all(sockets.map((socket) => bind(socket)));
  const message = Buffer.alloc(BYTES);
  const say = (socket: Socket, flow: number, number: number) => {
    message.writeUInt32BE(flow, 0);
    message.writeUInt32BE(number, 4);
    return new Promise<void>((done) => socket.send(message, Number(port), address, () => done()));
  };
  const started = performance.now();
  const count = Number(perSecond) * Number(seconds);
  for (let number = 0; number < count; number++) {
    // A late pass is made up for, so that the number sent is what was asked for.
    const due = started + (1000 * number) / Number(perSecond);
    if (due > performance.now()) await Bun.sleep(due - performance.now());
    for (const [flow, socket] of sockets.entries()) await say(socket, flow, number);
  }
  // The end is told more than once: it may be lost like anything else.
  for (let n = 0; n < 20; n++) {
    await Bun.sleep(100);
    for (const [flow, socket] of sockets.entries()) await say(socket, flow, LAST);
  }
  for (const socket of sockets) socket.close();
  console.log(JSON.stringify({ sent: count }));
}

async function receive(): Promise<void> {
  const seen = new Map<number, { numbers: Set<number>; last: number; longestGapMs: number }>();
  const socket = createSocket({
    type: address!.includes(":") ? "udp6" : "udp4",
    recvBufferSize: 4_000_000,
  });
  const isOver = new Promise<void>((done) => {
    let ends = 0;
    socket.on("message", (message) => {
      const number = message.readUInt32BE(4);
      // What went by another connection may come after the first word of the end.
      if (number === LAST) return void (++ends === 1 && setTimeout(done, 1500));
      const now = performance.now();
      const flow = message.readUInt32BE(0);
      const known = seen.get(flow) ?? { numbers: new Set(), last: now, longestGapMs: 0 };
      seen.set(flow, known);
      known.numbers.add(number);
      known.longestGapMs = Math.max(known.longestGapMs, now - known.last);
      known.last = now;
    });
  });
  await bind(socket, Number(port));
  await isOver;
  socket.close();
  console.log(
    JSON.stringify(
      [...seen.values()].map(({ numbers, longestGapMs }) => ({
        received: numbers.size,
        longestGapMs: Math.round(longestGapMs),
      })),
    ),
  );
}

if (role === "receive") await receive();
else await send();
