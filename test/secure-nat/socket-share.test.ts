import { describe, expect, test } from "bun:test";
import { SocketShare } from "../../src/secure-nat/socket-share.ts";

function most(limit: number): number {
  const share = new SocketShare(() => limit);
  while (share.take()) if (share.taken > 100_000) break;
  return share.taken;
}

describe("SocketShare", () => {
  test("take() leaves descriptors to the rest of the process", () => {
    expect(most(65_536)).toBe(57_344);
    expect(most(1024)).toBe(512);
    expect(most(3)).toBe(2);
  });

  test("give() makes room for another", () => {
    const share = new SocketShare(() => 2);
    expect(share.take()).toBeTrue();
    expect(share.take()).toBeFalse();
    share.give();
    expect(share.taken).toBe(0);
    expect(share.take()).toBeTrue();
  });

  test("the limit is asked for once, and not before the first is taken", () => {
    let asked = 0;
    const share = new SocketShare(() => {
      asked += 1;
      return 10;
    });
    expect(asked).toBe(0);
    share.take();
    share.take();
    expect(asked).toBe(1);
  });
});
