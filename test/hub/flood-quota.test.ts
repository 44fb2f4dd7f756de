import { describe, expect, test } from "bun:test";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { BROADCAST, frame, mac } from "./frames.ts";
import { World } from "./world.ts";

const flood = frame({ to: BROADCAST, from: mac(1), size: 60 });
const QUOTA = DEFAULT_HUB_SETTINGS.options.FloodingSendQueueBufferQuota;

describe("FloodingSendQueueBufferQuota", () => {
  function world() {
    const state = { queued: 0 };
    const made = new World({ queuedBytes: () => state.queued });
    const speaker = made.attach("local-bridge");
    const kinds = ["client", "bridge", "cascade", "local-bridge", "secure-nat", "l3"] as const;
    // One of the clients asks about frames, which takes another way.
    const ports = [
      ...kinds.map((kind) => made.attach(kind)),
      made.attach("client", { dhcp_filter: true }),
    ];
    const monitor = made.attach("monitor");
    const counts = () => [...ports, monitor].map((port) => port.take().length);
    return { world: made, state, speaker, ports, counts };
  }

  test("floods spare what goes by the network while so much waits, and reach ports of the server", () => {
    const { world: at, state, speaker, ports, counts } = world();
    state.queued = QUOTA - 1;
    speaker.send(flood, flood);
    expect(counts()).toEqual([2, 2, 2, 2, 2, 2, 2, 2]);
    state.queued = QUOTA;
    speaker.send(flood, flood);
    expect(counts()).toEqual([0, 0, 0, 2, 2, 2, 0, 2]);
    expect(ports.map((port) => at.drops(port).flood_quota ?? 0)).toEqual([2, 2, 2, 0, 0, 0, 2]);
    state.queued = 0;
    speaker.send(flood);
    expect(counts()).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  });

  test("frames for one port pass, however much waits", () => {
    const { state, speaker, ports } = world();
    ports[0]!.send(frame({ to: BROADCAST, from: mac(2), size: 60 }));
    state.queued = QUOTA * 2;
    speaker.send(frame({ to: mac(2), from: mac(1), size: 60 }));
    expect(ports[0]!.take()).toHaveLength(1);
  });

  test("0 is no limit", () => {
    const { world: at, state, speaker, counts } = world();
    const options = { ...DEFAULT_HUB_SETTINGS.options, FloodingSendQueueBufferQuota: 0 };
    at.hub.reconfigure({ ...DEFAULT_HUB_SETTINGS, options });
    state.queued = QUOTA * 2;
    speaker.send(flood);
    expect(counts()).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  });
});
