import { dlopen } from "bun:ffi";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { tryParseAddress } from "../../src/base/ip.ts";
import type { SecureNatConfig } from "../../src/config/secure-nat-config.ts";
import { noHostDrops } from "../../src/ip-host/host-drops.ts";
import { IcmpErrors } from "../../src/ip-host/icmp-error.ts";
import { Epoll } from "../../src/platform/epoll.ts";
import { addressOf, libc } from "../../src/platform/libc.ts";
import {
  PACKET_BASE,
  PACKET_BYTES,
  PACKET_VIEW,
  reserve,
} from "../../src/platform/packet-memory.ts";
import type { Flow, FlowDial, FlowEnds, FlowHost } from "../../src/secure-nat/flow.ts";
import { socketShare } from "../../src/secure-nat/socket-share.ts";
import { tcpFlows } from "../../src/secure-nat/tcp-flow.ts";
import type { TcpMachine, TcpMachines } from "../../src/secure-nat/tcp-machines.ts";
import type { ChunkSource, SendChunk, TcpIo, TcpState } from "../../src/secure-nat/tcp/tcp-io.ts";
import { IP_PROTOCOL } from "../../src/wire/ipv4.ts";
import { aimed, GUEST_MAC, ipFrame, KeptFrames } from "../ip-host/packets.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";

const RLIMIT_NOFILE = 7;
const MSG_OOB = 1;
const GUEST = "192.168.30.10";
const payloadAt = reserve(65_536);
const vectorAt = reserve(16);

/** The guest's end, without a wire: what the target sends comes out, what the guest sends goes in. */
class FakeMachine implements TcpMachine {
  state: TcpState = "connecting";
  /** How much the guest takes; 0 while it is not established. */
  window = 1 << 20;
  received = "";
  receivedBytes = 0;
  isFinished = false;
  packets = 0;
  readonly calls: string[] = [];
  readonly #io: TcpIo;
  readonly #pool: FakePool;
  #kept = new Uint8Array(0);
  #finAfterKept = false;

  constructor(io: TcpIo, pool: FakePool) {
    this.#io = io;
    this.#pool = pool;
  }

  get sendRoom(): number {
    return this.state === "established" && !this.isFinished ? this.window : 0;
  }

  get keptBytes(): number {
    return this.#kept.length;
  }

  receive(): void {
    this.packets += 1;
  }

  open(): void {
    this.calls.push("open");
    this.state = "syn-received";
  }

  /** The guest has acknowledged the SYN+ACK. */
  establish(): void {
    this.state = "established";
    this.#io.established();
  }

  refuse(): void {
    this.#end("refuse");
  }

  abort(): void {
    this.#end("abort");
  }

  #end(call: string): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.calls.push(call);
    this.#io.closed("aborted");
  }

  /** The guest resets. */
  reset(): void {
    this.state = "closed";
    this.#io.closed("reset");
  }

  /** Both halves are closed, and TIME-WAIT is over. */
  close(): void {
    this.state = "closed";
    this.#io.closed("closed");
  }

  write(chunk: SendChunk): void {
    const bytes = chunk.bytes.subarray(chunk.start, chunk.end);
    expect(bytes.length).toBeWithin(1, this.sendRoom + 1);
    this.window -= bytes.length;
    this.receivedBytes += bytes.length;
    if (this.received.length < 1000) this.received += new TextDecoder().decode(bytes);
    this.#pool.give(chunk);
  }

  /** The guest acknowledges so much. */
  acknowledge(bytes: number): void {
    this.window += bytes;
    this.#io.room();
  }

  finish(): void {
    this.calls.push("finish");
    this.isFinished = true;
  }

  /** The guest sends. */
  send(text: string): void {
    this.sendBytes(new TextEncoder().encode(text));
  }

  sendBytes(bytes: Uint8Array): void {
    const taken = this.#kept.length === 0 ? this.#offer(bytes) : 0;
    this.#kept = Buffer.concat([this.#kept, bytes.subarray(taken)]);
  }

  sendFin(): void {
    if (this.#kept.length === 0) this.#io.finished();
    else this.#finAfterKept = true;
  }

  resume(): void {
    while (this.#kept.length > 0) {
      const taken = this.#offer(this.#kept.subarray(0, 65_536));
      if (taken === 0) return;
      this.#kept = this.#kept.slice(taken);
    }
    if (this.#finAfterKept) this.#io.finished();
    this.#finAfterKept = false;
  }

  #offer(bytes: Uint8Array): number {
    PACKET_BYTES.set(bytes, payloadAt);
    PACKET_VIEW.setBigUint64(vectorAt, BigInt(PACKET_BASE + payloadAt), true);
    PACKET_VIEW.setBigUint64(vectorAt + 8, BigInt(bytes.length), true);
    return this.#io.deliver(vectorAt, 1, bytes.length);
  }
}

class FakePool implements ChunkSource {
  left = 16;
  readonly #waiting = new Set<() => void>();

  take(): SendChunk | undefined {
    if (this.left === 0) return undefined;
    this.left -= 1;
    const bytes = new Uint8Array(65_536);
    return { address: addressOf(bytes), bytes, start: 0, end: 0 };
  }

  give(_chunk: SendChunk): void {
    this.left += 1;
    for (const run of this.#waiting) {
      this.#waiting.delete(run);
      run();
    }
  }

  whenFree(run: () => void): void {
    this.#waiting.add(run);
  }

  forget(run: () => void): void {
    this.#waiting.delete(run);
  }

  get waiting(): number {
    return this.#waiting.size;
  }
}

const {
  listen: listenOn,
  accept: acceptAt,
  send: sendTo,
} = dlopen("libc.so.6", {
  listen: { args: ["i32", "i32"], returns: "i32" },
  accept: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  send: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
}).symbols;

const opened: (() => unknown)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
  // Whatever became of them, flows have given back what they took.
  expect(socketShare.taken).toBe(0);
});

/** A NAT with one flow. */
class World {
  readonly clock = new ManualClock();
  readonly epoll = Epoll.open();
  readonly cable = new KeptFrames();
  readonly pool = new FakePool();
  readonly soiled = new Set<Flow>();
  readonly warnings: string[] = [];
  openedFlows = 0;
  flushes = 0;
  endedFlows = 0;
  isPlain = false;
  readonly config = { tcpTimeoutMs: 1_800_000 };
  machine!: FakeMachine;
  readonly host: FlowHost;

  constructor() {
    this.host = {
      link: this.cable.link,
      clock: this.clock,
      random: { fill: (bytes: Uint8Array) => bytes } as unknown as FlowHost["random"],
      epoll: this.epoll,
      config: this.config as SecureNatConfig,
      isPlain: false,
      drops: noHostDrops(),
      addressOf: (family) => tryParseAddress(family === 4 ? "192.168.30.1" : "fd00::1")!,
      soil: (flow) => void this.soiled.add(flow),
      opened: () => (this.openedFlows += 1),
      ended: () => (this.endedFlows += 1),
      log: { warn: (_event, text) => void this.warnings.push(text) },
    };
    Object.defineProperty(this.host, "isPlain", { get: () => this.isPlain });
    this.epoll.afterTurn = () => this.flushAll();
    opened.push(() => this.epoll.close());
  }

  /** As the NAT does at the end of an event. */
  flushAll(): void {
    for (const flow of this.soiled) {
      this.soiled.delete(flow);
      flow.flush();
    }
  }

  /** A flow to the target, its SYN received. */
  begin(host: string, port: number, dial?: FlowDial): Flow {
    const isV4 = !host.includes(":");
    const ends: FlowEnds = {
      protocol: "tcp",
      inner: tryParseAddress(isV4 ? GUEST : "fd00::10")!,
      innerPort: 40_000,
      outer: tryParseAddress(host)!,
      outerPort: port,
      ...(dial === undefined ? {} : { dial }),
    };
    const machines: TcpMachines = {
      chunks: this.pool,
      connect: (_ends, _mac, io) => (this.machine = new FakeMachine(io, this.pool)),
      flush: () => void (this.machine.state !== "closed" && (this.flushes += 1)),
    };
    const factory = tcpFlows(machines, new IcmpErrors(this.clock));
    const syn = this.syn(host, port);
    const flow = factory(ends, this.host, syn, GUEST_MAC)!;
    opened.push(() => flow.close("closing"));
    flow.receive(syn);
    return flow;
  }

  syn(host: string, port: number) {
    const payload = new Uint8Array(20);
    const view = new DataView(payload.buffer);
    view.setUint16(0, 40_000);
    view.setUint16(2, port);
    view.setUint32(4, 12_345);
    payload[12] = 0x50;
    payload[13] = 2;
    const source = host.includes(":") ? "fd00::10" : GUEST;
    return aimed(ipFrame({ source, destination: host, protocol: IP_PROTOCOL.TCP, payload }));
  }

  /** Until the target has accepted and the guest knows. */
  async establish(): Promise<void> {
    await until("the target's accept", () => this.machine.calls.includes("open"));
    this.machine.establish();
    this.flushAll();
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});

async function listen(
  onSocket: (socket: Socket) => void,
  host = "127.0.0.1",
): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    opened.push(() => socket.destroy());
    socket.on("error", () => undefined);
    onSocket(socket);
  });
  opened.push(() => server.close());
  await new Promise<void>((done) => server.listen(0, host, done));
  return { port: (server.address() as { port: number }).port, sockets };
}

async function closedPort(): Promise<number> {
  const { port } = await listen(() => undefined);
  opened.pop()!();
  return port;
}

/** ICMP type and code of the errors that the guest got. */
function icmpErrors(): string[] {
  return world.cable
    .takePackets()
    .filter((packet) => packet[9] === 1)
    .map((packet) => `${packet[20]}/${packet[21]}`);
}

describe.each(["127.0.0.1", "::1"])("TCP flow to %s", (host) => {
  test("opens after the target has accepted, and relays both ways", async () => {
    let asked = "";
    const { port } = await listen((socket) => {
      socket.on("data", (data) => {
        asked += data.toString();
        if (asked.endsWith("?")) socket.write("answer");
      });
    }, host);
    const flow = world.begin(host, port);
    expect(flow.info.state).toBe("connecting");
    expect(world.openedFlows).toBe(0);
    await until("the target's accept", () => world.machine.calls.includes("open"));
    expect(world.openedFlows).toBe(1);
    expect(flow.info.state).toBe("connected");
    world.machine.establish();
    expect(flow.info.state).toBe("established");
    world.clock.advance(5);
    world.machine.send("question");
    world.machine.send("?");
    await until("the answer", () => world.machine.received === "answer");
    expect(flow.info).toEqual({
      state: "established",
      created: 0,
      lastUsed: 5,
      bytesOut: 9,
      bytesIn: 6,
    });
  });
});

describe("TCP flow, dial", () => {
  test("a refused target is RST+ACK for the guest, at once and without ICMP", async () => {
    const flow = world.begin("127.0.0.1", await closedPort());
    await until("the refusal", () => world.endedFlows === 1);
    expect(world.machine.calls).toEqual(["refuse"]);
    expect(icmpErrors()).toEqual([]);
    expect(flow.info.state).toBe("disconnecting");
    expect(world.epoll.size).toBe(0);
    expect(world.clock.pending).toBe(0);
  });

  test("a target without a route is told of by ICMP, before the RST", () => {
    world.begin("255.255.255.255", 80);
    expect(world.machine.calls).toEqual(["refuse"]);
    expect(world.endedFlows).toBe(1);
    const [error] = world.cable.takePackets();
    expect([error![20], error![21]]).toEqual([3, 0]);
    // It quotes the SYN, ports included.
    expect(error!.subarray(28 + 16, 28 + 20)).toEqual(new Uint8Array([255, 255, 255, 255]));
    expect(new DataView(error!.buffer, error!.byteOffset + 28 + 20).getUint16(0)).toBe(40_000);
  });

  test("a link-local target of IPv6, which no interface is named for, is refused", () => {
    world.begin("fe80::1", 80);
    expect(world.machine.calls).toEqual(["refuse"]);
  });

  test("no ICMP where the reference's behaviour is asked for", () => {
    world.isPlain = true;
    world.begin("255.255.255.255", 80);
    expect(world.machine.calls).toEqual(["refuse"]);
    expect(icmpErrors()).toEqual([]);
  });

  test("a target that does not answer is given up after ten seconds", async () => {
    // A full queue of a listener drops further SYNs; nothing outside of this machine is needed.
    const silent = silentPort();
    world.begin("127.0.0.1", silent);
    const machine = world.machine;
    // The guest says it again meanwhile; that opens nothing new.
    for (let n = 0; n < 3; n += 1) machine.receive();
    expect(world.epoll.size).toBe(1);
    world.clock.advance(9_999);
    expect(machine.calls).toEqual([]);
    world.clock.advance(1);
    expect(machine.calls).toEqual(["refuse"]);
    expect(icmpErrors()).toEqual(["3/1"]);
    expect(world.endedFlows).toBe(1);
    expect(world.epoll.size).toBe(0);
  });

  test("without descriptors the guest is refused and the operator is told", () => {
    const limit = new BigUint64Array(2);
    expect(libc.getrlimit(RLIMIT_NOFILE, limit)).toBe(0);
    expect(libc.setrlimit(RLIMIT_NOFILE, new BigUint64Array([3n, limit[1]!]))).toBe(0);
    try {
      world.begin("127.0.0.1", 9);
    } finally {
      libc.setrlimit(RLIMIT_NOFILE, limit);
    }
    expect(world.machine.calls).toEqual(["refuse"]);
    expect(world.warnings).toHaveLength(1);
    expect(world.warnings[0]).toContain("open files");
    expect(icmpErrors()).toEqual([]);
  });

  test("close() while dialling resets the guest and leaves nothing", () => {
    const flow = world.begin("127.0.0.1", silentPort());
    flow.close("deleted");
    flow.close("deleted");
    expect(world.machine.calls).toEqual(["abort"]);
    expect(world.endedFlows).toBe(0);
    expect(world.epoll.size).toBe(0);
    expect(world.clock.pending).toBe(0);
  });
});

describe("TCP flow, relay", () => {
  test("a target that never reads holds the guest back, and loses nothing when it reads", async () => {
    let got = 0;
    const { port, sockets } = await listen((socket) => {
      socket.pause();
      socket.on("data", (data) => (got += data.length));
    });
    world.begin("127.0.0.1", port);
    await world.establish();
    const piece = new Uint8Array(65_536).fill(120);
    let sent = 0;
    while (world.machine.keptBytes === 0 && sent < 64 << 20) {
      world.machine.sendBytes(piece);
      sent += piece.length;
    }
    // The socket is full: further bytes are not even tried.
    expect(world.machine.keptBytes).toBeGreaterThan(0);
    const kept = world.machine.keptBytes;
    world.machine.sendBytes(piece);
    sent += piece.length;
    expect(world.machine.keptBytes).toBe(kept + piece.length);
    world.machine.sendFin();
    sockets[0]!.resume();
    await until("all of it", () => got === sent);
    expect(world.machine.keptBytes).toBe(0);
    await until("the FIN behind it", () => sockets[0]!.readableEnded);
  });

  test("a guest that takes nothing leaves the bytes with the target", async () => {
    const { port, sockets } = await listen(() => undefined);
    const flow = world.begin("127.0.0.1", port);
    await until("the target's accept", () => world.machine.calls.includes("open"));
    world.machine.window = 1000;
    const bytes = 8 << 20;
    sockets[0]!.end(Buffer.alloc(bytes, "y"));
    world.machine.establish();
    await until("the first bytes", () => world.machine.receivedBytes === 1000);
    await Bun.sleep(5);
    expect(flow.info.bytesIn).toBe(1000);
    expect(world.pool.left).toBe(16);
    // The window opens bit by bit.
    for (let n = 0; n < 50; n += 1) {
      world.machine.acknowledge(1000);
      world.flushAll();
    }
    expect(world.machine.receivedBytes).toBe(51_000);
    world.machine.acknowledge(bytes);
    world.flushAll();
    await until("all of it", () => world.machine.receivedBytes === bytes);
    await until("the end", () => world.machine.isFinished);
    expect(world.machine.calls).toEqual(["open", "finish"]);
  });

  test("part of a byte is no room: nothing ends, and nothing is forgotten", async () => {
    const { port, sockets } = await listen(() => undefined);
    world.begin("127.0.0.1", port);
    await until("the target's accept", () => world.machine.calls.includes("open"));
    world.machine.window = 0.5;
    sockets[0]!.write("abcdefgh");
    world.machine.establish();
    for (const [grown, received] of [
      [0, ""],
      [3, "abc"],
      [0.25, "abc"],
      [5, "abcdefgh"],
    ] as const) {
      world.machine.acknowledge(grown);
      world.flushAll();
      await until("the bytes", () => world.machine.received === received);
      await Bun.sleep(2);
      expect(world.machine.received).toBe(received);
      expect(world.machine.isFinished).toBeFalse();
    }
  });

  test("one flow reads its share of a turn, and goes on in the next", async () => {
    const bytes = 4 << 20;
    const { port } = await listen((socket) => socket.write(Buffer.alloc(bytes, "z")));
    const flow = world.begin("127.0.0.1", port);
    await until("the target's accept", () => world.machine.calls.includes("open"));
    world.machine.window = bytes;
    let before = 0;
    let most = 0;
    world.epoll.afterTurn = () => {
      world.flushAll();
      most = Math.max(most, flow.info.bytesIn - before);
      before = flow.info.bytesIn;
    };
    await Bun.sleep(5);
    world.machine.establish();
    world.flushAll();
    before = flow.info.bytesIn;
    expect(before).toBeLessThanOrEqual(262_144);
    await until("all of it", () => world.machine.receivedBytes === bytes);
    expect(most).toBeLessThanOrEqual(262_144);
  });

  test("an urgent byte comes in its place, and what is behind it is not forgotten", async () => {
    const { fd, port } = listeningSocket(1);
    world.begin("127.0.0.1", port);
    await until("the target's accept", () => world.machine.calls.includes("open"));
    const target = acceptAt(fd, null, null);
    opened.push(() => libc.close(target));
    const say = (text: string, flags = 0) =>
      expect(Number(sendTo(target, Buffer.from(text), text.length, flags))).toBe(text.length);
    say("before");
    say("!", MSG_OOB);
    say("behind");
    // All of it has come before the first read.
    world.machine.establish();
    world.flushAll();
    await until("all of it", () => world.machine.receivedBytes >= 13);
    expect(world.machine.received).toBe("before!behind");
    say(", later");
    await until("the rest", () => world.machine.received === "before!behind, later");
  });

  test("without chunks it waits for one", async () => {
    const { port } = await listen((socket) => socket.write("late"));
    world.begin("127.0.0.1", port);
    const taken: SendChunk[] = [];
    for (let chunk = world.pool.take(); chunk !== undefined; chunk = world.pool.take()) {
      taken.push(chunk);
    }
    await world.establish();
    await until("the wait", () => world.pool.waiting === 1);
    expect(world.machine.received).toBe("");
    world.pool.give(taken[0]!);
    await until("the bytes", () => world.machine.received === "late");
  });

  test("close() while it waits for a chunk takes it from the list", async () => {
    const { port } = await listen((socket) => socket.write("never"));
    const flow = world.begin("127.0.0.1", port);
    world.pool.left = 0;
    await world.establish();
    await until("the wait", () => world.pool.waiting === 1);
    flow.close("closing");
    expect(world.pool.waiting).toBe(0);
  });
});

describe("TCP flow, end", () => {
  test("the guest closes its half first, and the target goes on", async () => {
    const { port } = await listen((socket) => {
      socket.resume();
      socket.on("end", () => socket.end("farewell"));
    });
    const flow = world.begin("127.0.0.1", port);
    await world.establish();
    world.machine.sendFin();
    expect(flow.info.state).toBe("disconnecting");
    await until("the rest", () => world.machine.isFinished);
    expect(world.machine.received).toBe("farewell");
    // The descriptor is free before TIME-WAIT is over.
    expect(world.epoll.size).toBe(0);
    expect(world.endedFlows).toBe(0);
    world.machine.close();
    expect(world.endedFlows).toBe(1);
    expect(world.clock.pending).toBe(0);
  });

  test("the target closes its half first, and the guest goes on", async () => {
    let got = "";
    const { port, sockets } = await listen((socket) => {
      socket.end("all I have");
      socket.on("data", (data) => (got += data.toString()));
    });
    world.begin("127.0.0.1", port);
    await world.establish();
    await until("the end of the target", () => world.machine.isFinished);
    expect(world.machine.received).toBe("all I have");
    world.machine.send("more of mine");
    await until("the bytes", () => got === "more of mine");
    expect(world.epoll.size).toBe(1);
    world.machine.sendFin();
    expect(world.epoll.size).toBe(0);
    await until("the FIN", () => sockets[0]!.readableEnded);
  });

  test("the target's reset is a reset for the guest, behind what came before it", async () => {
    const { port, sockets } = await listen(() => undefined);
    world.begin("127.0.0.1", port);
    await world.establish();
    sockets[0]!.write("half");
    await until("the bytes", () => world.machine.received === "half");
    sockets[0]!.resetAndDestroy();
    await until("the reset", () => world.endedFlows === 1);
    expect(world.machine.calls).toEqual(["open", "abort"]);
    expect(world.epoll.size).toBe(0);
    expect(world.clock.pending).toBe(0);
  });

  test("what the target says just before it resets still reaches the guest", async () => {
    const { port, sockets } = await listen(() => undefined);
    world.begin("127.0.0.1", port);
    await until("the target's accept", () => world.machine.calls.includes("open"));
    sockets[0]!.write("farewell");
    await Bun.sleep(5);
    sockets[0]!.resetAndDestroy();
    await Bun.sleep(5);
    let flushesAtData = -1;
    const { write } = world.machine;
    world.machine.write = (chunk) => {
      flushesAtData = world.flushes;
      write.call(world.machine, chunk);
    };
    world.machine.establish();
    world.flushAll();
    await until("the reset", () => world.endedFlows === 1);
    expect(world.machine.received).toBe("farewell");
    // It was sent on its way before the reset dropped what waits.
    expect(world.flushes).toBeGreaterThan(flushesAtData);
    expect(world.machine.calls).toEqual(["open", "abort"]);
  });

  test("the target's reset after its FIN is a reset for the guest", async () => {
    const { port, sockets } = await listen((socket) => socket.end("bye"));
    world.begin("127.0.0.1", port);
    await world.establish();
    await until("the end of the target", () => world.machine.isFinished);
    sockets[0]!.resetAndDestroy();
    world.machine.send("x");
    await until("the reset", () => world.endedFlows === 1);
    expect(world.machine.calls).toEqual(["open", "finish", "abort"]);
  });

  test("a reset is no orderly end, whichever call learns of it first", async () => {
    const { port, sockets } = await listen(() => undefined);
    world.begin("127.0.0.1", port);
    await world.establish();
    const peer = sockets[0]!;
    peer.resetAndDestroy();
    // Writing meets the reset, which takes the error away from the read that follows.
    while (world.endedFlows === 0) {
      world.machine.send("x");
      await Bun.sleep(1);
    }
    expect(world.machine.calls).toEqual(["open", "abort"]);
  });

  test("the guest's reset is a reset for the target", async () => {
    const errors: string[] = [];
    const { port } = await listen((socket) => {
      socket.resume();
      socket.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code ?? ""));
    });
    world.begin("127.0.0.1", port);
    await world.establish();
    world.machine.reset();
    expect(world.endedFlows).toBe(1);
    await until("the reset", () => errors.length > 0);
    expect(errors).toEqual(["ECONNRESET"]);
  });

  test("an idle flow is reset after its time, one in use is not", async () => {
    const { port } = await listen((socket) => socket.resume());
    world.begin("127.0.0.1", port);
    await world.establish();
    world.clock.advance(1_799_999);
    expect(world.machine.calls).toEqual(["open"]);
    world.machine.send("alive");
    world.clock.advance(1_799_999);
    expect(world.machine.calls).toEqual(["open"]);
    world.clock.advance(1);
    expect(world.machine.calls).toEqual(["open", "abort"]);
    expect(world.endedFlows).toBe(1);
    expect(world.epoll.size).toBe(0);
  });

  test("a guest's keep-alives are use, its answers to ours are none", async () => {
    const { port } = await listen((socket) => socket.resume());
    const flow = world.begin("127.0.0.1", port);
    await world.establish();
    const packet = world.syn("127.0.0.1", port);
    for (let n = 0; n < 10; n += 1) {
      world.clock.advance(500_000);
      flow.receive(packet);
    }
    expect(world.machine.calls).toEqual(["open"]);
    // It is asked after ten minutes of silence.
    for (let n = 0; n < 2; n += 1) {
      world.clock.advance(600_000);
      flow.receive(packet);
    }
    expect(flow.info.lastUsed).toBe(5_000_000);
    world.clock.advance(599_999);
    expect(world.machine.calls).toEqual(["open"]);
    world.clock.advance(1);
    expect(world.machine.calls).toEqual(["open", "abort"]);
  });

  test("a shorter time to be idle counts for flows that are there, a longer one as well", async () => {
    const { port } = await listen((socket) => socket.resume());
    const flow = world.begin("127.0.0.1", port);
    flow.reconfigured?.();
    await world.establish();
    world.clock.advance(100_000);
    world.config.tcpTimeoutMs = 60_000;
    flow.reconfigured?.();
    expect(world.machine.calls).toEqual(["open"]);
    world.config.tcpTimeoutMs = 200_000;
    flow.reconfigured?.();
    world.clock.advance(99_999);
    expect(world.machine.calls).toEqual(["open"]);
    world.config.tcpTimeoutMs = 60_000;
    flow.reconfigured?.();
    world.clock.advance(1);
    expect(world.machine.calls).toEqual(["open", "abort"]);
    flow.reconfigured?.();
    expect(world.clock.pending).toBe(0);
  });

  test("close() resets both ends", async () => {
    const errors: string[] = [];
    const { port } = await listen((socket) => {
      socket.resume();
      socket.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code ?? ""));
    });
    const flow = world.begin("127.0.0.1", port);
    await world.establish();
    flow.close("deleted");
    await until("the reset", () => errors.length > 0);
    expect(world.machine.calls).toEqual(["open", "abort"]);
    expect(world.endedFlows).toBe(0);
    expect(world.clock.pending).toBe(0);
  });
});

/** A socket that listens for so many, for calls that the runtime has not. */
function listeningSocket(queue: number): { fd: number; port: number; name: Uint8Array } {
  const fd = libc.socket(2, 1, 0);
  opened.push(() => libc.close(fd));
  const name = new Uint8Array(16);
  name.set([2, 0, 0, 0, 127, 0, 0, 1]);
  expect(libc.bind(fd, name, 16)).toBe(0);
  expect(listenOn(fd, queue)).toBe(0);
  expect(libc.getsockname(fd, name, new Uint32Array([16]))).toBe(0);
  return { fd, name, port: (name[2]! << 8) | name[3]! };
}

/** A port whose listener drops SYNs: its queue of one is full. */
function silentPort(): number {
  const { name, port } = listeningSocket(0);
  for (let n = 0; n < 3; n += 1) {
    const filler = libc.socket(2, 0x801, 0);
    opened.push(() => libc.close(filler));
    libc.connect(filler, name, 16);
  }
  return port;
}

describe("TCP flow that is sent elsewhere", () => {
  const elsewhere = (port: number, more: Partial<FlowDial>): FlowDial => ({
    address: tryParseAddress("127.0.0.1")!,
    port,
    ...more,
  });

  test("tells whether the target has accepted, in the time that it has", async () => {
    const told: boolean[] = [];
    const settled = (isThere: boolean) => void told.push(isThere);
    const { port } = await listen(() => undefined);
    world.begin("192.168.30.1", 53, elsewhere(port, { settled }));
    await world.establish();
    expect(told).toEqual([true]);
    world.begin("192.168.30.1", 53, elsewhere(await closedPort(), { settled }));
    await until("the refusal", () => told.length === 2);
    expect(told).toEqual([true, false]);
    // Of 192.0.2.0/24 nobody answers (RFC 5737); a machine without a way there refuses at once.
    const nobody = { address: tryParseAddress("192.0.2.1")!, timeoutMs: 1_000 };
    world.begin("192.168.30.1", 53, elsewhere(port, { ...nobody, settled }));
    world.clock.advance(1_000);
    expect(told).toEqual([true, false, false]);
    expect(world.machine.calls).toEqual(["refuse"]);
  });

  test("ends where the guest says what its guard does not pass, of which the target hears nothing", async () => {
    const offered: number[] = [];
    let gone = 0;
    const guard = {
      passes: (_at: number, _vectors: number, bytes: number) => {
        offered.push(bytes);
        return bytes < 5;
      },
      taken: (bytes: number) => void (gone += bytes),
    };
    let heard = "";
    const { port } = await listen((socket) => socket.on("data", (data) => (heard += String(data))));
    world.begin("192.168.30.1", 53, elsewhere(port, { guard }));
    await world.establish();
    world.machine.send("good");
    expect([offered, gone]).toEqual([[4], 4]);
    await until("what passes", () => heard === "good");
    world.machine.send("worse");
    await until("the end", () => world.machine.calls.includes("abort"));
    expect(heard).toBe("good");
  });
});
