import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { tryParseAddress } from "../../../src/base/ip.ts";
import { systemRandom } from "../../../src/base/random.ts";
import { Epoll } from "../../../src/platform/epoll.ts";
import type { SocketAddress } from "../../../src/platform/socket-address.ts";
import { DnsRelay } from "../../../src/secure-nat/dns/dns-relay.ts";
import { systemDnsTransport } from "../../../src/secure-nat/dns/dns-socket.ts";
import { tryParseDns } from "../../../src/wire/dns.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { until } from "../../support/process.ts";
import { answerTo, questionFor } from "./fake-resolvers.ts";

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});

/** A resolver on this machine; gives its address and the ports that asked. */
async function serve(
  hostname: string,
  answer: (question: Uint8Array) => Uint8Array | undefined = answerTo,
): Promise<{ at: SocketAddress; ports: number[] }> {
  const ports: number[] = [];
  const socket = await Bun.udpSocket({
    hostname,
    socket: {
      data(self, data, port, address) {
        ports.push(port);
        const reply = answer(Uint8Array.from(data));
        if (reply !== undefined) self.send(reply, port, address);
      },
    },
  });
  opened.push(() => socket.close());
  return { at: { ...tryParseAddress(hostname)!, port: socket.port }, ports };
}

/** Its clock stands still: no answer owes anything to a time-out. */
function openRelay(servers: readonly SocketAddress[]) {
  const clock = new ManualClock();
  const epoll = Epoll.open();
  opened.push(() => epoll.close());
  const relay = new DnsRelay({
    clock,
    random: systemRandom,
    transport: systemDnsTransport(epoll),
    resolvers: () => servers,
    hostName: () => "gate",
    settled: () => undefined,
  });
  opened.push(() => relay.close());
  const ask = (id: number, edns?: number) => {
    const answered = Promise.withResolvers<Uint8Array>();
    const from = { address: tryParseAddress("192.168.30.10")!, port: 1024 + id };
    const options = edns === undefined ? { id } : { id, edns };
    relay.ask(questionFor(`h${id}.example.com`, options), from, (bytes) =>
      answered.resolve(bytes.slice()),
    );
    return answered.promise;
  };
  return { relay, epoll, ask, clock };
}

describe("systemDnsTransport()", () => {
  test("asks resolvers of both families, each question from a port of its own", async () => {
    for (const hostname of ["127.0.0.1", "::1"]) {
      const server = await serve(hostname);
      const { relay, epoll, ask } = openRelay([server.at]);
      const before = readdirSync("/proc/self/fd").length;
      const answers = await Promise.all(Array.from({ length: 40 }, (_, id) => ask(id)));
      expect(answers.map((bytes) => tryParseDns(bytes)!.id)).toEqual([...answers.keys()]);
      expect(new Set(server.ports).size).toBeGreaterThan(30);
      expect(relay.pending).toEqual({ questions: 0, sockets: 0 });
      expect(epoll.size).toBe(0);
      expect(readdirSync("/proc/self/fd").length).toBe(before);
    }
  });

  test("DN-05 hears nothing from another address or port than the one it asked", async () => {
    let port: number | undefined;
    let asked: Uint8Array | undefined;
    const server = await serve("127.0.0.1", (question) => {
      asked = question;
      return undefined;
    });
    const { relay, ask, clock } = openRelay([server.at]);
    let isAnswered = false;
    void ask(7).then(() => (isAnswered = true));
    await until("the question", () => (port = server.ports[0]) !== undefined);
    // The right answer from the wrong port, and from another address.
    for (const hostname of ["127.0.0.1", "127.0.0.2"]) {
      const stranger = await Bun.udpSocket({ hostname });
      stranger.send(answerTo(asked!, { rcode: 3 }), port!, "127.0.0.1");
      stranger.close();
    }
    // By the time it is sent again those have been thrown away, by the kernel already.
    clock.advance(1_000);
    await until("the repetition", () => server.ports.length > 1);
    expect([isAnswered, relay.stats.strayAnswers, relay.pending.questions]).toEqual([false, 0, 1]);
  });

  test("goes on to the next resolver when the first one's port is closed", async () => {
    const closed = await Bun.udpSocket({ hostname: "127.0.0.1" });
    const at: SocketAddress = { ...tryParseAddress("127.0.0.1")!, port: closed.port };
    closed.close();
    const server = await serve("127.0.0.1");
    const { ask, relay } = openRelay([at, server.at]);
    // Told by ICMP: no clock moves.
    expect(tryParseDns(await ask(1))!.rcode).toBe(0);
    expect(relay.pending.sockets).toBe(0);
    const alone = openRelay([at]);
    expect(tryParseDns(await alone.ask(1))!.rcode).toBe(2);
  });

  test("passes an answer of 4096 bytes", async () => {
    const server = await serve("127.0.0.1", (question) => answerTo(question, { bytes: 4000 }));
    const answer = await openRelay([server.at]).ask(1, 4096);
    expect(answer.length).toBeGreaterThan(4000);
    expect(tryParseDns(answer)).toMatchObject({ isTruncated: false, answers: 1 });
  });
});
