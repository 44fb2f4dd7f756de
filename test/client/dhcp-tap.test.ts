import { describe, expect, test } from "bun:test";
import type { DhcpClient } from "../../src/client/dhcp-client.ts";
import { DhcpTap } from "../../src/client/dhcp-tap.ts";
import { ArrayPort, runOf } from "../support/array-port.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** Frames are told apart by their first byte; the client wants those that begin with 9. */
const frame = (first: number) => new Uint8Array(60).fill(first);
const WANTED = 9;

function world() {
  const clock = new ManualClock();
  const nic = new ArrayPort("nic");
  const session = new ArrayPort("session");
  const tap = new DhcpTap(nic, clock);
  const client = {
    lease: undefined as object | undefined,
    looked: 0,
    fed: [] as Uint8Array[],
    wants: (bytes: Uint8Array, start: number) => {
      client.looked++;
      return bytes[start] === WANTED;
    },
    feed: (bytes: Uint8Array, start: number, end: number) => {
      client.fed.push(bytes.slice(start, end));
      return true;
    },
  };
  tap.client = client as unknown as DhcpClient;
  tap.connect(session);
  return { clock, nic, session, tap, client };
}

const firsts = (frames: Uint8Array[]) => frames.map((bytes) => bytes[0]);

describe("DhcpTap", () => {
  test("send() puts a frame into the session as a run of one, and flushes", () => {
    const { session, tap } = world();
    tap.send(frame(1));
    expect([firsts(session.frames), session.flushes]).toEqual([[1], 1]);
    tap.connect(undefined);
    tap.send(frame(2));
    expect(session.frames.length).toBe(1);
  });

  test.each([
    [[1, 2, 3], [1, 2, 3], [3]],
    [[9], [], []],
    [[9, 1, 2], [1, 2], [2]],
    [
      [1, 9, 2],
      [1, 2],
      [1, 1],
    ],
    [[1, 2, 9], [1, 2], [2]],
    [[9, 9, 1, 9], [1], [1]],
  ])("deliver() of %j keeps the client's frames from the adapter", (sent, got, runs) => {
    const { nic, tap, client } = world();
    tap.send(frame(0));
    tap.deliver(runOf(sent.map(frame)));
    expect([firsts(nic.frames), nic.runs]).toEqual([got, runs]);
    expect(client.fed.length).toBe(sent.length - got.length);
  });

  test("deliver() looks at nothing before the client has asked for something", () => {
    const { nic, tap, client } = world();
    tap.deliver(runOf([frame(9), frame(1)]));
    expect([client.looked, nic.runs]).toEqual([0, [2]]);
  });

  test("deliver() stops looking some seconds after the last message of a client with a lease", () => {
    const { clock, nic, tap, client } = world();
    tap.send(frame(0));
    clock.advance(60_000);
    tap.deliver(runOf([frame(1)]));
    expect(client.looked).toBe(1);
    client.lease = {};
    tap.deliver(runOf([frame(9), frame(1)]));
    expect([client.looked, nic.frames.length]).toEqual([1, 3]);
    tap.send(frame(0));
    tap.deliver(runOf([frame(9)]));
    expect([client.looked, client.fed.length, nic.frames.length]).toEqual([2, 1, 3]);
  });

  test("is as ready as the adapter, and passes on when it is again", () => {
    const { nic, tap } = world();
    nic.ready = false;
    expect(tap.ready).toBe(false);
    const call = () => undefined;
    tap.onReady = call;
    expect([nic.onReady, tap.onReady]).toEqual([call, call]);
    tap.flush();
    expect(nic.flushes).toBe(1);
  });
});
