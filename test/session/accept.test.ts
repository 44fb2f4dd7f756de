import { afterEach, describe, expect, test } from "bun:test";
import type { OutsideWait } from "../../src/auth/authority.ts";
import { MAX_BODY_BEFORE_LOGIN } from "../../src/base/limits.ts";
import { DEFAULT_POLICY } from "../../src/config/policy.ts";
import type { CloseReason } from "../../src/hub/port.ts";
import { Conversation, type Reception } from "../../src/session/accept.ts";
import { batchSlots } from "../../src/session/batch.ts";
import { isNoop, packRequest, signatureRequest } from "../../src/session/handshake.ts";
import { Heartbeat } from "../../src/session/heartbeat.ts";
import { Session } from "../../src/session/session.ts";
import { HttpReader } from "../../src/transport/http-message.ts";
import { Pack } from "../../src/wire/pack.ts";
import { ArrayPort } from "../support/array-port.ts";
import { FakeLink } from "../support/fake-link.ts";
import { toHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { loginPack } from "../support/peer.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { markedUnit } from "../support/test-server.ts";
import { streamOf } from "../support/stream-options.ts";

const LIMITS = { tlsHandshakeMs: 10_000, firstRequestMs: 20_000, loginMs: 30_000 };

/** A server of one conversation, which answers logins as it is told. */
class Desk implements Reception {
  readonly clock = new ManualClock();
  readonly link = new FakeLink();
  readonly outcomes: string[] = [];
  readonly failures: unknown[] = [];
  readonly sessions: Session[] = [];
  readonly heartbeat = new Heartbeat(this.clock);
  readonly conversation: Conversation;
  answer: (wait: OutsideWait) => Promise<Session | number> = async () => this.session();
  joinAnswer: () => Session | number = () => 13;
  readonly #replies = new HttpReader(() => 1 << 20);

  constructor() {
    const random = seededRandom(21);
    const deps = { clock: this.clock, random, limits: LIMITS };
    this.conversation = new Conversation(this.link, this, deps);
    this.conversation.secured();
  }

  session(): Session {
    const session = new Session(
      {
        sessionName: "SID-ALICE-1",
        connectionName: "CID-1",
        sessionKey: new Uint8Array(20),
        stream: streamOf({ connections: 1 }),
        timeoutMs: 20_000,
        policy: DEFAULT_POLICY,
        message: "",
      },
      { end: "server", clock: this.clock, random: seededRandom(22), heartbeat: this.heartbeat },
    );
    this.sessions.push(session);
    return session;
  }

  login(...[, , , wait]: Parameters<Reception["login"]>): Promise<Session | number> {
    return this.answer(wait);
  }

  join(): Session | number {
    return this.joinAnswer();
  }

  listHubs(): string[] {
    return [];
  }

  failed(error: unknown): void {
    this.failures.push(error);
  }

  settled(_: Conversation, outcome: string): void {
    this.outcomes.push(outcome);
  }

  send(...messages: Uint8Array[]): void {
    this.link.handler.data(new Uint8Array(Buffer.concat(messages)));
  }

  replies(): Pack[] {
    this.#replies.push(this.link.take());
    const packs: Pack[] = [];
    for (let one = this.#replies.next(); one !== undefined; one = this.#replies.next()) {
      packs.push(Pack.parse(one.body));
    }
    return packs;
  }

  close(): void {
    this.conversation.end();
    for (const session of this.sessions) session.close({ code: "test" });
  }
}

let desk = new Desk();
afterEach(() => {
  desk.close();
  expect(desk.clock.pending).toBe(0);
  expect(batchSlots.taken).toBe(0);
  desk = new Desk();
});

const asRequest = (pack: Pack) =>
  packRequest("127.0.0.1", pack, { random: seededRandom(23), wall: 0 });
const SIGNATURE = signatureRequest("127.0.0.1");
const login = () => asRequest(loginPack({}, new Uint8Array(20)));
const turn = () => Bun.sleep(0);

describe("Conversation", () => {
  test("hands the stream over from the very next byte, wherever the chunks are cut", async () => {
    const bytes = Buffer.concat([SIGNATURE, login(), markedUnit(1, 1), markedUnit(1, 2)]);
    for (const cut of [
      1,
      SIGNATURE.length,
      SIGNATURE.length + 50,
      bytes.length - 70,
      bytes.length,
    ]) {
      const mine = new Desk();
      const hub = new ArrayPort("hub");
      mine.answer = async () => {
        const session = mine.session();
        session.plug(hub);
        return session;
      };
      mine.send(bytes.subarray(0, cut));
      await turn();
      if (cut < bytes.length) mine.send(bytes.subarray(cut));
      await turn();
      expect(hub.frames.map(toHex)).toEqual(
        [1, 2].map((mark) => toHex(markedUnit(1, mark).subarray(8))),
      );
      expect(mine.outcomes).toEqual(["data"]);
      mine.close();
    }
  });

  test.each([
    [502, 5188, 5],
    [503, 1, 5],
    [502, 5187, 0],
    [501, 9674, 0],
  ])(
    "a client %d.%d gets %d NOOPs in 25 s while somebody outside is asked",
    async (version, build, noops) => {
      const verdict = Promise.withResolvers<number>();
      desk.answer = async (wait) => {
        wait.begin();
        return verdict.promise.finally(() => wait.end());
      };
      const pack = loginPack({}, new Uint8Array(20));
      pack.setInt("client_ver", version).setInt("client_build", build);
      desk.send(SIGNATURE, asRequest(pack));
      await turn();
      expect(desk.replies().length).toBe(1);
      desk.clock.advance(25_000);
      const busy = desk.replies();
      expect([busy.length, busy.every(isNoop)]).toEqual([noops, true]);
      verdict.resolve(9);
      await turn();
      expect(desk.replies().map((reply) => reply.int("error"))).toEqual([9]);
    },
  );

  test("the deadline of a login stands while somebody outside is asked, and goes on after", async () => {
    const asked = Promise.withResolvers<OutsideWait>();
    desk.answer = (wait) => {
      wait.begin();
      asked.resolve(wait);
      return new Promise(() => {});
    };
    desk.send(SIGNATURE, login());
    const wait = await asked.promise;
    desk.clock.advance(60_000);
    expect(desk.outcomes).toEqual([]);
    wait.end();
    expect(wait.signal.aborted).toBe(false);
    desk.clock.advance(LIMITS.loginMs - 1);
    expect(desk.outcomes).toEqual([]);
    desk.clock.advance(1);
    expect([desk.outcomes, wait.signal.aborted]).toEqual([["login_timeout"], true]);
  });

  test("a peer that floods while its login is judged is cut off", async () => {
    desk.answer = () => new Promise(() => {});
    desk.send(SIGNATURE, login());
    desk.send(new Uint8Array(MAX_BODY_BEFORE_LOGIN));
    expect(desk.outcomes).toEqual([]);
    desk.send(new Uint8Array(1));
    expect(desk.outcomes).toEqual(["too_much_early"]);
  });

  test("what comes while a login is judged waits for the verdict", async () => {
    const verdict = Promise.withResolvers<Session | number>();
    desk.answer = () => verdict.promise;
    desk.send(SIGNATURE, login(), login(), markedUnit(1, 1));
    await turn();
    expect(desk.replies().length).toBe(1);
    desk.send(markedUnit(1, 2));
    verdict.resolve(9);
    await turn();
    expect(desk.replies().map((pack) => pack.int("error"))).toEqual([9]);
    expect(desk.outcomes).toEqual(["refused_9"]);
    expect(desk.link.ended).toBe("in order");
  });

  test("a peer that is gone before the verdict gets no session", async () => {
    const verdict = Promise.withResolvers<Session | number>();
    desk.answer = () => verdict.promise;
    desk.send(SIGNATURE, login());
    desk.link.handler.closed("peer_closed");
    const session = desk.session();
    const ends: CloseReason[] = [];
    session.onClosed = (reason) => ends.push(reason);
    verdict.resolve(session);
    await turn();
    expect(desk.outcomes).toEqual(["peer_closed"]);
    expect(ends).toEqual([{ code: "client_gone" }]);
  });

  test("a verdict that comes after the deadline opens nothing", async () => {
    const verdict = Promise.withResolvers<Session | number>();
    desk.answer = () => verdict.promise;
    desk.send(SIGNATURE, login());
    desk.clock.advance(30_000);
    expect(desk.outcomes).toEqual(["login_timeout"]);
    const session = desk.session();
    verdict.resolve(session);
    await turn();
    expect(session.isClosed).toBe(true);
  });

  test("a fault of ours while a login is judged is told, and ends the connection", async () => {
    const fault = new TypeError("undefined is not an object");
    desk.answer = () => Promise.reject(fault);
    desk.send(SIGNATURE, login());
    await turn();
    expect(desk.failures).toEqual([fault]);
    expect(desk.outcomes).toEqual(["internal_error"]);
    expect(desk.link.ended).toBe("aborted");
  });

  test("HT-17 a peer that has not read its welcome gets no session", async () => {
    desk.send(SIGNATURE);
    desk.link.take();
    desk.link.room = 100;
    desk.send(login());
    await turn();
    expect(desk.outcomes).toEqual(["no_progress"]);
    expect(desk.sessions[0]?.isClosed).toBe(true);
    expect(desk.link.ended).toBe("aborted");
  });

  test("HT-17 an additional connection that does not read ends alone", async () => {
    const session = desk.session();
    desk.joinAnswer = () => session;
    desk.send(SIGNATURE);
    desk.link.take();
    desk.link.room = 100;
    desk.send(asRequest(new Pack().setStr("method", "additional_connect")));
    await turn();
    expect(desk.outcomes).toEqual(["no_progress"]);
    expect(session.isClosed).toBe(false);
  });

  test("FI-01 answers go out whole through short writes, in order", () => {
    desk.link.room = 10;
    desk.send(SIGNATURE, asRequest(new Pack().setInt("noop", 1)));
    for (let i = 0; i < 500; i++) {
      desk.link.room = 7;
      desk.link.handler.drain();
    }
    const [hello, noop] = desk.replies();
    expect(hello?.str("hello")).toContain("Server");
    expect(isNoop(noop!)).toBe(true);
  });

  test("a NOOP of kind 2 is passed over, one of another kind is no NOOP", async () => {
    desk.send(SIGNATURE, asRequest(new Pack().setInt("noop", 2)));
    expect(desk.replies().length).toBe(1);
    desk.send(asRequest(loginPack({}, new Uint8Array(20)).setInt("noop", 0)));
    await turn();
    expect(desk.outcomes).toEqual(["data"]);
  });

  test("PK-01 a body that is no PACK is its fault's name", () => {
    const head =
      "POST /vpnsvc/vpn.cgi HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n";
    desk.send(SIGNATURE, Buffer.from(`${head}Content-Length: 3\r\n\r\nabc`));
    expect(desk.outcomes).toEqual(["pack_short"]);
    expect(desk.link.ended).toBe("aborted");
  });

  test("PK-02 more elements than a login needs end it", () => {
    const many = new Pack();
    for (let i = 0; i < 1_025; i++) many.setInt(`e${i}`, i);
    desk.send(SIGNATURE, asRequest(many));
    expect(desk.outcomes).toEqual(["pack_count"]);
  });

  test("after the signature anything but a PACK gets error 3", () => {
    desk.send(SIGNATURE, Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    expect(desk.replies().map((pack) => pack.int("error"))).toEqual([undefined, 3]);
    expect(desk.outcomes).toEqual(["no_pack"]);
  });

  test("each phase has its deadline from accept on, and an end takes it away", () => {
    const silent = new Desk();
    silent.clock.advance(20_000);
    expect(silent.outcomes).toEqual(["request_timeout"]);
    const late = new Desk();
    late.clock.advance(19_999);
    late.send(SIGNATURE);
    late.clock.advance(10_000);
    expect(late.outcomes).toEqual([]);
    late.clock.advance(1);
    expect(late.outcomes).toEqual(["login_timeout"]);
    const stopped = new Desk();
    stopped.conversation.end();
    stopped.conversation.end();
    expect([stopped.outcomes, stopped.link.ended]).toEqual([["server_stopping"], "in order"]);
    for (const mine of [silent, late, stopped]) expect(mine.clock.pending).toBe(0);
  });
});
