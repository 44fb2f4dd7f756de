import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runApplication } from "../../src/command/application.ts";
import { formatMoment } from "../../src/cli/figure.ts";
import { controlRequests } from "../../src/server/control-requests.ts";
import { serveControl } from "../../src/server/control-socket.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";
import { until } from "../support/process.ts";
import { hub, markedUnit, policy, TestServer, user } from "../support/test-server.ts";

const DAY_MS = 86_400_000;

describe("vpn hub users", () => {
  let at: TestServer;
  let folder: string;
  let close: () => void;
  const environment = new FakeEnvironment();
  const now = environment.clock.wall();
  const patient = { policy: policy({ timeout: 60 }) };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "vpn-test-"));
    const users = [
      user("alice", "wonderland", { ...patient, group: "staff", fullName: "Alice Liddell" }),
      user("bob", "builder", { ...patient, expires: now + DAY_MS }),
      user("carol", "c", { expires: now - DAY_MS }),
      user("dave", "d", { enable: false }),
    ];
    const groups = [{ name: "staff", fullName: "", note: "", policy: undefined }];
    at = await TestServer.start({ hubs: [hub("office", users, { groups }), hub("lab", [])] });
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

  async function ask(...args: string[]) {
    environment.out = "";
    environment.err = "";
    const words = ["hub", "users", ...args, "--state-dir", folder];
    const code = await runApplication(words, environment);
    return { code, out: environment.out, err: environment.err };
  }

  test("lists all users of a hub with what they did, as a table and as JSON", async () => {
    const peer = await at.session({ user: "ALICE", password: "wonderland", hub: "office" });
    peer.write(markedUnit(1, 1));
    const { hub: office, ledger } = at.server.hubs.get("office")!;
    await until("the frame", () => office.totals().ingress.group.frames === 1);
    // Without a word a session stays for a minute.
    await at.pass(40_000);
    expect(ledger.row("user", "alice")?.logins).toBe(1);
    const { code, out } = await ask("Office");
    expect(code).toBe(0);
    const moment = formatMoment(now);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => line.trimEnd().split(/ {2,}/));
    expect(lines).toEqual([
      ["USER", "GROUP", "STATE", "EXPIRES", "LOGINS", "LAST LOGIN", "IN", "OUT"],
      ["alice", "staff", "enabled", "-", "1", moment, "60 B", "0 B"],
      ["bob", "-", "enabled", formatMoment(now + DAY_MS), "0", "-", "0 B", "0 B"],
      ["carol", "-", "expired", formatMoment(now - DAY_MS), "0", "-", "0 B", "0 B"],
      ["dave", "-", "disabled", "-", "0", "-", "0 B", "0 B"],
    ]);
    const users = JSON.parse((await ask("office", "--json")).out);
    expect(users).toHaveLength(4);
    expect(users[0]).toEqual({
      name: "alice",
      fullName: "Alice Liddell",
      group: "staff",
      enabled: true,
      expires: null,
      logins: 1,
      lastLogin: new Date(now).toISOString(),
      lastTraffic: expect.any(String),
      inBytes: 60,
      outBytes: 0,
    });
    expect(users[1]).toMatchObject({
      expires: new Date(now + DAY_MS).toISOString(),
      lastLogin: null,
    });
    expect((await ask("lab")).out).toBe("No user\n");
    expect(JSON.parse((await ask("lab", "--json")).out)).toEqual([]);
  });

  test("a hub that is not there is 64 at the command, and an error at the socket", async () => {
    const wrong = await ask("offce");
    expect([wrong.code, wrong.err]).toEqual([
      64,
      'vpn: The server has no hub "offce" (did you mean office?)\n',
    ]);
    const unix = join(folder, "admin.sock");
    const response = await fetch("http://localhost/users?hub=none", { unix });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ error: { code: "hub_not_found" } });
  });
});
