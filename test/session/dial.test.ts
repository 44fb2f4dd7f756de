import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { DEFAULT_WISHES } from "../../src/config/client-config.ts";
import type { Credential } from "../../src/session/proof.ts";
import { createHash, X509Certificate } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { RefusedError, VpnError } from "../../src/base/errors.ts";
import { hashUserPassword } from "../../src/crypto/password.ts";
import type { CloseReason } from "../../src/hub/port.ts";
import type { DialedSession, DialTarget } from "../../src/session/dial-target.ts";
import { dial } from "../../src/session/dial.ts";
import { encodeHello, packReply } from "../../src/session/handshake.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import { encodeWelcome } from "../../src/session/welcome.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { HttpReader } from "../../src/transport/http-message.ts";
import type { TlsLink } from "../../src/transport/tls-link.ts";
import { listenTls } from "../../src/transport/tls-listener.ts";
import { Pack } from "../../src/wire/pack.ts";
import { ArrayPort, runOf } from "../support/array-port.ts";
import { toHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";
import { seededRandom } from "../support/seeded-random.ts";
import {
  testCertificate,
  hub,
  markedUnit,
  openFiles,
  recordingLog,
  TestServer,
  USERS,
} from "../support/test-server.ts";
import { streamOf } from "../support/stream-options.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

const text = (value: string) => new TextEncoder().encode(value);
const fast = { everyMs: 1, deadlineMs: 5_000 };

class Dialer {
  readonly clock = new ManualClock();
  readonly heartbeat = new Heartbeat(this.clock);
  readonly log = recordingLog();
  readonly stop = new AbortController();
  readonly phases: string[] = [];
  readonly #opened: DialedSession[] = [];

  async dial(port: number, change: Partial<DialTarget> = {}): Promise<DialedSession> {
    const target: DialTarget = {
      host: "127.0.0.1",
      port,
      hub: "VPN",
      user: "alice",
      credential: { kind: "password", password: text("wonderland") },
      mode: "bridge",
      family: "any",
      clientName: "Test Client",
      proxy: undefined,
      wishes: { ...DEFAULT_WISHES, qos: false, udp: false },
      installation: seededRandom(this.#opened.length).bytes(16),
      verify: () => true,
      ...change,
    };
    const open = await dial(target, {
      clock: this.clock,
      random: seededRandom(11),
      log: this.log,
      heartbeat: this.heartbeat,
      signal: this.stop.signal,
      onPhase: (phase) => this.phases.push(phase),
    });
    this.#opened.push(open);
    return open;
  }

  /** The error that dialling ends with. */
  async failure(port: number, change: Partial<DialTarget> = {}): Promise<VpnError> {
    const outcome = await this.dial(port, change).catch((error: unknown) => error);
    if (outcome instanceof VpnError) return outcome;
    throw new Error("dial() did not fail as it should", { cause: outcome });
  }

  close(): void {
    for (const { session } of this.#opened.splice(0)) session.close({ code: "test" });
  }
}

let dialer = new Dialer();
const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  dialer.close();
  for (const close of closers.splice(0).reverse()) await close();
  await until("no timer", () => dialer.clock.pending === 0, fast);
  expect(dialer.log.lines.filter(({ level }) => level === "error")).toEqual([]);
  dialer = new Dialer();
});

async function startServer(options: Parameters<typeof TestServer.start>[0] = {}) {
  const at = await TestServer.start(options);
  closers.push(() => at.close());
  return at;
}

describe("dial() against our server", () => {
  const CREDENTIALS: readonly [string, Partial<DialTarget>][] = [
    ["a password", {}],
    ["a hashed password", { credential: hashed("alice", "wonderland") }],
    ["a plain password", { credential: { kind: "plain-password", password: text("wonderland") } }],
    ["names in another case", { hub: "vpn", user: "ALICE" }],
    ["no password where none is wanted", { user: "guest", credential: { kind: "anonymous" } }],
    ["a password where none is wanted", { user: "guest" }],
  ];
  test.each(CREDENTIALS)("logs in with %s", async (_, change) => {
    const at = await startServer();
    const { session, server, begin } = await dialer.dial(at.port, change);
    begin();
    expect(session.name).toMatch(/^SID-(ALICE|GUEST)-1$/);
    expect(server).toMatchObject({ version: 502, address: "127.0.0.1", port: at.port });
    expect(server.cipher).toStartWith("TLSv1.3 ");
    expect(dialer.phases).toEqual(["resolving", "connecting", "negotiating", "authenticating"]);
    const [listed] = at.server.snapshot().hubs[0]!.sessions;
    expect(listed).toMatchObject({ name: session.name, client: "Test Client", mode: "bridge" });
  });

  test("works over TLS 1.2, by name and by address of either family", async () => {
    const at = await startServer({
      tls: { max: "1.2" },
      settings: { listen: [{ address: undefined, port: 0, enable: true }] },
    });
    for (const host of ["127.0.0.1", "::1", "localhost"]) {
      const { server } = await dialer.dial(at.port, { host });
      expect(server.cipher).toStartWith("TLSv1.2 ");
    }
    const v4 = await dialer.dial(at.port, { host: "localhost", family: "ipv4" });
    expect(v4.server.address).toBe("127.0.0.1");
  });

  const REFUSALS: readonly [string, Partial<DialTarget>, number][] = [
    ["a wrong password", { credential: { kind: "password", password: text("w") } }, 9],
    ["a wrong hash", { credential: hashed("bob", "wonderland") }, 9],
    ["a wrong plain password", { credential: { kind: "plain-password", password: text("w") } }, 9],
    ["no password", { credential: { kind: "anonymous" } }, 9],
    ["an unknown user", { user: "nobody" }, 9],
    ["an unknown hub", { hub: "NONE" }, 9],
    ["a hub that is offline", { hub: "OFF" }, 10],
  ];
  test.each(REFUSALS)("with %s ends with the server's number", async (_, change, number) => {
    const at = await startServer({
      hubs: [hub("VPN", USERS), hub("OFF", USERS, { online: false })],
    });
    const error = await dialer.failure(at.port, change);
    expect(error).toBeInstanceOf(RefusedError);
    expect((error as RefusedError).wireError).toBe(number);
    expect(error.message).toContain(`(error ${number})`);
  });

  test("with reveal_hubs an unknown hub is error 8", async () => {
    const at = await startServer({ settings: { revealHubs: true } });
    expect((await dialer.failure(at.port, { hub: "NONE" })).code).toBe("refused_8");
  });

  test("a hashed login is refused where the server takes none", async () => {
    const at = await startServer({ hubs: [hub("VPN", USERS, { hashedLogin: false })] });
    expect((await dialer.failure(at.port)).code).toBe("refused_9");
    await dialer.dial(at.port, {
      credential: { kind: "plain-password", password: text("wonderland") },
    });
  });

  test("frames pass both ways between two sessions, in order and whole", async () => {
    const unlimited = { policy: { ...DEFAULT_POLICY, no_broadcast_limiter: true } };
    const at = await startServer({ hubs: [hub("VPN", USERS, unlimited)] });
    const [alice, bob] = await Promise.all([
      dialer.dial(at.port),
      dialer.dial(at.port, {
        user: "bob",
        credential: { kind: "password", password: text("builder") },
      }),
    ]);
    const ends = [alice, bob].map(({ session, begin }, i) => {
      const port = new ArrayPort(`tap${i}`);
      session.plug(port);
      begin();
      return { session, port };
    });
    for (const [from, to] of [ends, [ends[1]!, ends[0]!]] as const) {
      const source = from === ends[0] ? 1 : 2;
      const frames = Array.from({ length: 3_000 }, (_, i) => {
        const frame = new Uint8Array(60 + (i % 1_455));
        frame.set(markedUnit(source, i).subarray(8));
        return frame;
      });
      for (let i = 0; i < frames.length; i += 50) {
        from!.session.deliver(runOf(frames.slice(i, i + 50)));
        from!.session.flush();
        // A hub drops what a full port has no room for: never more under way than that.
        await until("most frames", () => to!.port.frames.length > i - 500, fast);
      }
      await until("the frames", () => to!.port.frames.length >= frames.length, fast);
      expect(to!.port.frames.map(toHex)).toEqual(frames.map(toHex));
      to!.port.take();
      expect(from!.port.frames).toEqual([]);
    }
  });

  test("shows the server's certificate, and goes no further than it is wanted", async () => {
    const at = await startServer();
    const { cert } = await testCertificate();
    const { raw } = new X509Certificate(cert);
    const refusal = new VpnError("certificate_changed", "Not that one");
    let shown: Parameters<DialTarget["verify"]>[0] | undefined;
    const verify: DialTarget["verify"] = (certificate) => {
      shown = certificate;
      return refusal;
    };
    expect(await dialer.failure(at.port, { verify })).toBe(refusal);
    expect(toHex(shown!.der)).toBe(toHex(raw));
    expect(shown!.sha256).toBe(createHash("sha256").update(raw).digest("hex"));
    expect([shown!.authorized, typeof shown!.problem]).toEqual([false, "string"]);
    await at.waitOutcome("peer_closed");
    expect(dialer.phases).toEqual(["resolving", "connecting"]);
  });

  test("a session that the server ends is lost at once", async () => {
    const at = await startServer();
    const { session, begin } = await dialer.dial(at.port);
    const ended = Promise.withResolvers<CloseReason>();
    session.onClosed = ended.resolve;
    begin();
    at.server.hubs.get("vpn")!.closeSessions({ code: "test" });
    expect(await ended.promise).toEqual({ code: "peer_left" });
  });

  test("a session that is closed before begin() gives its connection back", async () => {
    const at = await startServer();
    const files = openFiles();
    const { session, begin } = await dialer.dial(at.port);
    session.close({ code: "user_cancel" });
    begin();
    await until("its end at the server", () => at.server.ends.get("peer_closed") === 1, fast);
    await until("the descriptors", () => openFiles() <= files, fast);
  });

  test("a connection that is lost before begin() ends the session", async () => {
    const at = await startServer();
    const { session, begin } = await dialer.dial(at.port);
    at.server.hubs.get("vpn")!.closeSessions({ code: "test" });
    await until("the end of the session", () => session.isClosed, fast);
    begin();
    expect(session.connections).toEqual([]);
  });
});

/** A TLS server that says what it is told: one answer for each request, in turn, or what a function finds. */
async function scripted(
  ...answers: (Uint8Array | "close" | "silence" | ((body: Uint8Array) => Uint8Array))[]
): Promise<number> {
  const { cert, key } = await testCertificate();
  const links = new Set<TlsLink>();
  const faults: Error[] = [];
  const listener = listenTls({
    address: "127.0.0.1",
    port: 0,
    tls: {
      cert,
      key,
      min: "1.2",
      max: "1.3",
      ciphers: undefined,
    },
    clock: dialer.clock,
    opening: {
      opened: (link) => void links.add(link),
      secured(link) {
        const reader = new HttpReader(() => 1 << 20);
        const left = answers.slice();
        link.handler = {
          data(chunk) {
            reader.push(chunk);
            for (;;) {
              const message = reader.next();
              if (message === undefined) break;
              const answer = typeof left[0] === "function" ? left[0] : (left.shift() ?? "silence");
              if (typeof answer === "function") link.write(answer(message.body));
              else if (answer === "close") link.closeInOrder();
              else if (answer !== "silence") link.write(answer);
            }
          },
          drain() {},
          closed() {},
        };
      },
      gone: (link) => void links.delete(link),
    },
    onFault: (error) => faults.push(error),
  });
  closers.push(async () => {
    listener.close();
    for (const link of links) link.abort("test");
    await until("sockets gone", () => links.size === 0, fast);
    expect(faults).toEqual([]);
  });
  return listener.port;
}

const deps = { random: seededRandom(12), wall: 0 };
const reply = (pack: Pack) => packReply(pack, deps);
const hello = () =>
  reply(encodeHello({ product: "Fake", version: 502, build: 5187, random: new Uint8Array(20) }));
const welcomePack = () =>
  encodeWelcome({
    sessionName: "SID-X-1",
    connectionName: "CID-1",
    sessionKey: new Uint8Array(20),
    stream: streamOf({ connections: 1 }),
    timeoutMs: 20_000,
    policy: DEFAULT_POLICY,
    message: "",
  });
const noop = (kind: number) => reply(new Pack().setInt("error", 0).setInt("noop", kind));

describe("dial() against strange servers", () => {
  test("frames that share a chunk with the welcome are delivered", async () => {
    const unit = markedUnit(3, 7);
    const port = await scripted(hello(), Buffer.concat([reply(welcomePack()), unit]));
    const { session, begin } = await dialer.dial(port);
    const tap = new ArrayPort("tap0");
    session.plug(tap);
    await Bun.sleep(5);
    expect(tap.frames).toEqual([]);
    begin();
    expect(tap.frames.map(toHex)).toEqual([toHex(unit.subarray(8))]);
  });

  test("NOOPs before an answer are passed over, of either kind", async () => {
    const answer = Buffer.concat([noop(2), noop(1), noop(2), reply(welcomePack())]);
    const port = await scripted(Buffer.concat([noop(2), hello()]), answer);
    expect((await dialer.dial(port)).session.name).toBe("SID-X-1");
  });

  test("more than 30 NOOPs are an answer that never comes", async () => {
    const noops = Buffer.concat(Array.from({ length: 31 }, () => noop(2)));
    const port = await scripted(hello(), noops);
    expect((await dialer.failure(port)).code).toBe("timeout");
  });

  const isSignature = (body: Uint8Array) => body.length === 10;
  const redirectTo = async (port: number, change: (pack: Pack) => void = () => {}) => {
    const { cert } = await testCertificate();
    const pack = new Pack()
      .setInt("Redirect", 1)
      .setAddress("Ip", "127.0.0.1")
      .setInt("Port", port, 443)
      .setData("Ticket", new Uint8Array(20).fill(7))
      .setData("Cert", new Uint8Array(new X509Certificate(cert).raw));
    change(pack);
    return reply(pack);
  };

  test("a redirect is followed to the member, which gets the ticket and must show its certificate", async () => {
    const asked: Pack[] = [];
    const member = await scripted((body) => {
      if (isSignature(body)) return hello();
      asked.push(Pack.parse(body));
      return reply(welcomePack());
    });
    const { session } = await dialer.dial(await scripted(hello(), await redirectTo(member)));
    expect(session.name).toBe("SID-X-1");
    expect([asked[0]!.int("authtype"), asked[0]!.data("ticket")?.[0]]).toEqual([99, 7]);
    expect(asked[0]!.str("hubname")).toBe("VPN");
    const stranger = await redirectTo(member, (pack) => pack.setData("Cert", new Uint8Array(9)));
    const error = await dialer.failure(await scripted(hello(), stranger));
    expect(error.code).toBe("certificate");
  });

  test("HS-19 redirects to itself, to port 0, without an address, without a ticket lead nowhere", async () => {
    const changes: ((pack: Pack) => void)[] = [
      (pack) => pack.setInt("Port", 0),
      (pack) => pack.setAddress("Ip", "0.0.0.0"),
      (pack) => pack.setInt("Ip"),
      (pack) => pack.setData("Ticket", new Uint8Array(19)),
      (pack) => pack.setData("Cert"),
    ];
    for (const change of changes) {
      const error = await dialer.failure(await scripted(hello(), await redirectTo(1, change)));
      expect([error.code, error.message]).toEqual([
        "redirect",
        expect.stringContaining("without telling"),
      ]);
    }
    let toItself = new Uint8Array(0);
    const port = await scripted((body) => (isSignature(body) ? hello() : toItself));
    toItself = new Uint8Array(await redirectTo(port));
    expect((await dialer.failure(port)).message).toContain("to itself");
  });

  test("HS-19 a loop of three members ends after five hops", async () => {
    const onward = [0, 0, 0].map(() => new Uint8Array(0));
    let logins = 0;
    const ports: number[] = [];
    for (const at of onward.keys()) {
      const answer = (body: Uint8Array) => {
        if (isSignature(body)) return hello();
        if (Pack.parse(body).str("method") === "login") logins++;
        return onward[at]!;
      };
      ports.push(await scripted(answer));
    }
    for (const at of onward.keys()) {
      onward[at] = new Uint8Array(await redirectTo(ports[(at + 1) % 3]!));
    }
    const error = await dialer.failure(ports[0]!);
    expect([error.code, error.message]).toEqual(["redirect", expect.stringContaining("5 times")]);
    expect(logins).toBe(6);
  });

  const ANSWERS: readonly [string, () => (Uint8Array | "close")[], string][] = [
    [
      "an unknown error number",
      () => [hello(), reply(new Pack().setInt("error", 4_711))],
      "refused_4711",
    ],
    ["an error in place of the hello", () => [reply(new Pack().setInt("error", 33))], "refused_33"],
    ["a page in place of the hello", () => [page("HTTP/1.1 404 Not Found")], "not_vpn_server"],
    ["a page in place of the welcome", () => [hello(), page("HTTP/1.1 200 OK")], "not_vpn_server"],
    ["no HTTP at all", () => [text("220 mail.example ESMTP\r\n\r\n")], "not_vpn_server"],
    ["bytes without end of line", () => [new Uint8Array(8_192).fill(65)], "not_vpn_server"],
    ["a PACK without hello", () => [reply(new Pack().setInt("a", 1))], "not_vpn_server"],
    ["a welcome that names no session", () => [hello(), reply(new Pack())], "protocol_error"],
    ["a PACK that is cut off", () => [hello(), cutPack()], "pack_short"],
    ["a body over the limit", () => [hello(), head("Content-Length: 1048577")], "not_vpn_server"],
    ["a close in place of the hello", () => ["close"], "disconnected"],
    ["a close in place of the welcome", () => [hello(), "close"], "disconnected"],
  ];
  test.each(ANSWERS)("HS-20 %s ends it", async (_, answers, code) => {
    expect((await dialer.failure(await scripted(...answers()))).code).toBe(code);
  });

  test("a server that falls silent is given up 15 s after the question", async () => {
    for (const answers of [[], [hello()]]) {
      const port = await scripted(...answers);
      const failure = dialer.failure(port);
      const phase = answers.length === 0 ? "negotiating" : "authenticating";
      await until(phase, () => dialer.phases.at(-1) === phase, fast);
      await Bun.sleep(5);
      dialer.clock.advance(14_999);
      await Bun.sleep(1);
      dialer.clock.advance(1);
      expect((await failure).code).toBe("timeout");
      dialer.clock.advance(5_000);
    }
  });

  test("nothing listens: connect_failed", async () => {
    const port = await scripted();
    for (const close of closers.splice(0)) await close();
    const error = await dialer.failure(port);
    expect([error.code, error.message]).toEqual([
      "connect_failed",
      `Cannot connect to 127.0.0.1:${port}: connection refused: is a VPN server listening on this port?`,
    ]);
  });

  test("no such name: resolve_failed", async () => {
    expect((await dialer.failure(1, { host: "nothing.invalid" })).code).toBe("resolve_failed");
  });

  /** A TCP server that does this with each connection. */
  async function tcp(serve: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      serve(socket);
    }).listen(0, "127.0.0.1");
    closers.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    await until("a TCP server", () => server.listening, fast);
    return (server.address() as { port: number }).port;
  }

  test("a server that speaks no TLS, or hangs up: tls_failed", async () => {
    const plain = await tcp((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
    expect((await dialer.failure(plain)).code).toBe("tls_failed");
    const rude = await tcp((socket) => socket.destroy());
    expect((await dialer.failure(rude)).code).toBe("tls_failed");
  });

  test("a server that says nothing under TLS is given up after 15 s", async () => {
    let accepted = 0;
    const port = await tcp(() => accepted++);
    const failure = dialer.failure(port);
    await until("the connection", () => accepted === 1, fast);
    await Bun.sleep(5);
    dialer.clock.advance(15_000);
    expect((await failure).code).toBe("timeout");
  });

  test("abort ends it with cancelled in every phase, and leaves no descriptor", async () => {
    const silent = await tcp(() => undefined);
    const mute = await scripted();
    const deaf = await scripted(hello());
    const files = openFiles();
    for (const [port, phase] of [
      [silent, "connecting"],
      [mute, "negotiating"],
      [deaf, "authenticating"],
    ] as const) {
      const mine = new Dialer();
      const failure = mine.failure(port);
      await until(phase, () => mine.phases.at(-1) === phase, fast);
      await Bun.sleep(5);
      mine.stop.abort();
      expect((await failure).code).toBe("cancelled");
      await Bun.sleep(5);
      mine.clock.advance(5_000);
    }
    const early = new Dialer();
    early.stop.abort();
    expect((await early.failure(silent)).code).toBe("cancelled");
    // The server of TCP alone keeps its sides until it is closed.
    await until("the descriptors", () => openFiles() <= files + 2, fast);
  });
});

function hashed(user: string, password: string): Credential {
  return { kind: "password-hash", hash: hashUserPassword(user, text(password)) };
}

function page(status: string): Uint8Array {
  return text(`${status}\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi`);
}

function head(fields: string): Uint8Array {
  return text(`HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n${fields}\r\n\r\n`);
}

function cutPack(): Uint8Array {
  const pack = welcomePack().encode();
  return Buffer.concat([head(`Content-Length: ${pack.length - 9}`), pack.subarray(0, -9)]);
}
