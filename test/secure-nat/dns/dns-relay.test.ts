import { describe, expect, test } from "bun:test";
import { tryParseAddress } from "../../../src/base/ip.ts";
import { DNS_QUESTIONS_PER_S, MAX_DNS_PENDING, MAX_DNS_SOCKETS } from "../../../src/base/limits.ts";
import type { SocketAddress } from "../../../src/platform/socket-address.ts";
import { setVector } from "../../../src/platform/message-table.ts";
import { PACKET_BYTES, reserve } from "../../../src/platform/packet-memory.ts";
import { DnsRelay } from "../../../src/secure-nat/dns/dns-relay.ts";
import { tryParseDns } from "../../../src/wire/dns.ts";
import { concatBytes } from "../../support/layers.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { answerTo, FakeResolvers, questionFor, resolver } from "./fake-resolvers.ts";

const FIRST = resolver("192.0.2.1");
const SECOND = resolver("192.0.2.2");
const THIRD = resolver("2001:db8::3");
const vectorAt = reserve(16);
const payloadAt = reserve(1024);

function open(servers: readonly SocketAddress[] = [FIRST, SECOND]) {
  const clock = new ManualClock();
  const upstream = new FakeResolvers();
  const settled: number[] = [];
  const relay = new DnsRelay({
    clock,
    random: seededRandom(5),
    transport: upstream,
    resolvers: () => servers,
    hostName: () => "gate.example.com",
    settled: () => void settled.push(clock.now()),
  });
  const answers: Uint8Array[] = [];
  const ask = (question: Uint8Array, from = "192.168.30.10", port = 40_000) =>
    relay.ask(question, { address: tryParseAddress(from)!, port }, (bytes) => {
      answers.push(bytes.slice());
    });
  return { clock, upstream, relay, answers, ask, settled };
}

const rcodes = (answers: readonly Uint8Array[]) =>
  answers.map((bytes) => tryParseDns(bytes)!.rcode);

describe("DnsRelay.ask()", () => {
  test("asks under an id of its own and answers under the guest's, letter for letter", () => {
    const { ask, upstream, answers, relay, clock } = open();
    const question = questionFor("WwW.Example.com", { id: 0x0102 });
    upstream.onQuestion = ({ events }, sent) => {
      expect(sent.subarray(0, 2)).not.toEqual(question.subarray(0, 2));
      expect(sent.subarray(2)).toEqual(question.subarray(2));
      // A resolver may give the name back in other letters.
      const answer = answerTo(sent);
      answer.set(questionFor("www.example.COM").subarray(12, 29), 12);
      events.message(answer);
    };
    ask(question);
    expect(answers).toEqual([answerTo(question)]);
    expect(relay.pending).toEqual({ questions: 0, sockets: 0 });
    expect([upstream.open.length, clock.pending]).toEqual([0, 0]);
    expect(relay.stats).toMatchObject({ relayed: 1, answered: 1, unanswered: 0 });
  });

  test("DN-01 DN-02 DN-04 drops what it cannot read, answers included, without a word", () => {
    const { ask, upstream, answers, relay } = open();
    const question = questionFor("example.com");
    ask(question.subarray(0, 11));
    ask(question.subarray(0, question.length - 1));
    ask(answerTo(question));
    const counts = question.slice();
    counts.fill(0xff, 4, 12);
    ask(counts);
    expect([answers.length, upstream.sockets.length]).toEqual([0, 0]);
    expect(relay.stats).toMatchObject({ malformed: 4, relayed: 0 });
  });

  test("DN-05 ignores answers with another id or question and waits for the true one", () => {
    const { ask, upstream, answers, relay } = open();
    ask(questionFor("example.com"));
    const [socket] = upstream.open;
    const [sent] = socket!.sent;
    const otherId = answerTo(sent!);
    otherId[0]! ^= 1;
    socket!.events.message(otherId);
    const otherName = questionFor("exbmple.com");
    otherName.set(sent!.subarray(0, 2));
    socket!.events.message(answerTo(otherName));
    const otherType = questionFor("example.com", { type: 28 });
    otherType.set(sent!.subarray(0, 2));
    socket!.events.message(answerTo(otherType));
    socket!.events.message(sent!);
    socket!.events.message(new Uint8Array());
    expect(answers).toEqual([]);
    expect(relay.stats.strayAnswers).toBe(5);
    socket!.events.message(answerTo(sent!));
    expect(rcodes(answers)).toEqual([0]);
    // A second one comes for nobody.
    socket!.events.message(answerTo(sent!));
    expect([answers.length, relay.stats.strayAnswers]).toEqual([1, 6]);
  });

  test("gives each question a socket and an id of its own", () => {
    const { ask, upstream } = open();
    for (let port = 1; port <= 50; port += 1)
      ask(questionFor("example.com"), "192.168.30.10", port);
    expect(upstream.open.length).toBe(50);
    const ids = new Set(upstream.open.map(({ sent }) => (sent[0]![0]! << 8) | sent[0]![1]!));
    expect(ids.size).toBeGreaterThan(45);
  });

  test("shares sockets beyond their bound, and answers go to who asked", () => {
    const { ask, upstream, answers, relay } = open([FIRST]);
    const count = MAX_DNS_SOCKETS + 100;
    for (let n = 0; n < count; n += 1) {
      ask(questionFor(`h${n}.example.com`, { id: n }), `192.168.30.${1 + (n % 4)}`, 1000 + n);
    }
    expect(relay.pending).toEqual({ questions: count, sockets: MAX_DNS_SOCKETS });
    for (const { events, sent } of upstream.open) {
      for (const question of sent) events.message(answerTo(question));
    }
    expect(answers.length).toBe(count);
    const names = new Set(
      answers.map((bytes) => Buffer.from(bytes.subarray(12)).toString("latin1")),
    );
    expect(names.size).toBe(count);
    expect(relay.pending).toEqual({ questions: 0, sockets: 0 });
    expect(upstream.open).toEqual([]);
  });

  test("DN-06 bounds what one guest asks in a second and has waiting; another is answered at once", () => {
    const { ask, upstream, answers, relay, clock } = open([FIRST]);
    for (let n = 0; n < 10_000; n += 1) {
      ask(questionFor("example.com", { id: n & 0xffff }), "192.168.30.66", 1000);
    }
    expect(relay.pending.questions).toBe(MAX_DNS_PENDING.perAddress);
    expect(relay.stats.limited).toBe(10_000 - MAX_DNS_PENDING.perAddress);
    upstream.onQuestion = ({ events }, sent) => events.message(answerTo(sent));
    ask(questionFor("example.com"), "192.168.30.10");
    expect(rcodes(answers)).toEqual([0]);
    ask(questionFor("example.com"), "2001:db8::66");
    expect(answers.length).toBe(2);
    // The flood is over: the guest may ask again, some at a time.
    clock.advance(10_000);
    const before = relay.stats.relayed;
    for (let n = 0; n < 2 * DNS_QUESTIONS_PER_S; n += 1)
      ask(questionFor("example.com"), "192.168.30.66", 2000);
    expect(relay.stats.relayed - before).toBe(DNS_QUESTIONS_PER_S);
  });

  test("bounds what waits in all", () => {
    const { ask, relay } = open([FIRST]);
    for (let guest = 1; guest <= 20; guest += 1) {
      for (let id = 0; id < MAX_DNS_PENDING.perAddress; id += 1) {
        ask(questionFor("example.com", { id }), `192.168.30.${guest}`);
      }
    }
    expect(relay.pending.questions).toBe(MAX_DNS_PENDING.all);
  });

  test("DN-07 asks all resolvers, again and again, and says SERVFAIL within 5 s with nothing left", () => {
    const { ask, upstream, answers, relay, clock, settled } = open([FIRST, SECOND, THIRD]);
    const question = questionFor("example.com", { edns: 1232 });
    ask(question);
    clock.advance(4_499);
    expect(upstream.asked).toEqual([FIRST, SECOND, THIRD, FIRST, SECOND]);
    // The same question again, on the same port: a repetition, not another one to be guessed at.
    expect(upstream.sockets.length).toBe(3);
    expect(answers).toEqual([]);
    clock.advance(1);
    expect(rcodes(answers)).toEqual([2]);
    expect(tryParseDns(answers[0]!)).toMatchObject({
      id: 0x4711,
      isResponse: true,
      udpBytes: 4096,
    });
    expect(settled.at(-1)).toBe(4_500);
    expect([relay.pending, clock.pending, upstream.open.length]).toEqual([
      { questions: 0, sockets: 0 },
      0,
      0,
    ]);
    expect(relay.stats).toMatchObject({ unanswered: 1, answered: 0 });
  });

  test("takes the answer of an earlier resolver while a later one is asked", () => {
    const { ask, upstream, answers, clock } = open();
    ask(questionFor("example.com"));
    clock.advance(1_500);
    expect(upstream.asked).toEqual([FIRST, SECOND]);
    const [socket] = upstream.sockets;
    socket!.events.message(answerTo(socket!.sent[0]!));
    expect(rcodes(answers)).toEqual([0]);
    expect([upstream.open.length, clock.pending]).toEqual([0, 0]);
  });

  test("goes on at once where a resolver fails, refuses, is not there or has no way to it", () => {
    const bad: ((upstream: FakeResolvers) => void)[] = [
      (upstream) => {
        upstream.onQuestion = ({ server, events }, sent) => {
          events.message(answerTo(sent, { rcode: server === FIRST ? 2 : 0 }));
        };
      },
      (upstream) => {
        upstream.onQuestion = ({ server, events }, sent) => {
          events.message(answerTo(sent, { rcode: server === FIRST ? 5 : 0 }));
        };
      },
      (upstream) => {
        upstream.onQuestion = ({ server, events }, sent) => {
          if (server === FIRST) events.refused();
          else events.message(answerTo(sent));
        };
      },
      (upstream) => {
        upstream.unreachable.add(FIRST);
        upstream.onQuestion = ({ events }, sent) => events.message(answerTo(sent));
      },
      (upstream) => {
        upstream.unsendable.add(FIRST);
        upstream.onQuestion = ({ events }, sent) => events.message(answerTo(sent));
      },
    ];
    for (const make of bad) {
      const { ask, upstream, answers, clock } = open();
      make(upstream);
      ask(questionFor("example.com"));
      expect(rcodes(answers)).toEqual([0]);
      expect([clock.now(), clock.pending, upstream.open.length]).toEqual([0, 0, 0]);
    }
  });

  test("hands on a failure that all resolvers agree upon, and NXDOMAIN of the first", () => {
    const { ask, upstream, answers, clock } = open();
    upstream.onQuestion = ({ events }, sent) => events.message(answerTo(sent, { rcode: 2 }));
    ask(questionFor("broken.example.com"));
    expect(rcodes(answers)).toEqual([2]);
    expect(upstream.asked).toEqual([FIRST, SECOND]);
    upstream.onQuestion = ({ events }, sent) => events.message(answerTo(sent, { rcode: 3 }));
    ask(questionFor("none.example.com"));
    expect(rcodes(answers)).toEqual([2, 3]);
    expect([upstream.asked.length, clock.pending]).toEqual([3, 0]);
  });

  test("waits for a silent resolver where the other has failed, and the other way round", () => {
    const { ask, upstream, answers, clock } = open();
    upstream.onQuestion = ({ server, events }, sent) => {
      if (server === SECOND) events.message(answerTo(sent, { rcode: 2 }));
    };
    ask(questionFor("example.com"));
    clock.advance(1_000);
    expect(answers).toEqual([]);
    clock.advance(3_500);
    expect(rcodes(answers)).toEqual([2]);
    expect(upstream.asked).toEqual([FIRST, SECOND, FIRST, FIRST, FIRST, FIRST]);
  });

  test("asks a resolver that was silent behind the others for a while", () => {
    const { ask, upstream, answers, clock, relay } = open();
    upstream.onQuestion = ({ server, events }, sent) => {
      if (server === SECOND) events.message(answerTo(sent));
    };
    ask(questionFor("example.com"));
    clock.advance(1_000);
    ask(questionFor("example.com"));
    expect(answers.length).toBe(2);
    expect(upstream.asked).toEqual([FIRST, SECOND, SECOND]);
    expect(relay.stream()?.address).toBe(SECOND);
    clock.advance(30_000);
    expect(relay.stream()?.address).toBe(FIRST);
  });

  test("sends streams to a resolver that is there, once a question has shown which", () => {
    const { ask, upstream, relay } = open([FIRST, SECOND, THIRD]);
    expect(relay.stream()?.address).toBe(FIRST);
    upstream.unreachable.add(FIRST);
    upstream.onQuestion = ({ server, events }, sent) => {
      if (server === SECOND) events.refused();
      else events.message(answerTo(sent, { rcode: 2 }));
    };
    ask(questionFor("example.com"));
    expect(relay.stream()?.address).toBe(THIRD);
  });

  test("sends streams past a resolver that did not accept one, for a while", () => {
    const { clock, relay } = open();
    relay.stream()!.settled!(false);
    expect(relay.stream()?.address).toBe(SECOND);
    relay.stream()!.settled!(true);
    expect(relay.stream()?.address).toBe(SECOND);
    clock.advance(30_000);
    expect(relay.stream()?.address).toBe(FIRST);
  });

  test("DN-09 DN-10 lets streams carry look-ups alone, as datagrams do, and counts the rest", () => {
    const { relay } = open();
    const passes = (...messages: Uint8Array[]) => {
      const bytes = concatBytes(
        ...messages.flatMap((message) => [
          Uint8Array.of(message.length >> 8, message.length & 255),
          message,
        ]),
      );
      PACKET_BYTES.set(bytes, payloadAt);
      setVector(vectorAt, payloadAt, bytes.length);
      return relay.stream()!.guard!.passes(vectorAt, 1, bytes.length);
    };
    const good = questionFor("example.com", { edns: 1232 });
    expect(passes(good, good)).toBe(true);
    expect(passes(good, questionFor("example.com", { opcode: 5 }))).toBe(false);
    expect(passes(questionFor("example.com", { type: 252 }))).toBe(false);
    expect(passes(questionFor("gate"))).toBe(false);
    expect(passes(answerTo(good))).toBe(false);
    expect(passes(good.subarray(0, 20))).toBe(false);
    expect(relay.stats).toMatchObject({ refused: 2, ownNames: 1, malformed: 2, relayed: 0 });
  });

  test("answers SERVFAIL at once without a resolver", () => {
    const { ask, answers, relay, clock } = open([]);
    ask(questionFor("example.com"));
    expect([rcodes(answers), clock.pending]).toEqual([[2], 0]);
    expect(relay.stream()).toBeUndefined();
  });

  test("DN-08 passes what the guest takes by UDP, and says of more that there is more", () => {
    const { ask, upstream, answers, relay } = open();
    let bytes = 0;
    upstream.onQuestion = ({ events }, sent) => events.message(answerTo(sent, { bytes }));
    const lengths = [
      [undefined, 471, 512],
      [undefined, 472, 29],
      [4096, 4055, 4096],
      [4096, 4056, 29],
      [65_535, 5_000, 29],
      [100, 471, 512],
    ] as const;
    for (const [edns, size, expected] of lengths) {
      bytes = size;
      ask(questionFor("example.com", edns === undefined ? {} : { edns }));
      const answer = answers.pop()!;
      expect([edns, size, answer.length]).toEqual([edns, size, expected]);
      expect(tryParseDns(answer)!.isTruncated).toBe(expected === 29);
    }
    expect(relay.stats.truncated).toBe(3);
    // A resolver's own truncation goes through as it is.
    upstream.onQuestion = ({ events }, sent) => {
      const cut = answerTo(sent);
      cut[2]! |= 2;
      events.message(cut);
    };
    ask(questionFor("example.com"));
    expect(tryParseDns(answers.pop()!)).toMatchObject({ isTruncated: true, answers: 1 });
  });

  test("DN-09 tells nothing of this machine's own names", () => {
    const { ask, upstream, answers, relay } = open();
    for (const name of ["gate", "GATE", "localhost", "a.localhost", "_gateway"])
      ask(questionFor(name));
    expect(rcodes(answers)).toEqual([3, 3, 3, 3, 3]);
    expect(upstream.sockets).toEqual([]);
    expect(relay.stats.ownNames).toBe(5);
    for (const [id, name] of [
      "gate.example.com",
      "gateway",
      "notlocalhost",
      "localhost.example",
    ].entries()) {
      ask(questionFor(name, { id }));
    }
    expect(upstream.sockets.length).toBe(4);
  });

  test("DN-10 refuses updates, other classes, ANY and transfers", () => {
    const { ask, upstream, answers, relay } = open();
    ask(questionFor("example.com", { opcode: 5 }));
    ask(questionFor("version.bind", { class: 3, type: 16 }));
    ask(questionFor("example.com", { class: 255 }));
    ask(questionFor("example.com", { type: 255 }));
    ask(questionFor("example.com", { type: 251 }));
    ask(questionFor("example.com", { type: 252 }));
    expect(rcodes(answers)).toEqual([5, 5, 5, 5, 5, 5]);
    expect([upstream.sockets.length, relay.stats.refused]).toEqual([0, 6]);
  });

  test("does not ask twice what a guest repeats while it waits", () => {
    const { ask, upstream, answers, relay } = open();
    ask(questionFor("example.com"));
    ask(questionFor("example.com"));
    expect([upstream.asked.length, relay.stats.repeated]).toEqual([1, 1]);
    ask(questionFor("example.com"), "192.168.30.10", 40_001);
    ask(questionFor("example.com"), "192.168.30.11");
    expect(upstream.asked.length).toBe(3);
    for (const { events, sent } of upstream.open) events.message(answerTo(sent[0]!));
    expect(answers.length).toBe(3);
  });
});

describe("DnsRelay.close()", () => {
  test("leaves no socket and no timer, and answers nobody", () => {
    const { ask, upstream, answers, relay, clock } = open();
    for (let id = 0; id < 10; id += 1) ask(questionFor("example.com", { id }));
    clock.advance(1_200);
    relay.close();
    relay.close();
    expect([upstream.open.length, clock.pending, relay.pending]).toEqual([
      0,
      0,
      { questions: 0, sockets: 0 },
    ]);
    ask(questionFor("example.com"));
    clock.advance(10_000);
    expect([answers.length, upstream.open.length]).toEqual([0, 0]);
  });
});
