import { describe, expect, test } from "bun:test";
import { deflateSync } from "node:zlib";
import { DEFAULT_POLICY } from "../../../src/config/policy.ts";
import { type BlockCodec, createBlockCodec } from "../../../src/session/block-codec.ts";
import { DIRECTION } from "../../../src/session/connection.ts";
import { Heartbeat } from "../../../src/session/heartbeat.ts";
import { Session } from "../../../src/session/session.ts";
import { streamStatus } from "../../../src/session/stream-status.ts";
import { ArrayPort, runOf } from "../../support/array-port.ts";
import { FakeLink } from "../../support/fake-link.ts";
import { toHex } from "../../support/hex.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { streamOf } from "../../support/stream-options.ts";
import { prose } from "./sample-frames.ts";

/** What a session gives to its hub of blocks that came in one unit, and what it says of them. */
function received(codec: BlockCodec | undefined, blocks: readonly Uint8Array[]) {
  const clock = new ManualClock();
  const session = new Session(
    {
      sessionName: "SID-ALICE-1",
      connectionName: "CID-1",
      sessionKey: new Uint8Array(20),
      stream: streamOf({ compression: codec?.name ?? "none" }),
      timeoutMs: 20_000,
      policy: DEFAULT_POLICY,
      message: "",
    },
    { end: "server", clock, random: seededRandom(5), heartbeat: new Heartbeat(clock), codec },
  );
  const hub = new ArrayPort("hub");
  session.plug(hub);
  const link = new FakeLink();
  session.join(link, DIRECTION.BOTH, new Uint8Array(0));
  const run = runOf(blocks);
  run.view.setUint32(0, run.count);
  link.handler.data(run.bytes);
  const { badBlocks } = streamStatus(session);
  const isOpen = !session.isClosed;
  session.close({ code: "test" });
  return { frames: hub.frames.map(toHex), stats: session.stats, badBlocks, isOpen };
}

describe("Session", () => {
  const frame = prose(1000);
  const good = deflateSync(frame);

  test("FR-06 drops a bad block, counts it, and goes on", () => {
    const { frames, stats, badBlocks, isOpen } = received(createBlockCodec("deflate"), [
      good,
      deflateSync(prose(1601)),
      good,
    ]);
    expect(frames).toEqual([toHex(frame), toHex(frame)]);
    expect(badBlocks).toBe(1);
    expect(isOpen).toBeTrue();
    expect(stats).toMatchObject({ inFrames: 2, inBytes: 2000 });
  });

  test("FR-07 takes a compressed block for the frame that its bytes say where nobody compresses", () => {
    const { frames, badBlocks } = received(undefined, [good]);
    expect(frames).toEqual([toHex(good)]);
    expect(badBlocks).toBe(0);
  });
});
