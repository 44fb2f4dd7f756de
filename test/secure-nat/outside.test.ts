import { describe, expect, test } from "bun:test";
import { ERRNO } from "../../src/platform/stream-socket.ts";
import { faultOfErrno, shortageOfErrno } from "../../src/secure-nat/outside.ts";

describe("faultOfErrno()", () => {
  test.each([
    [ERRNO.ENETUNREACH, "no_route"],
    [ERRNO.ENETDOWN, "no_route"],
    [ERRNO.EHOSTUNREACH, "host_unreachable"],
    [ERRNO.ETIMEDOUT, "host_unreachable"],
    [ERRNO.EACCES, "prohibited"],
    [ERRNO.EPERM, "prohibited"],
  ] as const)("tells of errno %i as %s", (errno, fault) => {
    expect(faultOfErrno(errno)).toBe(fault);
  });

  test("blames the way neither for a refusal nor for what this machine lacks", () => {
    for (const errno of [ERRNO.ECONNREFUSED, ERRNO.ECONNRESET, ERRNO.EMFILE, ERRNO.EADDRNOTAVAIL]) {
      expect(faultOfErrno(errno)).toBeUndefined();
    }
  });
});

describe("shortageOfErrno()", () => {
  test("names the setting that an operator can raise", () => {
    expect(shortageOfErrno(ERRNO.EMFILE)).toContain("LimitNOFILE");
    expect(shortageOfErrno(ERRNO.ENFILE)).toContain("fs.file-max");
    expect(shortageOfErrno(ERRNO.EADDRNOTAVAIL)).toContain("ip_local_port_range");
    expect(shortageOfErrno(ERRNO.ENOMEM)).toContain("tcp_mem");
    expect(shortageOfErrno(ERRNO.ECONNREFUSED)).toBeUndefined();
  });
});
