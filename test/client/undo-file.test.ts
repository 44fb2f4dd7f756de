import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryParseNet } from "../../src/base/ip.ts";
import { MAX_UNDO_BYTES } from "../../src/base/limits.ts";
import { findLeftovers, recover, undoLeftover } from "../../src/client/undo.ts";
import { keepLeftover, tryReadLeftover, UndoFile, undoPath } from "../../src/client/undo-file.ts";
import type { UndoStep } from "../../src/client/undo-step.ts";
import { tryMarkProcess } from "../../src/platform/process-life.ts";

const RULE: UndoStep = {
  kind: "rule",
  rule: {
    family: 4,
    priority: 16_800,
    to: tryParseNet("203.0.113.7/32"),
    action: { kind: "lookup", table: 254, suppressPrefix: 0 },
  },
};
const STOP: UndoStep = {
  kind: "rule",
  rule: { family: 6, priority: 16_801, to: undefined, action: { kind: "unreachable" } },
};
const SWITCH: UndoStep = {
  kind: "kill-switch",
  table: "patchbay_hq",
  peers: [{ address: "203.0.113.7", port: 443 }],
};

const OTHER = { name: "other", keepsKillSwitch: true };

let stateDir: string;
let warnings: string[];
const deps = {
  searchPath: "",
  onWarning: (code: string) => void warnings.push(code),
};

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "vpn-test-"));
  warnings = [];
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

function fileStep(before: Extract<UndoStep, { kind: "resolv.conf" }>["before"]): UndoStep {
  const path = join(stateDir, "resolv.conf");
  return { kind: "resolv.conf", path, before, written: "ours\n" };
}

/** The mark of a process that has ended. */
function deadMark() {
  const { boot } = tryMarkProcess(process.pid)!;
  return { pid: process.pid, startTicks: 1, boot };
}

function leave(name: string, steps: readonly UndoStep[], owner = deadMark()): string {
  const path = undoPath(stateDir, name);
  keepLeftover({ path, name, owner }, steps);
  return path;
}

describe("UndoFile", () => {
  test("has every kind of step on disk, for its owner alone, when record() returns", () => {
    const file = new UndoFile(stateDir, "hq", process.pid);
    const path = undoPath(stateDir, "hq");
    expect(existsSync(path)).toBe(false);
    const steps: UndoStep[] = [
      RULE,
      STOP,
      SWITCH,
      { kind: "resolved", device: "vpn0" },
      { kind: "resolvconf", record: "tun.vpn0" },
      fileStep({ kind: "absent" }),
      fileStep({ kind: "link", target: "../run/resolv.conf" }),
      fileStep({ kind: "file", text: "nameserver 192.0.2.1\n", mode: 0o644 }),
    ];
    file.record(...steps);
    expect(tryReadLeftover(path)).toMatchObject({
      name: "hq",
      owner: { pid: process.pid },
      steps: JSON.parse(JSON.stringify(steps, (key, value) => (key === "to" ? undefined : value))),
    });
    expect(tryReadLeftover(path)!.steps[0]).toEqual(RULE);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    file.forget(...steps);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test("goes on with what another process of the account left", () => {
    const path = leave("hq", [SWITCH]);
    const file = new UndoFile(stateDir, "hq", process.pid);
    expect(file.steps).toEqual([SWITCH]);
    expect(tryReadLeftover(path)!.owner.startTicks).not.toBe(1);
    file.record(RULE);
    file.exchange(file.steps[0]!, { ...SWITCH, table: "other" });
    expect(tryReadLeftover(path)!.steps.map(({ kind }) => kind)).toEqual(["kill-switch", "rule"]);
  });

  test("fails where the disk does not take the record, so that nothing is done without one", () => {
    const file = new UndoFile(join(stateDir, "absent"), "hq", process.pid);
    expect(() => file.record(RULE)).toThrow("ENOENT");
    expect(file.steps).toEqual([]);
  });
});

describe("tryReadLeftover()", () => {
  test("refuses what is not a record", () => {
    const path = undoPath(stateDir, "hq");
    expect(tryReadLeftover(path)).toBeUndefined();
    const good = JSON.parse(readFileSync(leave("hq", [RULE]), "utf8")) as Record<string, unknown>;
    const bad = [
      "",
      "{",
      "{}",
      JSON.stringify({ ...good, version: 2 }),
      JSON.stringify({ ...good, name: 1 }),
      JSON.stringify({ ...good, owner: {} }),
      JSON.stringify({ ...good, steps: [{ kind: "shell", command: "x" }] }),
      JSON.stringify({ ...good, steps: [{ kind: "rule", rule: { family: 5 } }] }),
      JSON.stringify({
        ...good,
        steps: [{ kind: "kill-switch", table: "t", peers: [{ address: "; x", port: 1 }] }],
      }),
      JSON.stringify({ ...good, steps: [{ kind: "resolv.conf", path: "/x", written: "" }] }),
      " ".repeat(MAX_UNDO_BYTES + 1),
    ];
    for (const text of bad) {
      writeFileSync(path, text);
      expect([text.slice(0, 60), tryReadLeftover(path)]).toEqual([text.slice(0, 60), undefined]);
    }
  });

  test("knows that a boot takes all but files away", () => {
    const path = leave("hq", [RULE, fileStep({ kind: "absent" }), SWITCH], {
      ...deadMark(),
      boot: "before",
    });
    expect(tryReadLeftover(path)!.steps.map(({ kind }) => kind)).toEqual(["resolv.conf"]);
  });
});

describe("recover()", () => {
  test("undoes what dead processes left, and lets a live one alone", async () => {
    const resolvConf = join(stateDir, "resolv.conf");
    writeFileSync(resolvConf, "ours\n");
    leave("hq", [fileStep({ kind: "file", text: "before\n", mode: 0o644 })]);
    const live = leave("live", [SWITCH], tryMarkProcess(process.pid));
    expect(await recover(stateDir, OTHER, deps)).toEqual([]);
    expect(readFileSync(resolvConf, "utf8")).toBe("before\n");
    expect(existsSync(undoPath(stateDir, "hq"))).toBe(false);
    expect(existsSync(live)).toBe(true);
    expect(warnings).toEqual([]);
  });

  test("keeps the kill switch of the account that begins, and says whom it lets us reach", async () => {
    const path = leave("HQ", [SWITCH, fileStep({ kind: "absent" })]);
    expect(await recover(stateDir, { name: "hq", keepsKillSwitch: true }, deps)).toEqual([
      { address: "203.0.113.7", port: 443 },
    ]);
    expect(tryReadLeftover(path)!.steps).toEqual([SWITCH]);
  });

  test("keeps what could not be undone for the next time, and undoes the rest", async () => {
    const resolvConf = join(stateDir, "resolv.conf");
    writeFileSync(resolvConf, "ours\n");
    const failing: UndoStep = {
      ...(fileStep({ kind: "absent" }) as object),
      path: stateDir,
    } as UndoStep;
    const path = leave("hq", [fileStep({ kind: "absent" }), failing]);
    await recover(stateDir, OTHER, deps);
    expect(warnings).toEqual(["undo_failed"]);
    expect(existsSync(resolvConf)).toBe(false);
    expect(tryReadLeftover(path)!.steps).toEqual([failing]);
  });

  test("tries again what this process could not undo when the account ended last", async () => {
    const path = leave("hq", [fileStep({ kind: "absent" })], tryMarkProcess(process.pid));
    writeFileSync(join(stateDir, "resolv.conf"), "ours\n");
    await recover(stateDir, OTHER, deps);
    expect(existsSync(path)).toBe(true);
    await recover(stateDir, { name: "hq", keepsKillSwitch: false }, deps);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test("warns of a file that it cannot read, and leaves it for people", async () => {
    const path = undoPath(stateDir, "hq");
    writeFileSync(path, "?");
    await recover(stateDir, OTHER, deps);
    expect(warnings).toEqual(["undo_unreadable"]);
    expect(existsSync(path)).toBe(true);
  });
});

test("findLeftovers() and undoLeftover() serve one account", async () => {
  leave("hq", [fileStep({ kind: "absent" })]);
  leave("other", [fileStep({ kind: "absent" })]);
  writeFileSync(join(stateDir, "resolv.conf"), "ours\n");
  const [leftover, ...more] = findLeftovers(stateDir, "hq");
  expect([leftover?.name, more.length]).toEqual(["hq", 0]);
  await undoLeftover(leftover!, deps);
  expect(readdirSync(stateDir)).toEqual(["other.undo"]);
});
