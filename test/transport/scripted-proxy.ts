import { expect } from "bun:test";
import type { Socket } from "bun";
import type { VpnError } from "../../src/base/errors.ts";
import type { Proxy } from "../../src/transport/proxy.ts";
import { dialHost, type DialOptions } from "../../src/transport/tls-dialer.ts";
import { listenTls } from "../../src/transport/tls-listener.ts";
import { fromHex } from "../support/hex.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";
import { testCertificate } from "../support/test-server.ts";

const fast = { everyMs: 1, deadlineMs: 10_000 };
export const latin1 = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
export const PASSWORD = new TextEncoder().encode("pä:ss");

const closers: (() => void | Promise<void>)[] = [];

/** Takes away what the tests have opened; each of their files calls it after each test. */
export async function closeProxies(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

/** What a proxy says when it has heard `expects` bytes since it last spoke; undefined: nothing, for ever. */
export interface Step {
  readonly expects: number | "head";
  readonly answer: Uint8Array | "close" | undefined;
}

/** A proxy that goes by a script and then joins the client with `target`. */
export class ScriptedProxy {
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

export function optionsFor(
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
export async function failureOf(
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
export async function echoServer(): Promise<number> {
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

export const head = (text: string): Step => ({ expects: "head", answer: latin1(text) });
export const OK = head("HTTP/1.1 200 Connection established\r\n\r\n");
/** SOCKS5: methods offered, the method chosen. */
export const GREETING: Step = { expects: 3, answer: fromHex("0500") };
export const GREETING_LOGIN: Step = { expects: 4, answer: fromHex("0502") };
export const LOGIN: Step = { expects: 3 + 5 + 6, answer: fromHex("0100") };
export const NAME = latin1("vpn.example.com");
/** SOCKS5: the request with a name. */
export const request5 = (answer: string): Step => ({ expects: 7 + 15, answer: fromHex(answer) });
export const request4 = (answer: string): Step => ({ expects: 9 + 16, answer: fromHex(answer) });
