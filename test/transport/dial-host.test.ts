import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { VpnError } from "../../src/base/errors.ts";
import { dialHost, type DialOptions } from "../../src/transport/tls-dialer.ts";
import { listenTls } from "../../src/transport/tls-listener.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/process.ts";
import { openFiles, testCertificate } from "../support/test-server.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(30_000);
const fast = { everyMs: 1, deadlineMs: 10_000 };

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

async function server(address: string, port = 0): Promise<number> {
  const { cert, key } = await testCertificate();
  const listener = listenTls({
    address,
    port,
    tls: { cert, key, min: "1.2", max: "1.3", ciphers: undefined },
    clock: new ManualClock(),
    opening: { opened() {}, secured() {}, gone() {} },
    onFault(error) {
      throw error;
    },
  });
  closers.push(() => listener.close());
  return listener.port;
}

/** A listener that answers each connection with these bytes, or with nothing. */
function rawServer(address: string, port: number, answer: string | undefined): void {
  const listener = Bun.listen({
    hostname: address,
    port,
    socket: {
      open: (socket) => void (answer === undefined || socket.write(answer)),
      data() {},
    },
  });
  closers.push(() => listener.stop(true));
}

function optionsFor(
  port: number,
  addresses: readonly string[],
  extra: Partial<DialOptions> = {},
): DialOptions & { clock: ManualClock; tried: string[] } {
  const tried: string[] = [];
  return {
    host: "vpn.example.com",
    port,
    family: "any",
    proxy: undefined,
    signal: new AbortController().signal,
    onFault(error) {
      throw error;
    },
    lookup: async (_host, family) =>
      addresses.filter((one) => one.includes(":") === (family === 6)),
    onAddress: (address) => void tried.push(address),
    ...extra,
    clock: new ManualClock(),
    tried,
  };
}

async function close(link: { abort(reason: string): void; handler: object }): Promise<void> {
  const ended = Promise.withResolvers<void>();
  link.handler = { data() {}, drain() {}, closed: () => ended.resolve() };
  link.abort("test");
  await ended.promise;
}

describe("dialHost()", () => {
  test("FI-11 goes on to the next address where one refuses, and tells which it was", async () => {
    const files = openFiles();
    const port = await server("127.0.0.2");
    const options = optionsFor(port, ["::1", "127.0.0.1", "127.0.0.2"]);
    const { link, address } = await dialHost(options);
    expect(options.tried).toEqual(["::1", "127.0.0.1", "127.0.0.2"]);
    expect([address, link.remoteAddress]).toEqual(["127.0.0.2", "127.0.0.2"]);
    expect(options.clock.pending).toBe(0);
    await close(link);
    for (const stop of closers.splice(0)) stop();
    await until("descriptors", () => openFiles() <= files, fast);
  });

  for (const answer of ["SSH-2.0-OpenSSH_9.2p1\r\n", "\x15\x03\x01\x00\x02\x02\x28"]) {
    test(`FI-11 goes on where one answers ${JSON.stringify(answer)} instead of TLS`, async () => {
      const port = await server("127.0.0.2");
      rawServer("127.0.0.1", port, answer);
      for (const mayLeaveTls of [false, true]) {
        const options = optionsFor(port, ["127.0.0.1", "127.0.0.2"], { mayLeaveTls });
        const { link, address } = await dialHost(options);
        expect([address, options.tried]).toEqual(["127.0.0.2", ["127.0.0.1", "127.0.0.2"]]);
        await close(link);
      }
    });
  }

  test("FI-11 goes on where one is silent after TCP", async () => {
    const port = await server("127.0.0.2");
    rawServer("127.0.0.1", port, undefined);
    const options = optionsFor(port, ["127.0.0.1", "127.0.0.2"]);
    const dialed = dialHost(options);
    // The race is won by TCP (RFC 8305 5), so TLS has its own time before the next is tried.
    await until("the deadline of TLS", () => options.clock.untilNext === 15_000, fast);
    options.clock.advance(15_000);
    const { link, address } = await dialed;
    expect(address).toBe("127.0.0.2");
    await close(link);
  });

  test("FI-11 when no address is any good, the error names each", async () => {
    const port = await server("127.0.0.3");
    rawServer("127.0.0.2", port, "hello\r\n");
    const options = optionsFor(port, ["127.0.0.1", "127.0.0.2"]);
    const error: VpnError = await dialHost(options).catch((thrown) => thrown);
    expect(error.code).toBe("tls_failed");
    expect(options.tried).toEqual(["127.0.0.1", "127.0.0.2"]);
    expect(error.message).toContain("vpn.example.com");
    expect(options.clock.pending).toBe(0);
  });

  test("FI-11 asks for the addresses anew each time, and finds a server that has moved", async () => {
    const port = await server("127.0.0.2");
    const known = ["127.0.0.1"];
    const first: VpnError = await dialHost(optionsFor(port, known)).catch((thrown) => thrown);
    expect(first.code).toBe("connect_failed");
    known[0] = "127.0.0.2";
    const { link, address } = await dialHost(optionsFor(port, known));
    expect(address).toBe("127.0.0.2");
    await close(link);
  });

  test("a refused connection says what to look at", async () => {
    const port = await server("127.0.0.3");
    const options = optionsFor(port, ["127.0.0.1"]);
    const error: VpnError = await dialHost(options).catch((thrown) => thrown);
    expect([error.code, error.message]).toEqual([
      "connect_failed",
      `Cannot connect to 127.0.0.1:${port}: connection refused: is a VPN server listening on this port?`,
    ]);
  });

  test("HS-20 the certificate is checked against the server's name, which the server hears", async () => {
    const port = await server("127.0.0.1");
    for (const mayLeaveTls of [false, true]) {
      const options = optionsFor(port, ["127.0.0.1"], { mayLeaveTls, serverName: "other.test" });
      const { link, certificate } = await dialHost(options);
      expect(certificate.authorized).toBe(false);
      expect(certificate.problem).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
      await close(link);
    }
  });

  test("connects from the source address it is given", async () => {
    const port = await server("127.0.0.1");
    const options = optionsFor(port, ["127.0.0.1"], { source: "127.0.0.9" });
    const { link } = await dialHost(options);
    expect(link.localAddress).toBe("127.0.0.9");
    await close(link);
    const foreign = optionsFor(port, ["127.0.0.1"], { source: "192.0.2.1" });
    const error: VpnError = await dialHost(foreign).catch((thrown) => thrown);
    expect(error.code).toBe("connect_failed");
    expect(error.message).toContain("send from 192.0.2.1");
  });

  test("is cancelled before it begins, and while TLS is awaited, without leaving anything", async () => {
    const files = openFiles();
    const port = await server("127.0.0.3");
    rawServer("127.0.0.1", port, undefined);
    const early = optionsFor(port, ["127.0.0.1"], { signal: AbortSignal.abort() });
    expect(dialHost(early)).rejects.toMatchObject({ code: "cancelled" });
    for (const mayLeaveTls of [false, true]) {
      const controller = new AbortController();
      const options = optionsFor(port, ["127.0.0.1"], { signal: controller.signal, mayLeaveTls });
      const dialed = dialHost(options).catch((thrown: VpnError) => thrown);
      await until("the deadline of TLS", () => options.clock.untilNext === 15_000, fast);
      controller.abort();
      expect(await dialed).toMatchObject({ code: "cancelled" });
      expect(options.clock.pending).toBe(0);
    }
    for (const stop of closers.splice(0)) stop();
    await until("descriptors", () => openFiles() <= files, fast);
  });
});
