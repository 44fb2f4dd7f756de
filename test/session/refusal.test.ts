import { describe, expect, test } from "bun:test";
import { WIRE_ERROR } from "../../src/base/errors.ts";
import { refusalText } from "../../src/session/refusal.ts";

const LAST = 152;
const CODES = Array.from({ length: LAST }, (_, at) => at + 1);

describe("refusalText()", () => {
  test("has one line for every number of protocol.md 8, with the number in it", () => {
    for (const code of CODES) {
      expect(refusalText(code)).toMatch(new RegExp(`^[A-Z][^\\n]{10,}\\(error ${code}\\)`));
      expect(refusalText(code)).not.toMatch(/\.$/);
    }
  });

  test("tells numbers apart, but for the three that nobody has assigned and two of one meaning", () => {
    const texts = CODES.map((code) => refusalText(code).replace(/ \(error \d+\)/, ""));
    expect(new Set(texts).size).toBe(LAST - 2 - 1);
    expect(refusalText(71)).toBe(
      "The server refused for a reason that has no name here (error 71): its log says more",
    );
    expect(refusalText(4_000_000_000)).toContain("(error 4000000000)");
  });

  test.each([
    [WIRE_ERROR.HUB_NOT_FOUND, "--hub"],
    [WIRE_ERROR.AUTH_FAILED, "password"],
    [WIRE_ERROR.AUTHTYPE_NOT_SUPPORTED, "--cert"],
    [WIRE_ERROR.TOO_MANY_USER_SESSION, "end another session"],
    [WIRE_ERROR.MONITOR_MODE_DENIED, "--mode client"],
    [WIRE_ERROR.BRIDGE_MODE_DENIED, "--mode client"],
    [WIRE_ERROR.CERT_NOT_TRUSTED, "--verify"],
    [19, "--proxy-password-file"],
  ])("says for %d what to do: %s", (code, remedy) => {
    expect(refusalText(code).split("): ")[1]).toContain(remedy);
  });
});
