import { expect, test } from "bun:test";
import { toHex } from "../support/hex.ts";
import { BROADCAST, frame, mac } from "../hub/frames.ts";
import { exchange } from "../support/frame-exchange.ts";
import { FreeRadius, RADIUS_SECRET, type FreeRadiusOptions } from "../support/freeradius.ts";
import { DhcpProgramClient } from "../support/dhcp-programs.ts";
import { describeSystem, World } from "../support/namespace.ts";
import type { Namespace } from "../support/namespace.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherClient, SoftEtherServer } from "../support/softether.ts";
import { NT_DOMAIN, startWinbind } from "../support/winbind.ts";
import { secretFile, VpnClient, VpnServer, type ConnectOptions } from "../support/vpn.ts";

// Users whom Debian's freeradius knows. The RADIUS server is a host of its own; the first server that the hub
// names is an address where nobody answers.

const HUB = "OFFICE";
const SERVER = "10.91.1.1";
const CLIENT = "10.91.1.2";
const RADIUS = "10.91.9.2";
const RADIUS_V6 = "fd91:9::2";
const NOBODY = "10.91.9.3";
const AUTH_FAILED = 9;
const ACCESS_DENIED = 12;

const USERS = `
alice Cleartext-Password := "wonder-land"
\tFilter-Id = "staff", Class = 0x010203, Framed-IP-Address = 10.1.2.3

brief Cleartext-Password := "moment"
\tSession-Timeout = 3

guest@corp Cleartext-Password := "welcome"

twelve Cleartext-Password := "by-heart"
\tTunnel-Type = VLAN, Tunnel-Medium-Type = IEEE-802, Tunnel-Private-Group-Id = "12"

thirteen Cleartext-Password := "by-heart"
\tTunnel-Private-Group-Id = "13"

homeless Cleartext-Password := "by-heart"
\tTunnel-Private-Group-Id = "4096"
`;

class Site implements AsyncDisposable {
  readonly #world = new World();
  server!: Namespace;
  client!: Namespace;
  #radius!: Namespace;

  static async open(): Promise<Site> {
    const site = new Site();
    try {
      await site.#lay();
      return site;
    } catch (thrown) {
      await site.#world.close();
      throw thrown;
    }
  }

  async #lay(): Promise<void> {
    this.server = await this.#world.namespace("server");
    this.client = await this.#world.namespace("client");
    this.#radius = await this.#world.namespace("radius");
    await this.#world.link(
      { at: this.client, device: "eth0", address: `${CLIENT}/24` },
      { at: this.server, device: "client", address: `${SERVER}/24` },
    );
    await this.#world.link(
      { at: this.#radius, device: "eth0", address: `${RADIUS}/24` },
      { at: this.server, device: "radius", address: "10.91.9.1/24" },
    );
    await this.server.address("radius", "fd91:9::1/64");
    await this.#radius.address("eth0", `${RADIUS_V6}/64`);
    // What is sent there is lost rather than refused.
    const nowhere = "02:00:00:00:00:99";
    await this.server.ip("neigh", "add", NOBODY, "lladdr", nowhere, "dev", "radius");
  }

  freeRadius(options?: FreeRadiusOptions): Promise<FreeRadius> {
    return FreeRadius.start(this.#radius, USERS, options);
  }

  vpnServer(users: string, radius = "", servers = [NOBODY, `${RADIUS}:1812`]): Promise<VpnServer> {
    return VpnServer.start(
      this.server,
      `
[server]
listen = [5555]
[lockout]
enable = false
[hub.${HUB}.radius]
servers = ${JSON.stringify(servers)}
secret = "file:${secretFile(this.server, "radius", RADIUS_SECRET)}"
retry = "1s"
timeout = "4s"
${radius}
[hub.${HUB}.group.staff]
policy = { timeout = "5s" }
[hub.${HUB}.user]
local = { password = "file:${secretFile(this.server, "local", "by-heart")}" }
${users}
`,
    );
  }

  vpnClient(user: string, password: string, more: Partial<ConnectOptions> = {}): VpnClient {
    return VpnClient.start(this.client, {
      server: `${SERVER}:5555`,
      hub: HUB,
      user,
      password,
      retry: 0,
      flags: ["--plain"],
      ...more,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#world.close();
  }
}

async function usersOf(server: VpnServer): Promise<string[]> {
  const hub = (await server.snapshot()).hubs.find(({ name }) => name === HUB)!;
  return hub.sessions.map(({ user }) => user);
}

describeSystem("RADIUS, vpnclient on our server", [...SOFTETHER_PROGRAMS, "freeradius"], () => {
  test.concurrent(
    "logs in though the first server is silent; accounting tells of its session",
    async () => {
      await using site = await Site.open();
      const radius = await site.freeRadius();
      const server = await site.vpnServer(
        "alice = { radius = true }",
        `accounting = ["${NOBODY}", "${RADIUS}"]`,
      );
      const client = await SoftEtherClient.start(site.client);
      await client.connect({
        server: `${SERVER}:5555`,
        hub: HUB,
        user: "alice",
        password: "wonder-land",
        plain: true,
      });
      await client.waitConnected();
      expect(await usersOf(server)).toEqual(["alice"]);

      const [request] = radius.requests("Access-Request");
      for (const line of [
        'User-Name = "alice"',
        'User-Password = "wonder-land"',
        "Service-Type = Framed-User",
        "NAS-Port-Type = Virtual",
        "Tunnel-Type:0 = PPTP",
        "Tunnel-Medium-Type:0 = IPv4",
        `Called-Station-Id = "${HUB}"`,
        `Calling-Station-Id = "${CLIENT}"`,
        `Tunnel-Client-Endpoint:0 = "${CLIENT}"`,
      ]) {
        expect(request).toContain(line);
      }
      expect(request).toStartWith("Message-Authenticator = ");

      await client.disconnect();
      const stop = await until(
        "the stop record",
        () => radius.records().find((record) => record["Acct-Status-Type"] === "Stop"),
        { deadlineMs: 15_000, explain: () => server.stderr.join("\n") },
      );
      const start = radius.records().find((record) => record["Acct-Status-Type"] === "Start");
      const same = {
        "Acct-Session-Id": start!["Acct-Session-Id"]!,
        "User-Name": "alice",
        "Framed-IP-Address": "10.1.2.3",
        "Calling-Station-Id": CLIENT,
        "Acct-Authentic": "RADIUS",
        Class: "0x010203",
      };
      expect(start).toMatchObject(same);
      // It leaves without a word, and the session waits for it as long as its policy says.
      expect(stop).toMatchObject({ ...same, "Acct-Terminate-Cause": "Lost-Carrier" });
      expect(Number(stop["Acct-Session-Time"])).toBeLessThan(60);
      await server.stop();
      const kinds = radius.records().map((record) => record["Acct-Status-Type"]);
      expect([kinds[0], kinds.at(-1)]).toEqual(["Accounting-On", "Accounting-Off"]);
    },
  );

  test.concurrent(
    "asks by IPv6: is refused with 9 for a wrong password, let in under a name that * stands for",
    async () => {
      await using site = await Site.open();
      await site.freeRadius();
      const server = await site.vpnServer('"*" = { radius = true }', 'realm = "corp"', [
        `[${RADIUS_V6}]:1812`,
      ]);
      const client = await SoftEtherClient.start(site.client);
      const account = { server: `${SERVER}:5555`, hub: HUB, user: "guest", plain: true };
      await client.connect({ ...account, password: "wrong" });
      expect(await client.waitRefused()).toBe(AUTH_FAILED);
      await client.disconnect();
      await client.connect({ ...account, password: "welcome" });
      await client.waitConnected();
      expect(await usersOf(server)).toEqual(["guest"]);
    },
  );
});

describeSystem(
  "RADIUS, the reference's server and ours",
  [...SOFTETHER_PROGRAMS, "freeradius"],
  () => {
    test.concurrent(
      "ask the same of the same client; only ours is sealed and has its own name",
      async () => {
        await using site = await Site.open();
        const radius = await site.freeRadius({ wantsSeal: false });
        const client = await SoftEtherClient.start(site.client);
        const login = async () => {
          await client.connect({
            server: `${SERVER}:5555`,
            hub: HUB,
            user: "alice",
            password: "wonder-land",
            plain: true,
          });
          await client.waitConnected();
          await client.disconnect();
        };
        const reference = await SoftEtherServer.start(site.server);
        await reference.createHub(HUB);
        await reference.command(
          `Hub ${HUB}`,
          `RadiusServerSet ${RADIUS}:1812 /SECRET:"${RADIUS_SECRET}" /RETRY_INTERVAL:1000`,
          "UserCreate alice /GROUP:none /REALNAME:none /NOTE:none",
          "UserRadiusSet alice /ALIAS:none",
        );
        await login();
        await reference.stop();
        const server = await site.vpnServer("alice = { radius = true }", "", [RADIUS]);
        await login();
        const [theirs, ours] = radius.requests("Access-Request");
        const withoutOwn = (request: string | undefined) =>
          request!.split("\n").filter((line) => !/^(?:Message-Auth|NAS-Id)/.test(line));
        expect(withoutOwn(ours)).toEqual(withoutOwn(theirs));
        const hub = (await server.snapshot()).hubs.find(({ name }) => name === HUB);
        expect(hub!.outside.radius).toMatchObject({
          asked: 1,
          answered: 1,
          no_message_authenticator: 0,
        });
      },
    );
  },
);

describeSystem("RADIUS, our client on our server", ["freeradius", "udhcpc"], () => {
  test.concurrent(
    "--plain logs in; the group of the answer and its Session-Timeout hold",
    async () => {
      await using site = await Site.open();
      const radius = await site.freeRadius();
      const server = await site.vpnServer(
        "alice = { radius = true }\nbrief = { radius = true }",
        `accounting = ["${RADIUS}"]`,
      );
      const alice = site.vpnClient("alice", "wonder-land");
      await alice.waitConnected();
      await alice.stop();
      const brief = site.vpnClient("brief", "moment");
      await brief.waitConnected();
      const stopOf = (user: string) =>
        until(`the stop record of ${user}`, () =>
          radius
            .records()
            .find(
              (record) => record["User-Name"] === user && record["Acct-Status-Type"] === "Stop",
            ),
        );
      expect((await stopOf("alice"))["Acct-Terminate-Cause"]).toBe("User-Request");
      const stop = await stopOf("brief");
      expect(stop["Acct-Terminate-Cause"]).toBe("Session-Timeout");
      expect(Number(stop["Acct-Session-Time"])).toBe(3);
      expect(await usersOf(server)).toEqual([]);
    },
  );

  test.concurrent("Framed-IP-Address is the address that SecureNAT gives", async () => {
    await using site = await Site.open();
    await site.freeRadius();
    const nat = `[hub.${HUB}.securenat]\naddress = "10.1.2.1/24"`;
    const server = await site.vpnServer(`alice = { radius = true }\n${nat}`, "", [RADIUS]);
    const alice = site.vpnClient("alice", "wonder-land");
    await alice.waitConnected();
    const dhcp = DhcpProgramClient.start("udhcpc", site.client, alice.device);
    expect((await dhcp.waitGranted()).address).toBe("10.1.2.3");
    const leases = await server.command("nat", "leases", HUB, "--json");
    expect(JSON.parse(leases.stdout)).toMatchObject([{ address: "10.1.2.3", origin: "user" }]);
  });

  test.concurrent(
    "the VLAN of the answer is that of the session, and who gets none is refused; the hub is the NAS",
    async () => {
      await using site = await Site.open();
      const radius = await site.freeRadius();
      const server = await site.vpnServer(
        `twelve = { radius = true }
thirteen = { radius = true }
homeless = { radius = true }
[hub.${HUB}.options]
AssignVLanIdByRadiusAttribute = true
DenyAllRadiusLoginWithNoVlanAssign = true
UseHubNameAsRadiusNasId = true
`,
        "",
        [`${RADIUS}:1812`],
      );
      const from = (n: number, ...tags: number[]) =>
        toHex(frame({ to: BROADCAST, from: mac(n), tags }));
      const { rounds } = await exchange(site.client, {
        host: SERVER,
        port: 5555,
        hub: HUB,
        password: "by-heart",
        users: ["local", "twelve", "thirteen"],
        plain: ["twelve", "thirteen"],
        stations: [1, 2, 3].map((n) => mac(n).toString(16).padStart(12, "0")),
        rounds: [
          { from: "twelve", frames: [from(2)], expected: 1 },
          { from: "thirteen", frames: [from(3)], expected: 1 },
          { from: "local", frames: [from(1), from(1, 14), from(1, 12), from(1, 13)], expected: 2 },
        ],
      });
      expect(rounds).toEqual([
        { local: [from(2, 12)] },
        { local: [from(3, 13)] },
        { twelve: [from(1)], thirteen: [from(1)] },
      ]);
      for (const request of radius.requests("Access-Request"))
        expect(request).toContain(`NAS-Identifier = "${HUB}"`);

      const refused = site.vpnClient("homeless", "by-heart");
      expect(await refused.waitGivenUp()).toMatchObject({ code: `refused_${ACCESS_DENIED}` });
      const text = await Bun.file(server.configFile).text();
      await server.reload(text.replace("DenyAllRadiusLoginWithNoVlanAssign = true", ""));
      await refused.stop();
      const welcome = site.vpnClient("homeless", "by-heart");
      await welcome.waitConnected();
    },
  );

  test.concurrent(
    "AU-01 an answer without a seal lets nobody in, and the log says why",
    async () => {
      await using site = await Site.open();
      await site.freeRadius({ sealsAnswers: false });
      const server = await site.vpnServer("alice = { radius = true }");
      const refused = site.vpnClient("alice", "wonder-land");
      expect(await refused.waitGivenUp()).toMatchObject({ code: `refused_${AUTH_FAILED}` });
      await server.waitLog("radius_answer_refused", { reason: "no_message_authenticator" });
    },
  );

  test.concurrent("AU-03 while no RADIUS server answers, local users log in at once", async () => {
    await using site = await Site.open();
    await site.vpnServer('"*" = { radius = true }');
    const waiting = site.vpnClient("alice", "wonder-land", { nic: "tap9" });
    await until(
      "a socket towards the RADIUS servers",
      async () => (await site.server.run(["ss", "-Huan"])).stdout !== "",
    );
    const local = site.vpnClient("local", "by-heart", { flags: [] });
    await local.waitConnected(3_000);
    expect(await waiting.waitGivenUp()).toMatchObject({ code: `refused_${AUTH_FAILED}` });
  });
});

describeSystem("NT domain, our client on our server", ["winbindd", "ntlm_auth"], () => {
  test.concurrent(
    "winbind lets users in, those with a group only if it is theirs there",
    async () => {
      await using site = await Site.open();
      const helper = await startWinbind(site.server, { nobody: "secret-1" });
      const server = await VpnServer.start(
        site.server,
        `
[server]
listen = [5555]
ntlm_auth = "${helper}"
[lockout]
enable = false
[hub.${HUB}.group]
None = {}
Printers = {}
[hub.${HUB}.user]
erin = { nt = '${NT_DOMAIN}\\nobody' }
fred = { nt = '${NT_DOMAIN}\\nobody', group = "None" }
gina = { nt = '${NT_DOMAIN}\\nobody', group = "Printers" }
`,
      );
      const outcome = async (user: string, password: string) => {
        const client = site.vpnClient(user, password);
        try {
          await client.waitConnected();
          return await usersOf(server);
        } catch {
          return client.refusal;
        } finally {
          await client.stop();
        }
      };
      expect(await outcome("erin", "secret-1")).toEqual(["erin"]);
      expect(await outcome("erin", "secret-2")).toBe(AUTH_FAILED);
      expect(await outcome("fred", "secret-1")).toEqual(["fred"]);
      expect(await outcome("gina", "secret-1")).toBe(AUTH_FAILED);
    },
  );
});
