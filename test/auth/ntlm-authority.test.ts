import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutsideRequest, OutsideVerdict } from "../../src/auth/authority.ts";
import { NtlmAuthority } from "../../src/auth/ntlm-authority.ts";
import type { HelperAnswer } from "../../src/auth/ntlm-helper.ts";
import { systemClock } from "../../src/base/clock.ts";
import { RadiusWorld, settle } from "./radius-world.ts";

const PASSWORD = new TextEncoder().encode("wonder\nland");

function requestOf(more: Partial<OutsideRequest> = {}): OutsideRequest {
  return {
    hub: "office",
    user: "alice",
    typedUser: "alice",
    password: PASSWORD,
    address: "192.0.2.7",
    sessionInfo: "CID-1",
    ...more,
  };
}

const never = () => new AbortController().signal;

describe("NtlmAuthority.ask() of a helper process", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "ntlm-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A helper that keeps its arguments and its input, and then does this. */
  const ask = async (script: string, more: Partial<OutsideRequest> = {}, signal = never()) => {
    const path = join(folder, "ntlm_auth");
    writeFileSync(
      path,
      `#!/bin/sh\nprintf '%s\\n' "$@" > "${folder}/arguments"\ncat > "${folder}/input"\n${script}\n`,
      { mode: 0o700 },
    );
    const world = new RadiusWorld();
    const authority = new NtlmAuthority(path, { clock: systemClock, log: world.log });
    const verdict = await authority.ask(requestOf(more), signal);
    authority.close();
    return { verdict, logged: world.logged };
  };
  const kept = (name: string) => readFileSync(join(folder, name), "utf8");

  test("hands name, domain and password over in base64, none of them as an argument", async () => {
    const { verdict } = await ask("echo 'Authenticated: Yes'; echo .", { user: "CORP\\alice" });
    expect(verdict).toEqual({ kind: "accepted" });
    expect(kept("arguments")).toBe("--helper-protocol=ntlm-server-1\n");
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    expect(kept("input")).toBe(
      `Username:: ${base64("alice")}\nNT-Domain:: ${base64("CORP")}\n` +
        `Password:: ${base64("wonder\nland")}\n.\n`,
    );
  });

  test("takes the domain from behind an @, too, and asks for the group of the hub", async () => {
    await ask("echo .", { user: "alice@corp.example", group: "staff" });
    expect(kept("arguments")).toContain("--require-membership-of=corp.example\\staff\n");
    await ask("echo .", { user: "alice", group: "staff" });
    expect(kept("arguments")).toContain("--require-membership-of=staff\n");
    expect(kept("input")).not.toContain("NT-Domain");
  });

  test("is rejected where the helper says no, with its words in the log", async () => {
    const { verdict, logged } = await ask(
      "echo 'Authenticated: No'; echo 'Authentication-Error: Account locked out'; echo .",
    );
    expect(verdict).toEqual({ kind: "rejected" });
    expect(logged[0]).toMatchObject({ level: "info", event: "ntlm_rejected" });
    expect(logged[0]!.fields).toMatchObject({
      helper: "Authentication-Error: Account locked out",
    });
  });

  test("is unavailable where the helper says no because winbind is not there", async () => {
    const { verdict, logged } = await ask(
      "echo 'could not obtain winbind separator!' >&2; echo 'Authenticated: No'; echo .",
    );
    expect(verdict).toMatchObject({ kind: "unavailable" });
    expect(logged[0]!.level).toBe("warn");
  });

  test.each([
    ["says nothing", "exit 0"],
    ["is cut short", "echo 'Authenticated: Yes'"],
    ["says it did not understand", "echo 'Error: Parameter not found!'; echo ."],
    ["talks without end", "yes"],
    ["says yes in other words", "echo 'Authenticated: Yes, maybe'; echo ."],
  ])("is unavailable where the helper %s", async (_what, script) => {
    expect((await ask(script)).verdict).toMatchObject({ kind: "unavailable" });
  });

  test("does not wait for a helper that goes on after its answer, nor for its children", async () => {
    const { verdict } = await ask("sleep 300 & echo 'Authenticated: Yes'; echo .; sleep 300");
    expect(verdict).toEqual({ kind: "accepted" });
  });

  test("ends the helper when the login is given up", async () => {
    const { verdict } = await ask("sleep 300", {}, AbortSignal.timeout(50));
    expect(verdict).toMatchObject({ kind: "unavailable" });
  });

  test("is unavailable where there is no helper, and says which", async () => {
    const world = new RadiusWorld();
    const authority = new NtlmAuthority(join(folder, "nothing"), {
      clock: systemClock,
      log: world.log,
    });
    expect(await authority.ask(requestOf(), never())).toMatchObject({ kind: "unavailable" });
    expect(world.logged[0]).toMatchObject({ level: "error", event: "ntlm_helper_failed" });
    expect(world.logged[0]!.text).toContain("nothing");
  });
});

describe("NtlmAuthority.ask()", () => {
  const world = (clock = new RadiusWorld()) => {
    const waiting: ((answer: HelperAnswer) => void)[] = [];
    const timeouts: number[] = [];
    const authority = new NtlmAuthority("ntlm_auth", {
      clock: clock.clock,
      log: clock.log,
      run: (_command, _request, { timeoutMs }) => {
        timeouts.push(timeoutMs);
        return new Promise((resolve) => waiting.push(resolve));
      },
    });
    return { authority, waiting, timeouts, clock: clock.clock };
  };

  test("runs 4 helpers at once, lets 60 logins wait and sheds the rest", async () => {
    const { authority, waiting, timeouts, clock } = world();
    const verdicts: OutsideVerdict[] = [];
    for (let n = 0; n < 70; n++) {
      void authority.ask(requestOf(), never()).then((verdict) => verdicts.push(verdict));
    }
    await settle();
    expect(waiting).toHaveLength(4);
    expect(verdicts.map(({ kind }) => kind)).toEqual(Array(6).fill("unavailable"));
    clock.advance(1000);
    for (let at = 0; at < 64; at++) {
      waiting[at]!({ lines: ["Authenticated: Yes"], complaints: "" });
      await settle();
    }
    expect(verdicts.filter(({ kind }) => kind === "accepted")).toHaveLength(64);
    // Who waited has less time left.
    expect([timeouts[0], timeouts.at(-1)]).toEqual([15_000, 14_000]);
  });

  test("rejects an empty password without asking", async () => {
    const { authority, waiting } = world();
    const verdict = await authority.ask(requestOf({ password: new Uint8Array(0) }), never());
    expect(verdict).toEqual({ kind: "rejected" });
    expect(waiting).toHaveLength(0);
  });
});
