import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { MAX_HTTP_HEAD_BYTES } from "../../src/base/limits.ts";
import type { Proxy } from "../../src/transport/proxy.ts";
import { fromHex } from "../support/hex.ts";
import {
  closeProxies,
  failureOf,
  GREETING,
  GREETING_LOGIN,
  head,
  latin1,
  request4,
  request5,
  type Step,
} from "./scripted-proxy.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);
afterEach(closeProxies);

describe("dialHost() through a proxy that refuses or is none", () => {
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
      name: "HTTP 401, as tinyproxy says,",
      kind: "http",
      login: true,
      script: [head('HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')],
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
});
