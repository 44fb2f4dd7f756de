import { expect, test } from "bun:test";

/** Collections that the program needed while it forwarded. */
async function collections(...args: string[]): Promise<number> {
  const child = Bun.spawn([process.execPath, `${import.meta.dir}/allocation.ts`, ...args], {
    env: { ...process.env, BUN_JSC_logGC: "1" },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000,
  });
  const [frames, text] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(await child.exited).toBe(0);
  expect(Number(frames)).toBeGreaterThan(1_000_000);
  const between = text.split("MARK\n")[1]!;
  return between.split("\n").filter((line) => line.includes("Collection")).length;
}

test("LD-01 forwarding allocates nothing once it is warm", async () => {
  // An object per run shows up as collections, so none at all means less than that.
  expect(await collections("leaky")).toBeGreaterThan(1);
  expect(await collections()).toBe(0);
});
