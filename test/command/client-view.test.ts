import { describe, expect, test } from "bun:test";
import { jsonView, lineView, LiveView } from "../../src/command/client-view.ts";
import type { ClientEvent, ClientStatus } from "../../src/client/status.ts";
import { FakeEnvironment } from "../support/fake-environment.ts";
import { PLAIN_STREAM } from "../support/stream-options.ts";

const CONNECTED: ClientEvent = {
  event: "connected",
  session: "SID-ALICE-1",
  server: "192.0.2.1:443",
  cipher: "TLSv1.3 TLS_AES_128_GCM_SHA256",
  nic: "vpn0",
  insecure: false,
  message: "",
};

function statusAt(wall: number): ClientStatus {
  return {
    account: "hq",
    pid: 1,
    state: "connected",
    startedAt: wall,
    server: "vpn.example:443",
    hub: "office",
    user: "alice",
    mode: "client",
    verify: "auto",
    insecure: false,
    nic: "vpn0",
    mac: "5e:00:53:00:00:01",
    mtu: 1500,
    addresses: ["192.0.2.9/24"],
    established: 1,
    session: {
      name: "SID-ALICE-1",
      connectionName: "CID-1",
      connectedAt: wall,
      serverProduct: "x",
      serverVersion: 502,
      serverBuild: 9700,
      serverAddress: "192.0.2.1:443",
      cipher: "x",
      inFrames: 0,
      inBytes: 0,
      outFrames: 0,
      outBytes: 0,
      droppedFrames: 0,
      ...PLAIN_STREAM,
    },
  };
}

/** What a terminal shows of text with carriage returns: the lines as they stand at the end. */
function screen(text: string): string[] {
  return text.split("\n").map((line) => {
    let shown = "";
    for (const part of line.split("\r")) shown = part + shown.slice(part.length);
    return shown.trimEnd();
  });
}

describe("jsonView()", () => {
  test("CL-11 writes one object a line, with its time", () => {
    const environment = new FakeEnvironment();
    const view = jsonView(environment);
    view.event(CONNECTED);
    view.event({ event: "disconnected", reason: "user_cancel" });
    const lines = environment.out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toEqual([
      { time: "2026-11-22T00:00:00.000Z", ...CONNECTED },
      { time: "2026-11-22T00:00:00.000Z", event: "disconnected", reason: "user_cancel" },
    ]);
  });
});

describe("lineView()", () => {
  test("writes sentences for what matters to people", () => {
    const environment = new FakeEnvironment();
    const view = lineView(environment);
    view.event({ event: "resolving" });
    view.event({ event: "connecting" });
    view.event(CONNECTED);
    view.event({
      event: "retrying",
      delayMs: 15_000,
      failures: 1,
      code: "x",
      message: "Nobody there",
    });
    expect(
      environment.out
        .trimEnd()
        .split("\n")
        .map((line) => line.slice(21)),
    ).toEqual([
      "Connecting",
      "Connected to 192.0.2.1:443 as SID-ALICE-1 on vpn0",
      "Nobody there; trying again in 00:00:15",
    ]);
  });

  test("says that a connection is insecure", () => {
    const environment = new FakeEnvironment();
    lineView(environment).event({ ...CONNECTED, insecure: true });
    expect(environment.out).toContain("INSECURE");
  });

  test("CL-14 shows what servers say with its escape sequences escaped", () => {
    const environment = new FakeEnvironment();
    lineView(environment).event({
      ...CONNECTED,
      session: "S\u001b[2J",
      message: "hi\u0007\r\nyou\u009b",
    });
    expect(environment.out).toContain("as S\\u001b[2J on");
    expect(environment.out).toEndWith("\n    hi\\u0007\n    you\\u009b\n");
  });
});

describe("LiveView", () => {
  function live(width = 80) {
    const environment = new FakeEnvironment();
    environment.width = width;
    let status: ClientStatus = statusAt(environment.clock.wall());
    const view = new LiveView(environment, () => status);
    const set = (change: object) => {
      status = { ...status, ...change };
    };
    const traffic = (outBytes: number, inBytes: number) =>
      set({ session: { ...status.session!, outBytes, inBytes } });
    const shown = () => screen(environment.out).at(-1)!;
    return { environment, view, set, traffic, shown };
  }

  test("shows rates, address and totals, once a second", () => {
    const { environment, view, traffic, shown } = live();
    environment.clock.advance(1000);
    traffic(125_000, 1_250_000);
    environment.clock.advance(1000);
    expect(shown()).toBe(
      "up 1.00 Mbit/s  down 10.0 Mbit/s  192.0.2.9/24  125 kB / 1.25 MB  00:00:02",
    );
    traffic(125_000, 1_250_000);
    environment.clock.advance(1000);
    expect(shown()).toStartWith("up 0 bit/s  down 0 bit/s");
    view.close();
  });

  test("covers the whole line before it, and puts events above the live line", () => {
    const { environment, view, set } = live();
    environment.clock.advance(1000);
    set({ session: undefined, state: "connecting" });
    view.event({ event: "connecting" });
    view.log("a line of the log");
    const lines = screen(environment.out);
    expect([lines.length, lines[0]!.slice(21), lines[1]]).toEqual([
      2,
      "Connecting",
      "connecting  vpn.example:443",
    ]);
    expect(environment.err).toBe("a line of the log\n");
    view.close();
    expect(screen(environment.out).at(-1)).toBe("");
  });

  test("begins rates anew with another session", () => {
    const { environment, view, traffic, set, shown } = live();
    traffic(1e9, 1e9);
    environment.clock.advance(1000);
    set({ session: { ...statusAt(0).session!, name: "SID-ALICE-2", outBytes: 5, inBytes: 5 } });
    environment.clock.advance(1000);
    expect(shown()).toStartWith("up 0 bit/s  down 0 bit/s");
    view.close();
  });

  test("tells when the next try comes and why", () => {
    const { environment, view, set, shown } = live();
    const at = environment.clock.wall() + 15_000;
    set({
      session: undefined,
      state: "retrying",
      retry: { failures: 1, at, error: { code: "x", message: "Nobody\u0007" } },
    });
    environment.clock.advance(1000);
    expect(shown()).toBe("trying again in 00:00:14  Nobody\\u0007");
    view.close();
  });

  test("the warning of an insecure connection comes first", () => {
    const { environment, view, set, shown } = live(20);
    set({ insecure: true });
    environment.clock.advance(1000);
    expect(shown()).toBe("INSECURE  up 0 bit/s".slice(0, 8));
    view.close();
  });

  test.each([20, 40, 79])("CL-13 fits %d columns without escape sequences", (width) => {
    const { environment, view } = live(width);
    environment.clock.advance(3000);
    for (const line of environment.out.split(/[\r\n]/)) expect(line.length).toBeLessThan(width);
    expect(environment.out).not.toContain("\u001b");
    view.close();
  });

  test("close() ends its timer", () => {
    const { environment, view } = live();
    expect(environment.clock.pending).toBe(1);
    view.close();
    view.close();
    expect(environment.clock.pending).toBe(0);
  });
});
