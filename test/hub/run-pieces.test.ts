import { describe, expect, test } from "bun:test";
import { takeInPieces } from "../../src/hub/run-pieces.ts";
import { runOf } from "../support/array-port.ts";

function pieces(sizes: readonly number[], most: number) {
  const run = runOf(sizes.map((size) => new Uint8Array(size)));
  const taken: number[] = [];
  const isWhole = takeInPieces(run, most, (from, to) => void taken.push(to - from));
  return { taken, isWhole };
}

describe("takeInPieces()", () => {
  test("hands over as many whole frames as fit, in order", () => {
    expect(pieces([10, 10, 10, 10, 10], 30)).toEqual({ taken: [28, 28, 14], isWhole: true });
    expect(pieces([26, 10], 30)).toEqual({ taken: [30, 14], isWhole: true });
  });

  test("ends at a frame that is longer than a piece", () => {
    expect(pieces([10, 27, 10], 30)).toEqual({ taken: [14], isWhole: false });
  });
});
