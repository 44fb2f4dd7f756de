import { describe, expect, test } from "bun:test";
import { type IcmpFault, icmpOfFault, isIcmpError, tryFaultOfIcmp } from "../../src/wire/icmp.ts";

const FAULTS: readonly IcmpFault[] = [
  "no_route",
  "host_unreachable",
  "protocol_unreachable",
  "port_unreachable",
  "prohibited",
  "too_big",
  "time_exceeded",
  "reassembly_time_exceeded",
];

describe("icmpOfFault() and tryFaultOfIcmp()", () => {
  test.each([4, 6] as const)("agree for each fault of IPv%d", (version) => {
    for (const fault of FAULTS) {
      const { type, code } = icmpOfFault(version, fault);
      expect(tryFaultOfIcmp(version, type, code)).toBe(fault);
      expect(isIcmpError(version, type)).toBe(true);
    }
  });

  test.each<[4 | 6, number, number, IcmpFault | undefined]>([
    // RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1.
    [4, 3, 5, undefined],
    [4, 3, 6, "no_route"],
    [4, 3, 7, "host_unreachable"],
    [4, 3, 9, "prohibited"],
    [4, 3, 10, "prohibited"],
    [4, 3, 11, "no_route"],
    [4, 3, 12, "host_unreachable"],
    [4, 3, 255, undefined],
    [4, 4, 0, undefined],
    [4, 5, 1, undefined],
    [4, 11, 2, undefined],
    [4, 12, 0, undefined],
    [4, 0, 0, undefined],
    // RFC 4443 3.
    [6, 1, 2, undefined],
    [6, 1, 5, "prohibited"],
    [6, 1, 6, "no_route"],
    [6, 2, 77, "too_big"],
    [6, 3, 2, undefined],
    [6, 4, 0, undefined],
    [6, 4, 1, "protocol_unreachable"],
    [6, 128, 0, undefined],
  ])("IPv%d type %d code %d is %p", (version, type, code, fault) => {
    expect(tryFaultOfIcmp(version, type, code)).toBe(fault);
  });
});

test("isIcmpError() tells errors, which nobody answers with an error, from questions", () => {
  const types = Array.from({ length: 256 }, (_, type) => type);
  expect(types.filter((type) => isIcmpError(4, type))).toEqual([3, 4, 5, 11, 12]);
  // All below 128, also those that nobody has defined yet (RFC 4443 2.1), and redirects.
  expect(types.filter((type) => isIcmpError(6, type))).toEqual([
    ...Array.from({ length: 128 }, (_, type) => type),
    137,
  ]);
});
