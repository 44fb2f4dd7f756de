import { describe, expect, test } from "bun:test";
import { StubbornFlows } from "../../../src/session/compression/stubborn-flows.ts";
import { newFlow, noise, prose } from "./sample-frames.ts";

const viewOf = (frame: Uint8Array) => new DataView(frame.buffer);

describe("StubbornFlows", () => {
  test("flowOf() is the same for frames of a flow, another for most others", () => {
    const flows = new StubbornFlows();
    const flow = newFlow();
    const of = (frame: Uint8Array) => flows.flowOf(viewOf(frame), 0, frame.length);
    expect(of(prose(1514, flow))).toBe(of(prose(200, flow)));
    const others = Array.from({ length: 100 }, () => of(prose(300)));
    expect(new Set(others).size).toBeGreaterThan(80);
    expect(others.every((entry) => entry >= 0 && entry < 1024)).toBeTrue();
    expect(of(noise(20))).toBe(0);
  });

  test("mayShrink() says no after failures in a row, then yes once in a while", () => {
    const flows = new StubbornFlows();
    let tries = 0;
    for (let frame = 0; frame < 610; frame++) {
      if (!flows.mayShrink(5)) continue;
      tries++;
      flows.note(5, false);
    }
    expect(tries).toBeGreaterThanOrEqual(12);
    expect(tries).toBeLessThanOrEqual(16);
    expect(flows.mayShrink(6)).toBeTrue();
  });

  test("note() forgets failures when one frame has shrunk", () => {
    const flows = new StubbornFlows();
    for (let frame = 0; frame < 300; frame++) {
      expect(flows.mayShrink(5)).toBeTrue();
      flows.note(5, frame % 3 === 2);
    }
  });
});
