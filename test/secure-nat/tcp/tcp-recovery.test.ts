// What goes wrong on the way, or in the guest, and what the machine makes of it: each on a standing clock.
import { afterEach, describe, expect, test } from "bun:test";
import { TCP_FLAG } from "../../../src/wire/tcp.ts";
import { optionsOf, sack, stream, synOptions, TcpWorld, timestamps } from "./tcp-world.ts";

const { SYN, ACK, FIN } = TCP_FLAG;
const MSS = 1460;

let world = new TcpWorld();
afterEach(() => {
  world.onFrame = () => undefined;
  world.close();
});

function open(options = synOptions(), maxBytes?: number): void {
  world.close();
  world = new TcpWorld(maxBytes === undefined ? {} : { maxBytes });
  world.establish(options, 0xffff, (answer) => {
    const { hasTimestamps, timestampValue } = optionsOf(answer);
    return hasTimestamps ? timestamps(1_001, timestampValue) : new Uint8Array(0);
  });
}

/** Answers every segment of the machine after a millisecond, by what `answer` makes of it. */
function answering(answer: () => Parameters<TcpWorld["send"]>[0]): void {
  world.onFrame = () =>
    void world.clock.after(1, () => {
      if (world.connection.state !== "closed") world.send(answer());
    });
}

describe("TcpConnection and a guest's window", () => {
  test("a window that never is a whole segment is used all the same (RFC 9293 3.8.6.2.1)", () => {
    open(synOptions({ mss: MSS }));
    world.write(0, 1_000);
    world.takeAll();
    world.send({ ...world.next(0, 1_000), window: 300 });
    world.write(1_000, 600);
    expect(world.heard).toEqual([]);
    world.clock.advance(250);
    expect(world.told).toBe(". 1001:1301 1");
    world.send({ ...world.next(0, 1_300), window: 300 });
    expect(world.told).toBe("P. 1301:1601 1");
  });

  test("FIN waits for a closed window, which is asked about, and goes as soon as that opens", () => {
    open();
    world.send({ ...world.next(), window: 0 });
    world.connection.finish();
    world.stack.flush();
    expect(world.heard).toEqual([]);
    world.clock.advance(250);
    expect(world.told).toBe(". 0:0 1");
    world.send({ ...world.next(), window: 100 });
    expect(world.told).toBe("F. 1:1 1");
  });

  test("a window that just holds the data has no place for the FIN behind it", () => {
    open(synOptions({ mss: MSS }));
    world.send({ ...world.next(), window: 500 });
    world.write(0, 500);
    world.connection.finish();
    world.stack.flush();
    expect(world.told).toBe("P. 1:501 1");
    world.send({ ...world.next(0, 500), window: 500 });
    expect(world.told).toBe("F. 501:501 1");
  });

  test("a guest that answers, but takes nothing of what is under way, is given up after half an hour", () => {
    open();
    world.write(0, 5_000);
    world.takeAll();
    answering(() => ({ ...world.next(), window: 0 }));
    world.send({ ...world.next(), window: 0 });
    world.clock.advance(1_700_000);
    expect(world.connection.state).toBe("established");
    world.clock.advance(200_000);
    expect(world.io.events.at(-1)).toBe("closed timeout");
  });
});

describe("TcpConnection and what a guest tells of losses", () => {
  test("what a guest has thrown away after telling to have it is sent again (RFC 2018 8)", () => {
    open();
    world.write(0, 4 * MSS);
    world.takeAll();
    const edge = (n: number) => world.next(0, n * MSS).ack;
    world.clock.advance(1);
    world.send({ ...world.next(), options: sack(edge(1), edge(4)) });
    world.takeAll();
    // The first arrives; the others, which had been told of, are missing again.
    world.send({ ...world.next(0, MSS) });
    world.clock.advance(1_000);
    expect(world.takeAll().map((segment) => world.tell(segment))).toContain(
      `. ${1 + MSS}:${1 + 2 * MSS} 1`,
    );
  });

  test("a guest without SACK is not asked by probes of the tail, whose answer says nothing (RFC 8985 7.2)", () => {
    open(synOptions({ mss: MSS, scale: 7 }));
    world.write(0, MSS);
    world.clock.advance(1);
    world.send({ ...world.next(0, MSS) });
    world.write(MSS, 3 * MSS);
    world.takeAll();
    world.clock.advance(190);
    expect(world.heard).toEqual([]);
    world.clock.advance(100);
    expect(world.connection.stats).toMatchObject({ tailProbes: 0, timeouts: 1 });
  });

  test("a tail that was only answered late is no loss (RFC 8985 7.4.2)", () => {
    open();
    world.write(0, 10 * MSS);
    world.clock.advance(1);
    world.send({ ...world.next(0, 10 * MSS) });
    world.write(10 * MSS, 4 * MSS);
    const before = world.connection.details!.congestionWindow;
    world.clock.advance(30);
    expect(world.connection.stats.tailProbes).toBe(1);
    world.send({ ...world.next(0, 14 * MSS) });
    const { ack } = world.next(0, 13 * MSS);
    world.send({ ...world.next(0, 14 * MSS), options: sack(ack, ack + MSS) });
    expect(world.connection.details!.congestionWindow).toBeGreaterThanOrEqual(before);
  });

  test("a tail that only the probe has brought is a loss, which is clear when the guest goes on", () => {
    open();
    world.write(0, 10 * MSS);
    world.clock.advance(1);
    world.send({ ...world.next(0, 10 * MSS) });
    world.write(10 * MSS, 4 * MSS);
    const before = world.connection.details!.congestionWindow;
    world.clock.advance(30);
    world.send({ ...world.next(0, 14 * MSS) });
    world.write(14 * MSS, MSS);
    world.send({ ...world.next(0, 15 * MSS) });
    expect(world.connection.details!.congestionWindow).toBeLessThan(0.8 * before);
  });

  test("backing off stays until a round trip was measured (RFC 6298 5.7)", () => {
    open();
    const first = world.connection.details!.retransmitMs;
    world.write(0, 100);
    world.clock.advance(700);
    expect(world.connection.stats.timeouts).toBeGreaterThanOrEqual(1);
    // It may be the first copy's: nothing is known of the way, but that it may be longer.
    world.send({ ...world.next(0, 100) });
    expect(world.connection.details!.retransmitMs).toBeGreaterThan(1.5 * first);
    world.takeAll();
    world.write(100, 100);
    world.clock.advance(20);
    world.send({ ...world.next(0, 200) });
    expect(world.connection.details!.retransmitMs).toBeLessThanOrEqual(first);
  });

  test("the echo of a copy that recovery had sent is no proof against a time-out (RFC 4015)", () => {
    open(synOptions({ mss: MSS, timestamp: 1_000, sack: true, scale: 7 }));
    world.write(0, 10 * MSS);
    const stamp = optionsOf(world.takeAll().at(-1)!).timestampValue;
    const edge = (n: number) => world.next(0, n * MSS).ack;
    const told = (echo: number, ...edges: number[]) =>
      new Uint8Array([...timestamps(1_002, echo), ...(edges.length > 0 ? sack(...edges) : [])]);
    world.clock.advance(5);
    world.send({ ...world.next(), options: told(stamp, edge(1), edge(10)) });
    const repeated = optionsOf(world.takeAll()[0]!).timestampValue;
    expect(repeated).toBe(stamp + 5);
    world.clock.advance(400);
    expect(world.connection.stats).toMatchObject({ recoveries: 1, timeouts: 1 });
    // The copy of the recovery has arrived; the first had been lost indeed.
    world.send({ ...world.next(0, 10 * MSS), options: told(repeated) });
    expect(world.connection.stats.spurious).toBe(0);
  });
});

describe("TcpConnection and what it has no room for", () => {
  test("bytes that found no place are not told of as received", () => {
    open(synOptions(), 65_536);
    // The only chunk is somebody else's.
    const chunk = world.stack.chunks.take()!;
    world.send({ ...world.next(100), payload: stream(100, 50) });
    expect(optionsOf(world.take()).sackBlocks).toBe(0);
    world.stack.chunks.give(chunk);
  });
});

describe("TcpConnection and timestamps (RFC 7323)", () => {
  const options = synOptions({ mss: MSS, timestamp: 1_000, sack: true, scale: 7 });

  test("a segment outside the window leaves no timestamp behind: those after it are heard", () => {
    open(options);
    world.send({
      ...world.next(-70_000),
      options: timestamps(0x7000_0000, 0),
      payload: stream(0, 10),
    });
    world.takeAll();
    world.send({ ...world.next(), options: timestamps(1_005, 0), payload: stream(0, 10) });
    expect(world.io.takenBytes).toBe(10);
  });

  test("a SYN without one, as of a guest that has started anew, is answered (RFC 5961 4.2)", () => {
    open(options);
    world.send({ seq: 900_000, flags: SYN, options: synOptions({ mss: MSS }) });
    expect(world.told).toBe(". 1:1 1");
    world.connection.finish();
    world.stack.flush();
    world.takeAll();
    world.send({ ...world.next(0, 1), flags: FIN | ACK, options: timestamps(1_010, 0) });
    expect(world.connection.state).toBe("time-wait");
    world.send({ seq: 900_000, flags: SYN, options: synOptions({ mss: MSS }) });
    expect(world.io.events.at(-1)).toBe("closed closed");
  });
});

describe("TcpConnection and its timer", () => {
  test("segments between two ticks of the wheel do not move it", () => {
    open();
    world.clock.advance(2_000.3);
    world.send({ ...world.next(), payload: stream(0, 10) });
    const { wheel } = world.stack;
    let moves = 0;
    const set = wheel.set.bind(wheel);
    wheel.set = (timer, at) => {
      moves += 1;
      set(timer, at);
    };
    for (let n = 1; n < 50; n += 1) {
      world.send({ ...world.next(10 * n), payload: stream(10 * n, 10) });
    }
    expect(moves).toBeLessThanOrEqual(2);
  });
});
