import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { NatWorld, OUTSIDE } from "../support/nat-world.ts";
import { HALF_HASH, type OddReport, RESET_BYTES } from "../support/odd-peer.ts";
import { type Finished, until } from "../support/process.ts";
import type { VpnServer } from "../support/vpn.ts";

// TCP of a guest through SecureNAT in user mode, the built binary, with programs as people use them.

const ODD_PEER = join(import.meta.dir, "../support/odd-peer.ts");
/** 500 MB go through it before a release; here what shows the same within seconds. */
const DOWNLOAD_BYTES = Number(process.env["VPN_TEST_NAT_BYTES"] ?? 60_000_000);
const CROWD = 1000;
const DIAL = `
import errno, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
try: socket.socket(family).connect((sys.argv[1], int(sys.argv[2])))
except OSError as failure: print(errno.errorcode[failure.errno])
`;

const curl = (at: Namespace, ...args: string[]): Promise<Finished> =>
  at.run(["curl", "-sS", "--max-time", "50", ...args], { deadlineMs: 55_000 });

async function sha256(at: Namespace, path: string): Promise<string> {
  return (await at.check(["sha256sum", path])).stdout.split(" ")[0]!;
}

describeSystem("SecureNAT, TCP", ["curl", "nft", "python3"], () => {
  let nat: NatWorld;
  let server: VpnServer;
  /** What came of a dial that all tests run meanwhile: it takes ten seconds. */
  let dropped: Promise<{ readonly error: string; readonly ms: number }>;

  beforeAll(async () => {
    nat = await NatWorld.open();
    server = await nat.start();
    await nat.dress();
    await nat.serveWeb();
    nat.inet.spawn([process.execPath, ODD_PEER, "serve"]);
    await nat.inet.waitListening(7006);
    dropped = dialDropped();
  });
  afterAll(() => nat?.[Symbol.asyncDispose]());

  /** What the guest's program met. */
  async function meet(what: string, count = 1): Promise<OddReport> {
    const command = [process.execPath, ODD_PEER, what, OUTSIDE.inet, String(count)];
    const { stdout } = await nat.guest.check(command, { deadlineMs: 50_000 });
    return JSON.parse(stdout) as OddReport;
  }

  /** What connect(2) says; the runtime knows no failure but refusal. */
  async function dial(host: string, port: number): Promise<string> {
    const { stdout } = await nat.guest.check(["python3", "-c", DIAL, host, String(port)]);
    return stdout.trim();
  }

  async function dialDropped(): Promise<{ readonly error: string; readonly ms: number }> {
    const chain = "{ type filter hook input priority 0; }";
    const rule = `add table ip t; add chain ip t in ${chain}; add rule ip t in tcp dport 7998 drop`;
    await nat.inet.check(["nft", rule]);
    const started = performance.now();
    const error = await dial(OUTSIDE.inet, 7998);
    return { error, ms: performance.now() - started };
  }

  test.each([
    ["IPv4", OUTSIDE.inet, DOWNLOAD_BYTES],
    ["IPv6", `[${OUTSIDE.inet6}]`, DOWNLOAD_BYTES / 4],
  ])(
    "a guest downloads and uploads over %s, and not a byte is wrong",
    async (family, inet, bytes) => {
      if (family === "IPv6") await nat.waitIpv6();
      const [there, here] = ["there", "here"].map((name) => join(nat.world.directory, name));
      await nat.inet.check(["curl", "-sSo", there!, `http://127.0.0.1/noise/${bytes}`]);
      const expected = await sha256(nat.inet, there!);
      const down = await curl(nat.guest, "-o", here!, `http://${inet}/noise/${bytes}`);
      expect(down.stderr).toBe("");
      expect(await sha256(nat.guest, here!)).toBe(expected);
      const up = await curl(nat.guest, "-T", here!, "-X", "POST", `http://${inet}/`);
      expect(JSON.parse(up.stdout)).toEqual({ bytes, sha256: expected });
    },
  );

  test("the target sees the server's address", async () => {
    const { stdout } = await curl(nat.guest, `http://${OUTSIDE.inet}/`);
    expect(stdout.trim()).toEndWith(OUTSIDE.server);
  });

  test("a thousand connections are open at once, and each gets its own", async () => {
    const report = await meet("crowd", CROWD);
    expect(report).toEqual({ bytes: CROWD * 20_000, connected: CROWD });
    await until("descriptors to be given back", async () => {
      const shown = await nat.server.run([
        "ss",
        "-Htn",
        "state",
        "established",
        "dport",
        "=",
        "7006",
      ]);
      return shown.stdout === "";
    });
  });

  test("a port where nobody listens is refused at once", async () => {
    const started = performance.now();
    expect(await dial(OUTSIDE.inet, 7999)).toBe("ECONNREFUSED");
    expect(await dial(OUTSIDE.inet6, 7999)).toBe("ECONNREFUSED");
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("a network without a route is told of as such", async () => {
    await nat.server.ip("route", "add", "unreachable", "192.0.2.0/24");
    expect(await dial("192.0.2.1", 80)).toBe("EHOSTUNREACH");
    await nat.server.ip("route", "del", "default");
    const error = await dial("192.88.99.1", 80);
    await nat.server.ip("route", "add", "default", "via", OUTSIDE.router);
    expect(error).toBe("ENETUNREACH");
    await nat.server.ip("route", "add", "unreachable", "2001:db8:9::/64");
    expect(await dial("2001:db8:9::1", 80)).toBe("EHOSTUNREACH");
  });

  test("a target's reset in the middle comes as a reset", async () => {
    const { bytes, error } = await meet("reset");
    expect({ bytes, error }).toEqual({ bytes: RESET_BYTES, error: "ECONNRESET" });
  });

  test("a guest that has sent its FIN still hears its target", async () => {
    expect((await meet("patient")).text).toBe(HALF_HASH);
  });

  test("a target that has sent its FIN still hears the guest", async () => {
    expect(await meet("early")).toEqual({ bytes: 8, text: "greeting" });
    await until("the hash of what it heard", async () => (await meet("told")).text === HALF_HASH);
  });

  test("a target that never reads stops the guest, and nobody else", async () => {
    const deaf = meet("deaf");
    const { stdout } = await curl(
      nat.guest,
      "-o",
      "/dev/null",
      "-w",
      "%{size_download}",
      `http://${OUTSIDE.inet}/noise/5000000`,
    );
    expect(stdout).toBe("5000000");
    const { bytes, error } = await deaf;
    expect(error).toBeUndefined();
    expect(bytes).toBeGreaterThan(100_000);
    expect(bytes).toBeLessThan(64 << 20);
  });

  test("IP-18 a guest reaches neither its server's own port nor metadata of the machine", async () => {
    expect(await dial(OUTSIDE.server, 5555)).toBe("ECONNREFUSED");
    expect(await dial("169.254.169.254", 80)).toBe("ECONNREFUSED");
  });

  test("a target that drops what it is sent is given up after ten seconds", async () => {
    const { error, ms } = await dropped;
    expect(error).toBe("EHOSTUNREACH");
    expect(ms).toBeGreaterThan(8000);
  });

  test("the server stops in order, with connections open", async () => {
    const held = meet("hold");
    await until("the connection", async () => {
      const shown = await nat.inet.run(["ss", "-Htn", "state", "established", "sport = :7003"]);
      return shown.stdout !== "";
    });
    // It throws where the program shows a fault of its own.
    await server.stop();
    expect((await held).error).toBe("ECONNRESET");
  });
});
