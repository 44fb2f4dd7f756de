// Nanoseconds that a layer 3 switch adds to a frame between two hubs: `bun test/bench/l3.ts`.
import { L3World, switchConfig } from "../l3-switch/world.ts";
import { runOf } from "../support/array-port.ts";
import type { FrameRun, Port } from "../../src/hub/port.ts";

const RUN_FRAMES = 30;
const RUNS = 20_000;

for (const [family, near, far] of [
  ["IPv4", "10.1.0.1", "10.2.0.2"],
  ["IPv6", "fd00:1::1", "fd00:2::2"],
] as const) {
  const world = new L3World();
  world.start(
    switchConfig(
      'interface = { a = ["10.1.0.254/24", "fd00:1::fe/64"], b = ["10.2.0.254/24", "fd00:2::fe/64"] }',
    ),
  );
  const a = world.host("a", near);
  const b = world.host("b", far);
  a.send(far);
  let got = 0;
  b.port.deliver = (run: FrameRun) => void (got += run.count);
  const sink = a.port.into as Parameters<Port["plug"]>[0];
  for (const flows of [1, 30]) {
    const frames = Array.from({ length: RUN_FRAMES }, (_, at) =>
      a.packet(
        far,
        { body: new Uint8Array(1440) },
        flows === 1 ? near : near.replace(/1$/, String(10 + at)),
      ),
    );
    const run = runOf(frames);
    for (let turn = 0; turn < 2; turn += 1) {
      got = 0;
      const begun = performance.now();
      for (let at = 0; at < RUNS; at += 1) {
        sink.deliver(run);
        sink.flush();
      }
      const ns = ((performance.now() - begun) * 1e6) / (RUNS * RUN_FRAMES);
      if (turn === 1)
        console.log(
          `${family}, ${flows} flow(s): ${ns.toFixed(0)} ns a frame, ${got} of ${RUNS * RUN_FRAMES}`,
        );
    }
  }
  world.close();
}
