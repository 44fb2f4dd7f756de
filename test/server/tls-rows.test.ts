import { describe, expect, test } from "bun:test";
import { RawPeer } from "../support/peer.ts";
import { row } from "../support/test-server.ts";

describe("TL", () => {
  test("TL-01 a silent TCP connection ends with tls_timeout at 10 s", () =>
    row({}, async (at) => {
      const peer = at.keep(await RawPeer.connect({ port: at.port }));
      await at.waitPending(1);
      at.clock.advance(9_999);
      expect(at.outcome("tls_timeout")).toBe(0);
      at.clock.advance(1);
      expect(at.outcome("tls_timeout")).toBe(1);
      expect(await peer.ended()).toBe("reset");
    }));
});
