import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Secret, TOTP } from "otpauth";
import { hashArgon2 } from "../../src/crypto/argon2.ts";
import { hashUserPassword } from "../../src/crypto/password.ts";
import type { Namespace } from "../support/namespace.ts";
import { describeSystem } from "../support/namespace.ts";
import { DAY_MS, issue, revoke, type Entity } from "../support/pki.ts";
import { until } from "../support/process.ts";
import { SOFTETHER_PROGRAMS, SoftEtherClient } from "../support/softether.ts";
import { openSite, SERVER_FROM, type Site } from "../support/tunnel.ts";
import { VpnClient, VpnServer } from "../support/vpn.ts";

// Every way to log in that does not need somebody outside, presented by the reference's client to our server.

const HUB = "OFFICE";
const AUTH_FAILED = 9;
const TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const VALID = { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS };

const HEAD = `
[server]
listen = [5555]
[lockout]
enable = false
`;

/** A stock client in front of our server. */
class Door implements AsyncDisposable {
  readonly #site: Site;
  readonly server: VpnServer;
  readonly client: SoftEtherClient;

  private constructor(site: Site, server: VpnServer, client: SoftEtherClient) {
    this.#site = site;
    this.server = server;
    this.client = client;
  }

  /** `config` names files by what `files` puts beside it. */
  static async open(
    config: string,
    files: Readonly<Record<string, string | Uint8Array>> = {},
  ): Promise<Door> {
    const site = await openSite();
    try {
      for (const [name, content] of Object.entries(files)) {
        writeFileSync(join(site.world.directory, name), content, { mode: 0o600 });
      }
      const text = config.replaceAll("DIR/", `${site.world.directory}/`);
      const server = await VpnServer.start(site.server, HEAD + text);
      return new Door(site, server, await SoftEtherClient.start(site.left));
    } catch (thrown) {
      await site[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  get at(): Namespace {
    return this.#site.left;
  }

  path(name: string): string {
    return join(this.#site.world.directory, name);
  }

  /** Logs in once and leaves again: 0, or the number of the error that the client notes. */
  async try(
    user: string,
    password: string,
    options: { plain?: boolean; certificate?: { cert: string; key: string } } = {},
  ): Promise<number> {
    await this.begin(user, password, options);
    const outcome = await Promise.race([
      this.client.waitConnected().then(() => 0),
      this.client.waitRefused(),
    ]);
    await this.client.disconnect();
    return outcome;
  }

  begin(
    user: string,
    password: string,
    options: { plain?: boolean; certificate?: { cert: string; key: string } } = {},
  ): Promise<void> {
    const server = `${SERVER_FROM.left}:5555`;
    return this.client.connect({ server, hub: HUB, user, password, ...options });
  }

  /** A login with this certificate, whose files are made. */
  withCertificate(user: string, entity: Entity): Promise<number> {
    return this.try(user, "unused", { certificate: this.filesOf(entity) });
  }

  filesOf(entity: Entity): { cert: string; key: string } {
    const name = entity.certificate.serialNumber;
    const files = { cert: this.path(`${name}.pem`), key: this.path(`${name}.key`) };
    writeFileSync(files.cert, entity.pem);
    writeFileSync(files.key, entity.keyPem, { mode: 0o600 });
    return files;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.kill();
    await this.server.stop();
    await this.#site[Symbol.asyncDispose]();
  }
}

const PLAIN = { plain: true };

describeSystem("the reference's client logs in to our server", SOFTETHER_PROGRAMS, () => {
  test.concurrent("with a password: hashed, plain, and with a code behind it", async () => {
    const sha0 = hashUserPassword("alice", new TextEncoder().encode("wonderland")).toBase64();
    const argon2 = await hashArgon2(new TextEncoder().encode("builder"));
    await using door = await Door.open(
      `[hub.${HUB}.user]
alice = { password = "hash:sha0:${sha0}" }
bob = { password = "hash:argon2id:${argon2}" }
carol = { password = "hash:argon2id:${argon2}", totp = "file:DIR/carol.totp" }
`,
      { "carol.totp": TOTP_SECRET },
    );
    const code = () => new TOTP({ secret: Secret.fromBase32(TOTP_SECRET) }).generate();
    expect(await door.try("alice", "wonderland")).toBe(0);
    expect(await door.try("alice", "wonderland", PLAIN)).toBe(0);
    expect(await door.try("alice", "Wonderland", PLAIN)).toBe(AUTH_FAILED);
    expect(await door.try("bob", "builder", PLAIN)).toBe(0);
    expect(await door.try("bob", "Builder", PLAIN)).toBe(AUTH_FAILED);
    // A hash of the reference's kind proves nothing to one of ours.
    expect(await door.try("bob", "builder")).toBe(AUTH_FAILED);
    expect(await door.try("carol", "builder", PLAIN)).toBe(AUTH_FAILED);
    const used = code();
    expect(await door.try("carol", `builder${used}`, PLAIN)).toBe(0);
    expect(await door.try("carol", `builder${used}`, PLAIN)).toBe(AUTH_FAILED);
    expect(door.server.log.filter(({ event }) => event === "login")).toHaveLength(4);
  });

  test.concurrent("hashed_login = false of a hub takes the plain password alone", async () => {
    await using door = await Door.open(
      `[hub.${HUB}]
hashed_login = false
user.alice = { password = "file:DIR/alice.pw" }
`,
      { "alice.pw": "wonderland" },
    );
    expect(await door.try("alice", "wonderland")).toBe(AUTH_FAILED);
    expect(await door.try("alice", "wonderland", PLAIN)).toBe(0);
  });

  test.concurrent(
    "with its own certificate, with one of a trusted CA, and with no other",
    async () => {
      const root = await issue({ subject: "CN=Root, O=Example", isAuthority: true, ...VALID });
      const leaf = (
        serial: string,
        name: string,
        change: Partial<Parameters<typeof issue>[0]> = {},
      ) => issue({ subject: `CN=${name}`, issuer: root, serial, key: "leaf", ...VALID, ...change });
      const own = await issue({ subject: "CN=own", serial: "0a", key: "leaf", ...VALID });
      await using door = await Door.open(
        `[hub.${HUB}]
trusted_ca = ["DIR/root.pem"]
user.own = { cert = "DIR/own.pem" }
user.any = { cert_signed = true }
user.carol = { cert_cn = "carol", cert_serial = "0c" }
`,
        { "root.pem": root.pem, "own.pem": own.pem },
      );
      expect(await door.withCertificate("own", own)).toBe(0);
      expect(await door.withCertificate("any", own)).toBe(AUTH_FAILED);
      const carol = await leaf("0c", "carol");
      expect(await door.withCertificate("carol", carol)).toBe(0);
      expect(await door.withCertificate("any", carol)).toBe(0);
      expect(await door.withCertificate("own", carol)).toBe(AUTH_FAILED);
      expect(await door.withCertificate("carol", await leaf("0d", "carol"))).toBe(AUTH_FAILED);
      expect(await door.withCertificate("carol", await leaf("0c", "caro1"))).toBe(AUTH_FAILED);
      const old = await leaf("0e", "old", { notAfter: Date.now() - 60_000 });
      expect(await door.withCertificate("any", old)).toBe(AUTH_FAILED);
      expect(await door.try("any", "some password")).toBe(AUTH_FAILED);
    },
  );

  test.concurrent("with certificates that its own tools have made", async () => {
    await using door = await Door.open(
      `[hub.${HUB}]\nuser.alice = { password = "file:DIR/alice.pw" }\n`,
      { "alice.pw": "wonderland" },
    );
    const make = async (name: string, serial: string, ...signed: string[]) => {
      const words = `/O:Org /OU:Unit /C:DE /ST:Berlin /L:Berlin /SERIAL:${serial} /EXPIRES:30`;
      const save = `/SAVECERT:${door.path(name)}.pem /SAVEKEY:${door.path(name)}.key`;
      const command = `MakeCert2048 /CN:${name} ${words} ${signed.join(" ")} ${save}`;
      const made = await door.at.run(["vpncmd", "/TOOLS", "/CMD", ...command.split(" ")]);
      expect(made.stdout).toContain("The command completed successfully");
      return { cert: `${door.path(name)}.pem`, key: `${door.path(name)}.key` };
    };
    const ca = await make("ca", "01");
    const signed = await make("dave", "02", `/SIGNCERT:${ca.cert}`, `/SIGNKEY:${ca.key}`);
    await door.server.reload(`${HEAD}
[hub.${HUB}]
trusted_ca = ["${ca.cert}"]
user.dave = { cert_cn = "dave" }
`);
    expect(await door.try("dave", "", { certificate: signed })).toBe(0);
    expect(await door.try("dave", "", { certificate: ca })).toBe(AUTH_FAILED);
  });

  test.concurrent("and is cut off when its certificate is revoked", async () => {
    const root = await issue({ subject: "CN=Root, O=Example", isAuthority: true, ...VALID });
    const carol = await issue({ subject: "CN=carol", issuer: root, serial: "0c", ...VALID });
    const list = (...serials: string[]) => revoke(root, serials, { nextUpdate: VALID.notAfter });
    await using door = await Door.open(
      `[hub.${HUB}]
trusted_ca = ["DIR/root.pem"]
crl = ["DIR/root.crl"]
user.carol = { cert_signed = true }
`,
      { "root.pem": root.pem, "root.crl": await list("0b") },
    );
    await door.begin("carol", "unused", { certificate: door.filesOf(carol) });
    await door.client.waitConnected();
    const from = performance.now();
    writeFileSync(door.path("root.crl"), await list("0b", "0c"));
    await door.server.waitLog("logout", { reason: "certificate_revoked" });
    expect(performance.now() - from).toBeLessThan(5_000);
    // The client tries again by itself, in vain.
    await door.server.waitLog("login_failed", { user: "carol", reason: "credentials" });
    expect(await door.client.waitRefused()).toBe(AUTH_FAILED);
  });

  test.concurrent("from an address that the hub lets in, and from no other", async () => {
    const config = (rules: string, more = "") => `${HEAD}${more}
[hub.${HUB}]
source = [${rules}]
user.alice = { anonymous = true }
`;
    const drop = '{ from = "10.91.1.0/24", action = "drop" }';
    await using door = await Door.open(config(drop).slice(HEAD.length));
    expect(await door.try("alice", "x")).toBe(AUTH_FAILED);
    const pass = '{ from = "10.91.1.2", action = "pass", priority = 50 }';
    await door.server.reload(config(`${drop}, ${pass}`));
    expect(await door.try("alice", "x")).toBe(0);
    const revealing = config(drop).replace("[server]", "[server]\nreveal_hubs = true");
    await door.server.reload(revealing);
    expect(await door.try("alice", "x")).toBe(109);
  });

  test.concurrent("and is cut off when its user's time is over", async () => {
    await using door = await Door.open(
      `[hub.${HUB}]
user.alice = { anonymous = true, policy = { auto_disconnect = "4s" } }
`,
    );
    await door.begin("alice", "x");
    await door.client.waitConnected();
    const gone = await until("the end of the session", () =>
      door.server.log.find(({ event }) => event === "logout"),
    );
    expect(gone["user"]).toBe("alice");
    expect(Number(gone["seconds"])).toBeGreaterThanOrEqual(3);
  });
});

describeSystem("our client logs in to our server", [], () => {
  test.concurrent("with a code behind the password, and with a certificate", async () => {
    const root = await issue({ subject: "CN=Root, O=Example", isAuthority: true, ...VALID });
    const carol = await issue({ subject: "CN=carol", issuer: root, serial: "0c", ...VALID });
    await using site = await openSite();
    const path = (name: string) => join(site.world.directory, name);
    const put = (name: string, content: string) =>
      writeFileSync(path(name), content, { mode: 0o600 });
    put("root.pem", root.pem);
    put("carol.pem", carol.pem);
    put("carol.key", carol.keyPem);
    put("alice.totp", TOTP_SECRET);
    put("alice.pw", "wonderland");
    const server = await VpnServer.start(
      site.server,
      `${HEAD}
[hub.${HUB}]
trusted_ca = ["${path("root.pem")}"]
user.alice = { password = "file:${path("alice.pw")}", totp = "file:${path("alice.totp")}" }
user.carol = { cert_cn = "carol" }
`,
    );
    const to = { server: `${SERVER_FROM.left}:5555`, hub: HUB, retry: 0 };
    const alice = { ...to, user: "alice", password: "wonderland" };
    const without = VpnClient.start(site.left, { ...alice, nic: "tap0", flags: ["--plain"] });
    expect(await until("the refusal", () => without.refusal)).toBe(AUTH_FAILED);
    const code = new TOTP({ secret: Secret.fromBase32(TOTP_SECRET) }).generate();
    put("code", code);
    const flags = ["--plain", "--totp-file", path("code")];
    const withCode = VpnClient.start(site.left, { ...alice, nic: "tap1", flags });
    await withCode.waitConnected();
    const withCertificate = VpnClient.start(site.left, {
      ...to,
      user: "carol",
      password: "",
      nic: "tap2",
      account: { cert: path("carol.pem"), key: path("carol.key") },
    });
    await withCertificate.waitConnected();
    const { hubs } = await server.snapshot();
    expect(hubs[0]?.sessions.map(({ user }) => user)).toEqual(["alice", "carol"]);
    await server.stop();
  });
});
