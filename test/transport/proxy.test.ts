import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Socket } from "bun";
import type { VpnError } from "../../src/base/errors.ts";
import { MAX_HTTP_HEAD_BYTES } from "../../src/base/limits.ts";
import type { Proxy } from "../../src/transport/proxy.ts";
import { dialHost, type DialOptions } from "../../src/transport/tls-dialer.ts";
import { listenTls } from "../../src/transport/tls-listener.ts";
import { fromHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";
import { openFiles, testCertificate } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);
const fast = { everyMs: 1, deadlineMs: 10_000 };
const latin1 = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const PASSWORD = new TextEncoder().encode("pä:ss");

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What a proxy says when it has heard `expects` bytes since it last spoke; undefined: nothing, for ever. */
interface Step {
  readonly expects: number | "head";
  readonly answer: Uint8Array | "close" | undefined;
}

/** A proxy that goes by a script and then joins the client with `target`. */
class ScriptedProxy {
  readonly heard: Buffer[] = [];
  readonly port: number;
  ended = false;

  constructor(script: readonly Step[], target?: number) {
    let step = 0;
    let pending = Buffer.alloc(0);
    let up: Promise<Socket<unknown>> | undefined;
    const proceed = (socket: Socket<unknown>) => {
      for (let next = script[step]; next !== undefined; next = script[step]) {
        const length = next.expects === "head" ? pending.indexOf("\r\n\r\n") + 4 : next.expects;
        if (length < 4 && next.expects === "head") return;
        if (pending.length < length) return;
        this.heard.push(pending.subarray(0, length));
        pending = pending.subarray(length);
        step++;
        if (next.answer === "close") return void socket.end();
        if (next.answer !== undefined) socket.write(next.answer);
      }
      if (target === undefined || pending.length === 0) return;
      up ??= Bun.connect({
        hostname: "127.0.0.1",
        port: target,
        socket: {
          data: (_, chunk) => void socket.write(Buffer.from(chunk)),
          close: () => void socket.end(),
        },
      });
      const onward = pending;
      pending = Buffer.alloc(0);
      void up.then((other) => other.write(onward));
    };
    const listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, chunk) {
          pending = Buffer.concat([pending, chunk]);
          proceed(socket);
        },
        close: () => {
          this.ended = true;
          void up?.then((socket) => socket.end());
        },
      },
    });
    this.port = listener.port;
    closers.push(() => listener.stop(true));
  }
}

function optionsFor(
  kind: Proxy["kind"],
  port: number,
  extra: Partial<DialOptions> & { login?: boolean } = {},
): DialOptions & { clock: ManualClock } {
  const { login, ...rest } = extra;
  return {
    host: "vpn.example.com",
    port: 5555,
    family: "any",
    proxy: {
      kind,
      host: "127.0.0.1",
      port,
      user: login === true ? "alice" : undefined,
      password: login === true ? PASSWORD : undefined,
    },
    signal: new AbortController().signal,
    onFault(error) {
      throw error;
    },
    ...rest,
    clock: new ManualClock(),
  };
}

/** The error that a dial through this proxy ends with. */
async function failureOf(
  kind: Proxy["kind"],
  script: readonly Step[],
  extra: Partial<DialOptions> & { login?: boolean } = {},
): Promise<{ code: string; message: string }> {
  const proxy = new ScriptedProxy(script);
  const options = optionsFor(kind, proxy.port, extra);
  const error: VpnError = await dialHost(options).then(
    () => Promise.reject(new Error("it connected")),
    (thrown: VpnError) => thrown,
  );
  expect(options.clock.pending).toBe(0);
  await until("the proxy's connection closed", () => proxy.ended, fast);
  return { code: error.code, message: error.message };
}

/** A TLS server that sends back what it gets. */
async function echoServer(): Promise<number> {
  const { cert, key } = await testCertificate();
  const listener = listenTls({
    address: "127.0.0.1",
    port: 0,
    tls: { cert, key, min: "1.2", max: "1.3", ciphers: undefined },
    clock: new ManualClock(),
    opening: {
      opened(link) {
        link.handler = { data: (chunk) => void link.write(chunk), drain() {}, closed() {} };
      },
      secured() {},
      gone() {},
    },
    onFault(error) {
      throw error;
    },
  });
  closers.push(() => listener.close());
  return listener.port;
}

const head = (text: string): Step => ({ expects: "head", answer: latin1(text) });
const OK = head("HTTP/1.1 200 Connection established\r\n\r\n");
/** SOCKS5: methods offered, the method chosen. */
const GREETING: Step = { expects: 3, answer: fromHex("0500") };
const GREETING_LOGIN: Step = { expects: 4, answer: fromHex("0502") };
const LOGIN: Step = { expects: 3 + 5 + 6, answer: fromHex("0100") };
const NAME = latin1("vpn.example.com");
/** SOCKS5: the request with a name. */
const request5 = (answer: string): Step => ({ expects: 7 + 15, answer: fromHex(answer) });
const request4 = (answer: string): Step => ({ expects: 9 + 16, answer: fromHex(answer) });

describe("dialHost() through a proxy", () => {
  const ways: {
    name: string;
    kind: Proxy["kind"];
    login?: boolean;
    script: Step[];
    heard: (string | Uint8Array)[];
    host?: string;
  }[] = [
    {
      name: "HTTP",
      kind: "http",
      script: [OK],
      heard: ["CONNECT vpn.example.com:5555 HTTP/1.1\r\nHost: vpn.example.com:5555\r\n\r\n"],
    },
    {
      name: "HTTP with Basic, an IPv6 address and 100 before 200",
      kind: "http",
      login: true,
      host: "2001:db8::1",
      // The length is not of a body (RFC 9110 9.3.6).
      script: [head("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 77\r\n\r\n")],
      heard: [
        "CONNECT [2001:db8::1]:5555 HTTP/1.1\r\nHost: [2001:db8::1]:5555\r\n" +
          `Proxy-Authorization: Basic ${Buffer.from("alice:pä:ss").toString("base64")}\r\n\r\n`,
      ],
    },
    {
      name: "SOCKS5",
      kind: "socks5",
      script: [GREETING, request5("05000001 7f000001 1234")],
      heard: [fromHex("050100"), Uint8Array.of(5, 1, 0, 3, 15, ...NAME, 0x15, 0xb3)],
    },
    {
      name: "SOCKS5 that wants no login though there is one, and names itself",
      kind: "socks5",
      login: true,
      script: [{ expects: 4, answer: fromHex("0500") }, request5("05000003 03 61 2e 62 1234")],
      heard: [fromHex("05020002"), Uint8Array.of(5, 1, 0, 3, 15, ...NAME, 0x15, 0xb3)],
    },
    {
      name: "SOCKS5 with a login and an IPv6 address",
      kind: "socks5",
      login: true,
      host: "2001:db8::1",
      script: [
        GREETING_LOGIN,
        LOGIN,
        { expects: 22, answer: fromHex(`05000004 ${"00".repeat(16)} 1234`) },
      ],
      heard: [
        fromHex("05020002"),
        Uint8Array.of(1, 5, ...latin1("alice"), 6, ...PASSWORD),
        fromHex("05010004 20010db8 00000000 00000000 00000001 15b3"),
      ],
    },
    {
      name: "SOCKS5 with an IPv4 address",
      kind: "socks5",
      host: "192.0.2.1",
      script: [GREETING, { expects: 10, answer: fromHex("05000001 7f000001 1234") }],
      heard: [fromHex("050100"), fromHex("05010001 c0000201 15b3")],
    },
    {
      name: "SOCKS4a",
      kind: "socks4",
      script: [request4("005a 0000 00000000")],
      heard: [Uint8Array.of(4, 1, 0x15, 0xb3, 0, 0, 0, 1, 0, ...NAME, 0)],
    },
    {
      name: "SOCKS4 with a user and an IPv4 address",
      kind: "socks4",
      login: true,
      host: "192.0.2.1",
      script: [{ expects: 9 + 5, answer: fromHex("005a 0000 00000000") }],
      heard: [Uint8Array.of(4, 1, 0x15, 0xb3, 192, 0, 2, 1, ...latin1("alice"), 0)],
    },
  ];
  for (const { name, kind, login, script, heard, host } of ways) {
    for (const mayLeaveTls of [false, true]) {
      test(`${name}: TLS with the server${mayLeaveTls ? ", and out of it" : ""}`, async () => {
        const files = openFiles();
        const proxy = new ScriptedProxy(script, await echoServer());
        const tried: string[] = [];
        const options = optionsFor(kind, proxy.port, {
          login: login ?? false,
          mayLeaveTls,
          onAddress: (address) => void tried.push(address),
          ...(host === undefined ? {} : { host }),
        });
        const { link, certificate, address } = await dialHost(options);
        expect(proxy.heard.map((bytes) => bytes.toString("hex"))).toEqual(
          heard.map((bytes) => Buffer.from(bytes as string).toString("hex")),
        );
        expect(tried).toEqual(["127.0.0.1"]);
        expect(address).toBe(options.host);
        expect(certificate.der.length).toBeGreaterThan(100);
        expect([link.remotePort, link.mayLeaveTls]).toEqual([proxy.port, mayLeaveTls]);
        let echo = "";
        const ends: string[] = [];
        link.handler = {
          data: (chunk) => void (echo += Buffer.from(chunk).toString()),
          drain() {},
          closed: (reason) => void ends.push(reason),
        };
        link.write(latin1("hello"));
        await until("the echo", () => echo === "hello", fast);
        link.closeInOrder();
        await until("the end", () => ends.length === 1, fast);
        expect([ends[0], options.clock.pending]).toEqual(["closed", 0]);
        for (const close of closers.splice(0).reverse()) await close();
        await until("descriptors", () => openFiles() <= files, fast);
      });
    }
  }

  const failures: {
    name: string;
    kind: Proxy["kind"];
    script: Step[];
    login?: boolean;
    host?: string;
    code: string;
    says: string;
  }[] = [
    {
      name: "HTTP 407 without a user",
      kind: "http",
      script: [head('HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n')],
      code: "proxy_auth_failed",
      says: "it asks for a user name and a password",
    },
    {
      name: "HTTP 407 with a user",
      kind: "http",
      login: true,
      script: [head("HTTP/1.1 407 Auth\r\n\r\n")],
      code: "proxy_auth_failed",
      says: "it refuses the user alice or the password",
    },
    {
      name: "HTTP 407 that knows no Basic",
      kind: "http",
      login: true,
      script: [head("HTTP/1.1 407 Auth\r\nProxy-Authenticate: NTLM\r\n\r\n")],
      code: "proxy_auth_failed",
      says: "it asks for a login by NTLM, and only Basic can be given",
    },
    {
      name: "HTTP 403",
      kind: "http",
      script: [head("HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno no")],
      code: "proxy_error",
      says: "it refuses to connect to vpn.example.com:5555 (403 Forbidden)",
    },
    {
      name: "HTTP 502",
      kind: "http",
      script: [head("HTTP/1.0 502 Bad Gateway\r\n\r\n")],
      code: "proxy_error",
      says: "it does not reach vpn.example.com:5555 (502 Bad Gateway)",
    },
    {
      name: "a proxy that speaks SSH",
      kind: "http",
      script: [head("SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n")],
      code: "proxy_error",
      says: "it does not speak HTTP",
    },
    {
      name: "an HTTP head without an end",
      kind: "http",
      script: [head(`HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(MAX_HTTP_HEAD_BYTES / 6)}x: y`)],
      code: "proxy_error",
      says: "too many lines",
    },
    {
      name: "a proxy that closes",
      kind: "http",
      script: [{ expects: "head", answer: "close" }],
      code: "proxy_error",
      says: "the connection was closed",
    },
    {
      name: "a hundred interim answers",
      kind: "http",
      script: [head("HTTP/1.1 102 Processing\r\n\r\n".repeat(100))],
      code: "proxy_error",
      says: "it does not come to an answer",
    },
    {
      name: "SOCKS5 that asks for a login",
      kind: "socks5",
      script: [{ expects: 3, answer: fromHex("05ff") }],
      code: "proxy_auth_failed",
      says: "it asks for a login, probably a user name and a password",
    },
    {
      name: "SOCKS5 that knows no login by password",
      kind: "socks5",
      login: true,
      script: [{ expects: 4, answer: fromHex("05ff") }],
      code: "proxy_auth_failed",
      says: "it takes no login by user name and password",
    },
    {
      name: "SOCKS5 that refuses the login",
      kind: "socks5",
      login: true,
      script: [GREETING_LOGIN, { expects: 14, answer: fromHex("0101") }],
      code: "proxy_auth_failed",
      says: "it refuses the user alice or the password",
    },
    {
      name: "SOCKS5 that wants what was not offered",
      kind: "socks5",
      script: [{ expects: 3, answer: fromHex("0502") }],
      code: "proxy_error",
      says: "it wants the method 2, which was not offered",
    },
    {
      name: "SOCKS5 that does not reach the server",
      kind: "socks5",
      script: [GREETING, request5("05050001 00000000 0000")],
      code: "proxy_error",
      says: "the server refuses the connection",
    },
    {
      name: "SOCKS5 with an answer that nothing means",
      kind: "socks5",
      script: [GREETING, request5("05630001 00000000 0000")],
      code: "proxy_error",
      says: "it answers 99, which nothing means",
    },
    {
      name: "SOCKS5 with an address of no kind",
      kind: "socks5",
      script: [GREETING, request5("05000009 00000000 0000")],
      code: "proxy_error",
      says: "it names an address of an unknown kind",
    },
    {
      name: "HTTP where SOCKS5 is expected",
      kind: "socks5",
      script: [{ expects: 3, answer: latin1("HTTP/1.1 400 Bad Request\r\n\r\n") }],
      code: "proxy_error",
      says: "it does not speak SOCKS5",
    },
    {
      name: "SOCKS4 that refuses",
      kind: "socks4",
      script: [request4("005b 0000 00000000")],
      code: "proxy_error",
      says: "it refuses the server, does not reach it or does not take the user (answer 91)",
    },
    {
      name: "SOCKS4 that asks an identd",
      kind: "socks4",
      script: [request4("005d 0000 00000000")],
      code: "proxy_auth_failed",
      says: "it wants to hear the user name from an identd here",
    },
    {
      name: "SOCKS5 where SOCKS4 is expected",
      kind: "socks4",
      script: [request4("05ff 0000 00000000")],
      code: "proxy_error",
      says: "it does not speak SOCKS4",
    },
    {
      name: "a name too long for SOCKS5",
      kind: "socks5",
      host: "x".repeat(256),
      script: [GREETING],
      code: "proxy_error",
      says: "the server's name is too long for SOCKS5",
    },
    {
      name: "a name that would end early in SOCKS4",
      kind: "socks4",
      host: "vpn\0.example.com",
      script: [],
      code: "proxy_error",
      says: "the server's name does not fit into SOCKS4",
    },
  ];
  for (const { name, kind, script, login, host, code, says } of failures) {
    test(`${name} is ${code}`, async () => {
      const extra = { login: login ?? false, ...(host === undefined ? {} : { host }) };
      expect(await failureOf(kind, script, extra)).toEqual({
        code,
        message: `Cannot connect through the proxy 127.0.0.1: ${says}`,
      });
    });
  }

  test("no secret is in an error, nor the user's name where it cannot be sent", async () => {
    const proxy = new ScriptedProxy([]);
    const options = optionsFor("http", proxy.port);
    const bad = { ...options.proxy!, user: "a:b", password: PASSWORD };
    const error: VpnError = await dialHost({ ...options, proxy: bad }).catch((thrown) => thrown);
    expect([error.code, error.message]).toEqual([
      "proxy_auth_failed",
      "Cannot connect through the proxy 127.0.0.1: a user name with a colon cannot be given (RFC 7617)",
    ]);
  });

  test("a proxy that says nothing is given up after 15 s, whatever it has said before", async () => {
    const proxy = new ScriptedProxy([GREETING, { expects: 22, answer: undefined }]);
    const options = optionsFor("socks5", proxy.port);
    const dialed = dialHost(options).catch((thrown: VpnError) => thrown);
    await until("the request", () => proxy.heard.length === 2, fast);
    options.clock.advance(14_999);
    expect(await Promise.race([dialed, Bun.sleep(5)])).toBeUndefined();
    options.clock.advance(1);
    expect(await dialed).toMatchObject({
      code: "proxy_error",
      message: "Cannot connect through the proxy 127.0.0.1: no answer",
    });
    await until("the proxy's connection closed", () => proxy.ended, fast);
  });

  test("nothing listens at the proxy's port: proxy_connect_failed", async () => {
    const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = listener;
    listener.stop(true);
    const error: VpnError = await dialHost(optionsFor("http", port)).catch((thrown) => thrown);
    expect(error.code).toBe("proxy_connect_failed");
    expect(error.message).toBe(
      `Cannot connect to the proxy 127.0.0.1:${port}: connection refused: is a proxy listening on this port?`,
    );
  });

  test("FI-11 a proxy without an address is proxy_connect_failed", async () => {
    const lookup = () => Promise.reject(new Error("ENOTFOUND"));
    const options = optionsFor("http", 3128, { lookup });
    const proxy = { ...options.proxy!, host: "proxy.example.com" };
    const error: VpnError = await dialHost({ ...options, proxy }).catch((thrown) => thrown);
    expect([error.code, error.message]).toEqual([
      "proxy_connect_failed",
      "Cannot find the address of proxy.example.com: ENOTFOUND",
    ]);
    expect(options.clock.pending).toBe(0);
  });

  test("a server behind the proxy that speaks no TLS is tls_failed", async () => {
    const proxy = new ScriptedProxy([OK, { expects: 1, answer: latin1("SSH-2.0-x\r\n") }]);
    const options = optionsFor("http", proxy.port);
    const error: VpnError = await dialHost(options).catch((thrown) => thrown);
    expect([error.code, error.message]).toEqual([
      "tls_failed",
      "Cannot connect to vpn.example.com:5555: TLS failed (not_tls)",
    ]);
    expect(options.clock.pending).toBe(0);
  });

  test("is cancelled by its signal in the middle of the talk", async () => {
    const proxy = new ScriptedProxy([{ expects: "head", answer: undefined }]);
    const controller = new AbortController();
    const options = optionsFor("http", proxy.port, { signal: controller.signal });
    const dialed = dialHost(options).catch((thrown: VpnError) => thrown);
    await until("the request", () => proxy.heard.length === 1, fast);
    controller.abort();
    expect(await dialed).toMatchObject({ code: "cancelled" });
    expect(options.clock.pending).toBe(0);
    await until("the proxy's connection closed", () => proxy.ended, fast);
  });
});
