import { afterEach, expect, test } from "bun:test";
import { describeSystem, type Namespace } from "../support/namespace.ts";
import { NatWorld, type NatWorldOptions, OUTSIDE } from "../support/nat-world.ts";
import type { Cable } from "../support/tunnel.ts";

// SecureNAT where the way is long and loses: behind the server, and between it and its guest. Each side has TCP of its
// own, so that neither loss is the other's.

const LOSSY: Cable = { delayMs: 30, lossPercent: 1 };
/** Enough for some hundred losses in all. */
const BYTES = 12_000_000;
/** A transfer that makes no headway for so long has stalled: several time-outs of TCP in a row. */
const STALL_S = 10;
const DEADLINE_MS = 50_000;

/** Ends with 28 when less than a KB/s comes through for STALL_S. */
const CURL = `curl -sS --speed-limit 1000 --speed-time ${STALL_S} --max-time ${DEADLINE_MS / 1000}`;

const WAYS: readonly (readonly [string, NatWorldOptions])[] = [
  ["behind the server", { wan: LOSSY }],
  ["between server and guest", { guests: 0, far: LOSSY }],
];

describeSystem("SecureNAT with 1 % loss and 30 ms each way", ["curl", "python3"], () => {
  let nat: NatWorld;
  afterEach(() => nat?.[Symbol.asyncDispose]());

  const sh = async (at: Namespace, script: string) =>
    (
      await at.check(["bash", "-o", "pipefail", "-c", script], { deadlineMs: DEADLINE_MS })
    ).stdout.trim();

  for (const [where, options] of WAYS) {
    for (const kind of ["user", "kernel"] as const) {
      test(`${where}, nat = "${kind}": both ways complete, with what was sent, and do not stall`, async () => {
        nat = await NatWorld.open(options);
        await nat.start(`nat = "${kind}"`);
        await nat.serveWeb();
        const guest = await arrive();
        const expected = await sh(nat.inet, `curl -sS http://127.0.0.1/noise/${BYTES} | sha256sum`);
        const noise = `http://${OUTSIDE.inet}/noise/${BYTES}`;
        const [down, up] = await Promise.all([
          sh(guest, `${CURL} ${noise} | sha256sum`),
          sh(guest, uploadOf(BYTES)),
        ]);
        expect(down).toBe(expected);
        const [sent, arrived] = up.split("\n");
        expect(JSON.parse(arrived!)).toEqual({ bytes: BYTES, sha256: sent!.split(" ")[0]! });
      });
    }
  }

  /** The guest with its address, over its session where it has one. */
  async function arrive(): Promise<Namespace> {
    const [guest] = nat.guests;
    if (guest !== undefined) {
      await nat.dress();
      return guest;
    }
    const client = await nat.connectFar();
    await nat.dress(nat.far, client.device);
    return nat.far;
  }

  /** Sends a file of noise, and prints its hash and what the server says. */
  function uploadOf(bytes: number): string {
    const file = `${nat.world.directory}/upload`;
    return (
      `head -c ${bytes} /dev/urandom >${file}; sha256sum ${file}; ` +
      `${CURL} -T ${file} http://${OUTSIDE.inet}/`
    );
  }
});
