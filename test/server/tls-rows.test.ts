import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { CLOSE_MS } from "../../src/base/limits.ts";
import { clientHello, inRecords } from "../support/client-hello.ts";
import { Peer, RawPeer } from "../support/peer.ts";
import { run, until } from "../support/process.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { row, type TestServer } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

/** Runs `openssl s_client` against the server with these lines as its input; what it printed. */
async function openssl(at: TestServer, args: readonly string[], stdin = "Q\n"): Promise<string> {
  const target = ["-connect", `127.0.0.1:${at.port}`];
  const { stdout, stderr } = await run(["openssl", "s_client", ...target, ...args], { stdin });
  return stdout + stderr;
}

/** Everything that was logged, as one text. */
const logged = (at: TestServer) => JSON.stringify(at.log.lines);

describe("connections before the first request", () => {
  test("TL-01 a silent TCP connection ends with tls_timeout at 10 s", () =>
    row({}, async (at) => {
      const peer = await at.connectRaw();
      await at.waitPending(1);
      at.clock.advance(9_999);
      expect(at.outcome("tls_timeout")).toBe(0);
      at.clock.advance(1);
      expect(at.outcome("tls_timeout")).toBe(1);
      expect(await peer.ended()).toBe("reset");
    }));

  test("TL-02 a ClientHello in single bytes ends with tls_timeout at 10 s, trickle or not", () =>
    row({}, async (at) => {
      const hello = inRecords(clientHello());
      const peer = await at.connectRaw();
      await at.waitPending(1);
      for (let second = 0; second < 10; second++) {
        expect(at.outcome("tls_timeout")).toBe(0);
        peer.write(hello.subarray(second, second + 1));
        await at.pass(1_000);
      }
      expect(at.outcome("tls_timeout")).toBe(1);
      expect(await peer.ended()).toBe("reset");
    }));

  test("TL-03 HTTP in clear is not_tls", () =>
    row({}, async (at) => {
      const peer = await at.connectRaw();
      peer.write("GET / HTTP/1.0\r\n\r\n");
      await at.waitOutcome("not_tls");
      await peer.ended();
      expect(at.complaints).toEqual([]);
    }));

  test("TL-04 64 KiB of random bytes are not_tls", () =>
    row({}, async (at) => {
      for (let seed = 1; seed <= 5; seed++) {
        const peer = await at.connectRaw();
        peer.write(seededRandom(seed).bytes(65_536));
        await at.waitOutcome("not_tls", seed);
        await peer.ended();
      }
      expect(at.outcome("not_tls")).toBe(5);
      expect(at.complaints).toEqual([]);
    }));

  const OLD: readonly [string, readonly string[]][] = [
    ["TLS 1.1 only", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]],
    ["TLS 1.0 only", ["-tls1", "-cipher", "ALL:@SECLEVEL=0"]],
    ["RSA key exchange only", ["-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:@SECLEVEL=0"]],
    ["CBC suites only", ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"]],
  ];
  test.each(OLD)("TL-05 %s is tls_version", (_, args) =>
    row({}, async (at) => {
      expect(await openssl(at, args)).toContain("no peer certificate available");
      await at.waitOutcome("tls_version");
      expect(at.complaints).toEqual([]);
    }),
  );

  test("TL-05 an older version is served where tls.min allows it", () =>
    row({ tls: { min: "1.0", ciphers: "ECDHE-RSA-AES128-SHA" } }, async (at) => {
      const shown = await openssl(at, ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
      expect(shown).toContain("Protocol  : TLSv1.1");
    }));

  test("TL-06 a ClientHello of 16 KiB of extensions in records of one byte closes or finishes", () =>
    row({}, async (at) => {
      const peer = await at.connectRaw();
      peer.write(inRecords(clientHello({ paddingBytes: 16_384 }), 1));
      await until("an answer or the end", () => peer.received > 0 || peer.end !== undefined);
      peer.reset();
      await peer.ended();
    }));

  test("TL-06 a usual ClientHello in records of one byte is answered", () =>
    row({}, async (at) => {
      const peer = await at.connectRaw();
      peer.write(inRecords(clientHello(), 1));
      await until("a ServerHello", () => peer.received > 1_000);
    }));

  const NAMES: readonly [string, string][] = [
    ["300 bytes", "n".repeat(300)],
    ["NUL", "a\0b.example"],
    ["../", "../../etc/passwd"],
    ["a line end", "a\r\nforged: line"],
  ];
  test.each(NAMES)("TL-07 SNI with %s is no file and no log line", (_, serverName) =>
    row({}, async (at) => {
      const peer = await at.connectRaw();
      peer.write(inRecords(clientHello({ serverName })));
      await until("an answer or the end", () => peer.received > 0 || peer.end !== undefined);
      peer.reset();
      await peer.ended();
      expect(logged(at)).not.toContain(serverName.slice(0, 5));
    }),
  );

  test("TL-07 a name that is not ours and an address literal are served as no name is", () =>
    row({}, async (at) => {
      for (const servername of ["other.example", "../up", undefined]) {
        const peer = await at.connect({ tls: servername === undefined ? {} : { servername } });
        expect((await peer.greet()).product).toContain("Server");
      }
      const peer = await at.connectRaw();
      peer.write(inRecords(clientHello({ serverName: "127.0.0.1" })));
      await until("a ServerHello", () => peer.received > 1_000);
    }));

  test("TL-08 silence after the handshake ends with request_timeout at 20 s", () =>
    row({}, async (at) => {
      // In 1.2 the server's side is done before the client's, so its deadline is the next one now.
      const peer = await at.connect({ tls: { maxVersion: "TLSv1.2" } });
      at.clock.advance(19_999);
      expect(at.outcome("request_timeout")).toBe(0);
      at.clock.advance(1);
      expect(at.outcome("request_timeout")).toBe(1);
      await peer.ended();
    }));

  test("TL-09 100 key updates close the connection", () =>
    row({}, async (at) => {
      const client = Bun.spawn(
        ["openssl", "s_client", "-tls1_3", "-connect", `127.0.0.1:${at.port}`],
        { stdin: "pipe", stdout: "ignore", stderr: "ignore", timeout: 10_000 },
      );
      await at.waitPending(1);
      // The program looks at the first letter of what one read brings.
      for (let i = 0; i < 100 && client.exitCode === null; i++) {
        client.stdin.write("K\n");
        await client.stdin.flush();
        await Bun.sleep(5);
      }
      await at.waitOutcome("tls_error");
      client.kill();
      await client.exited;
    }));

  test("TL-09 renegotiation closes the connection", () =>
    row({}, async (at) => {
      expect(await openssl(at, ["-tls1_2"], "R\n")).toContain("RENEGOTIATING");
      await at.waitOutcome("tls_error");
      expect(at.complaints).toEqual([]);
    }));

  test("TL-10 1,000 resets in the middle of the handshake leave nothing", () =>
    row({ limits: { connectionsPerSource: 1_000 } }, async (at) => {
      const hello = inRecords(clientHello());
      for (let round = 0; round < 20; round++) {
        const peers = await Promise.all(
          Array.from({ length: 50 }, () => RawPeer.connect({ port: at.port })),
        );
        await at.waitPending(50);
        for (const [i, peer] of peers.entries()) peer.write(hello.subarray(0, i * 3));
        await Bun.sleep(2);
        for (const peer of peers) peer.reset();
        await at.waitPending(0);
      }
      expect(at.outcome("reset")).toBe(1_000);
      expect(at.complaints).toEqual([]);
    }));

  test("TL-11 the 17th idle connection of a source is closed at accept, the others live", () =>
    row({}, async (at) => {
      const first: Peer[] = [];
      for (let i = 0; i < 16; i++) first.push(await at.connect());
      await at.waitPending(16);
      const late = await at.connectRaw();
      await late.ended();
      expect(at.outcome("source_limit")).toBe(1);
      const elsewhere = await at.connect({ from: "127.0.0.2" });
      expect((await elsewhere.greet()).version).toBe(502);
      for (const peer of first) expect((await peer.greet()).version).toBe(502);
    }));

  test("TL-12 an honest client gets in within 3 tries while 200 sources hold idle connections", () =>
    row({ limits: { connections: 100 } }, async (at) => {
      for (let source = 0; source < 20; source++) {
        for (let i = 0; i < 10; i++) await at.connectRaw(`127.0.1.${source + 1}`);
      }
      await until("200 tries", () => at.pending + at.outcome("shed") === 200, { everyMs: 1 });
      expect(at.outcome("shed")).toBeGreaterThan(80);
      expect(at.pending).toBeLessThanOrEqual(100);
      let tries = 0;
      for (let isIn = false; !isIn; tries++) {
        const peer = await at.connect({ from: "127.0.2.1" });
        isIn = peer.end === undefined && (await peer.login({})).int("error") === undefined;
        // What a stock client waits before it comes back (protocol.md 14.3).
        at.clock.advance(5_000);
      }
      expect(tries).toBeLessThanOrEqual(3);
    }));

  test("TL-13 no certificate is asked for in the TLS handshake", () =>
    row({}, async (at) => {
      for (const version of ["-tls1_2", "-tls1_3"]) {
        const shown = await openssl(at, [version, "-msg"]);
        expect(shown).toContain("ServerHello");
        expect(shown).not.toContain("CertificateRequest");
      }
    }));

  test("TL-14 a half-close straight after the handshake frees both sides", () =>
    row({}, async (at) => {
      const polite = await at.connect();
      polite.socket.end();
      await polite.ended();
      const bare = await at.connect();
      bare.halfClose();
      await bare.ended();
      await at.waitPending(0);
      expect(at.outcome("peer_closed")).toBe(2);
    }));

  test("a connection that is being closed keeps its socket for CLOSE_MS at most", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      peer.socket.pause();
      peer.request("TRACE / HTTP/1.1\r\nHost: a\r\n");
      await at.waitOutcome("not_vpn");
      await at.pass(CLOSE_MS);
    }));
});
