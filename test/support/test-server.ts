import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/base/clock.ts";
import {
  CLOSE_MS,
  FIRST_REQUEST_MS,
  LOCKOUT_ENFORCE_MS,
  LOCKOUT_MAX_MS,
  LOCKOUT_PENALTY_MS,
  LOCKOUT_USER_FAILURES,
  LOCKOUT_USER_WINDOW_MS,
  LOGIN_MS,
  MAX_PENDING,
  MAX_PENDING_PER_SOURCE,
  TLS_HANDSHAKE_MS,
} from "../../src/base/limits.ts";
import { DEFAULT_SERVER_LOG } from "../../src/config/log-settings.ts";
import { DEFAULT_POLICY, type Policy } from "../../src/config/policy.ts";
import {
  DEFAULT_HUB,
  type HubConfig,
  type LimitSettings,
  type LockoutSettings,
  type ServerConfig,
  type ServerSettings,
  type TlsSettings,
  type UserConfig,
} from "../../src/config/server-config.ts";
import { generateSelfSigned } from "../../src/crypto/self-signed.ts";
import type { Log, LogFields, LogLevel } from "../../src/observe/log.ts";
import type { HubLogBook } from "../../src/observe/server-logs.ts";
import type { NatMemory } from "../../src/server/hub-nat.ts";
import { startServer, type Server } from "../../src/server/server.ts";
import { batchSlots } from "../../src/session/batch.ts";
import { MapLinkMemory } from "./link-memory.ts";
import { MapStartMemory } from "./start-memory.ts";
import { ManualClock } from "./manual-clock.ts";
import { Peer, RawPeer, type PeerLogin, type PeerOptions } from "./peer.ts";
import { until } from "./process.ts";
import { MAC_ZERO } from "../../src/base/mac.ts";
import { seededRandom } from "./seeded-random.ts";
import { memoryBooks } from "./counter-books.ts";
import { FAKE_NAT_MEMORY } from "./nat-memory.ts";

export interface LogLine {
  readonly level: LogLevel;
  readonly event: string;
  readonly text: string;
  readonly fields: LogFields | undefined;
}

/** A log that keeps its lines. */
export function recordingLog(): Log & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const put = (level: LogLevel) => (event: string, text: string, fields?: LogFields) =>
    void lines.push({ level, event, text, fields });
  return { lines, debug: put("debug"), info: put("info"), warn: put("warn"), error: put("error") };
}

/** Open descriptors, but for those of helper processes, which the runtime gives back when it likes. */
export function openFiles(): number {
  return readdirSync("/proc/self/fd").filter((fd) => !/memfd:|pidfd/.test(targetOf(fd))).length;
}

/** What a descriptor stands for; "" for one that is gone, such as the one that listed the folder. */
function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

/** A user with a password; fields that differ from the usual are given. */
export function user(name: string, password: string, other: Partial<UserConfig> = {}): UserConfig {
  return {
    name,
    enable: true,
    expires: undefined,
    fullName: "",
    note: "",
    group: undefined,
    policy: undefined,
    credential: {
      kind: "password",
      secret: { kind: "plain", bytes: new TextEncoder().encode(password) },
    },
    totp: undefined,
    address: undefined,
    ...other,
  };
}

export const ANONYMOUS: Partial<UserConfig> = { credential: { kind: "anonymous" } };

export function policy(change: Partial<Policy>): Policy {
  return { ...DEFAULT_POLICY, ...change };
}

export function hub(name: string, users: readonly UserConfig[], other: Partial<HubConfig> = {}) {
  return { ...DEFAULT_HUB, name, users, ...other } satisfies HubConfig;
}

/** Sessions of these two stay for a minute without a word: bystanders of whatever a test does. */
const PATIENT = { policy: policy({ timeout: 60, no_broadcast_limiter: true }) };
export const USERS: readonly UserConfig[] = [
  user("alice", "wonderland"),
  user("bob", "builder"),
  user("north", "n", PATIENT),
  user("south", "s", PATIENT),
  user("guest", "", ANONYMOUS),
];

export interface TestServerOptions {
  readonly limits?: Partial<LimitSettings>;
  readonly lockout?: Partial<LockoutSettings>;
  readonly settings?: Partial<ServerSettings>;
  readonly tls?: Partial<TlsSettings>;
  readonly hubs?: readonly HubConfig[];
  readonly l3Switches?: ServerConfig["l3Switches"];
  /** Where its hubs have logs of their own, if they have. */
  readonly hubLogs?: HubLogBook;
  /** A manual clock unless given. */
  readonly clock?: Clock;
  readonly seed?: number;
  /** One that forgets unless given. */
  readonly natMemory?: NatMemory;
}

let pair: ReturnType<typeof generateSelfSigned> | undefined;

/** A certificate and its key in PEM form, made once for all tests. */
export function testCertificate(): ReturnType<typeof generateSelfSigned> {
  pair ??= generateSelfSigned("test.example", Date.now());
  return pair;
}

export function serverConfig(options: TestServerOptions = {}): ServerConfig {
  return {
    edition: "server",
    l3Switches: options.l3Switches ?? [],
    server: {
      name: "test.example",
      listen: [{ address: "127.0.0.1", port: 0, enable: true }],
      stateDir: undefined,
      maxSessions: 0,
      revealHubs: false,
      hashedLogin: true,
      allowPlaintext: false,
      udpAcceleration: true,
      udpPorts: { first: 40_000, last: 44_999 },
      compat: [],
      ntlmAuth: "/usr/bin/ntlm_auth",
      watch: false,
      ...options.settings,
    },
    tls: {
      cert: undefined,
      key: undefined,
      min: "1.2",
      max: "1.3",
      ciphers: undefined,
      ...options.tls,
    },
    log: DEFAULT_SERVER_LOG,
    lockout: {
      enable: true,
      penaltyMs: LOCKOUT_PENALTY_MS,
      enforceAtMs: LOCKOUT_ENFORCE_MS,
      maxMs: LOCKOUT_MAX_MS,
      userFailures: LOCKOUT_USER_FAILURES,
      userWindowMs: LOCKOUT_USER_WINDOW_MS,
      exempt: [],
      ...options.lockout,
    },
    limits: {
      connectionsPerSource: MAX_PENDING_PER_SOURCE,
      connections: MAX_PENDING.all,
      tlsHandshakeMs: TLS_HANDSHAKE_MS,
      firstRequestMs: FIRST_REQUEST_MS,
      loginMs: LOGIN_MS,
      ...options.limits,
    },
    hubs: options.hubs ?? [hub("VPN", USERS)],
  };
}

/** A server in this process on a free port of the loopback, with a clock that is moved by hand. */
export class TestServer implements AsyncDisposable {
  readonly server: Server;
  readonly config: ServerConfig;
  readonly clock: ManualClock;
  readonly log: ReturnType<typeof recordingLog>;
  readonly stateDir: string;
  /** Called when a password must be there for a user who has none. */
  onPassword: () => void = () => {};
  readonly #peers: { close(): Promise<void> }[] = [];

  private constructor(parts: {
    server: Server;
    config: ServerConfig;
    clock: ManualClock;
    log: ReturnType<typeof recordingLog>;
    stateDir: string;
  }) {
    this.server = parts.server;
    this.config = parts.config;
    this.clock = parts.clock;
    this.log = parts.log;
    this.stateDir = parts.stateDir;
  }

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const stateDir = mkdtempSync(join(tmpdir(), "patchbay-server-"));
    const { cert, key } = await testCertificate();
    writeFileSync(join(stateDir, "tls.crt"), cert, { mode: 0o600 });
    writeFileSync(join(stateDir, "tls.key"), key, { mode: 0o600 });
    const config = serverConfig(options);
    const clock = new ManualClock();
    const log = recordingLog();
    let at: TestServer | undefined;
    try {
      const server = await startServer({
        config,
        stateDir,
        clock: options.clock ?? clock,
        random: seededRandom(options.seed ?? 1),
        log,
        ...(options.hubLogs === undefined ? {} : { hubLogs: options.hubLogs }),
        books: memoryBooks(),
        linkMemory: new MapLinkMemory(),
        startMemory: new MapStartMemory(),
        tapMac: () => MAC_ZERO,
        natMemory: options.natMemory ?? FAKE_NAT_MEMORY,
        generatedVerifier: () => {
          at?.onPassword();
          return { kind: "sha0", hash: new Uint8Array(20) };
        },
      });
      at = new TestServer({ server, config, clock, log, stateDir });
      return at;
    } catch (error) {
      rmSync(stateDir, { recursive: true });
      throw error;
    }
  }

  get port(): number {
    return this.server.snapshot().listeners[0]!.port;
  }

  get pending(): number {
    return this.server.snapshot().connections.pending;
  }

  /** How often connections ended this way. */
  outcome(reason: string): number {
    return this.server.outcomes.get(reason) ?? 0;
  }

  waitOutcome(reason: string, times = 1): Promise<true> {
    return until(`outcome ${reason}`, () => this.outcome(reason) >= times, {
      everyMs: 1,
      deadlineMs: 5_000,
      explain: () => JSON.stringify(Object.fromEntries(this.server.outcomes)),
    });
  }

  waitPending(count: number): Promise<true> {
    return until(`${count} pending connections`, () => this.pending === count, {
      everyMs: 1,
      explain: () => `${this.pending}: ${JSON.stringify(Object.fromEntries(this.server.outcomes))}`,
    });
  }

  /** Moves the clock in steps, with room for what sockets do in between. */
  async pass(ms: number, stepMs = 1_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      await Bun.sleep(1);
      this.clock.advance(Math.min(stepMs, left));
    }
    await Bun.sleep(1);
  }

  /** Lines that an operator sees by default about anything but what was opened and who came and went. */
  get complaints(): LogLine[] {
    const usual = ["certificate_made", "hub_opened", "listening", "login", "logout"];
    return this.log.lines.filter(({ level, event }) => level !== "debug" && !usual.includes(event));
  }

  /** A TCP connection; it is closed with the server at the latest. */
  async connectRaw(from?: string): Promise<RawPeer> {
    const options = { port: this.port, ...(from === undefined ? {} : { from }) };
    return this.keep(await RawPeer.connect(options));
  }

  /** A TLS connection; it is closed with the server at the latest. */
  async connect(options: Omit<PeerOptions, "port"> = {}): Promise<Peer> {
    return this.keep(await Peer.connect({ port: this.port, ...options }));
  }

  /** A session of this user. */
  async session(login: PeerLogin = {}): Promise<Peer> {
    const peer = await this.connect();
    const welcome = await peer.login(login);
    const error = welcome.int("error") ?? 0;
    if (error !== 0) throw new Error(`the login was refused with error ${error}`);
    return peer;
  }

  keep<T extends { close(): Promise<void> }>(peer: T): T {
    this.#peers.push(peer);
    return peer;
  }

  async closePeers(): Promise<void> {
    for (const peer of this.#peers.splice(0)) await peer.close();
  }

  async close(): Promise<void> {
    await this.closePeers();
    const stopped = this.server.stop();
    // Whoever does not answer is cut off; the others have answered within a turn or two.
    await Bun.sleep(5);
    this.clock.advance(CLOSE_MS);
    await stopped;
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A broadcast frame of 60 bytes with a mark in its payload, in a unit of its own. */
export function markedUnit(source: number, mark: number): Uint8Array {
  const unit = new Uint8Array(8 + 60);
  const view = new DataView(unit.buffer);
  view.setUint32(0, 1);
  view.setUint32(4, 60);
  unit.fill(0xff, 8, 14);
  unit.set([2, 0, 0, 0, 0, source], 14);
  view.setUint16(20, 0x88b5);
  view.setUint32(22, mark);
  return unit;
}

/**
 * Runs the body of a row of robustness.md against a server on which two sessions stand, and asserts rule 1 of
 * it afterwards: both pass frames to each other as before, no connection, file, timer or packet memory is
 * left of what the row did, and nothing was logged that a stranger could fill a disk with.
 */
export async function row(
  options: TestServerOptions,
  body: (server: TestServer) => Promise<void>,
): Promise<void> {
  const at = await TestServer.start(options);
  try {
    const north = await Peer.connect({ port: at.port });
    await north.login({ user: "north", password: "n" });
    const south = await Peer.connect({ port: at.port });
    await south.login({ user: "south", password: "s" });
    await passes(north, south, { source: 1, mark: 1 });
    const before = { files: openFiles(), timers: at.clock.pending, slots: batchSlots.taken };
    await body(at);
    await at.closePeers();
    await at.waitPending(0);
    await passes(north, south, { source: 1, mark: 2 });
    await passes(south, north, { source: 2, mark: 3 });
    // Closing takes CLOSE_MS at most from a peer that is gone without a word.
    await until("files, timers and packet memory back", () => isBack(at, before), {
      everyMs: 5,
      deadlineMs: 5_000,
      explain: () =>
        `${openFiles()} files, ${at.clock.pending} timers, ${batchSlots.taken} slots; before: ${JSON.stringify(before)}`,
    });
    const faults = at.log.lines.filter(({ level }) => level === "error");
    if (faults.length > 0) throw new Error(`logged: ${JSON.stringify(faults)}`);
    await north.close();
    await south.close();
  } finally {
    await at.close();
  }
}

function isBack(at: TestServer, before: { files: number; timers: number; slots: number }) {
  return (
    openFiles() <= before.files &&
    at.clock.pending <= before.timers &&
    batchSlots.taken <= before.slots
  );
}

async function passes(
  from: Peer,
  to: Peer,
  { source, mark }: { source: number; mark: number },
): Promise<void> {
  const unit = markedUnit(source, mark);
  const frame = unit.subarray(8);
  to.take();
  from.write(unit);
  let seen = new Uint8Array(0);
  await until(
    "a frame from one bystander to the other",
    () => {
      seen = Buffer.concat([seen, ...to.take()]);
      return Buffer.from(seen).includes(frame);
    },
    { everyMs: 1, deadlineMs: 5_000 },
  );
}
