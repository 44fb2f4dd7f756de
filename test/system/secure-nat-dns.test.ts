import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { INET_NAME, NAT, NatWorld, OUTSIDE } from "../support/nat-world.ts";
import { type Finished, until } from "../support/process.ts";

/** Nobody has it, and the router drops what goes there without a word. */
const SILENT = "203.0.113.77";
/** TXT strings of 250 bytes each. */
const LONG = ["--txt-record=long.example", ...strings(9)].join(",");
const VERY_LONG = ["--txt-record=very-long.example", ...strings(80)].join(",");

function strings(count: number): string[] {
  return Array.from({ length: count }, (_, n) => String(n).padStart(250, "x"));
}

function dig(at: Namespace, ...args: readonly string[]): Promise<Finished> {
  return at.run(["dig", "+tries=1", "+time=8", ...args]);
}

describeSystem("SecureNAT's DNS relay for dig", ["dig", "dnsmasq"], () => {
  test("answers by UDP and TCP, at both addresses of the host", async () => {
    await using nat = await NatWorld.open();
    await nat.serveDns();
    await nat.start();
    await nat.dress();
    await nat.waitIpv6();
    for (const host of [NAT.host, NAT.host6]) {
      for (const way of ["+notcp", "+tcp"]) {
        const v4 = await dig(nat.guest, `@${host}`, way, "+short", INET_NAME, "A");
        const v6 = await dig(nat.guest, `@${host}`, way, "+short", INET_NAME, "AAAA");
        expect([host, way, v4.stdout.trim(), v6.stdout.trim()]).toEqual([
          host,
          way,
          OUTSIDE.inet,
          OUTSIDE.inet6,
        ]);
      }
    }
    const none = await dig(nat.guest, `@${NAT.host}`, "none.example");
    expect(none.stdout).toMatch(/status: (?:NXDOMAIN|REFUSED)/);
  });

  test("DN-08 passes 2 KB by EDNS in fragments, says of more that there is more, and that comes by TCP", async () => {
    await using nat = await NatWorld.open();
    await nat.serveDns(LONG, VERY_LONG, "--edns-packet-max=4096");
    await nat.start();
    await nat.dress();
    await nat.waitIpv6();
    for (const host of [NAT.host, NAT.host6]) {
      const edns = await dig(
        nat.guest,
        `@${host}`,
        "+bufsize=4096",
        "+ignore",
        "long.example",
        "TXT",
      );
      expect(edns.stdout).toMatch(/ANSWER: 1,/);
      expect(edns.stdout).not.toMatch(/flags:[^;]* tc/);
      expect(Number(/MSG SIZE {2}rcvd: (\d+)/.exec(edns.stdout)?.[1])).toBeGreaterThan(2250);
      const plain = await dig(nat.guest, `@${host}`, "+noedns", "+ignore", "long.example", "TXT");
      expect(plain.stdout).toMatch(/flags:[^;]* tc/);
      // dig asks again by TCP by itself.
      const whole = await dig(nat.guest, `@${host}`, "very-long.example", "TXT");
      expect(Number(/MSG SIZE {2}rcvd: (\d+)/.exec(whole.stdout)?.[1])).toBeGreaterThan(20_000);
    }
  });

  test("DN-07 says SERVFAIL within 5 s when no resolver answers", async () => {
    await using nat = await NatWorld.open();
    await nat.router.ip("neigh", "add", SILENT, "lladdr", "02:00:00:00:00:77", "dev", "inet0");
    await nat.start(`resolvers = ["${SILENT}"]`);
    await nat.dress();
    const answer = await dig(nat.guest, `@${NAT.host}`, INET_NAME);
    expect(answer.stdout).toContain("status: SERVFAIL");
    // 4.5 s on an idle machine; dig itself gives up after 8.
    expect(Number(/Query time: (\d+) msec/.exec(answer.stdout)?.[1])).toBeGreaterThan(4_000);
  });

  test("asks the next resolver where the first is silent, or is not there", async () => {
    await using nat = await NatWorld.open();
    await nat.serveDns();
    await nat.router.ip("neigh", "add", SILENT, "lladdr", "02:00:00:00:00:77", "dev", "inet0");
    // The router itself has no server: it refuses by ICMP.
    await nat.start(`resolvers = ["${SILENT}", "${OUTSIDE.router}", "${OUTSIDE.inet}"]`);
    await nat.dress();
    for (const way of ["+notcp", "+tcp"]) {
      const answer = await dig(nat.guest, `@${NAT.host}`, way, "+short", INET_NAME);
      expect([way, answer.stdout.trim()]).toEqual([way, OUTSIDE.inet]);
    }
  });

  test("follows the machine's resolv.conf", async () => {
    await using nat = await NatWorld.open();
    await nat.serveDns();
    const file = join("/etc/netns", nat.server.netns, "resolv.conf");
    writeFileSync(file, `nameserver ${OUTSIDE.router}\n`);
    await nat.start();
    await nat.dress();
    const before = await dig(nat.guest, `@${NAT.host}`, INET_NAME);
    expect(before.stdout).toContain("status: SERVFAIL");
    // In place: the file is bound over /etc/resolv.conf in the server's namespace.
    writeFileSync(file, `nameserver ${OUTSIDE.inet6}\n`);
    await until("an answer of the other resolver", async () => {
      const after = await dig(nat.guest, `@${NAT.host}`, "+short", INET_NAME);
      return after.stdout.trim() === OUTSIDE.inet;
    });
  });

  test("DN-09 DN-10 tells nothing of the machine and refuses what is no look-up", async () => {
    await using nat = await NatWorld.open();
    await nat.serveDns();
    await nat.start();
    await nat.dress();
    const own = (await nat.server.check(["hostname"])).stdout.trim().split(".")[0]!;
    const status = async (...args: string[]) =>
      /status: (\w+)/.exec((await dig(nat.guest, `@${NAT.host}`, ...args)).stdout)?.[1];
    expect(await status(own)).toBe("NXDOMAIN");
    expect(await status("localhost")).toBe("NXDOMAIN");
    expect(await status("+notcp", INET_NAME, "ANY")).toBe("REFUSED");
    expect(await status("version.bind", "CH", "TXT")).toBe("REFUSED");
    // By TCP the connection ends.
    expect(await status("+tcp", INET_NAME)).toBe("NOERROR");
    expect(await status("+tcp", "localhost")).toBeUndefined();
    expect(await status("+tcp", INET_NAME, "AXFR")).toBeUndefined();
  });
});
