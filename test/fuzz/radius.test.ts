import { expect, test } from "bun:test";
import { readGrants } from "../../src/auth/radius-grants.ts";
import { findSealFault } from "../../src/auth/radius-seal.ts";
import { ProtocolError } from "../../src/base/errors.ts";
import { encodeRadius, tryParseRadius } from "../../src/wire/radius.ts";
import { answerTo, SECRET } from "../auth/radius-world.ts";
import { toHex } from "../support/hex.ts";
import { fuzz } from "./fuzz.ts";

const REQUEST = encodeRadius({
  code: 1,
  identifier: 7,
  authenticator: new Uint8Array(16).fill(5),
  attributes: [],
});
const ACCEPT = answerTo(REQUEST, 2, [
  [11, "staff"],
  [25, "OU=staff;"],
  [8, 0x0a010203],
  [27, 3600],
  [81, "\u000142"],
  [18, "welcome"],
]);

test("fuzz auth/radius: what parses encodes to itself, and nothing changed is believed", () => {
  const report = fuzz({
    name: "radius",
    seeds: [ACCEPT, answerTo(REQUEST, 3), answerTo(REQUEST, 11, [[24, "state"]]), REQUEST],
    target: (bytes) => {
      const packet = tryParseRadius(bytes);
      if (packet === undefined) throw new ProtocolError("radius", "Cannot parse it");
      const again = encodeRadius(packet);
      if (toHex(again) !== toHex(bytes.subarray(0, again.length))) throw new Error("other bytes");
      for (const source of ["Filter-Id", "Class", "off"] as const) readGrants(packet, source);
      const fault = findSealFault(packet, REQUEST.subarray(4, 20), SECRET, true);
      const isKnown = [ACCEPT, answerTo(REQUEST, 3), answerTo(REQUEST, 11, [[24, "state"]])].some(
        (good) => toHex(good) === toHex(again),
      );
      if ((fault === undefined) !== isKnown) throw new Error(`a seal that is ${fault ?? "good"}`);
      return true;
    },
  });
  expect(report.accepted).toBeGreaterThan(100);
});
