import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { CLOSE_MS } from "../../src/base/limits.ts";
import { dialHost } from "../../src/transport/tls-dialer.ts";
import type { LinkHandler, TlsLink } from "../../src/transport/tls-link.ts";
import { listenTls, type TlsListener } from "../../src/transport/tls-listener.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { Peer, RawPeer } from "../support/peer.ts";
import { until } from "../support/process.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { testCertificate, openFiles } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

const fast = { everyMs: 1, deadlineMs: 5_000 };

/** A listener whose links are kept, and what they brought. */
class Listening {
  readonly clock = new ManualClock();
  readonly links: TlsLink[] = [];
  readonly gone: TlsLink[] = [];
  readonly faults: Error[] = [];
  readonly chunks: Uint8Array[] = [];
  readonly ends: string[] = [];
  onData: (link: TlsLink, chunk: Uint8Array) => void = () => {};
  onDrain: (link: TlsLink) => void = () => {};
  listener!: TlsListener;

  static async start(address: string | undefined = "127.0.0.1"): Promise<Listening> {
    const made = new Listening();
    const { cert, key } = await testCertificate();
    made.listener = listenTls({
      address,
      port: 0,
      tls: {
        cert,
        key,
        min: "1.2",
        max: "1.3",
        ciphers: undefined,
      },
      clock: made.clock,
      opening: {
        opened(link) {
          made.links.push(link);
          link.handler = made.#handler(link);
        },
        secured() {},
        gone: (link) => void made.gone.push(link),
      },
      onFault: (error) => made.faults.push(error),
    });
    opened.push(made);
    return made;
  }

  #handler(link: TlsLink): LinkHandler {
    return {
      data: (chunk) => {
        this.chunks.push(chunk.slice());
        this.onData(link, chunk);
      },
      drain: () => this.onDrain(link),
      closed: (reason) => void this.ends.push(reason),
    };
  }

  get port(): number {
    return this.listener.port;
  }

  async link(): Promise<TlsLink> {
    await until("a link over TLS", () => (this.links.at(-1)?.cipher ?? "") !== "", fast);
    return this.links.at(-1)!;
  }
}

const opened: Listening[] = [];
const peers: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close();
  for (const one of opened.splice(0)) {
    one.listener.close();
    for (const link of one.links) link.abort("test");
    await until("links gone", () => one.gone.length === one.links.length, fast);
    expect(one.ends.length).toBe(one.links.length);
    expect(one.clock.pending).toBe(0);
  }
});

async function connect(at: Listening): Promise<Peer> {
  const peer = await Peer.connect({ port: at.port });
  peers.push(peer);
  return peer;
}

describe("TlsLink", () => {
  test("tells both ends' addresses and the cipher, and a mapped IPv4 address as IPv4", async () => {
    const at = await Listening.start("::");
    const peer = await connect(at);
    const link = await at.link();
    expect([link.remoteAddress, link.localAddress]).toEqual(["127.0.0.1", "127.0.0.1"]);
    expect([link.localPort, link.remotePort]).toEqual([at.port, peer.socket.localPort!]);
    expect(link.cipher).toMatch(/^TLSv1\.3 TLS_\w+$/);
  });

  test("bytes arrive in order, and a chunk is no Buffer", async () => {
    const at = await Listening.start();
    const peer = await connect(at);
    const sent = seededRandom(1).bytes(3_000_000);
    at.onData = (_, chunk) => expect(chunk.constructor).toBe(Uint8Array);
    peer.write(sent);
    const size = () => at.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    await until("all bytes", () => size() === sent.length, fast);
    expect(Buffer.compare(Buffer.concat(at.chunks), sent)).toBe(0);
    expect(at.faults).toEqual([]);
  });

  test("a chunk's memory is given back after the call", async () => {
    const at = await Listening.start();
    const peer = await connect(at);
    const kept: Uint8Array[] = [];
    at.onData = (_, chunk) => kept.push(chunk);
    peer.write("hello");
    await until("a chunk", () => kept.length === 1, fast);
    expect(kept[0]!.length).toBe(0);
  });

  test("write() takes what fits; drain() tells when there is room; nothing is lost", async () => {
    const at = await Listening.start();
    const peer = await connect(at);
    const link = await at.link();
    const sent = seededRandom(2).bytes(8_000_000);
    let from = 0;
    let isBlocked = false;
    const push = () => {
      while (from < sent.length) {
        const piece = sent.subarray(from, from + 40_960);
        const taken = link.write(piece);
        from += taken;
        if (taken < piece.length) {
          isBlocked = true;
          return;
        }
      }
    };
    at.onDrain = push;
    peer.socket.pause();
    push();
    expect(isBlocked).toBe(true);
    expect(from).toBeLessThan(sent.length);
    peer.socket.resume();
    let received = Buffer.alloc(0);
    await until(
      "all bytes",
      () => {
        received = Buffer.concat([received, ...peer.take()]);
        return received.length === sent.length;
      },
      { ...fast, everyMs: 5 },
    );
    expect(Buffer.compare(received, sent)).toBe(0);
  });

  test("after an end write() takes nothing, and every end may be called again", async () => {
    const at = await Listening.start();
    const peer = await connect(at);
    const link = await at.link();
    link.closeInOrder();
    expect(link.write(new Uint8Array(10))).toBe(0);
    link.closeInOrder();
    await peer.ended();
    await until("closed", () => at.ends.length === 1, fast);
    link.abort("again");
    link.closeInOrder();
    expect(link.isOpen).toBe(false);
    expect(at.ends).toEqual(["closed"]);
  });

  test("closeInOrder() waits CLOSE_MS for a peer that does not answer, and brings no more data", async () => {
    const at = await Listening.start();
    const peer = await connect(at);
    const link = await at.link();
    peer.socket.pause();
    link.closeInOrder();
    peer.write("too late");
    await Bun.sleep(10);
    if (at.ends.length === 0) at.clock.advance(CLOSE_MS);
    await until("closed", () => at.ends.length === 1, fast);
    expect(at.ends).toEqual(["closed"]);
    expect(at.chunks).toEqual([]);
  });

  test("abort() before TLS is up tells its reason", async () => {
    const at = await Listening.start();
    const peer = await RawPeer.connect({ port: at.port });
    peers.push(peer);
    await until("a link", () => at.links.length === 1, fast);
    at.links[0]!.closeInOrder();
    expect(await peer.ended()).toBe("reset");
    await until("closed", () => at.ends.length === 1, fast);
    expect(at.ends).toEqual(["closed"]);
  });

  test("a fault of a handler is told and ends its link, not the others", async () => {
    const at = await Listening.start();
    const [bad, good] = [await connect(at), await connect(at)];
    const fault = new TypeError("undefined is not an object");
    at.onData = (_, chunk) => {
      if (chunk[0] === 33) throw fault;
    };
    bad.write("!");
    await bad.ended();
    expect(at.faults).toEqual([fault]);
    expect(at.ends).toEqual(["internal_error"]);
    good.write("hello");
    await until("a chunk", () => at.chunks.length === 2, fast);
  });

  test("a reset by the peer is told as such", async () => {
    const at = await Listening.start();
    const peer = await connect(at);
    await at.link();
    peer.reset();
    await until("closed", () => at.ends.length === 1, fast);
    expect(at.ends).toEqual(["reset"]);
  });

  test("close() of the listener stops accepting and leaves links alone", async () => {
    const at = await Listening.start();
    const peer = await connect(at);
    const { port } = at;
    at.listener.close();
    const late = await RawPeer.connect({ port });
    expect(await late.ended()).toBe("reset");
    peer.write("still here");
    await until("a chunk", () => at.chunks.length === 1, fast);
  });

  test("a port in use is the system's error", async () => {
    const at = await Listening.start();
    const { cert, key } = await testCertificate();
    const again = () =>
      listenTls({
        address: "127.0.0.1",
        port: at.port,
        tls: {
          cert,
          key,
          min: "1.2",
          max: "1.3",
          ciphers: undefined,
        },
        clock: at.clock,
        opening: { opened() {}, secured() {}, gone() {} },
        onFault() {},
      });
    expect(again).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
  });
});

describe("dialHost()", () => {
  test("gives a link whose end leaves no descriptor and no timer", async () => {
    const at = await Listening.start();
    const files = openFiles();
    const clock = new ManualClock();
    const { link, certificate } = await dialHost({
      host: "127.0.0.1",
      port: at.port,
      family: "any",
      proxy: undefined,
      clock,
      signal: new AbortController().signal,
      onFault: (error) => at.faults.push(error),
    });
    expect(certificate.authorized).toBe(false);
    expect(clock.pending).toBe(0);
    expect(link.write(new TextEncoder().encode("hello"))).toBe(5);
    await until("a chunk", () => at.chunks.length === 1, fast);
    const ends: string[] = [];
    link.handler = { data() {}, drain() {}, closed: (reason) => void ends.push(reason) };
    link.closeInOrder();
    await until("the end", () => ends.length === 1, fast);
    expect(ends).toEqual(["closed"]);
    expect(clock.pending).toBe(0);
    await until("descriptors", () => openFiles() <= files, fast);
    expect(at.ends).toEqual(["peer_closed"]);
  });
});
