import { expect, test } from "bun:test";
import { MAX_UNFLUSHED_PORTS } from "../../src/base/limits.ts";
import { BROADCAST, frame, mac } from "./frames.ts";
import { World } from "./world.ts";

test("a flood to very many ports is flushed on its way: never are more left waiting than a limit", () => {
  const world = new World();
  const waiting = new Set<string>();
  let most = 0;
  const ports = Array.from({ length: 3 * MAX_UNFLUSHED_PORTS + 5 }, (_, n) => {
    const port = world.attach("bridge", {}, `port-${n}`);
    port.onDeliver = () => {
      waiting.add(port.name);
      most = Math.max(most, waiting.size);
    };
    port.onFlush = () => waiting.delete(port.name);
    return port;
  });
  const speaker = world.attach("bridge");
  for (let n = 0; n < 2; n += 1) {
    speaker.send(frame({ to: BROADCAST, from: mac(1), size: 60 }));
    expect(ports.every((port) => port.take().length === 1)).toBe(true);
    expect(most).toBe(MAX_UNFLUSHED_PORTS);
    expect(waiting.size).toBe(0);
  }
});
