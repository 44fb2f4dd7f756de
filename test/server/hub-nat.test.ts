import { afterEach, describe, expect, test } from "bun:test";
import { VpnError } from "../../src/base/errors.ts";
import { tryParseIpv4 } from "../../src/base/ip.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import type { HubConfig } from "../../src/config/server-config.ts";
import type { HubHost } from "../../src/server/hub-host.ts";
import type { OpenSession } from "../../src/server/stay.ts";
import { finishChecksum, sumWords } from "../../src/wire/checksum.ts";
import { arp, BROADCAST, mac } from "../hub/frames.ts";
import { readServer } from "../config/fixture.ts";
import { bytesOf, ipFrame, udpPayload } from "../ip-host/packets.ts";
import { ArrayPort } from "../support/array-port.ts";
import { FAKE_NAT_MEMORY } from "../support/nat-memory.ts";
import { TestServer } from "../support/test-server.ts";
import { ensureWasm } from "../wasm/compiled.ts";

await ensureWasm();

let at: TestServer | undefined;
afterEach(async () => {
  await at?.close();
  at = undefined;
});

const hubOf = (keys: string): HubConfig => readServer(`[hub.office]\n${keys}`).config.hubs[0]!;

async function start(keys: string): Promise<HubHost> {
  at = await TestServer.start({ hubs: [hubOf(keys)] });
  return at.server.hubs.get("office")!;
}

const sessions = (host: HubHost) => host.innerSessions.map(({ name }) => name);
const ip = (text: string) => tryParseIpv4(text)!;

/** A guest of the hub that has asked for the virtual host. */
function guest(host: HubHost) {
  const cable = new ArrayPort("eth1");
  host.plugInner(cable, { kind: "local-bridge", policy: DEFAULT_POLICY });
  cable.send(
    arp({ to: BROADCAST, from: mac(1), ip: ip("192.168.30.9"), target: ip("192.168.30.1") }),
  );
  return cable;
}

/** A SYN with its checksum. */
function synPayload({ source, destination }: { source: string; destination: string }): Uint8Array {
  const segment = Uint8Array.of(1, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0);
  const pseudo = sumWords(bytesOf(source), 0, 4, sumWords(bytesOf(destination), 0, 4, 6 + 20));
  new DataView(segment.buffer).setUint16(16, finishChecksum(sumWords(segment, 0, 20, pseudo)));
  return segment;
}

describe("HubNat", () => {
  test("is in the hub as SID-SECURENAT-n while it is enabled and the hub is online", async () => {
    const host = await start("securenat = true");
    expect(host.innerSessions).toMatchObject([
      { name: "SID-SECURENAT-1", user: "SecureNAT", host: "Virtual Host", kind: "secure-nat" },
    ]);
    expect(host.nat.status).toMatchObject({
      status: "operating",
      session: "SID-SECURENAT-1",
      mac: "5e:00:53:00:00:30",
      address: "192.168.30.1/24",
    });
    host.reconfigure(hubOf("securenat = true\nonline = false"));
    expect(sessions(host)).toEqual([]);
    expect(host.nat.status).toMatchObject({ status: "offline", address: "192.168.30.1/24" });
    host.reconfigure(hubOf("securenat = { enable = false }"));
    expect(sessions(host)).toEqual([]);
    host.reconfigure(hubOf("securenat = {}"));
    expect(sessions(host)).toEqual(["SID-SECURENAT-2"]);
    host.reconfigure(hubOf(""));
    expect(sessions(host)).toEqual([]);
    expect(host.nat.status).toBeUndefined();
    const told = at!.log.lines
      .map(({ event }) => event)
      .filter((event) => event.startsWith("nat_"));
    expect(told).toEqual(["nat_started", "nat_stopped", "nat_started", "nat_stopped"]);
  });

  test("answers to its address", async () => {
    const cable = guest(await start("securenat = true"));
    expect(cable.frames).toHaveLength(1);
  });

  test("a reload leaves the host alone unless its addresses, MAC, MTU or kind of NAT change", async () => {
    const host = await start("securenat = true");
    const change = (keys: string) => {
      host.reconfigure(hubOf(`securenat = { ${keys} }`));
      return sessions(host);
    };
    expect(change("dhcp.range = '192.168.30.50-192.168.30.60', log = false")).toEqual([
      "SID-SECURENAT-1",
    ]);
    expect(host.nat.status?.dhcp).toMatchObject({ first: "192.168.30.50" });
    expect(change("tcp_timeout = '2m', max_entries = 10, allow_host = true")).toEqual([
      "SID-SECURENAT-1",
    ]);
    expect(change("mtu = 1400")).toEqual(["SID-SECURENAT-2"]);
    expect(change("mtu = 1400, address = '192.168.31.1/24'")).toEqual(["SID-SECURENAT-3"]);
    expect(change("nat = 'off'")).toEqual(["SID-SECURENAT-4"]);
  });

  test("options of the hub switch kinds of NAT off", async () => {
    const host = await start(
      "securenat = { nat = 'kernel' }\noptions.DisableKernelModeSecureNAT = 1",
    );
    expect(host.nat.status).toMatchObject({ nat: "kernel", traffic: { mode: "user" } });
    host.reconfigure(hubOf("securenat = true\noptions.DisableUserModeSecureNAT = 1"));
    expect(host.nat.status).toMatchObject({ nat: "user", traffic: { mode: "off" } });
    const limit = "securenat = true\noptions.SecureNAT_MaxTcpSessionsPerIp = 5";
    host.reconfigure(hubOf(limit));
    expect(host.nat.status).toMatchObject({ traffic: { mode: "user" } });
    const before = sessions(host);
    host.reconfigure(hubOf(limit.replace("5", "6")));
    expect(sessions(host)).toEqual(before);
  });

  test("without NAT by sockets TCP is refused and the rest ignored; with nat off there is no way", async () => {
    const keys = "securenat = true\noptions.DisableUserModeSecureNAT = 1";
    const host = await start(keys);
    const cable = guest(host);
    const ends = {
      source: "192.168.30.9",
      destination: "198.51.100.1",
      toMac: FAKE_NAT_MEMORY.identity("office").mac,
    };
    const frames = [
      ipFrame({ ...ends, protocol: 6, payload: synPayload(ends) }),
      ipFrame({ ...ends, protocol: 17, payload: udpPayload(ends, 1, 2, new Uint8Array(1)) }),
    ];
    const answers = () => {
      cable.frames.length = 0;
      for (const frame of frames) cable.send(frame);
      return cable.frames.map((frame) => frame[23]);
    };
    expect(answers()).toEqual([6]);
    host.reconfigure(hubOf("securenat = { nat = 'off' }"));
    expect(sessions(host)).toContain("SID-SECURENAT-3");
    expect(answers()).toEqual([1, 1]);
  });

  test("improvements that are switched off make another host", async () => {
    const host = await start("securenat = true");
    const { config } = at!;
    await at!.server.reload({
      ...config,
      server: { ...config.server, compat: ["nat-errors"] },
    });
    expect(sessions(host)).toEqual(["SID-SECURENAT-2"]);
  });

  test("what cannot be opened is told, and tried again", async () => {
    let isBroken = true;
    const natMemory = FAKE_NAT_MEMORY;
    at = await TestServer.start({
      hubs: [hubOf("securenat = true")],
      natMemory: {
        ...natMemory,
        identity: (hub) => {
          if (isBroken) throw new VpnError("state_write", "Cannot write state.db: disk full");
          return natMemory.identity(hub);
        },
      },
    });
    const host = at.server.hubs.get("office")!;
    expect(host.nat.status).toMatchObject({
      status: "error",
      problem: "Cannot write state.db: disk full",
    });
    at.clock.advance(10_000);
    expect(at.log.lines.filter(({ event }) => event === "nat_error")).toHaveLength(1);
    isBroken = false;
    at.clock.advance(10_000);
    expect(host.nat.status).toMatchObject({ status: "operating", session: "SID-SECURENAT-1" });
  });

  test("a user has the address of his table, else that of RADIUS, while his session lasts", async () => {
    const alice = '[hub.office.user.alice]\nanonymous = true\naddress = "192.168.30.5"';
    const bob = "[hub.office.user.bob]\nanonymous = true";
    const host = await start(`securenat = true\n${alice}\n${bob}`);
    const enter = (user: string, number: number) => {
      const name = host.nextSessionName(user);
      const cable = new ArrayPort(name);
      const port = host.hub.attach(cable, { kind: "bridge", user, name, policy: DEFAULT_POLICY });
      const open = {
        session: { name, close: () => undefined },
        port,
        user,
      } as unknown as OpenSession;
      const account = host.accounts.get(user)!;
      const grants = { framedAddress: "192.168.30.6" };
      host.add(open, { kind: "admitted", name: user, account, grants });
      cable.send(arp({ to: BROADCAST, from: mac(number), ip: 0 }));
      return open;
    };
    const [first] = [enter("alice", 1), enter("bob", 2)];
    const found = () => [1, 2, 3].map((number) => host.fixedAddressOf(mac(number)));
    expect(found()).toEqual([ip("192.168.30.5"), ip("192.168.30.6"), undefined]);
    host.remove(first, "closed");
    expect(found()).toEqual([undefined, ip("192.168.30.6"), undefined]);
  });

  test("remove() tells what is not there", async () => {
    const host = await start("securenat = true");
    const fault = (run: () => void) => {
      try {
        run();
      } catch (error) {
        if (error instanceof VpnError) return error.code;
      }
      return undefined;
    };
    expect(fault(() => host.nat.remove({ kind: "entry", id: 7 }))).toBe("entry_not_found");
    const lease = { kind: "lease", address: ip("192.168.30.10") } as const;
    expect(fault(() => host.nat.remove(lease))).toBe("entry_not_found");
    expect(host.nat.entries).toEqual([]);
    expect(host.nat.leases).toEqual([]);
    host.reconfigure(hubOf(""));
    expect(fault(() => host.nat.remove(lease))).toBe("nat_not_found");
    expect(fault(() => void host.nat.leases)).toBe("nat_not_found");
  });
});
