import { describe, expect, test } from "bun:test";
import { ProtocolError } from "../../src/base/errors.ts";
import { MAX_ANSWER_TO_CLIENT, MAX_HTTP_HEAD_BYTES } from "../../src/base/limits.ts";
import { encodeHttp, HttpReader, type HttpMessage } from "../../src/transport/http-message.ts";
import requests from "../vectors/real_client_requests.json" with { type: "json" };
import { fromHex, toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const anyLength = () => 1 << 20;

function readAll(bytes: Uint8Array, pieces: Iterable<number>): HttpMessage[] {
  const reader = new HttpReader(anyLength);
  const messages: HttpMessage[] = [];
  let at = 0;
  for (const size of pieces) {
    reader.push(bytes.subarray(at, at + size));
    at += size;
    for (let one = reader.next(); one !== undefined; one = reader.next()) messages.push(one);
    if (at >= bytes.length) return messages;
  }
  return messages;
}

/** The code that reading ends with; undefined if it does not. */
function errorOf(text: string, limit: () => number = anyLength): string | undefined {
  const reader = new HttpReader(limit);
  try {
    reader.push(bytesOf(text));
    while (reader.next() !== undefined);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return thrown.code;
    throw thrown;
  }
}

const THREE = bytesOf(
  "GET / HTTP/1.1\r\nX-VPN: 1\r\nHost: 10.99.2.1\r\nEmpty:\r\n\r\n" +
    "POST /vpnsvc/connect.cgi HTTP/1.1\r\nCONTENT-LENGTH: 10\r\nHost:  a \t\r\n\r\nVPNCONNECT" +
    "HTTP/1.1 200 Very well\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
);

describe("HttpReader", () => {
  test("next() gives messages one by one, fields by lower-case name without blanks around values", () => {
    const [get, post, reply] = readAll(THREE, [THREE.length]);
    expect([get!.head.first, get!.head.second, get!.head.third]).toEqual(["GET", "/", "HTTP/1.1"]);
    expect(Object.fromEntries(get!.head.fields)).toEqual({
      "x-vpn": "1",
      host: "10.99.2.1",
      empty: "",
    });
    expect(get!.body.length).toBe(0);
    expect(post!.head.fields.get("host")).toBe("a");
    expect(textOf(post!.body)).toBe("VPNCONNECT");
    expect([reply!.head.second, reply!.head.third]).toEqual(["200", "Very well"]);
    expect(textOf(reply!.body)).toBe("\r\n\r\n");
  });

  test("FI-01 single bytes, and pieces of any size, give the same messages", () => {
    const whole = readAll(THREE, [THREE.length]);
    expect(
      readAll(
        THREE,
        endless(() => 1),
      ),
    ).toEqual(whole);
    for (let seed = 0; seed < 200; seed++) {
      const dice = seededRandom(seed);
      expect(
        readAll(
          THREE,
          endless(() => 1 + dice.below(40)),
        ),
      ).toEqual(whole);
    }
  });

  test("next() takes what real clients send", () => {
    for (const request of requests) {
      const body = "body_hex" in request ? fromHex(request.body_hex!) : new Uint8Array(0);
      // The picture of the signature is left out of the recording.
      const length = request.body_length ?? body.length;
      const head = bytesOf(`${request.http!.join("\r\n")}\r\n\r\n`);
      const bytes = Buffer.concat([head, body, new Uint8Array(length - body.length)]);
      const [message] = readAll(bytes, [bytes.length]);
      expect(`${message!.head.first} ${message!.head.second} ${message!.head.third}`).toBe(
        request.http![0]!,
      );
      expect(message!.body.length).toBe(length);
    }
  });

  test("takeRest() gives what lies behind the last message", () => {
    const reader = new HttpReader(anyLength);
    reader.push(Buffer.concat([THREE, Uint8Array.of(0, 0, 0, 1)]));
    for (let i = 0; i < 3; i++) expect(reader.next()).toBeDefined();
    expect(toHex(reader.takeRest())).toBe("00000001");
    expect(reader.takeRest().length).toBe(0);
  });

  test("bodies are copies: the reader's memory is used again", () => {
    const reader = new HttpReader(anyLength);
    const chunk = Uint8Array.from(THREE);
    reader.push(chunk);
    chunk.fill(0);
    reader.next();
    const { body } = reader.next()!;
    reader.push(THREE);
    expect(textOf(body)).toBe("VPNCONNECT");
  });

  test("head is that of the message whose body is awaited, and only of that", () => {
    const reader = new HttpReader(anyLength);
    reader.push(bytesOf("POST /a HTTP/1.1\r\nContent-Length: 2\r\n"));
    expect(reader.next()).toBeUndefined();
    expect(reader.head).toBeUndefined();
    reader.push(bytesOf("\r\nx"));
    expect(reader.next()).toBeUndefined();
    expect(reader.head?.second).toBe("/a");
    reader.push(bytesOf("y"));
    expect(textOf(reader.next()!.body)).toBe("xy");
    expect(reader.head).toBeUndefined();
  });

  test("the limit of a body is asked with its head, and holds to the byte", () => {
    const post = (length: number) => `POST /a HTTP/1.1\r\nContent-Length: ${length}\r\n\r\n`;
    expect(errorOf(post(10), () => 10)).toBeUndefined();
    expect(errorOf(post(11), () => 10)).toBe("http_length");
    expect(errorOf(post(999_999_999), () => 10)).toBe("http_length");
  });

  test("push() refuses more than one answer and what a socket brings behind it", () => {
    const reader = new HttpReader(anyLength);
    reader.push(new Uint8Array(MAX_ANSWER_TO_CLIENT));
    reader.push(new Uint8Array(1 << 20));
    expect(() => reader.push(new Uint8Array(1))).toThrow(ProtocolError);
  });

  test("a head longer than the limit is http_head wherever it is cut", () => {
    const field = `X: ${"y".repeat(400)}\r\n`;
    const count = Math.floor(MAX_HTTP_HEAD_BYTES / field.length);
    expect(count).toBeLessThan(127);
    expect(errorOf(`GET / HTTP/1.1\r\n${field.repeat(count - 1)}\r\n`)).toBeUndefined();
    expect(errorOf(`GET / HTTP/1.1\r\n${field.repeat(count + 1)}`)).toBe("http_head");
  });

  test("a line of 4,096 bytes is good, its end not counted", () => {
    const target = "/".padEnd(4_096 - "GET  HTTP/1.1".length, "a");
    expect(errorOf(`GET ${target} HTTP/1.1\r\n\r\n`)).toBeUndefined();
    expect(errorOf(`GET ${target}a HTTP/1.1\r\n\r\n`)).toBe("http_line");
    const field = "X: ".padEnd(4_096, "y");
    expect(errorOf(`GET / HTTP/1.1\r\n${field}\r\n\r\n`)).toBeUndefined();
    expect(errorOf(`GET / HTTP/1.1\r\n${field}y\r\n\r\n`)).toBe("http_head");
  });

  const BAD: readonly [string, string][] = [
    ["\r\n\r\n", "http_syntax"],
    ["\n", "http_syntax"],
    ["GET\r\n\r\n", "http_syntax"],
    [" GET / HTTP/1.1\r\n\r\n", "http_syntax"],
    ["GET / HTTP/1.1\r\n: a\r\n\r\n", "http_syntax"],
    ["GET / HTTP/1.1\r\na b: c\r\n\r\n", "http_syntax"],
    ["GET / HTTP/1.1\r\na: b\x7f\r\n\r\n", "http_syntax"],
    ["GET / HTTP/1.1\r\nContent-Length: 1,1\r\n\r\n", "http_length"],
    ["GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "http_smuggle"],
  ];
  test.each(BAD)("%j is %s", (text, code) => {
    expect(errorOf(text)).toBe(code);
  });
});

describe("encodeHttp()", () => {
  test("writes a message that HttpReader reads", () => {
    const body = seededRandom(1).bytes(300);
    const bytes = encodeHttp("HTTP/1.1 200 OK", { Date: "now", "X-Y": "" }, body);
    const [message] = readAll(bytes, [bytes.length]);
    expect(Object.fromEntries(message!.head.fields)).toEqual({
      date: "now",
      "x-y": "",
      "content-length": "300",
    });
    expect(toHex(message!.body)).toBe(toHex(body));
  });
});

function* endless(next: () => number): Iterable<number> {
  for (;;) yield next();
}
