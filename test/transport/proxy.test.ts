import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { VpnError } from "../../src/base/errors.ts";
import type { Proxy } from "../../src/transport/proxy.ts";
import { dialHost } from "../../src/transport/tls-dialer.ts";
import { fromHex } from "../support/hex.ts";
import { until } from "../support/process.ts";
import { openFiles } from "../support/test-server.ts";
import {
  closeProxies,
  echoServer,
  GREETING,
  GREETING_LOGIN,
  head,
  latin1,
  LOGIN,
  NAME,
  OK,
  optionsFor,
  PASSWORD,
  request4,
  request5,
  ScriptedProxy,
  type Step,
} from "./scripted-proxy.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);
const fast = { everyMs: 1, deadlineMs: 10_000 };
afterEach(closeProxies);

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
        await closeProxies();
        await until("descriptors", () => openFiles() <= files, fast);
      });
    }
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
