import { describe, expect, test } from "bun:test";
import { LOGIN_MS, MAX_NOOPS_BEFORE_LOGIN, NOOP_EXTENSION_MS } from "../../src/base/limits.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import { Conversation, type Reception } from "../../src/session/accept.ts";
import { batchSlots } from "../../src/session/batch.ts";
import { packRequest, signatureRequest } from "../../src/session/handshake.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import { Session } from "../../src/session/session.ts";
import { HttpReader } from "../../src/transport/http-message.ts";
import { Pack } from "../../src/wire/pack.ts";
import { ArrayPort } from "../support/array-port.ts";
import { FakeLink } from "../support/fake-link.ts";
import { fromHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { loginPack } from "../support/peer.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { markedUnit } from "../support/test-server.ts";
import requests from "../vectors/real_client_requests.json" with { type: "json" };
import { fuzz } from "./fuzz.ts";
import { streamOf } from "../support/stream-options.ts";

const LIMITS = { tlsHandshakeMs: 10_000, firstRequestMs: 20_000, loginMs: LOGIN_MS };
/** The longest that any conversation may last. */
const LONGEST_MS = LOGIN_MS + MAX_NOOPS_BEFORE_LOGIN * NOOP_EXTENSION_MS;

/** A conversation with a server that lets every second login in, at once or later. */
class World implements Reception {
  readonly clock = new ManualClock();
  readonly heartbeat = new Heartbeat(this.clock);
  readonly link = new FakeLink();
  readonly outcomes: string[] = [];
  readonly sessions: Session[] = [];
  readonly verdicts: (() => void)[] = [];
  readonly conversation: Conversation;
  #logins: number;

  constructor(seed: number) {
    this.#logins = seed;
    const deps = { clock: this.clock, random: seededRandom(seed), limits: LIMITS };
    this.conversation = new Conversation(this.link, this, deps);
  }

  login(): Promise<Session | number> {
    if (this.#logins++ % 2 === 0) return Promise.resolve(9);
    const later = Promise.withResolvers<Session | number>();
    this.verdicts.push(() => later.resolve(this.#open()));
    return later.promise;
  }

  join(): Session | number {
    return this.#logins++ % 2 === 0 ? 13 : this.#open();
  }

  #open(): Session {
    const session = new Session(
      {
        sessionName: "SID-X-1",
        connectionName: "CID-1",
        sessionKey: new Uint8Array(20),
        stream: streamOf({ connections: 1 }),
        timeoutMs: 20_000,
        policy: DEFAULT_POLICY,
        message: "",
      },
      { end: "server", clock: this.clock, random: seededRandom(1), heartbeat: this.heartbeat },
    );
    session.plug(new ArrayPort("hub"));
    this.sessions.push(session);
    return session;
  }

  listHubs(): string[] {
    return ["A", "B"];
  }

  failed(error: unknown): void {
    throw error;
  }

  settled(_: Conversation, outcome: string): void {
    this.outcomes.push(outcome);
  }

  /** Ends everything and asserts that it was one outcome, and that nothing is left. */
  async finish(): Promise<void> {
    this.clock.advance(LONGEST_MS);
    for (const verdict of this.verdicts) verdict();
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    for (const session of this.sessions) session.close({ code: "test" });
    const isOver = this.outcomes.length === 1 && this.link.ended !== undefined;
    if (!isOver) throw new Error(`outcomes ${this.outcomes.join()}, link ${this.link.ended}`);
    if (this.clock.pending > 0) throw new Error(`${this.clock.pending} timers are left`);
    if (batchSlots.taken > 0) throw new Error(`${batchSlots.taken} slots are left`);
    this.#readReplies();
  }

  /** Until the stream begins everything that was written is HTTP. */
  #readReplies(): void {
    if (this.outcomes[0] === "data") return;
    const reader = new HttpReader(() => 1 << 20);
    reader.push(this.link.take());
    for (let one = reader.next(); one !== undefined; one = reader.next()) {
      if (one.head.first !== "HTTP/1.1") throw new Error(`a reply that begins ${one.head.first}`);
      if (one.head.second === "200") Pack.parse(one.body);
    }
  }
}

const deps = { random: seededRandom(31), wall: 0 };
const packed = (pack: Pack) => packRequest("a", pack, deps);
const short = (method: string) => new Pack().setStr("method", method);
const SIGNATURE = signatureRequest("192.0.2.1");
const GET = Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
const LOGIN = loginPack({}, new Uint8Array(20));

/** The driver ends by itself after FUZZ_SECONDS; the runner must not be quicker. */
const TIMEOUT_MS = (Number(process.env["FUZZ_SECONDS"] ?? 0) + 60) * 1000;

describe("fuzz", () => {
  test(
    "session/handshake, bytes",
    async () => {
      const unfinished: Promise<void>[] = [];
      const target = (bytes: Uint8Array) => {
        const world = new World(bytes.length);
        const dice = seededRandom(bytes.length);
        const isWhole = dice.below(2) === 0;
        for (let at = 0; at < bytes.length;) {
          const size = isWhole ? bytes.length : 1 + dice.below(300);
          world.link.handler.data(bytes.slice(at, at + size));
          at += size;
        }
        const isTaken = world.outcomes.length === 0 || world.outcomes[0] === "data";
        unfinished.push(world.finish());
        return isTaken;
      };
      const recorded = requests
        .flatMap(({ body_hex: hex }) => hex ?? [])
        .map((hex) => fromHex(hex));
      const seeds = [
        [GET, SIGNATURE, packed(LOGIN), markedUnit(1, 1)],
        [SIGNATURE, packed(new Pack().setInt("noop", 1)), packed(LOGIN)],
        [SIGNATURE, packed(short("additional_connect").setData("session_key", new Uint8Array(20)))],
        [SIGNATURE, packed(short("enum_hub"))],
        ...recorded.map((body) => [SIGNATURE, packed(Pack.parse(body))]),
      ].map((parts) => new Uint8Array(Buffer.concat(parts)));
      const { accepted, rounds } = fuzz({ name: "session-handshake", seeds, target });
      await Promise.all(unfinished);
      expect(accepted).toBeGreaterThan(rounds / 50);
    },
    TIMEOUT_MS,
  );

  test(
    "session/handshake, sequences",
    async () => {
      const seconds = Number(process.env["FUZZ_SECONDS"] ?? 0);
      const until = Date.now() + seconds * 1_000;
      const seen = new Set<string>();
      for (let seed = 1; seconds > 0 ? Date.now() < until : seed <= 3_000; seed++) {
        const world = new World(seed);
        await play(world, seed).catch((error: unknown) => {
          throw new Error(`Cannot play the sequence of seed ${seed}`, { cause: error });
        });
        seen.add(world.outcomes[0]!);
      }
      // Each end that a sequence of these can have was met.
      for (const outcome of [
        "data",
        "enum_hub",
        "login_timeout",
        "no_pack",
        "no_progress",
        "not_vpn",
        "peer_closed",
        "refused_13",
        "refused_9",
        "request_timeout",
        "server_stopping",
        "tls_timeout",
        "too_many_requests",
        "unsupported_method",
      ]) {
        expect([...seen]).toContain(outcome);
      }
    },
    TIMEOUT_MS,
  );
});

async function play(world: World, seed: number): Promise<void> {
  const dice = seededRandom(seed);
  const { link, clock, conversation } = world;
  const weights = dice.below(3);
  const send = (bytes: Uint8Array) => {
    const cut = dice.below(bytes.length + 1);
    for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      // Links that have ended bring nothing more (transport/tls-link.ts).
      if (link.ended === undefined) link.handler.data(new Uint8Array(part));
    }
  };
  const steps: (() => void)[] = [
    () => send(SIGNATURE),
    () => send(GET),
    () => send(packed(LOGIN)),
    () => send(packed(short("additional_connect"))),
    () => send(packed(new Pack().setInt("noop", 1 + dice.below(2)))),
    () => send(weights === 0 ? markedUnit(1, 1) : GET),
    () => send(packed(short(["enum_hub", "admin", ""][dice.below(3)]!))),
    () => send(dice.bytes(dice.below(40))),
    () => clock.advance(dice.below(12_000)),
    () => conversation.secured(),
    () => void (link.room = dice.below(3) === 0 ? dice.below(400) : Infinity),
    () => link.handler.drain(),
    () => world.verdicts.shift()?.(),
    () => dice.below(4) === 0 && conversation.end(),
    () => dice.below(4) === 0 && link.ended === undefined && gone(link),
  ];
  // A third of the sequences knock politely first.
  if (weights > 0) conversation.secured();
  if (weights > 1) send(SIGNATURE);
  for (let n = dice.below(60); n > 0 && link.ended === undefined; n--) {
    const step = weights === 1 && dice.below(16) > 0 ? 1 : dice.below(steps.length);
    steps[step]!();
    await Promise.resolve();
    await Promise.resolve();
  }
  await world.finish();
}

function gone(link: FakeLink): void {
  link.ended = "aborted";
  link.handler.closed("peer_closed");
}
