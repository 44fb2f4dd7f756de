import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runApplication } from "../../src/command/application.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { controlRequests } from "../../src/server/control-requests.ts";
import { serveControl } from "../../src/server/control-socket.ts";
import { arp, BROADCAST, frame, ipv6, lan, mac } from "../hub/frames.ts";
import { ArrayPort } from "../support/array-port.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";
import { hub, TestServer, USERS } from "../support/test-server.ts";

describe("vpn hub", () => {
  let at: TestServer;
  let folder: string;
  let close: () => void;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    at = await TestServer.start({ hubs: [hub("office", USERS), hub("lab", [])] });
    close = serveControl(
      folder,
      controlRequests(at.server, async () => []),
    );
    const host = at.server.hubs.get("office")!;
    const cable = new ArrayPort("eth1");
    host.plugInner(cable, { kind: "local-bridge", policy: DEFAULT_POLICY });
    cable.send(
      arp({ to: BROADCAST, from: mac(1), ip: lan(1) }),
      frame({ to: BROADCAST, from: mac(1), tags: [200] }),
      frame({ to: BROADCAST, from: mac(2), tags: [7] }),
      ipv6({ to: BROADCAST, from: mac(1), ip: [0xfe80, 0, 0, 0, 0, 0, 0, 1] }),
    );
  });
  afterEach(async () => {
    close();
    await at.close();
    rmSync(folder, { recursive: true });
  });

  async function ask(...args: string[]) {
    const environment = new FakeEnvironment();
    const code = await runApplication(["hub", ...args, "--state-dir", folder], environment);
    return { code, out: environment.out, err: environment.err };
  }
  const json = async (...args: string[]) => JSON.parse((await ask(...args, "--json")).out);

  test("mac gives a table, and JSON with ids", async () => {
    const { code, out } = await ask("mac", "OFFICE");
    expect(code).toBe(0);
    expect(out).toMatch(/^MAC +VLAN +SESSION +AGE +IDLE$/m);
    expect(out).toMatch(/^02:00:00:00:00:01 +200 +SID-LOCALBRIDGE-1 +00:00:00 /m);
    const rows = await json("mac", "office");
    expect(rows).toHaveLength(3);
    expect(rows).toContainEqual({
      id: expect.any(Number),
      mac: "02:00:00:00:00:02",
      vlan: 7,
      session: "SID-LOCALBRIDGE-1",
      ageSeconds: 0,
      idleSeconds: 0,
    });
    expect((await ask("mac", "lab")).out).toBe("No MAC address has been learned\n");
    expect(await json("mac", "lab")).toEqual([]);
  });

  test("ip gives a table, with leases marked, and JSON", async () => {
    const { code, out } = await ask("ip", "office");
    expect(code).toBe(0);
    expect(out).toMatch(/^ADDRESS +MAC +SESSION +AGE +IDLE$/m);
    expect(out).toMatch(/^192\.168\.0\.1 +02:00:00:00:00:01 +SID-LOCALBRIDGE-1 /m);
    const rows = await json("ip", "office");
    expect(rows.map((row: { address: string }) => row.address).sort()).toEqual([
      "192.168.0.1",
      "fe80::1",
    ]);
    expect(rows[0]).toMatchObject({ mac: "02:00:00:00:00:01", dhcp: false });
    expect((await ask("ip", "lab")).out).toBe("No IP address has been seen\n");
  });

  test("sessions lists those of users and of the server, with what is behind them", async () => {
    await at.session({ user: "alice", password: "wonderland", hub: "office" });
    const { out } = await ask("sessions", "office");
    expect(out).toMatch(/^SID-ALICE-2 +alice +bridge +127\.0\.0\.1 /m);
    expect(out).toMatch(
      /^SID-LOCALBRIDGE-1 +Local Bridge +local-bridge +- +Ethernet Bridge +- +- +3 +2 /m,
    );
    const names = (await json("sessions", "office")).map((row: { name: string }) => row.name);
    expect(names).toEqual(["SID-ALICE-2", "SID-LOCALBRIDGE-1"]);
    expect((await ask("sessions", "lab")).out).toBe("No session\n");
  });

  test("mac --delete takes out the entry of the VLAN that is named", async () => {
    const deleted = await ask("mac", "office", "--delete", "02-00-00-00-00-01", "--vlan", "200");
    expect([deleted.code, deleted.out]).toEqual([
      0,
      "Deleted 02:00:00:00:00:01 of SID-LOCALBRIDGE-1 from hub office\n",
    ]);
    expect(await json("mac", "office")).toHaveLength(2);
    const answer = await json("mac", "office", "--delete", "020000000001");
    expect(answer.deleted).toMatchObject({ mac: "02:00:00:00:00:01", vlan: 0 });
    expect(await json("mac", "office")).toHaveLength(1);
  });

  test("ip --delete takes out the entry, however its address is written", async () => {
    const deleted = await ask("ip", "office", "--delete", "FE80:0::1");
    expect([deleted.code, deleted.out]).toEqual([
      0,
      "Deleted fe80::1 of SID-LOCALBRIDGE-1 from hub office\n",
    ]);
    expect(await json("ip", "office")).toHaveLength(1);
  });

  test("an entry that is not there is 69, with the VLANs where it is", async () => {
    const gone = await ask("ip", "office", "--delete", "10.0.0.1");
    expect([gone.code, gone.err]).toEqual([
      69,
      "vpn: 10.0.0.1 is not in the IP table of hub office\n",
    ]);
    const other = await ask("mac", "office", "--delete", "02:00:00:00:00:02");
    expect([other.code, other.err]).toEqual([
      69,
      "vpn: 02:00:00:00:00:02 is not in the MAC table of hub office (it is there with --vlan 7)\n",
    ]);
    expect(() => at.server.removeEntry("office", { kind: "mac", mac: mac(9), vlan: 3 })).toThrow(
      "02:00:00:00:00:09 in VLAN 3 is not in the MAC table of hub office",
    );
  });

  test("arguments that are wrong are 64, and say what is meant", async () => {
    const errors = await Promise.all(
      [
        ["mac", "offce"],
        ["ip", "nowhere"],
        ["mac", "office", "--delete", "02:00"],
        ["ip", "office", "--delete", "300.0.0.1"],
        ["mac", "office", "--vlan", "7"],
        ["mac", "office", "--delete", "020000000002", "--vlan", "4096"],
        ["mac"],
      ].map((args) => ask(...args)),
    );
    expect(errors.map(({ code }) => code)).toEqual([64, 64, 64, 64, 64, 64, 64]);
    expect(errors[0]!.err).toContain('no hub "offce" (did you mean office?)');
    expect(errors[1]!.err).toContain('no hub "nowhere" (it has office, lab)');
    expect(errors[2]!.err).toContain("expected a MAC address");
    expect(errors[3]!.err).toContain("expected an address, such as 192.168.30.20 or fe80::1");
    expect(errors[4]!.err).toContain("--delete");
    expect(errors[5]!.err).toContain("expected a VLAN id from 1 to 4095");
  });

  test("CL-12 where no server runs it is 69, and names the place", async () => {
    const nowhere = join(folder, "nowhere");
    for (const table of ["mac", "ip", "sessions"]) {
      const environment = new FakeEnvironment();
      const args = ["hub", table, "office", "--state-dir", nowhere];
      expect(await runApplication(args, environment)).toBe(69);
      expect(environment.err).toContain(nowhere);
    }
  });

  test("the control socket refuses a deletion that names nothing", async () => {
    const unix = join(folder, "admin.sock");
    const answers = await Promise.all(
      ["?hub=office", "?hub=none&ip=10.0.0.1", "?hub=office&ip=10.0.0.1"].map(async (query) => {
        const response = await fetch(`http://localhost/table${query}`, { unix, method: "DELETE" });
        return ((await response.json()) as { error: { code: string } }).error.code;
      }),
    );
    expect(answers).toEqual(["invalid_request", "hub_not_found", "entry_not_found"]);
  });
});
