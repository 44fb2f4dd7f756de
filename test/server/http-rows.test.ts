import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { MAX_SIGNATURE_BYTES } from "../../src/base/limits.ts";
import { Pack } from "../../src/wire/pack.ts";
import { loginPack, packHead, signatureHead, type Peer } from "../support/peer.ts";
import { until } from "../support/process.ts";
import { row, type TestServer } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);

const GET = "GET / HTTP/1.1\r\nHost: a\r\n";

/** Sends the bytes on a fresh connection, whose end must be counted under this reason. */
async function ends(at: TestServer, reason: string, bytes: string | Uint8Array): Promise<Peer> {
  const before = at.outcome(reason);
  const peer = await at.connect();
  peer.write(bytes);
  await at.waitOutcome(reason, before + 1);
  await peer.ended();
  return peer;
}

/** A head alone, which no reader of messages can know to have no body behind it. */
async function headOf(peer: Peer): Promise<string> {
  let text = "";
  return until("a head", () => {
    text += Buffer.concat(peer.take()).toString("latin1");
    return text.endsWith("\r\n\r\n") && text;
  });
}

/** The status of the reply to the bytes; the connection must close behind it. */
async function refused(at: TestServer, bytes: string | Uint8Array): Promise<string> {
  const peer = await at.connect();
  peer.write(bytes);
  const reply = await peer.reply();
  await peer.ended();
  return reply?.head.second ?? "";
}

describe("HTTP on the control connection", () => {
  test("HT-01 a request line of 4,097 bytes is http_line", () =>
    row({}, async (at) => {
      await ends(at, "http_line", `GET /${"a".repeat(4_092)}`);
      const peer = await at.connect();
      peer.write(`GET /${"a".repeat(4_096 - 5 - 9)} HTTP/1.1\r\nHost: a\r\n\r\n`);
      expect(await peer.status()).toBe("404");
    }));

  test("HT-02 129 header lines, or one of 1 MiB, are http_head", () =>
    row({}, async (at) => {
      const lines = (count: number) => "X: y\r\n".repeat(count - 1);
      await ends(at, "http_head", `${GET}${lines(129)}\r\n`);
      await ends(at, "http_head", `${GET}X: ${"y".repeat(1 << 20)}\r\n`);
      await ends(at, "http_head", `${GET}${`X: ${"y".repeat(300)}\r\n`.repeat(127)}\r\n`);
      const peer = await at.connect();
      peer.write(`${GET}${lines(128)}\r\n`);
      expect(await peer.status()).toBe("403");
    }));

  const LENGTHS = ["-1", "+5", "0x10", "5 5", "99999999999999999999", ""];
  test.each(LENGTHS)("HT-03 Content-Length '%s' is http_length", (length) =>
    row({}, async (at) => {
      await ends(at, "http_length", `${signatureHead}Content-Length: ${length}\r\n\r\nVPNCO`);
    }),
  );

  test("HT-04 two lengths, or a length and a coding, are http_smuggle", () =>
    row({}, async (at) => {
      const tails = [
        "Content-Length: 10\r\nContent-Length: 11\r\n",
        "Content-Length: 10\r\ncontent-length: 10\r\n",
        "Content-Length: 10\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 10\r\n",
      ];
      for (const tail of tails) {
        await ends(at, "http_smuggle", `${signatureHead}${tail}\r\nVPNCONNECT`);
      }
    }));

  test("HT-05 a chunked body is http_length", () =>
    row({}, async (at) => {
      for (const size of ["a", "ffffffffffffffff"]) {
        const chunked = `Transfer-Encoding: chunked\r\n\r\n${size}\r\nVPNCONNECT\r\n0\r\n\r\n`;
        await ends(at, "http_length", signatureHead + chunked);
      }
    }));

  const FORMS: readonly [string, string][] = [
    ["a bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n"],
    ["a bare CR", "GET / HTTP/1.1\rHost: a\r\n\r\n"],
    ["a CR in front of the line end", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"],
    ["a folded header", `${GET}X: y\r\n z\r\n\r\n`],
    ["a space before the colon", `${GET}X : y\r\n\r\n`],
    ["a line without a colon", `${GET}X\r\n\r\n`],
    ["NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["an escape in a header", `${GET}X: \u001b[2J\r\n\r\n`],
    ["an empty first line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["a first line of one word", "GET\r\nHost: a\r\n\r\n"],
  ];
  test.each(FORMS)("HT-06 %s is http_syntax", (_, bytes) =>
    row({}, async (at) => {
      await ends(at, "http_syntax", bytes);
    }),
  );

  test("HT-07 a signature wrong by one byte gets 403 and CLOSE", () =>
    row({}, async (at) => {
      const long = Buffer.alloc(1_411, 0x47).toString("latin1");
      for (const body of ["VPNCONNECt", "VPNCONNEC", "VPNCONNECTT", long]) {
        const bytes = `${signatureHead}Content-Length: ${body.length}\r\n\r\n${body}`;
        expect(await refused(at, bytes)).toBe("403");
      }
      expect(at.outcome("not_vpn")).toBe(4);
    }));

  test("HT-08 a signature longer than the longest closes before it is read", () =>
    row({}, async (at) => {
      const length = `Content-Length: ${MAX_SIGNATURE_BYTES + 1}\r\n\r\n`;
      await ends(at, "http_length", signatureHead + length);
    }));

  test("HT-09 1,000,000 bytes announced are http_length at once", () =>
    row({}, async (at) => {
      await ends(at, "http_length", `${packHead}Content-Length: 1000000\r\n\r\n`);
      const peer = await at.connect();
      await peer.greet();
      peer.write(`${packHead}Content-Length: 65537\r\n\r\n`);
      await at.waitOutcome("http_length", 2);
      await peer.ended();
    }));

  test("HT-09 60,000 bytes announced, 10 sent, then silence is login_timeout at 30 s", () =>
    row({}, async (at) => {
      const first = await at.connect();
      first.write(`${packHead}Content-Length: 60000\r\n\r\n0123456789`);
      const second = await at.connect();
      await second.greet();
      second.write(`${packHead}Content-Length: 60000\r\n\r\n0123456789`);
      await at.pass(29_999);
      expect(at.outcome("login_timeout")).toBe(0);
      at.clock.advance(1);
      expect(at.outcome("login_timeout")).toBe(2);
      await first.ended();
      await second.ended();
    }));

  test("HT-10 the 20th request without a login is too_many_requests, whatever the verbs", () =>
    row({}, async (at) => {
      for (const verbs of [["GET"], ["GET", "OPTIONS"], ["HEAD", "POST", "GET"]]) {
        const before = at.outcome("too_many_requests");
        const peer = await at.connect();
        for (let i = 0; i < 19; i++) {
          const verb = verbs[i % verbs.length]!;
          peer.write(`${verb} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
          if (verb === "HEAD") await headOf(peer);
          else expect(await peer.status()).toMatch(/40[34]/);
        }
        expect(at.outcome("too_many_requests")).toBe(before);
        peer.write(`${GET}\r\n`);
        await at.waitOutcome("too_many_requests", before + 1);
        await peer.ended();
      }
    }));

  test("HT-10 30 NOOPs are answered beside the requests and give 15 s each, the 31st closes", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      await peer.greet();
      for (let i = 0; i < 30; i++) {
        if (i === 3) await at.pass(40_000, 5_000);
        const answer = await peer.ask(new Pack().setInt("noop", 1));
        expect([answer.int("error"), answer.int("noop")]).toEqual([0, 2]);
      }
      peer.request(packHead, new Pack().setInt("noop", 1).encode());
      await at.waitOutcome("too_many_requests");
      await peer.ended();
    }));

  const PATHS = [
    "/../../etc/passwd",
    "/%2e%2e%2f%2e%2e%2fetc/passwd",
    "..\\..\\etc\\passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "/.git/config",
  ];
  test.each(PATHS)("HT-11 GET %s is 404 and opens nothing", (path) =>
    row({}, async (at) => {
      const peer = await at.connect();
      peer.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const reply = await peer.reply();
      expect(reply?.head.second).toBe("404");
      expect(Buffer.from(reply!.body).toString()).not.toMatch(/root:|passwd|\.\./);
    }),
  );

  const VERBS: readonly [string, string][] = [
    ["CONNECT a:443 HTTP/1.1", "501"],
    ["TRACE / HTTP/1.1", "501"],
    ["SSTP_DUPLEX_POST /sra_ HTTP/1.1", "501"],
    ["PRI * HTTP/2.0", "505"],
    ["GET / HTTP/9.9", "505"],
    ["GET /", "505"],
  ];
  test.each(VERBS)("HT-12 %s is %s and closes", (line, status) =>
    row({}, async (at) => {
      expect(await refused(at, `${line}\r\nHost: a\r\n\r\n`)).toBe(status);
      expect(at.outcome("not_vpn")).toBe(1);
    }),
  );

  test("HT-13 a login that came with the signature is judged after it, not mixed into it", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      const login = loginPack({ user: "guest", change: (p) => p.setInt("authtype", 0) }, EMPTY);
      const body = login.encode();
      peer.write(
        Buffer.concat([
          Buffer.from(`${GET}\r\n${signatureHead}Content-Length: 10\r\n\r\nVPNCONNECT`),
          Buffer.from(`${packHead}Content-Length: ${body.length}\r\n\r\n`),
          body,
          Buffer.from("0000000000000000", "hex"),
        ]),
      );
      expect(await peer.status()).toBe("403");
      expect((await peer.pack()).str("hello")).toContain("Server");
      expect((await peer.pack()).str("session_name")).toMatch(/^SID-GUEST-/);
    }));

  const EXPECTATIONS = ["Expect: 100-continue", "Upgrade: websocket"];
  test.each(EXPECTATIONS)("HT-14 %s is refused before the body, and closes", (field) =>
    row({}, async (at) => {
      const head = `${signatureHead}${field}\r\nContent-Length: 10\r\n\r\n`;
      expect(await refused(at, head)).toBe("400");
      const peer = await at.connect();
      await peer.greet();
      peer.write(`${packHead}${field}\r\nContent-Length: 100\r\n\r\n`);
      expect(await peer.status()).toBe("400");
      await peer.ended();
      expect(at.outcome("not_vpn")).toBe(2);
    }),
  );

  test("HT-15 Host missing, empty or with an encoded line end is 400 and never echoed", () =>
    row({}, async (at) => {
      for (const field of ["", "Host:\r\n", "Host: a%0d%0aLocation: evil\r\n", "Host: a%00\r\n"]) {
        const peer = await at.connect();
        peer.write(`GET / HTTP/1.1\r\n${field}\r\n`);
        const reply = await peer.reply();
        expect(reply?.head.second).toBe("400");
        expect(reply?.head.fields.has("location")).toBe(false);
        expect(Buffer.from(reply!.body).toString()).not.toContain("evil");
        await peer.ended();
      }
      const scoped = await at.connect();
      scoped.write("GET / HTTP/1.1\r\nHost: fe80::1%10\r\n\r\n");
      expect(await scoped.status()).toBe("403");
    }));

  test("HT-16 a body of one byte a second is login_timeout at 30 s", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      peer.write(`${signatureHead}Content-Length: 1411\r\n\r\n`);
      for (let second = 0; second < 30; second++) {
        expect(at.outcome("login_timeout")).toBe(0);
        peer.write("x");
        await at.pass(1_000);
      }
      expect(at.outcome("login_timeout")).toBe(1);
      await peer.ended();
    }));

  test("HT-17 a peer that never reads its replies is closed at 30 s", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      peer.socket.pause();
      for (let i = 0; i < 19; i++) peer.write(`${GET}\r\n`);
      await at.pass(29_999);
      at.clock.advance(1);
      expect(at.outcome("login_timeout")).toBe(1);
    }));

  test("GET / is 403 with the tag that clients look for, and the connection lives on", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      peer.write(`${GET}X-VPN: 1\r\n\r\n`);
      const reply = await peer.reply();
      expect(reply?.head.second).toBe("403");
      expect(Buffer.from(reply!.body.subarray(0, 1_023)).toString()).toContain(
        "9C37197CA7C2428388C2E6E59B829B30",
      );
      expect((await peer.login({})).str("session_name")).toBe("SID-ALICE-3");
    }));

  test("HEAD gets a head without a body", () =>
    row({}, async (at) => {
      const peer = await at.connect();
      peer.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
      const head = await headOf(peer);
      peer.write(`${GET}\r\n`);
      const page = await peer.reply();
      expect(head).toStartWith("HTTP/1.1 403 Forbidden\r\n");
      expect(head).toContain(`Content-Length: ${page!.body.length}\r\n`);
    }));
});

const EMPTY = new Uint8Array(20);
