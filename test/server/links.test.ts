import { afterEach, describe, expect, test } from "bun:test";
import { formatAddress } from "../../src/base/ip.ts";
import type { CascadeConfig } from "../../src/config/cascade-shape.ts";
import { DEFAULT_WISHES } from "../../src/config/client-config.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import type { ServerConfig } from "../../src/config/server-config.ts";
import { endpointsOf } from "../../src/server/links.ts";
import type { Peer } from "../support/peer.ts";
import { until } from "../support/process.ts";
import {
  hub,
  markedUnit,
  openFiles,
  serverConfig,
  TestServer,
  USERS,
} from "../support/test-server.ts";

const fast = { everyMs: 2 } as const;

/** A cascade to the hub VPN of a server on this machine, as one of the users that every hub of tests has. */
function cascade(port: number, other: Partial<CascadeConfig> = {}): CascadeConfig {
  return {
    name: "link",
    host: "127.0.0.1",
    port,
    hub: "VPN",
    user: "alice",
    credential: {
      kind: "password",
      secret: { kind: "plain", bytes: new TextEncoder().encode("wonderland") },
      plain: false,
    },
    verify: { kind: "auto" },
    wishes: { ...DEFAULT_WISHES, qos: false, udp: false },
    proxy: undefined,
    family: "any",
    enable: true,
    policy: { ...DEFAULT_POLICY, no_broadcast_limiter: true },
    ...other,
  };
}

const configOf = (...cascades: CascadeConfig[]): ServerConfig =>
  serverConfig({ hubs: [hub("HOME", USERS, { cascades })] });

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Hubs are told apart by random bytes, so each server draws its own. */
async function start(config: Parameters<typeof TestServer.start>[0], seed: number) {
  const at = await TestServer.start({ ...config, seed });
  closers.push(() => at.close());
  return at;
}

async function startBoth() {
  const far = await start({}, 1);
  const near = await start({ hubs: [hub("HOME", USERS, { cascades: [cascade(far.port)] })] }, 2);
  const status = () => near.server.snapshot().hubs[0]!.cascades[0];
  const farSessions = () => far.server.snapshot().hubs[0]!.sessions.map(({ name }) => name);
  await until("the link", () => status()?.state === "connected", fast);
  return { far, near, status, farSessions };
}

/** Sends until the other has it: the first frames may come before the last connection stands. */
async function passes(from: Peer, to: Peer, mark: number): Promise<void> {
  const frame = markedUnit(mark, mark).subarray(4 + 4);
  let seen = Buffer.alloc(0);
  await until(
    `frame ${mark}`,
    () => {
      from.write(markedUnit(mark, mark));
      seen = Buffer.concat([seen, ...to.take()]);
      return seen.includes(frame);
    },
    { everyMs: 5, deadlineMs: 5_000 },
  );
}

describe("Links", () => {
  test("carry frames between the hubs of two servers, and are listed at both ends", async () => {
    const { far, near, status, farSessions } = await startBoth();
    const here = await near.session({ hub: "HOME", user: "north", password: "n" });
    const there = await far.session({ user: "south", password: "s" });
    await passes(here, there, 1);
    await passes(there, here, 2);
    expect(farSessions()).toEqual(["SID-ALICE-1", "SID-SOUTH-2"]);
    expect(far.server.snapshot().hubs[0]!.sessions[0]).toMatchObject({
      mode: "bridge",
      client: "Patchbay VPN Server (Cascade Mode)",
    });
    const [home] = near.server.snapshot().hubs;
    expect(home!.innerSessions).toMatchObject([
      { name: "SID-LINK-1", kind: "cascade", user: "Cascade", host: "Virtual Host" },
    ]);
    expect(status()).toMatchObject({ port: "SID-LINK-1", session: { name: "SID-ALICE-1" } });
    const behind = home!.macTable.find(({ mac }) => mac.endsWith("02"));
    expect(behind?.session).toBe("SID-LINK-1");
    const counted = status()!.traffic!;
    expect([counted.ingress.group.frames > 0, counted.egress.group.frames > 0]).toEqual([
      true,
      true,
    ]);
  });

  test("end in order when the file has them no more, when their hub goes and when the server stops", async () => {
    for (const end of [
      (near: TestServer) => near.server.reload(configOf()),
      (near: TestServer) => near.server.reload(serverConfig({ hubs: [hub("OTHER", USERS)] })),
      (near: TestServer) => near.close(),
    ]) {
      const { far, near, farSessions } = await startBoth();
      expect(farSessions().length).toBe(1);
      const ended = end(near);
      // By the goodbye: no clock of the far server moves.
      await until("the end at the far server", () => farSessions().length === 0, fast);
      await ended;
      expect(far.log.lines.find(({ event }) => event === "logout")?.fields).toMatchObject({
        reason: "peer_left",
      });
      if (near.server.snapshot().hubs.length > 0) {
        expect(near.server.snapshot().hubs[0]!.innerSessions).toEqual([]);
      }
    }
  });

  test("a reload names the cascades that changed, and a policy alone leaves the session be", async () => {
    const { far, near, status } = await startBoth();
    const policy = { ...DEFAULT_POLICY, dhcp_filter: true };
    const before = status()?.session?.name;
    expect(await near.server.reload(configOf(cascade(far.port, { policy })))).toEqual([
      "hub.HOME.cascade.link changed",
    ]);
    expect(status()?.session?.name).toBe(before!);
    await near.server.reload(configOf(cascade(far.port, { policy, user: "bob" })));
    await until("the refusal of bob", () => status()?.error?.number === 9, fast);
  });

  test("a cascade back to its own hub is refused, and leaves no session there", async () => {
    const files = openFiles();
    const at = await start({ hubs: [hub("HOME", USERS)] }, 3);
    const link = cascade(at.port, { hub: "HOME" });
    await at.server.reload(configOf(link));
    const status = () => at.server.snapshot().hubs[0]!.cascades[0];
    await until("the refusal", () => status()?.error?.code === "self_loop", fast);
    await until("no session", () => at.server.snapshot().hubs[0]!.sessions.length === 0, fast);
    expect(status()).toMatchObject({ state: "retrying", port: null });
    expect(at.server.snapshot().hubs[0]!.innerSessions).toEqual([]);
    await at.close();
    await until("no descriptor", () => openFiles() <= files, fast);
    expect(at.clock.pending).toBe(0);
  });

  test("setOnline() of a hub or a cascade that is not there tells what there is", async () => {
    const { near } = await startBoth();
    const ask = (hubName: string, name: string) => () =>
      near.server.setCascadeOnline(hubName, name, false);
    expect(ask("HOME", "nowhere")).toThrow('no cascade "nowhere" (it has link)');
    expect(ask("NOWHERE", "link")).toThrow('no hub "NOWHERE"');
    expect(near.server.setCascadeOnline("home", "LINK", false)).toMatchObject({
      state: "offline",
      status: "Offline (Stopped)",
    });
  });
});

test.each([
  ["192.0.2.1:443", "192.0.2.1 443"],
  ["[2001:db8::20]:992", "2001:db8::20 992"],
  ["vpn.example.com:443", undefined],
  [undefined, undefined],
])("endpointsOf() of %p is where a NAT must not go", (written, expected) => {
  const found = endpointsOf(written).map(
    ({ address, port }) => `${formatAddress(address.bytes)} ${port}`,
  );
  expect(found).toEqual(expected === undefined ? [] : [expected]);
});
