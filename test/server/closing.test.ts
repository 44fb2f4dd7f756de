import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { parseHello, signatureRequest } from "../../src/session/handshake.ts";
import { HttpReader } from "../../src/transport/http-message.ts";
import { Pack } from "../../src/wire/pack.ts";
import { loginPack, packHead } from "../support/peer.ts";
import { until } from "../support/process.ts";
import { markedUnit, openFiles, TestServer } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

// An end without close_notify makes a client of 5.01 drop every connection of its session (protocol.md 2.3).
// `openssl s_client` tells it from a bare FIN or a RST, which no library in this process does.

const CLEAN = 0;
const fast = { everyMs: 1, deadlineMs: 5_000 };

class OpensslPeer {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #reader = new HttpReader(() => 1 << 20);
  readonly #done: Promise<string>;

  constructor(at: TestServer, args: readonly string[]) {
    this.#child = Bun.spawn(
      ["openssl", "s_client", "-quiet", "-connect", `127.0.0.1:${at.port}`, ...args],
      { stdin: "pipe", stdout: "pipe", stderr: "pipe", timeout: 10_000 },
    );
    this.#done = this.#child.stderr.text();
    void this.#read();
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#child.stdout) this.#reader.push(chunk);
  }

  async request(head: string, body: Uint8Array): Promise<Pack> {
    this.write(Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]));
    return this.#pack();
  }

  async #pack(): Promise<Pack> {
    return Pack.parse((await until("a reply", () => this.#reader.next(), fast)).body);
  }

  write(bytes: Uint8Array): void {
    this.#child.stdin.write(bytes);
    this.#child.stdin.flush();
  }

  async login(): Promise<Pack> {
    this.write(signatureRequest("127.0.0.1"));
    const { random } = parseHello(await this.#pack());
    return this.request(packHead, loginPack({}, random).encode());
  }

  async join(key: Uint8Array): Promise<Pack> {
    this.write(signatureRequest("127.0.0.1"));
    await this.#pack();
    const pack = new Pack().setStr("method", "additional_connect").setData("session_key", key);
    return this.request(packHead, pack.encode());
  }

  /** Exit code and words of the program: 0 and nothing about an error after a close_notify. */
  async ended(): Promise<{ code: number; isClean: boolean }> {
    const code = await this.#child.exited;
    const said = await this.#done;
    return { code, isClean: !/unexpected eof|errno=|:error:/i.test(said) };
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

const peers: OpensslPeer[] = [];
const servers: TestServer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.kill();
  for (const server of servers.splice(0)) await server.close();
});

async function start(options: Parameters<typeof TestServer.start>[0] = {}): Promise<TestServer> {
  const at = await TestServer.start(options);
  servers.push(at);
  return at;
}

function open(at: TestServer, args: readonly string[] = []): OpensslPeer {
  const peer = new OpensslPeer(at, args);
  peers.push(peer);
  return peer;
}

const sessionOf = (at: TestServer) => [...at.server.hubs.get("vpn")!.sessions.values()][0]!.session;

describe("the server ends connections with close_notify", () => {
  test("openssl tells an end without close_notify", async () => {
    const at = await start();
    const peer = open(at);
    await at.waitPending(1);
    peer.write(Buffer.from("GET / HTTP/1.1\n\n"));
    await at.waitOutcome("http_syntax");
    expect(await peer.ended()).not.toEqual({ code: CLEAN, isClean: true });
  });

  const VERSIONS = ["-tls1_2", "-tls1_3"];
  test.each(VERSIONS)("of one among several, over %s", async (version) => {
    const at = await start();
    const [first, second] = [open(at, [version]), open(at, [version])];
    const key = (await first.login()).data("session_key")!;
    expect((await second.join(key)).int("error")).toBe(0);
    await until("two connections", () => sessionOf(at).connections.length === 2, fast);
    second.write(Uint8Array.of(0, 0, 0, 1, 0, 0, 13, 0));
    expect(await second.ended()).toEqual({ code: CLEAN, isClean: true });
    expect(at.server.ends.get("stream_block")).toBe(1);
    expect(sessionOf(at).connections.length).toBe(1);
  });

  test("of a silent one, at its time-out", async () => {
    const at = await start();
    const peer = open(at);
    await peer.login();
    await until("its connection", () => sessionOf(at).connections.length === 1, fast);
    await at.pass(21_000);
    expect(await peer.ended()).toEqual({ code: CLEAN, isClean: true });
  });

  test("after a refusal, behind the answer", async () => {
    const at = await start();
    const peer = open(at);
    const answer = await peer.join(new Uint8Array(20));
    expect(answer.int("error")).toBe(13);
    expect(await peer.ended()).toEqual({ code: CLEAN, isClean: true });
  });

  test("of every session and every greeting when it stops, and leaves nothing behind", async () => {
    const files = openFiles();
    const at = await start();
    const listening = openFiles();
    const session = open(at);
    await session.login();
    await until("its connection", () => sessionOf(at).connections.length === 1, fast);
    session.write(markedUnit(1, 1));
    const greeting = open(at);
    greeting.write(signatureRequest("127.0.0.1"));
    await at.waitPending(1);
    await until("two sockets", () => openFiles() > listening, fast);
    await Bun.sleep(20);
    await at.server.stop();
    expect(await session.ended()).toEqual({ code: CLEAN, isClean: true });
    expect(await greeting.ended()).toEqual({ code: CLEAN, isClean: true });
    expect(at.clock.pending).toBe(0);
    expect(at.server.snapshot().listeners).toEqual([]);
    await until("descriptors", () => openFiles() <= files + 6, fast);
  });
});

describe("Server.stop()", () => {
  test("CL-15 cuts peers off that do not answer within 2 s, and may be called twice", async () => {
    const at = await start();
    const deaf = await at.connectRaw();
    await at.waitPending(1);
    const session = await at.session();
    session.socket.pause();
    const stopped = at.server.stop();
    expect(at.server.stop()).toBe(stopped);
    await Bun.sleep(5);
    at.clock.advance(2_000);
    await stopped;
    await deaf.ended();
    expect(at.clock.pending).toBe(0);
  });

  test("turns away whoever was in the queue, and does not reload any more", async () => {
    const at = await start();
    const late = at.connectRaw();
    const stopped = at.server.stop();
    await (await late).ended();
    await stopped;
    expect(await at.server.reload(at.config)).toEqual([]);
    expect(at.server.snapshot().hubs).toEqual([]);
  });

  test("frees the port for the next server", async () => {
    const at = await start();
    await at.session();
    const { port } = at;
    await at.close();
    const next = await start({
      settings: { listen: [{ address: "127.0.0.1", port, enable: true }] },
    });
    expect(next.port).toBe(port);
    await next.session();
  });
});
