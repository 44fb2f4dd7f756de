import { describe, expect, test } from "bun:test";
import { Cable } from "../../src/client/cable.ts";
import { ArrayPort, runOf } from "../support/array-port.ts";

const FRAME = new Uint8Array(60).fill(7);

describe("Cable", () => {
  test("deliver() drops and counts while no session is there", () => {
    const cable = new Cable();
    cable.deliver(runOf([FRAME, FRAME]));
    cable.flush();
    expect([cable.dropped, cable.ready]).toEqual([2, true]);
  });

  test("deliver() and flush() reach the session of the moment", () => {
    const [first, second] = [new ArrayPort("first"), new ArrayPort("second")];
    const cable = new Cable();
    for (const session of [first, second]) {
      cable.connect(session);
      cable.deliver(runOf([FRAME]));
      cable.flush();
    }
    expect([first.frames.length, first.flushes]).toEqual([1, 1]);
    expect([second.frames.length, second.flushes]).toEqual([1, 1]);
    expect(cable.dropped).toBe(0);
  });

  test("passes on that a full session has room again", () => {
    const session = new ArrayPort("session");
    const cable = new Cable();
    let calls = 0;
    cable.onReady = () => calls++;
    cable.connect(session);
    session.ready = false;
    expect(cable.ready).toBe(false);
    session.ready = true;
    session.onReady?.();
    expect([cable.ready, calls]).toEqual([true, 1]);
  });

  test("connect() wakes the adapter that a lost session had stopped", () => {
    const session = new ArrayPort("session");
    const cable = new Cable();
    let calls = 0;
    cable.onReady = () => calls++;
    cable.connect(session);
    session.ready = false;
    cable.connect(undefined);
    expect([cable.ready, calls]).toEqual([true, 1]);
    expect(session.onReady).toBeUndefined();
  });
});
