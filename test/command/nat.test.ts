import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runApplication } from "../../src/command/application.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { controlRequests } from "../../src/server/control-requests.ts";
import { serveControl } from "../../src/server/control-socket.ts";
import { DHCP_TYPE, encodeDhcp } from "../../src/wire/dhcp.ts";
import { DHCP_OPTION, encodeAddresses } from "../../src/wire/dhcp-option.ts";
import type { Ipv4 } from "../../src/base/ip.ts";
import { readServer } from "../config/fixture.ts";
import { BROADCAST, ipv4, mac, udp } from "../hub/frames.ts";
import { ArrayPort } from "../support/array-port.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";
import { TestServer } from "../support/test-server.ts";
import { ensureWasm } from "../wasm/compiled.ts";

await ensureWasm();

const CONFIG = `
[hub.office]
securenat = { dhcp.probe = "0" }
[hub.off]
securenat = false
[hub.lab]`;
const GIVEN = 0xc0a8_1e0a as Ipv4;

describe("vpn nat", () => {
  let at: TestServer;
  let folder: string;
  let close: () => void;
  let cable: ArrayPort;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    at = await TestServer.start({ hubs: [...readServer(CONFIG).config.hubs] });
    close = serveControl(
      folder,
      controlRequests(at.server, async () => []),
    );
    cable = new ArrayPort("eth1");
    at.server.hubs
      .get("office")!
      .plugInner(cable, { kind: "local-bridge", policy: DEFAULT_POLICY });
  });
  afterEach(async () => {
    close();
    await at.close();
    rmSync(folder, { recursive: true });
  });

  /** The guest takes the first address of the pool. */
  function lease(): void {
    for (const type of [DHCP_TYPE.DISCOVER, DHCP_TYPE.REQUEST]) {
      const options = new Map<number, Uint8Array>([
        [DHCP_OPTION.HOST_NAME, new TextEncoder().encode("desk\u001b7")],
      ]);
      if (type === DHCP_TYPE.REQUEST) {
        options.set(DHCP_OPTION.REQUESTED_ADDRESS, encodeAddresses([GIVEN]));
      }
      const message = encodeDhcp({
        op: "request",
        type,
        xid: 7,
        secs: 0,
        wantsBroadcast: true,
        ciaddr: 0 as Ipv4,
        yiaddr: 0 as Ipv4,
        siaddr: 0 as Ipv4,
        giaddr: 0 as Ipv4,
        chaddr: mac(1),
        options,
      });
      cable.send(
        ipv4({
          to: BROADCAST,
          from: mac(1),
          ip: 0,
          target: 0xffff_ffff,
          protocol: 17,
          body: udp(68, 67, message),
        }),
      );
    }
  }

  async function ask(...args: string[]) {
    const environment = new FakeEnvironment();
    const code = await runApplication(["nat", ...args, "--state-dir", folder], environment);
    return { code, out: environment.out, err: environment.err };
  }
  const json = async (...args: string[]) => JSON.parse((await ask(...args, "--json")).out);

  test("status tells who the host is and what it does", async () => {
    lease();
    const { code, out } = await ask("status", "OFFICE");
    expect(code).toBe(0);
    expect(out).toMatch(/^SecureNAT +operating$/m);
    expect(out).toMatch(/^Session +SID-SECURENAT-1$/m);
    expect(out).toMatch(/^Address +192\.168\.30\.1\/24$/m);
    expect(out).toMatch(/^DHCP +192\.168\.30\.10 to 192\.168\.30\.200$/m);
    expect(out).toMatch(/^Leases +1$/m);
    expect(out).toMatch(/^NAT entries +0 TCP, 0 UDP, 0 ICMP$/m);
    expect(await json("status", "office")).toMatchObject({
      status: "operating",
      nat: "user",
      mtu: 1500,
      traffic: { entries: { tcp: 0, udp: 0, icmp: 0 }, leases: 1, dhcp: { acks: 1 } },
    });
    const environment = new FakeEnvironment();
    expect(await runApplication(["status", "--state-dir", folder], environment)).toBe(0);
    expect(environment.out).toMatch(
      /^office +192\.168\.30\.1\/24 +user +operating +SID-SECURENAT-1 +0 +1$/m,
    );
    const off = await ask("status", "off");
    expect([off.code, off.out]).toEqual([0, expect.stringMatching(/^SecureNAT +offline$/m)]);
  });

  test("leases lists who has which address, and delete takes one back", async () => {
    expect((await ask("leases", "office")).out).toBe("No address has been given\n");
    lease();
    const { out } = await ask("leases", "office");
    expect(out).toMatch(/^ADDRESS +MAC +HOST +ORIGIN +LEASED SINCE +EXPIRES IN$/m);
    expect(out).toMatch(/^192\.168\.30\.10 +02:00:00:00:00:01 +desk7 +pool +00:00:00 +02:00:00$/m);
    expect(await json("leases", "office")).toMatchObject([
      { address: "192.168.30.10", mac: "02:00:00:00:00:01", hostName: "desk7", origin: "pool" },
    ]);
    expect(await json("delete", "office", "192.168.30.10")).toEqual({
      deleted: { address: "192.168.30.10" },
    });
    expect(await json("leases", "office")).toEqual([]);
    const again = await ask("delete", "office", "192.168.30.10");
    expect([again.code, again.err]).toEqual([
      69,
      expect.stringContaining("SecureNAT of hub office has no lease of 192.168.30.10"),
    ]);
  });

  test("table is empty while nobody speaks, and delete knows no entry then", async () => {
    expect((await ask("table", "office")).out).toBe("No NAT entry\n");
    expect(await json("table", "office")).toEqual([]);
    const { code, err } = await ask("delete", "office", "7");
    expect([code, err]).toEqual([69, expect.stringContaining("has no NAT entry 7")]);
  });

  test("CL-03 what does not fit is refused", async () => {
    const answers = await Promise.all(
      [
        ["status", "lab"],
        ["table", "off"],
        ["status", "nowhere"],
        ["delete", "office", "fe80::1"],
        ["delete", "office", "-1"],
        ["delete", "office"],
      ].map((args) => ask(...args)),
    );
    expect(answers.map(({ code }) => code)).toEqual([69, 69, 64, 64, 64, 64]);
    expect(answers[0]!.err).toContain('hub lab has no SecureNAT: "securenat = true"');
    expect(answers[1]!.err).toContain("Hub off has no SecureNAT that operates");
    expect(answers[3]!.err).toContain("the number of a NAT entry or the IPv4 address of a lease");
  });

  test("the control socket refuses a deletion that names nothing", async () => {
    const unix = join(folder, "admin.sock");
    const answers = await Promise.all(
      ["?hub=office", "?hub=none&id=1", "?hub=lab&id=1", "?hub=office&id=-1"].map(async (query) => {
        const response = await fetch(`http://localhost/nat${query}`, { unix, method: "DELETE" });
        return ((await response.json()) as { error: { code: string } }).error.code;
      }),
    );
    expect(answers).toEqual([
      "invalid_request",
      "hub_not_found",
      "nat_not_found",
      "invalid_request",
    ]);
  });
});
