import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryParseMac } from "../../src/base/mac.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { runApplication } from "../../src/command/application.ts";
import type { L3SwitchDetail, L3SwitchStatus } from "../../src/l3-switch/l3-status.ts";
import { controlRequests } from "../../src/server/control-requests.ts";
import { serveControl } from "../../src/server/control-socket.ts";
import { readServer } from "../config/fixture.ts";
import { mac } from "../hub/frames.ts";
import { arpFrame, etherFrame, ipPacket } from "../l3-switch/world.ts";
import { ArrayPort } from "../support/array-port.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";
import { hub, TestServer } from "../support/test-server.ts";

const TEXT = `
[l3switch.core]
interface = { office = ["10.1.0.1/24", "fd00:1::1/64"], lab = "10.2.0.1/24" }
route = [{ to = "10.9.0.0/16", via = "10.2.0.9", metric = 5 }]
[l3switch.spare]
interface = { nowhere = "10.3.0.1/24" }
`;

describe("vpn l3", () => {
  let at: TestServer;
  let folder: string;
  let close: () => void;
  const environment = new FakeEnvironment();

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    const { l3Switches } = readServer(TEXT).config;
    at = await TestServer.start({ hubs: [hub("office", []), hub("lab", [])], l3Switches });
    close = serveControl(
      folder,
      controlRequests(at.server, async () => []),
    );
  });
  afterEach(async () => {
    close();
    await at.close();
    rmSync(folder, { recursive: true });
  });

  async function l3(...args: string[]) {
    environment.out = "";
    environment.err = "";
    const code = await runApplication(["l3", ...args, "--state-dir", folder], environment);
    return { code, out: environment.out, err: environment.err };
  }

  test("list shows how each stands, as a table and as JSON", async () => {
    const { out } = await l3("list");
    expect(out).toMatch(/core +online +office, lab +1\n/);
    expect(out).toMatch(/spare +waiting: there is no hub nowhere +nowhere +0\n/);
    const all = JSON.parse((await l3("list", "--json")).out) as L3SwitchStatus[];
    expect(all.map(({ name, state }) => [name, state])).toEqual([
      ["core", "online"],
      ["spare", "waiting"],
    ]);
  });

  test("are in the status of the server, too", async () => {
    environment.out = "";
    await runApplication(["status", "--state-dir", folder], environment);
    expect(environment.out).toMatch(/core +online +office, lab +1\n/);
  });

  test("show has interfaces, routes and what it was told; unknown names are told with the known ones", async () => {
    const { out } = await l3("show", "CORE");
    expect(out).toMatch(/office +10\.1\.0\.1\/24, fd00:1::1\/64 +5e:a3:\S+ +SID-L3-CORE-1 +0 +0/);
    expect(out).toMatch(/10\.9\.0\.0\/16 +10\.2\.0\.9 +5 +lab/);
    const { code, err } = await l3("show", "east");
    expect([code, err]).toEqual([64, expect.stringContaining("it has core, spare")]);
  });

  test("show has neighbours and what was dropped, by reason; the status counts neighbours", async () => {
    const port = new ArrayPort("guest");
    const office = at.server.hubs.get("office")!;
    office.hub.attach(port, { kind: "bridge", user: "test", policy: DEFAULT_POLICY });
    const own = at.server.l3Switch("core").interfaces[0]!;
    const to = tryParseMac(own.mac!)!;
    const ask = arpFrame({
      operation: 1,
      from: mac(9),
      ip: "10.1.0.9",
      to,
      target: Uint8Array.of(10, 1, 0, 1),
    });
    // To the switch itself, from an address that nobody has, and of a type that it does not know.
    const martian = etherFrame(to, mac(9), ipPacket("127.0.0.1", "10.1.0.1"));
    const odd = martian.slice();
    odd.set([0x88, 0x99], 12);
    // An error about an error is withheld.
    const group = ipPacket("10.1.0.9", "10.99.0.1", {
      protocol: 1,
      body: Uint8Array.of(3, 0, 0, 0),
    });
    port.send(ask, martian, martian, odd, etherFrame(to, mac(9), group));
    const { out } = await l3("show", "core");
    expect(out).toMatch(/office .* SID-L3-CORE-1 +1 +4\n/);
    expect(out).toMatch(/office +protocol +1\n/);
    expect(out).toMatch(/office +martian +2\n/);
    expect(out).toMatch(/office +10\.1\.0\.9 +\S+ +\w+\n/);
    expect(out).toContain("0 (0 more were over the rate, 1 withheld)");
    const detail = JSON.parse((await l3("show", "core", "--json")).out) as L3SwitchDetail;
    expect(detail.neighbors).toMatchObject([{ hub: "office", address: "10.1.0.9" }]);
    const [status] = JSON.parse((await l3("list", "--json")).out) as L3SwitchStatus[];
    expect(status!.interfaces[0]!.neighborCounts).toEqual({ ipv4: 1, ipv6: 0 });
    environment.out = "";
    await runApplication(["status", "--json", "--state-dir", folder], environment);
    const { l3Switches } = JSON.parse(environment.out) as { l3Switches: object };
    expect(JSON.stringify(l3Switches)).not.toContain("10.1.0.9");
  });

  test("stop and start do so, and tell how it stands", async () => {
    expect((await l3("stop", "core")).out).toMatch(/Status +stopped/);
    expect((await l3("start", "core")).out).toMatch(/Status +online/);
    expect(JSON.parse((await l3("start", "spare", "--json")).out)).toMatchObject({
      state: "waiting",
      problem: "there is no hub nowhere",
    });
    expect((await l3("stop", "east")).code).toBe(64);
  });
});
