import { describe, expect, test } from "bun:test";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { DEFAULT_HUB_SETTINGS } from "../../src/hub/hub-settings.ts";
import { BROADCAST, frame, mac } from "./frames.ts";
import { type Plugged, World } from "./world.ts";

const flood = frame({ to: BROADCAST, from: mac(1), size: 60 });
const from = (n: number) => frame({ to: BROADCAST, from: mac(n), size: 60 });

describe("DetectDormantSessionInterval", () => {
  function world(): { world: World; speaker: Plugged; session: Plugged } {
    const made = new World();
    const speaker = made.attach("local-bridge");
    const session = made.attach("client");
    const options = { ...DEFAULT_HUB_SETTINGS.options, DetectDormantSessionInterval: 30 };
    made.hub.reconfigure({ ...DEFAULT_HUB_SETTINGS, options });
    return { world: made, speaker, session };
  }
  const arrives = (speaker: Plugged, session: Plugged, bytes = flood) => {
    session.take();
    speaker.send(bytes);
    return session.take().length === 1;
  };

  test("keeps floods from a session that has sent nothing yet, or not for that long", () => {
    const { world: at, speaker, session } = world();
    expect(arrives(speaker, session)).toBe(false);
    session.send(from(2));
    expect(arrives(speaker, session)).toBe(true);
    at.now += 30_000;
    expect(arrives(speaker, session)).toBe(true);
    at.now += 1;
    expect(arrives(speaker, session)).toBe(false);
    expect(at.drops(session)).toEqual({ dormant: 2 });
  });

  test("lets frames through that are for that session alone", () => {
    const { world: at, speaker, session } = world();
    session.send(from(2));
    at.now += 60_000;
    expect(arrives(speaker, session, frame({ to: mac(2), from: mac(1), size: 60 }))).toBe(true);
  });

  test("another policy does not put a session to sleep", () => {
    const { speaker, session } = world();
    session.send(from(2));
    session.at.reconfigure({ ...DEFAULT_POLICY, max_mac: 9 });
    expect(arrives(speaker, session)).toBe(true);
  });

  test("polls of another hub behind the session do not wake it", () => {
    const { speaker, session } = world();
    session.send(from(0x00ae_0000_0001 - 0x0200_0000_0000));
    expect(arrives(speaker, session)).toBe(false);
  });

  test("spares no ports of the server itself", () => {
    const { world: at, speaker } = world();
    const cascade = at.attach("cascade");
    expect(arrives(speaker, cascade)).toBe(true);
  });
});
