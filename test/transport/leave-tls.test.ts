import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { CLOSE_MS } from "../../src/base/limits.ts";
import { dialHost } from "../../src/transport/tls-dialer.ts";
import type { Link, TlsLink } from "../../src/transport/tls-link.ts";
import { listenTls, type TlsListener } from "../../src/transport/tls-listener.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { openFiles, testCertificate } from "../support/test-server.ts";
import { lastRecordType, relay, sniffed, type Closers } from "./relay.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);
const fast = { everyMs: 1, deadlineMs: 10_000 };
const bytesOf = (text: string) => new TextEncoder().encode(text);

/** One end of a connection with what it heard. */
class End {
  readonly link: Link;
  readonly ends: string[] = [];
  onData: (chunk: Uint8Array) => void = () => {};
  #chunks: Uint8Array[] = [];
  #unsent: Uint8Array = new Uint8Array(0);

  constructor(link: Link) {
    this.link = link;
    link.handler = {
      data: (chunk) => {
        this.#chunks.push(chunk.slice());
        this.onData(chunk);
      },
      drain: () => this.#push(),
      closed: (reason) => void this.ends.push(reason),
    };
  }

  /** Sends all of it, over as many turns as it takes. */
  send(bytes: Uint8Array): void {
    this.#unsent = bytes;
    this.#push();
  }

  #push(): void {
    while (this.#unsent.length > 0) {
      const piece = this.#unsent.subarray(0, 40_960);
      const taken = this.link.write(piece);
      this.#unsent = this.#unsent.subarray(taken);
      if (taken < piece.length) return;
    }
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  text(): Promise<string> {
    return until("bytes", () => this.received.toString() || undefined, fast);
  }
}

interface Pair {
  readonly clock: ManualClock;
  readonly server: End;
  readonly client: End;
}

const closers: Closers = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(clock: ManualClock, mayLeaveTls: boolean) {
  const { cert, key } = await testCertificate();
  const links: TlsLink[] = [];
  const gone: TlsLink[] = [];
  const listener: TlsListener = listenTls({
    address: "127.0.0.1",
    port: 0,
    tls: { cert, key, min: "1.2", max: "1.3", ciphers: undefined },
    clock,
    mayLeaveTls,
    opening: {
      opened: (link) => void links.push(link),
      secured() {},
      gone: (link) => void gone.push(link),
    },
    onFault(error) {
      throw error;
    },
  });
  closers.push(async () => {
    listener.close();
    for (const link of links) link.abort("test");
    await until("links gone", () => gone.length === links.length, fast);
  });
  return { links, port: listener.port };
}

function dialTo(port: number, clock: ManualClock, mayLeaveTls: boolean) {
  return dialHost({
    host: "127.0.0.1",
    port,
    family: "any",
    proxy: undefined,
    clock,
    signal: new AbortController().signal,
    mayLeaveTls,
    onFault(error) {
      throw error;
    },
  });
}

/** Two ends over TLS, of links that may leave it. */
async function openPair(options: { through?: (port: number) => number } = {}): Promise<Pair> {
  const clock = new ManualClock();
  const { links, port } = await listen(clock, true);
  const { link, certificate } = await dialTo(options.through?.(port) ?? port, clock, true);
  expect(certificate.authorized).toBe(false);
  const client = new End(link);
  closers.push(() => link.abort("test"));
  await until("TLS at the server", () => links[0]?.cipher !== "", fast);
  return { clock, server: new End(links[0]!), client };
}

/** As a login goes: a question, its answer, and both ends are in the clear. */
async function leave({ server, client }: Pair, first = new Uint8Array(0)): Promise<void> {
  server.onData = () => {
    server.onData = () => {};
    server.link.write(bytesOf("answer"));
    server.link.leaveTls();
    // In one segment with the last record, as likely as not.
    server.send(first);
  };
  client.link.write(bytesOf("question"));
  await until("the answer", () => client.received.length >= 6, fast);
  expect(client.received.toString("latin1")).toBe("answer");
  client.link.leaveTls();
}

/** As the stream begins: one block, whose length is all that matters here. */
const CLEAR = Uint8Array.of(0, 0, 0, 1, ...bytesOf(" in the clear"));

describe("leaveTls()", () => {
  test("goes on in the clear both ways, with the same link and socket", async () => {
    const pair = await openPair();
    const { server, client } = pair;
    const ports = [server.link.remotePort, client.link.remotePort];
    expect(client.link.cipher).toMatch(/^TLSv1\.3 TLS_\w+$/);
    await leave(pair);
    expect([server.link.cipher, client.link.cipher]).toEqual(["none", "none"]);
    expect([server.link.remotePort, client.link.remotePort]).toEqual(ports);
    client.link.write(CLEAR);
    await until("clear bytes", () => server.received.length > 8, fast);
    expect(server.received.subarray(8).equals(CLEAR)).toBe(true);
    server.link.write(CLEAR);
    await until("clear bytes", () => client.received.length > 6, fast);
    expect(client.received.subarray(6).equals(CLEAR)).toBe(true);
  });

  for (const form of ["joined", "single bytes"] as const) {
    test(`hands over what came with the last record, ${form}, and the wire shows it clear`, async () => {
      const seen: Buffer[] = [];
      const pair = await openPair({ through: relay(closers, form, seen) });
      await leave(pair, CLEAR);
      await until("clear bytes", () => pair.client.received.length === 6 + CLEAR.length, fast);
      expect(pair.client.received.subarray(6).equals(CLEAR)).toBe(true);
      expect(Buffer.concat(seen).includes(Buffer.from(CLEAR))).toBe(true);
      // Nothing that TLS had to say of the change has reached the server.
      pair.client.link.write(CLEAR);
      await until("clear bytes", () => pair.server.received.length > 8, fast);
      expect(pair.server.received.subarray(8).equals(CLEAR)).toBe(true);
    });
  }

  test("hands what came early to the handler before it returns, and later bytes behind it", async () => {
    const pair = await openPair({ through: relay(closers, "joined") });
    const { server, client } = pair;
    server.onData = () => {
      server.link.write(bytesOf("answer"));
      server.link.leaveTls();
      server.link.write(CLEAR);
    };
    client.link.write(bytesOf("question"));
    expect(await client.text()).toBe("answer");
    server.onData = () => {};
    server.link.write(bytesOf(", and more"));
    client.link.leaveTls();
    expect(client.received.subarray(6).equals(CLEAR)).toBe(true);
    await until("more", () => client.received.toString().endsWith("and more"), fast);
    expect(client.received.length).toBe(6 + CLEAR.length + 10);
  });

  test("keeps what comes for as long as the dialler stays in TLS, and all of it in order", async () => {
    const pair = await openPair();
    const { server, client } = pair;
    const sent = Buffer.concat([CLEAR, seededRandom(5).bytes(8_000_000)]);
    server.onData = () => {
      server.onData = () => {};
      server.link.write(bytesOf("answer"));
      server.link.leaveTls();
      server.send(sent);
    };
    client.link.write(bytesOf("question"));
    await until("clear bytes at the dialler", () => pair.clock.pending > 0, fast);
    await Bun.sleep(50);
    expect(await client.text()).toBe("answer");
    client.onData = (chunk) => expect(chunk.constructor).toBe(Uint8Array);
    client.link.leaveTls();
    await until("all bytes", () => client.received.length === 6 + sent.length, fast);
    expect(Buffer.compare(client.received.subarray(6), sent)).toBe(0);
    expect(pair.clock.pending).toBe(0);
  });

  test("carries 20 MB each way at once in the clear, with write() and drain()", async () => {
    const pair = await openPair();
    const { server, client } = pair;
    await leave(pair);
    const sent = [seededRandom(1).bytes(20_000_000), seededRandom(2).bytes(20_000_000)] as const;
    server.send(sent[0]);
    client.send(sent[1]);
    await until("all bytes", () => client.received.length === 20_000_006, fast);
    await until("all bytes", () => server.received.length === 20_000_008, fast);
    expect(Buffer.compare(client.received.subarray(6), sent[0])).toBe(0);
    expect(Buffer.compare(server.received.subarray(8), sent[1])).toBe(0);
  });

  test("closeInOrder() in the clear is a FIN, and both sides give their descriptors back", async () => {
    const files = openFiles();
    const pair = await openPair();
    await leave(pair);
    pair.client.link.closeInOrder();
    expect(pair.client.link.write(CLEAR)).toBe(0);
    await until("both ends", () => pair.server.ends.length + pair.client.ends.length === 2, fast);
    expect([pair.server.ends, pair.client.ends]).toEqual([["peer_closed"], ["closed"]]);
    expect(pair.clock.pending).toBe(0);
    // The listener of the pair is still there.
    await until("descriptors", () => openFiles() <= files + 1, fast);
  });

  test("abort() in the clear is a RST that the other side is told of", async () => {
    const pair = await openPair();
    await leave(pair);
    pair.server.link.abort("over");
    await until("both ends", () => pair.server.ends.length + pair.client.ends.length === 2, fast);
    expect([pair.server.ends, pair.client.ends]).toEqual([["over"], ["reset"]]);
  });

  test("may be called again and after the end, and then does nothing", async () => {
    const pair = await openPair();
    await leave(pair);
    pair.server.link.leaveTls();
    pair.client.link.leaveTls();
    pair.client.link.abort("over");
    await until("both ends", () => pair.server.ends.length + pair.client.ends.length === 2, fast);
    pair.server.link.leaveTls();
    pair.client.link.leaveTls();
    expect(pair.client.ends).toEqual(["over"]);
  });

  test("throws on links that were not opened so", async () => {
    const clock = new ManualClock();
    const { links, port } = await listen(clock, false);
    const { link } = await dialTo(port, clock, false);
    closers.push(() => link.abort("test"));
    for (const one of [link, links[0]!]) {
      expect(one.mayLeaveTls).toBe(false);
      expect(() => one.leaveTls()).toThrow(expect.objectContaining({ code: "tls_required" }));
    }
  });
});

describe("a link that may leave TLS and does not", () => {
  test("carries 20 MB each way at once", async () => {
    const { server, client } = await openPair();
    const sent = [seededRandom(3).bytes(20_000_000), seededRandom(4).bytes(20_000_000)] as const;
    server.send(sent[0]);
    client.send(sent[1]);
    await until("all bytes", () => client.received.length === 20_000_000, fast);
    await until("all bytes", () => server.received.length === 20_000_000, fast);
    expect(Buffer.compare(client.received, sent[0])).toBe(0);
    expect(Buffer.compare(server.received, sent[1])).toBe(0);
  });

  test("closeInOrder() of the dialler sends close_notify before its FIN", async () => {
    const seen: Buffer[] = [];
    const pair = await openPair();
    const { port } = await sniffed(closers, seen);
    const { link } = await dialTo(port, pair.clock, true);
    const end = new End(link);
    link.closeInOrder();
    await until("the end", () => end.ends.length === 1, fast);
    expect(end.ends).toEqual(["closed"]);
    // The last record is an alert, which TLS 1.2 shows by its type.
    expect(lastRecordType(Buffer.concat(seen))).toBe(21);
  });

  test("the peer's close_notify ends it", async () => {
    const { server, client } = await openPair();
    server.link.closeInOrder();
    await until("both ends", () => server.ends.length + client.ends.length === 2, fast);
    expect([server.ends, client.ends]).toEqual([["closed"], ["peer_closed"]]);
  });

  test("clear bytes that nobody asked for end it in time", async () => {
    const { server, client, clock } = await openPair({ through: relay(closers, "joined") });
    server.onData = () => {
      server.link.write(bytesOf("answer"));
      server.link.leaveTls();
      server.link.write(CLEAR);
    };
    client.link.write(bytesOf("question"));
    expect(await client.text()).toBe("answer");
    await until("a deadline", () => clock.pending > 0, fast);
    clock.advance(15_000);
    await until("the end", () => client.ends.length === 1, fast);
    expect(client.ends).toEqual(["tls_error"]);
    expect(client.received.toString()).toBe("answer");
  });

  test("a peer that does not answer close_notify is cut off after CLOSE_MS", async () => {
    const ear = { isDeaf: false };
    const { client, clock } = await openPair({ through: relay(closers, "joined", [], ear) });
    ear.isDeaf = true;
    client.link.closeInOrder();
    clock.advance(CLOSE_MS - 1);
    await Bun.sleep(20);
    expect(client.ends).toEqual([]);
    clock.advance(1);
    await until("the end", () => client.ends.length === 1, fast);
    expect(client.ends).toEqual(["closed"]);
  });
});
