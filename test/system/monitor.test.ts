import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { until, type Running } from "../support/process.ts";
import { SOFTETHER_PROGRAMS } from "../support/softether.ts";
import { ping, transfer } from "../support/transfer.ts";
import {
  ALSO_GOOD,
  GOOD,
  HUB,
  type Implementation,
  INSIDE,
  startClient,
  type TunnelClient,
  type TunnelServer,
  WATCHER,
} from "../support/tunnel.ts";
import { secretFile, vpn, VpnServer } from "../support/vpn.ts";
import {
  SERVER_FROM_TOWER,
  sessionOf,
  summaryOf,
  waitStands,
  Watched,
} from "../support/watched.ts";

// Who watches a hub: by an interface as clients of both kinds have it, and by captures.

const MONITOR_REFUSED = 107;
const SEND_FRAME = join(import.meta.dir, "../support/raw-frame.py");
const KINDS: readonly Implementation[] = ["ours", "reference"];
/** Nobody else speaks this one (IEEE Std 802, local experimental). */
const EXPERIMENTAL = "88b5";

/** Listens on an interface until it is stopped. */
async function listen(at: Namespace, device: string, ...filter: string[]): Promise<Running> {
  const running = at.spawn(["tcpdump", "-n", "-e", "-l", "-i", device, ...filter]);
  await until("tcpdump", () => running.lines.stderr.some((line) => line.includes("listening on")), {
    explain: () => running.output(),
  });
  return running;
}

const shows = (running: Running, ...words: string[]) =>
  running.lines.stdout.some((line) => words.every((word) => line.includes(word)));

for (const server of KINDS) {
  describeSystem(
    `monitoring a hub, server ${server}`,
    [...SOFTETHER_PROGRAMS, "tcpdump", "python3"],
    () => {
      let place: Watched;
      beforeAll(async () => {
        place = await Watched.open(server);
      });
      afterAll(() => place?.[Symbol.asyncDispose]());

      for (const client of KINDS) {
        test(`client ${client}: its interface gets all frames, sends none, and needs the policy`, async () => {
          const { tower, left, right } = place;
          const watcher = await startClient(client, tower, SERVER_FROM_TOWER, WATCHER, {
            mode: "monitor",
          });
          await watcher.waitConnected();
          await tower.ip("link", "set", watcher.device, "up");
          const heard = await listen(tower, watcher.device);
          await place.talk();
          const [leftMac, rightMac] = [
            await left.at.macOf(left.device),
            await right.at.macOf(right.device),
          ];
          const expected = [
            ["ff:ff:ff:ff:ff:ff", "ARP", `who-has ${INSIDE.right.ipv4}`],
            [`${leftMac} > ${rightMac}`, "ICMP echo request"],
            [`${rightMac} > ${leftMac}`, "ICMP echo reply"],
            ["33:33:", "neighbor solicitation", INSIDE.right.ipv6],
            [`${leftMac} > ${rightMac}`, "ICMP6, echo request"],
            [`${rightMac} > ${leftMac}`, "ICMP6, echo reply"],
          ];
          await until(
            "all kinds of frames",
            () => expected.every((words) => shows(heard, ...words)),
            {
              explain: () => heard.output(),
            },
          );

          // The frame of the station that is sent last shows that those before would have been seen.
          const ends = await Promise.all(
            [left, right].map(({ at, device }) =>
              listen(at, device, "ether", "proto", `0x${EXPERIMENTAL}`),
            ),
          );
          const frame = (to: string, n: number) =>
            `${to.replaceAll(":", "")}02000000000${n}${EXPERIMENTAL}${"00".repeat(50)}`;
          const send = ({ at, device }: TunnelClient, hex: string) =>
            at.check(["python3", SEND_FRAME, device, hex]);
          for (const to of ["ff:ff:ff:ff:ff:ff", leftMac, rightMac])
            await send(watcher, frame(to, 1));
          await send(right, frame("ff:ff:ff:ff:ff:ff", 2));
          await until("the frame of a station", () => shows(ends[0]!, "02:00:00:00:00:02"), {
            explain: () => ends[0]!.output(),
          });
          for (const end of ends) {
            await end.stop("SIGINT");
            expect(shows(end, "02:00:00:00:00:01")).toBe(false);
          }
          const macs = await place.hub.macs();
          expect(macs.some(({ mac }) => mac === "020000000001")).toBe(false);
          await heard.stop("SIGINT");

          await watcher.reconnect({ mode: "monitor" }, GOOD);
          expect(await watcher.waitRefused()).toBe(MONITOR_REFUSED);
          await watcher.stop();
        });
      }

      test("a capture has what the hub carried, whole, when it is interrupted", async () => {
        const file = place.file("whole.pcapng");
        const running = await place.capture("--write", file);
        await place.talk();
        // While it grows it can be read: each write ends with a whole block.
        await until("the last frame in the file", async () =>
          (await place.dump(file)).some((line) => line.includes("ICMP6, echo reply")),
        );
        expect(await running.stop("SIGINT")).toBe(0);
        const lines = await place.dump(file);
        const summary = summaryOf(running);
        expect(lines).toBeArrayOfSize(summary.written);
        expect(summary).toMatchObject({ dropped: 0, files: 1, received: summary.written });
        for (const words of ["ICMP echo request", "ICMP echo reply", "ICMP6, echo reply", "ARP"]) {
          expect(lines.some((line) => line.includes(words))).toBe(true);
        }
        expect(statSync(file).mode & 0o777).toBe(0o600);
      });

      test("without the policy a capture ends at once with 77 and says why", async () => {
        const command = place.command(GOOD, "--write", place.file("none.pcapng"));
        const ended = await place.tower.run(command);
        expect(ended.exitCode).toBe(77);
        expect(ended.stderr).toContain(`refused_${MONITOR_REFUSED}`);
        expect(ended.stdout).not.toContain("summary");
      });
    },
  );
}

describeSystem("captures on our server", ["tcpdump"], () => {
  let place: Watched;
  beforeAll(async () => {
    place = await Watched.open("ours");
  });
  afterAll(() => place?.[Symbol.asyncDispose]());
  const words = (command: readonly string[]) => command.map((word) => `'${word}'`).join(" ");

  test("tcpdump reads along at the other end of a pipe, and sees what the filter lets pass", async () => {
    const command = place.command(
      WATCHER,
      "--write",
      "-",
      "--filter",
      "icmp or icmp6 and not multicast",
    );
    const pipe = `${words(command)} | tcpdump -n -l -r -`;
    const running = place.tower.spawn(["bash", "-c", pipe]);
    await waitStands(running);
    await place.talk();
    await until(
      "what was captured",
      () => shows(running, "ICMP echo reply") && shows(running, "ICMP6, echo reply"),
      { explain: () => running.output() },
    );
    expect(shows(running, "ARP")).toBe(false);
  });

  test("CL-06 a reader that goes away ends a capture with no trace", async () => {
    const pipe = `${words(place.command(WATCHER, "--write", "-"))} | head -c 400 >/dev/null; exit \${PIPESTATUS[0]}`;
    const running = place.tower.spawn(["bash", "-c", pipe]);
    await waitStands(running);
    await until(
      "the end",
      async () => {
        await ping(place.left.at, INSIDE.right.ipv4, { count: 2 });
        return !running.alive;
      },
      { deadlineMs: 20_000, explain: () => running.output() },
    );
    expect([0, 141]).toContain(await running.ended());
    expect(running.lines.stderr.join("\n")).not.toMatch(/EPIPE|\bat .*:\d+/);
  });

  test("a ring keeps the last files, each of them whole", async () => {
    const ring = ["--ring-size", "10kB", "--ring-files", "3"];
    const running = await place.capture("--write", place.file("ring.pcapng"), ...ring);
    await ping(place.left.at, INSIDE.right.ipv4, { count: 40, size: 1000 });
    expect(await running.stop("SIGTERM")).toBe(0);
    const summary = summaryOf(running);
    expect(summary.files).toBeGreaterThan(4);
    const files = readdirSync(place.site.world.directory).filter((name) =>
      name.startsWith("ring_"),
    );
    expect(files).toBeArrayOfSize(3);
    for (const name of files.sort()) {
      expect(name).toMatch(/^ring_\d{5}_\d{14}\.pcapng$/);
      expect(statSync(place.file(name)).size).toBeLessThanOrEqual(10_000);
      expect((await place.dump(place.file(name))).length).toBeGreaterThan(0);
    }
    expect(Number(files.at(-1)!.slice(5, 10))).toBe(summary.files);
    expect(existsSync(place.file("ring.pcapng"))).toBe(false);
  });

  test("a capture ends by itself after the frames that were asked for", async () => {
    const file = place.file("five.pcapng");
    const running = await place.capture("--write", file, "--count", "5", "--snaplen", "60");
    await ping(place.left.at, INSIDE.right.ipv4, { count: 10 });
    expect(await running.ended()).toBe(0);
    const lines = await place.dump(file);
    expect(lines).toBeArrayOfSize(5);
    expect(lines.filter((line) => line.includes("length 98")).length).toBeGreaterThan(0);
  });

  test("FR-24 a reader that stands still loses frames, and the hub waits for nobody", async () => {
    const running = await place.capture("--write", place.file("stalled.pcapng"));
    process.kill(running.pid, "SIGSTOP");
    const { left, right } = place;
    const sent = await transfer(left.at, right.at, INSIDE.right.ipv4, 60_000_000);
    expect([sent.bytes, sent.received]).toEqual([60_000_000, sent.sent]);
    const hub = (await snapshotOf(place)).hubs.find(({ name }) => name === HUB)!;
    const watcher = hub.sessions.find(({ name }) => name === sessionOf(running))!;
    const station = hub.sessions.find(({ user }) => user === ALSO_GOOD.user)!;
    expect(watcher.mode).toBe("monitor");
    expect(watcher.traffic.drops.queue_full).toBeGreaterThan(1000);
    const carried = station.traffic.egress.unicast.bytes;
    expect(carried).toBeGreaterThan(60_000_000);
    expect(watcher.traffic.egress.unicast.bytes).toBeLessThan(carried / 2);
    process.kill(running.pid, "SIGCONT");
    await running.stop("SIGINT");
  });

  test("forgets the password of an account where the hub wants none kept, and tells so", async () => {
    const { tower } = place;
    const state = ["--state-dir", place.file("tower-accounts")];
    const client = (...args: string[]) => vpn(tower, ["client", ...args, ...state]);
    const { user, password } = WATCHER;
    const to = ["--server", `${SERVER_FROM_TOWER}:5555`, "--hub", HUB, "--user", user];
    const secret = ["--password-file", secretFile(tower, user, password)];
    expect((await client("account", "add", "watch", ...to, ...secret)).exitCode).toBe(0);
    const stored = async () =>
      JSON.parse((await client("account", "show", "watch", "--json")).stdout).password as unknown;
    const write = ["--write", place.file("kept.pcapng"), "--insecure", "--json"];
    const capture = () => client("monitor", "watch", ...write, "--duration", "1s");
    expect(await capture()).toMatchObject({ exitCode: 0 });
    expect(await stored()).toEqual({ stored: true });

    const server = serverOf(place);
    const config = await Bun.file(server.configFile).text();
    const strict = "monitor_port = true, no_save_password = true";
    await server.reload(config.replaceAll("monitor_port = true", strict));
    const last = await capture();
    expect(last.exitCode).toBe(0);
    expect(last.stdout).toContain('"code":"no_save_password"');
    expect(await stored()).toBeNull();
    expect((await capture()).exitCode).toBe(65);
    await server.reload(config);
  });

  test("who loses the policy loses the session", async () => {
    const running = await place.capture("--write", place.file("lost.pcapng"));
    const server = serverOf(place);
    const config = await Bun.file(server.configFile).text();
    await server.reload(config.replaceAll("monitor_port = true", "monitor_port = false"));
    await until(
      "the refusal",
      () => running.lines.stdout.some((line) => line.includes(`refused_${MONITOR_REFUSED}`)),
      { deadlineMs: 30_000, explain: () => running.output() },
    );
    await server.reload(config);
    expect(await running.stop("SIGINT")).toBe(0);
  });
});

function serverOf({ hub }: Watched): VpnServer {
  const { vpn } = hub as TunnelServer & { vpn?: unknown };
  if (vpn instanceof VpnServer) return vpn;
  throw new Error("this is not our server");
}

function snapshotOf(place: Watched) {
  return serverOf(place).snapshot();
}
