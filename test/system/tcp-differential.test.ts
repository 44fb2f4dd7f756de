// SecureNAT's TCP against the kernel's, through a cable that a script loses, doubles and reorders frames on; and what two
// kernels do under the same script beside it.
import { expect, test } from "bun:test";
import { describeSystem, World } from "../support/namespace.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { digestOf, type EndPlan, type Fate, type Script, TcpLab } from "../support/tcp-lab.ts";

const MEGABYTE = 1_000_000;
const ECONNREFUSED = 111;

const untouched: Script = () => "pass";

/** The same frames for every run, as far as the ends send alike. */
function share(fate: Fate, of: number): Script {
  const draws = { up: seededRandom(11), down: seededRandom(12) };
  return (_frame, direction) => (draws[direction].fraction() < of ? fate : "pass");
}

/** A queue is full no longer than this: what is sent again after a time-out, frame by frame, finds it empty. */
const FULL_MS = 50;

/** A queue that is full for a while: whole trains are lost. */
function trains(of: number): Script {
  const since = { up: 0, down: 0 };
  return (frame, direction) => {
    const place = (frame % 500) - 200;
    if (place === 0) since[direction] = performance.now();
    const isFull = performance.now() - since[direction] < FULL_MS;
    return place >= 0 && place < of && isFull ? "drop" : "pass";
  };
}

const SCRIPTS: Readonly<Record<string, { script: () => Script; mayRepeat: number }>> = {
  "nothing happens": { script: () => untouched, mayRepeat: 10 },
  "1 % is lost": { script: () => share("drop", 0.01), mayRepeat: 60 },
  "trains of 60 are lost": { script: () => trains(60), mayRepeat: 400 },
  "2 % come late": { script: () => share("hold", 0.02), mayRepeat: 150 },
  "5 % come twice": { script: () => share("double", 0.05), mayRepeat: 20 },
};

describeSystem("TcpConnection and the kernel's TCP where", ["python3"], () => {
  for (const [name, { script, mayRepeat }] of Object.entries(SCRIPTS)) {
    test(`${name}: whole both ways, and sent again about as often as a kernel does`, async () => {
      await using world = new World();
      const lab = await TcpLab.open(world);
      const plan: EndPlan = { send: 4 * MEGABYTE };
      const ours = await lab.withMachine(script(), plan, plan);
      expect(ours.guest).toMatchObject({
        received: 4 * MEGABYTE,
        digest: digestOf(4 * MEGABYTE),
        end: true,
      });
      expect(ours.host).toMatchObject({ received: 4 * MEGABYTE, digest: digestOf(4 * MEGABYTE) });
      const theirs = await lab.withKernel(script(), plan, plan);
      expect(theirs.guest).toMatchObject({ received: 4 * MEGABYTE, end: true });
      expect(ours.host.retransmits).toBeLessThanOrEqual(2 * theirs.retransmits + mayRepeat);
    });
  }

  test("nothing happens over IPv6: whole both ways", async () => {
    await using world = new World();
    const lab = await TcpLab.open(world, 6);
    const plan: EndPlan = { send: MEGABYTE };
    const { guest, host } = await lab.withMachine(untouched, plan, plan);
    expect(guest).toMatchObject({ received: MEGABYTE, digest: digestOf(MEGABYTE), end: true });
    expect(host).toMatchObject({ received: MEGABYTE, digest: digestOf(MEGABYTE), retransmits: 0 });
  });

  test("the guest closes its half first: the other half goes on", async () => {
    await using world = new World();
    const lab = await TcpLab.open(world);
    const { guest, host } = await lab.withMachine(untouched, {}, { send: 2 * MEGABYTE });
    expect(guest).toMatchObject({ received: 2 * MEGABYTE, digest: digestOf(2 * MEGABYTE) });
    expect(host.events).toEqual(["established", "finished", "closed closed"]);
    expect(host.states).toContain("last-ack");
  });

  test("the guest's reader stops: the window closes, is asked about, and opens again", async () => {
    await using world = new World();
    const lab = await TcpLab.open(world);
    const plan: EndPlan = { send: 10_000, readAfter: 1.5 };
    const { guest, host } = await lab.withMachine(untouched, plan, { send: 12 * MEGABYTE });
    expect(guest).toMatchObject({ received: 12 * MEGABYTE, digest: digestOf(12 * MEGABYTE) });
    expect(host.stats!.windowProbes).toBeGreaterThan(0);
    expect(host.stats!.timeouts).toBe(0);
  });

  test("the guest resets in the middle: the socket side is told", async () => {
    await using world = new World();
    const lab = await TcpLab.open(world);
    const plan: EndPlan = { take: 100_000, close: "reset" };
    const { host } = await lab.withMachine(untouched, plan, { send: 8 * MEGABYTE });
    expect(host.events).toEqual(["established", "closed reset"]);
  });

  test("the target refuses: the guest learns of it at once", async () => {
    await using world = new World();
    const lab = await TcpLab.open(world);
    const { guest, host } = await lab.withMachine(untouched, {}, { refuses: true });
    expect(guest.connectError).toBe(ECONNREFUSED);
    expect(guest.seconds).toBeLessThan(5);
    expect(host.events).toEqual(["closed aborted"]);
  });

  test("both close at once: both halves end in order", async () => {
    await using world = new World();
    const lab = await TcpLab.open(world);
    // The machine's is under way for so long that it crosses the guest's.
    const crossing: Script = (_frame, direction, isFin) =>
      isFin && direction === "down" ? "late" : "pass";
    const { guest, host } = await lab.withMachine(crossing, {}, {});
    expect(guest).toMatchObject({ received: 0, end: true });
    expect(host.states).toContain("closing");
    expect(host.states.at(-1)).toBe("time-wait");
  });
});
