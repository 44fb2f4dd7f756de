import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { MAX_EGRESS_BYTES } from "../../src/base/limits.ts";
import { batchSlots } from "../../src/session/batch.ts";
import { until } from "../support/process.ts";
import {
  hub,
  markedUnit,
  policy,
  row,
  user,
  USERS,
  type TestServer,
} from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

const u32 = (...words: number[]) => {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word));
  return bytes;
};
const KEEPALIVE = 0xffff_ffff;
/** May send as many broadcasts as a test likes. */
const UNLIMITED = user("alice", "wonderland", { policy: policy({ no_broadcast_limiter: true }) });
/** A whole unit with one good frame, whose arrival shows that the stream before it was understood. */
const GOOD = markedUnit(9, 0x600d);
const block = (size: number) => GOOD.subarray(8, 8 + Math.min(size, 60));

const portOf = (at: TestServer, name: string) =>
  [...at.server.hubs.get("vpn")!.sessions.values()].find((open) => open.user === name)!;
/** Frames of alice that her hub port took in and did not drop, and those it dropped, by reason. */
const record = (at: TestServer) => portOf(at, "alice").port.counters.record();

/** Waits until alice's session has brought so many frames in all. */
const waitFrames = (at: TestServer, frames: number) =>
  until(`${frames} frames`, () => portOf(at, "alice").session.stats.inFrames >= frames, {
    everyMs: 1,
    explain: () => JSON.stringify(portOf(at, "alice").session.stats),
  });
const waitEnd = (at: TestServer, reason: string, times = 1) =>
  until(`end ${reason}`, () => (at.server.ends.get(reason) ?? 0) >= times, {
    everyMs: 1,
    explain: () => JSON.stringify([...at.server.ends]),
  });

/** Sends the bytes on a fresh session, which must lose its connection for this reason. */
async function ends(at: TestServer, reason: string, bytes: Uint8Array): Promise<void> {
  const before = at.server.ends.get(reason) ?? 0;
  const peer = await at.session();
  peer.write(bytes);
  await waitEnd(at, reason, before + 1);
  // In order, with close_notify: the session's other connections depend on it (protocol.md 2.3).
  expect(await peer.ended()).toBe("closed");
}

describe("session stream", () => {
  test("FR-01 a block of length 0 is dropped; longer than 3,200 is stream_block", () =>
    row({}, async (at) => {
      const peer = await at.session();
      peer.write(Buffer.concat([u32(3, 0, 60), block(60), u32(0), GOOD]));
      await waitFrames(at, 4);
      expect(record(at).drops).toEqual({ frame_length: 2 });
      await ends(at, "stream_block", u32(1, 3_201));
      await ends(at, "stream_block", u32(1, 4_294_967_294));
      await ends(at, "stream_block", u32(1, KEEPALIVE));
    }));

  test("FR-02 a count of 0 means nothing, one of 4,294,967,294 is taken block by block", () =>
    row({ hubs: [hub("VPN", [UNLIMITED, ...USERS.slice(1)])] }, async (at) => {
      const peer = await at.session();
      peer.write(Buffer.concat([u32(0), u32(0), GOOD]));
      await waitFrames(at, 1);
      const before = process.memoryUsage().rss;
      peer.write(u32(4_294_967_294));
      for (let i = 0; i < 1_000; i++) peer.write(GOOD.subarray(4));
      await waitFrames(at, 1_001);
      expect(process.memoryUsage().rss - before).toBeLessThan(32 << 20);
      expect(record(at).drops).toEqual({});
    }));

  test("FR-02 the mark of a keep-alive is no count", () =>
    row({}, async (at) => {
      const peer = await at.session();
      for (const size of [0, 1, 511, 512]) {
        peer.write(Buffer.concat([u32(KEEPALIVE, size), new Uint8Array(size), GOOD]));
      }
      await waitFrames(at, 4);
      expect(record(at).drops).toEqual({});
    }));

  test("FR-03 a keep-alive of 513 bytes, or 4 GiB, is stream_keepalive", () =>
    row({}, async (at) => {
      await ends(at, "stream_keepalive", u32(KEEPALIVE, 513));
      await ends(at, "stream_keepalive", u32(KEEPALIVE, KEEPALIVE));
    }));

  test("FR-04 one byte per write brings the same frames", () =>
    row({}, async (at) => {
      const peer = await at.session();
      const bytes = Buffer.concat([u32(KEEPALIVE, 3), block(3), GOOD, u32(0), GOOD, u32(2, 60)]);
      for (const octet of Buffer.concat([bytes, block(60), u32(14), block(14)])) {
        peer.write(Uint8Array.of(octet));
      }
      await waitFrames(at, 4);
      expect(record(at).drops).toEqual({});
    }));

  test("FR-05 10,000 units in one write are all handled", () =>
    row({}, async (at) => {
      const peer = await at.session();
      const start = performance.now();
      peer.write(Buffer.concat(Array.from({ length: 10_000 }, () => GOOD)));
      await waitFrames(at, 10_000);
      expect(performance.now() - start).toBeLessThan(5_000);
      expect(portOf(at, "alice").session.stats.inFrames).toBe(10_000);
    }));

  test("FR-07 compression that was not granted: blocks are the frames that their bytes say", () =>
    row({}, async (at) => {
      const peer = await at.session();
      const deflated = Bun.deflateSync(GOOD.slice(8));
      peer.write(Buffer.concat([u32(1, deflated.length), deflated, GOOD]));
      await waitFrames(at, 2);
      expect(portOf(at, "alice").session.stats.inBytes).toBe(deflated.length + 60);
    }));

  test("FR-08 frames of 13 and of 1,601 bytes are dropped, those around them are not", () =>
    row({}, async (at) => {
      const peer = await at.session();
      const sized = (size: number) => {
        const unit = new Uint8Array(8 + size);
        unit.set(GOOD);
        unit.set(u32(1, size));
        return unit.subarray(0, 8 + size);
      };
      const small = Buffer.concat([u32(1, 13), block(13)]);
      peer.write(Buffer.concat([GOOD, small, sized(1_601), sized(3_200), sized(1_600), GOOD]));
      await waitFrames(at, 6);
      expect(record(at).drops).toEqual({ frame_length: 3 });
    }));

  test(
    "FR-18 FR-19 a peer that does not read loses the newest, nobody else does; no_progress at 30 s",
    () =>
      row({ hubs: [hub("VPN", [...USERS, user("deaf", "d", PATIENT)])] }, async (at) => {
        const deaf = await at.session({ user: "deaf", password: "d" });
        deaf.socket.pause();
        const source = await at.session({ user: "north", password: "n" });
        const witness = await at.session({ user: "south", password: "s" });
        const open = portOf(at, "deaf");
        let sent = 0;
        let seen = 0;
        const unit = largeUnit();
        const drops = () => open.port.counters.record().drops.queue_full ?? 0;
        while (drops() === 0 && sent < 4_000) {
          source.write(unit);
          sent += 10;
          await until(
            "the witness",
            () => {
              for (const chunk of witness.take()) seen += chunk.length;
              return seen >= sent * 1_518;
            },
            { everyMs: 0, deadlineMs: 5_000 },
          );
        }
        expect(drops()).toBeGreaterThan(0);
        const held = open.session.connections[0]!.outlet.batch.heldBytes;
        expect(held).toBeGreaterThanOrEqual(MAX_EGRESS_BYTES);
        expect(held).toBeLessThan(MAX_EGRESS_BYTES + 65_536);
        expect(batchSlots.taken).toBeGreaterThan(10);
        // Full for 30 s without taking a byte.
        await at.pass(29_500, 500);
        expect(at.server.ends.get("no_progress")).toBeUndefined();
        // Progress is looked at once a second, and the socket may have taken a little at first.
        await at.pass(3_500, 500);
        expect(at.server.ends.get("no_progress")).toBe(1);
        expect(batchSlots.taken).toBe(0);
        // Frames for it are dropped now, and nothing is thrown.
        source.write(unit);
        await until("drops", () => open.session.stats.droppedFrames >= 10, { everyMs: 1 });
      }),
    20_000,
  );

  test("FR-19 a session that is reset while frames are queued for it leaves nothing", () =>
    row({ hubs: [hub("VPN", [...USERS, user("deaf", "d", PATIENT)])] }, async (at) => {
      const deaf = await at.session({ user: "deaf", password: "d" });
      deaf.socket.pause();
      const source = await at.session({ user: "north", password: "n" });
      const open = portOf(at, "deaf");
      for (let i = 0; i < 400 && !open.session.connections[0]!.outlet.batch.isBlocked; i++) {
        source.write(largeUnit());
        await Bun.sleep(1);
      }
      expect(batchSlots.taken).toBeGreaterThan(0);
      deaf.reset();
      await until("its end", () => open.session.connections.length === 0, { everyMs: 1 });
      expect(batchSlots.taken).toBe(0);
    }));
});

const PATIENT = { policy: policy({ timeout: 60, no_broadcast_limiter: true }) };

/** Ten broadcast frames of 1,514 bytes. */
function largeUnit(): Uint8Array {
  const unit = new Uint8Array(4 + 10 * 1_518);
  unit.set(u32(10));
  for (let i = 0; i < 10; i++) {
    const at = 4 + i * 1_518;
    unit.set(u32(1_514), at);
    unit.set(markedUnit(7, i).subarray(8, 26), at + 4);
  }
  return unit;
}
