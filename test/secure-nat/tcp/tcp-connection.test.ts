// Segment by segment on a standing clock: what goes in, and what must come out. Numbers are counted from the initial ones.
import { afterEach, describe, expect, test } from "bun:test";
import { TCP_FLAG } from "../../../src/wire/tcp.ts";
import { optionsOf, sack, stream, synOptions, TcpWorld, timestamps } from "./tcp-world.ts";

const { SYN, ACK, FIN, RST, PSH } = TCP_FLAG;
const MSS = 1460;

let world = new TcpWorld();
afterEach(() => {
  world.onFrame = () => undefined;
  world.close();
});

function open(
  settings?: ConstructorParameters<typeof TcpWorld>[0],
  options = synOptions(),
): TcpWorld {
  world.close();
  world = new TcpWorld(settings);
  world.establish(options);
  return world;
}

function begin(settings?: ConstructorParameters<typeof TcpWorld>[0]): TcpWorld {
  world.close();
  world = new TcpWorld(settings);
  return world;
}

describe("TcpConnection at the handshake (RFC 9293 3.5)", () => {
  test("says nothing before the target has accepted, and SYN+ACK with what was offered then", () => {
    const { connection, clock, heard } = begin();
    const options = synOptions({ mss: 1400, sack: true, timestamp: 77, scale: 5 });
    world.send({ seq: 1000, flags: SYN, options });
    world.send({ seq: 1000, flags: SYN, options });
    clock.advance(5_000);
    expect(heard).toEqual([]);
    connection.open();
    world.stack.flush();
    const answer = world.take();
    expect(answer).toMatchObject({ flags: SYN | ACK, acknowledgment: 1001, window: 65_535 });
    expect(optionsOf(answer)).toMatchObject({
      mss: 1460,
      sackPermitted: true,
      windowScale: 7,
      timestampEcho: 77,
    });
  });

  test("offers nothing that was not offered to it", () => {
    const { connection } = begin();
    world.send({ seq: 1000, flags: SYN });
    connection.open();
    world.stack.flush();
    const options = optionsOf(world.take());
    expect(options).toMatchObject({
      mss: 1460,
      sackPermitted: false,
      windowScale: -1,
      hasTimestamps: false,
    });
  });

  test("repeats SYN+ACK after 1, 2, 4, 8 and 16 seconds, and gives up", () => {
    const { connection, clock, io } = begin();
    world.send({ seq: 1000, flags: SYN });
    connection.open();
    const at: number[] = [];
    world.onFrame = () => at.push(Math.round(clock.now()));
    world.stack.flush();
    clock.advance(70_000);
    expect(at).toEqual([0, 1_000, 3_000, 7_000, 15_000, 31_000]);
    expect(io.events).toEqual(["closed timeout"]);
  });

  test("refuse() answers RST+ACK of the very SYN, RST alone under nat-errors (hub.md 17)", () => {
    for (const isPlainReset of [false, true]) {
      const { connection, io } = begin({ isPlainReset });
      world.send({ seq: 1000, flags: SYN });
      connection.refuse();
      world.stack.flush();
      const answer = world.take();
      expect(answer.flags).toBe(isPlainReset ? RST : RST | ACK);
      expect(answer.acknowledgment).toBe(isPlainReset ? 0 : 1001);
      expect(io.events).toEqual(["closed aborted"]);
    }
  });

  test("honours a small MSS of the guest, and cuts by it", () => {
    open({}, synOptions({ mss: 500, scale: 7 }));
    world.write(0, 1_600);
    expect(world.told).toBe(". 1:501 1, . 501:1001 1, . 1001:1501 1, P. 1501:1601 1");
  });

  test("reject() resets what belongs to nothing, and never answers RST", () => {
    const { stack } = open();
    world.connection.abort();
    stack.flush();
    world.takeAll();
    world.send({ ...world.next(5, 9) });
    expect(world.told).toBe("R 10:10 -1000");
    world.send({ seq: 4_000, flags: RST });
    expect(world.heard).toEqual([]);
  });
});

describe("TcpConnection receives (RFC 9293 3.10.7.4)", () => {
  test("acknowledges a train of merged segments once", () => {
    open();
    const parts = [0, 1, 2, 3].map((n) => ({
      ...world.next(n * MSS),
      payload: stream(n * MSS, MSS),
    }));
    world.send(...parts);
    expect(world.told).toBe(`. 1:1 ${1 + 4 * MSS}`);
    expect(world.io.bytes).toEqual(stream(0, 4 * MSS));
  });

  test("delays an acknowledgment by 40 ms at most once a dialogue has begun", () => {
    open();
    world.send({ ...world.next(), payload: stream(0, 10), flags: ACK | PSH });
    world.takeAll();
    for (let n = 1; n < 20; n += 1) {
      world.send({ ...world.next(10 * n), payload: stream(10 * n, 10) });
      world.takeAll();
    }
    world.send({ ...world.next(200), payload: stream(200, 10) });
    expect(world.heard).toEqual([]);
    world.clock.advance(39);
    expect(world.heard).toEqual([]);
    world.clock.advance(2);
    expect(world.told).toBe(". 1:1 211");
  });

  test("keeps what is ahead of a gap, tells of it by SACK, and delivers it when the gap is filled", () => {
    open();
    world.send({ ...world.next(100), payload: stream(100, 50) });
    const answer = world.take();
    expect(answer.acknowledgment).toBe(1001);
    expect([...optionsOf(answer).sackEdges.subarray(0, 2)]).toEqual([1101, 1151]);
    expect(world.io.takenBytes).toBe(0);
    world.send({ ...world.next(0), payload: stream(0, 100) });
    expect(world.told).toBe(". 1:1 151");
    expect(world.io.bytes).toEqual(stream(0, 150));
  });

  test("names the latest block first (RFC 2018 4), and what came twice before all (RFC 2883)", () => {
    open();
    for (const at of [100, 300, 500]) world.send({ ...world.next(at), payload: stream(at, 50) });
    const last = optionsOf(world.takeAll().at(-1)!);
    expect([...last.sackEdges.subarray(0, 6)]).toEqual([1501, 1551, 1301, 1351, 1101, 1151]);
    world.send({ ...world.next(300), payload: stream(300, 50) });
    const again = optionsOf(world.take());
    expect([...again.sackEdges.subarray(0, 2)]).toEqual([1301, 1351]);
  });

  test("IP-14 the first copy wins over another content", () => {
    open();
    world.send({ ...world.next(100), payload: stream(100, 50) });
    world.send({ ...world.next(100), payload: new Uint8Array(60).fill(255) });
    world.send({ ...world.next(0), payload: stream(0, 100) });
    world.send({ ...world.next(50), payload: new Uint8Array(100).fill(254) });
    expect(world.io.bytes.subarray(0, 150)).toEqual(stream(0, 150));
    expect(world.io.takenBytes).toBe(160);
  });

  test("IP-14 a flood of single bytes ahead of gaps is bounded", () => {
    open({ maxBytes: 1 << 20 });
    for (let n = 1; n < 2_000; n += 1) {
      world.send({ ...world.next(2 * n), payload: stream(2 * n, 1) });
    }
    expect(world.stack.chunks.taken).toBeLessThanOrEqual(2);
    expect(world.io.takenBytes).toBe(0);
  });

  test("closes its window while the socket takes nothing, and tells when it opens", () => {
    open();
    world.io.capacity = 0;
    let sent = 0;
    while (sent < 65_536) {
      const bytes = Math.min(MSS, 65_536 - sent);
      world.send({ ...world.next(sent), payload: stream(sent, bytes) });
      sent += bytes;
    }
    world.clock.advance(41);
    expect(world.takeAll().at(-1)!.window).toBe(0);
    world.send({ ...world.next(sent), payload: stream(sent, 1) });
    expect(world.take()).toMatchObject({ window: 0, acknowledgment: 1001 + sent });
    world.io.capacity = Infinity;
    world.connection.resume();
    world.stack.flush();
    expect(world.take().window).toBe(65_536 >> 7);
    expect(world.io.bytes).toEqual(stream(0, 65_536));
  });

  test("lets its window grow while the socket takes all at once, to 4 MiB", () => {
    open();
    for (let sent = 0; sent < 12_000_000; sent += 44 * MSS) {
      const train = Array.from({ length: 44 }, (_, n) => ({
        ...world.next(sent + n * MSS),
        payload: stream(sent + n * MSS, MSS),
      }));
      world.io.keepsBytes = false;
      world.send(...train);
      world.clock.advance(0.3);
    }
    expect(world.connection.details?.receiveWindow).toBe(4 << 20);
  });
});

describe("TcpConnection refuses to be misled", () => {
  test("IP-10 flags that none sends, and a data offset past the end, are dropped", () => {
    open();
    for (const flags of [0, SYN | FIN, SYN | RST, 0x3f, FIN | RST]) {
      world.send({ ...world.next(), flags, payload: stream(0, 10) });
    }
    const cut = world.frame({ ...world.next(), payload: stream(0, 4) });
    expect(world.heard).toEqual([]);
    expect(cut.length).toBeGreaterThan(0);
    expect(world.connection.stats.dropped).toBe(5);
    expect(world.connection.state).toBe("established");
  });

  test("IP-11 broken options drop the segment", () => {
    open();
    for (const options of [
      [8, 0, 0, 0],
      [8, 1, 0, 0],
      [1, 1, 5, 40],
    ]) {
      world.send({ ...world.next(), options: new Uint8Array(options), payload: stream(0, 10) });
    }
    expect(world.io.takenBytes).toBe(0);
    expect(world.connection.stats.dropped).toBe(3);
  });

  test("IP-11 a window scale of 255 counts as 14", () => {
    open({}, synOptions({ mss: MSS, scale: 255 }));
    world.send({ ...world.next(), window: 1 });
    world.write(0, 40_000);
    const bytes = world.takeAll().reduce((sum, { payload }) => sum + payload.length, 0);
    expect(bytes).toBe(11 * MSS);
  });

  test("IP-13 RST one off is asked about, the right one ends the connection", () => {
    open();
    world.send({ ...world.next(1), flags: RST });
    expect(world.told).toBe(". 1:1 1");
    world.send({ ...world.next(100_000), flags: RST });
    expect(world.heard).toEqual([]);
    expect(world.io.events).not.toContain("closed reset");
    world.send({ ...world.next(0), flags: RST });
    expect(world.io.events).toContain("closed reset");
  });

  test("IP-13 a SYN in the window and an acknowledgment of what was not sent are asked about", () => {
    open();
    world.send({ ...world.next(5), flags: SYN });
    world.send({ ...world.next(0, 5_000) });
    expect(world.told).toBe(". 1:1 1, . 1:1 1");
    expect(world.connection.state).toBe("established");
  });

  test("IP-13 challenges are rationed: ten a second", () => {
    open();
    for (let n = 0; n < 50; n += 1) world.send({ ...world.next(5), flags: SYN });
    expect(world.takeAll().length).toBe(10);
    world.clock.advance(1_001);
    world.send({ ...world.next(5), flags: SYN });
    expect(world.takeAll().length).toBe(1);
  });

  test("IP-13 sequence numbers wrap around at 2^32 both ways", () => {
    open({ guestInitial: 2 ** 32 - 500 });
    world.send(
      { ...world.next(), payload: stream(0, MSS) },
      { ...world.next(MSS), payload: stream(MSS, MSS) },
    );
    expect(world.io.bytes).toEqual(stream(0, 2 * MSS));
    expect(world.told).toBe(`. 1:1 ${1 + 2 * MSS}`);
  });

  test("an old timestamp is an echo of the past (RFC 7323 5)", () => {
    open({}, synOptions({ mss: MSS, timestamp: 5_000, scale: 7 }));
    world.takeAll();
    const before = world.connection.stats.dropped;
    world.send({ ...world.next(), options: timestamps(5_001, 0), payload: stream(0, 10) });
    world.send({ ...world.next(10), options: timestamps(4_000, 0), payload: stream(10, 10) });
    world.send({ ...world.next(10), payload: stream(10, 10) });
    expect(world.io.takenBytes).toBe(10);
    expect(world.connection.stats.dropped).toBeGreaterThan(before);
  });
});

describe("TcpConnection sends", () => {
  test("sends again what SACK tells to be missing, and nothing else", () => {
    open();
    world.write(0, 10 * MSS);
    world.takeAll();
    const edge = (n: number) => world.next(0, n * MSS).ack;
    world.clock.advance(1);
    world.send({ ...world.next(), options: sack(edge(1), edge(5)) });
    world.send({ ...world.next(), options: sack(edge(1), edge(10)) });
    expect(world.told).toBe(`. 1:${1 + MSS} 1`);
    world.send({ ...world.next(0, 10 * MSS) });
    expect(world.heard).toEqual([]);
    expect(world.connection.stats).toMatchObject({ retransmits: 1, recoveries: 1, timeouts: 0 });
  });

  test("counts three duplicates of a guest without SACK (RFC 6582)", () => {
    open({}, synOptions({ mss: MSS, scale: 7 }));
    world.write(0, 10 * MSS);
    world.takeAll();
    world.clock.advance(1);
    for (let n = 0; n < 3; n += 1) world.send({ ...world.next() });
    expect(world.takeAll().map((segment) => world.tell(segment))[0]).toBe(`. 1:${1 + MSS} 1`);
    expect(world.connection.stats.recoveries).toBe(1);
  });

  test("probes the tail once, then backs off from 200 ms (RFC 8985 7, RFC 6298)", () => {
    open();
    world.clock.advance(1);
    world.write(0, 100);
    world.takeAll();
    const at: number[] = [];
    const since = world.clock.now();
    world.onFrame = () => at.push(Math.round(world.clock.now() - since));
    world.clock.advance(4_000);
    expect(at.length).toBeGreaterThanOrEqual(4);
    const gaps = at.slice(1).map((time, n) => time - at[n]!);
    for (const [n, gap] of gaps.entries()) if (n > 0) expect(gap / gaps[n - 1]!).toBeCloseTo(2, 0);
    expect(world.connection.stats.timeouts).toBeGreaterThanOrEqual(3);
  });

  test("gives a guest up that does not answer for two minutes", () => {
    open();
    world.write(0, 100);
    world.onFrame = () => undefined;
    world.clock.advance(400_000);
    expect(world.io.events).toContain("closed timeout");
  });

  test("IP-14 a zero window for ever is asked about, and given up after half an hour", () => {
    open();
    world.send({ ...world.next(), window: 0 });
    world.write(0, 5_000);
    expect(world.heard).toEqual([]);
    let probes = 0;
    world.onFrame = () => {
      probes += 1;
      world.clock.after(1, () => {
        if (world.connection.state !== "closed") world.send({ ...world.next(), window: 0 });
      });
    };
    world.clock.advance(1_700_000);
    expect(probes).toBeGreaterThan(20);
    expect(probes).toBeLessThan(60);
    expect(world.connection.state).toBe("established");
    world.clock.advance(300_000);
    expect(world.io.events).toContain("closed timeout");
  });

  test("goes on as soon as a closed window opens", () => {
    open();
    world.send({ ...world.next(), window: 0 });
    world.write(0, 100);
    world.send({ ...world.next(), window: 100 });
    expect(world.told).toBe("P. 1:101 1");
  });

  test("does not make silly windows of a guest's (RFC 9293 3.8.6.2)", () => {
    open({}, synOptions({ mss: MSS }));
    world.send({ ...world.next(), window: 5_000 });
    world.write(0, 20_000);
    expect(world.told).toBe(`. 1:1461 1, . 1461:2921 1, . 2921:4381 1`);
    world.send({ ...world.next(0, 4_380), window: 700 });
    expect(world.heard).toEqual([]);
  });
});

describe("TcpConnection ends", () => {
  test("half-closed by the guest it still sends, and ends by LAST-ACK", () => {
    open();
    world.send({ ...world.next(), flags: FIN | ACK, payload: stream(0, 5) });
    expect(world.told).toBe(". 1:1 7");
    expect(world.io.events).toContain("finished");
    expect(world.connection.state).toBe("close-wait");
    world.write(0, 10);
    world.connection.finish();
    world.stack.flush();
    expect(world.told).toBe("P. 1:11 7, F. 11:11 7");
    world.send({ ...world.next(6, 11) });
    expect(world.io.events.at(-1)).toBe("closed closed");
  });

  test("closing first it goes through FIN-WAIT to TIME-WAIT, answers a repeated FIN, and is over in 30 s", () => {
    open();
    world.write(0, 10);
    world.connection.finish();
    world.stack.flush();
    world.takeAll();
    world.send({ ...world.next(0, 11) });
    expect(world.connection.state).toBe("fin-wait-2");
    world.send({ ...world.next(0, 11), payload: stream(0, 7) });
    world.send({ ...world.next(7, 11), flags: FIN | ACK });
    expect(world.connection.state).toBe("time-wait");
    world.takeAll();
    world.send({ ...world.next(7, 11), flags: FIN | ACK });
    expect(world.told).toBe(". 12:12 9");
    world.clock.advance(31_000);
    expect(world.io.events.slice(-2)).toEqual(["finished", "closed closed"]);
  });

  test("a new SYN ends TIME-WAIT, so that ports can be used again (RFC 9293 3.6.1)", () => {
    open();
    world.connection.finish();
    world.stack.flush();
    world.send({ ...world.next(0, 1), flags: FIN | ACK });
    expect(world.connection.state).toBe("time-wait");
    world.send({ seq: 500_000, flags: SYN, options: synOptions() });
    expect(world.io.events.at(-1)).toBe("closed closed");
  });

  test("both at once: CLOSING, TIME-WAIT (RFC 9293 figure 13)", () => {
    open();
    world.connection.finish();
    world.stack.flush();
    world.takeAll();
    world.send({ ...world.next(), flags: FIN | ACK });
    expect(world.connection.state).toBe("closing");
    world.takeAll();
    world.send({ ...world.next(1, 1) });
    expect(world.connection.state).toBe("time-wait");
  });

  test("a FIN behind a gap waits for it", () => {
    open();
    world.send({ ...world.next(10), flags: FIN | ACK, payload: stream(10, 10) });
    expect(world.io.events).not.toContain("finished");
    world.send({ ...world.next(), payload: stream(0, 10) });
    expect(world.io.bytes).toEqual(stream(0, 20));
    expect(world.io.events).toContain("finished");
    expect(world.connection.state).toBe("close-wait");
  });

  test("abort() sends RST+ACK with the next number, and gives all buffers back", () => {
    open();
    world.write(0, 100);
    world.takeAll();
    world.connection.abort();
    world.stack.flush();
    expect(world.told).toBe("R. 101:101 1");
    expect(world.stack.chunks.taken).toBe(0);
  });

  test("idle, it has one timer set and nothing else; a silent guest is asked, and given up", () => {
    open();
    world.onFrame = () => undefined;
    // That of the handshake is left to find that there is nothing to do.
    world.clock.advance(2_000);
    expect(world.clock.pending).toBe(1);
    expect(world.clock.untilNext).toBeGreaterThan(100_000);
    world.clock.advance(800_000);
    expect(world.io.events).toContain("closed timeout");
    expect(world.clock.pending).toBe(0);
  });
});
