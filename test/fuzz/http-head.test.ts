import { describe, expect, test } from "bun:test";
import { ProtocolError } from "../../src/base/errors.ts";
import { signatureRequest } from "../../src/session/handshake.ts";
import { encodeHttp, HttpReader, type HttpMessage } from "../../src/transport/http-message.ts";
import requests from "../vectors/real_client_requests.json" with { type: "json" };
import { seededRandom } from "../support/seeded-random.ts";
import { fuzz } from "./fuzz.ts";

const BODY_LIMIT = 600;
/** Every reason that a head may be refused for (robustness.md 3.2). */
const REASONS = ["http_line", "http_head", "http_length", "http_smuggle", "http_syntax"];

interface Outcome {
  readonly messages: readonly HttpMessage[];
  readonly refused: string | undefined;
}

/** Reads in pieces of at most `most` bytes. */
function read(bytes: Uint8Array, next: () => number): Outcome {
  const reader = new HttpReader(() => BODY_LIMIT);
  const messages: HttpMessage[] = [];
  try {
    for (let at = 0; at < bytes.length;) {
      const size = next();
      reader.push(bytes.subarray(at, at + size));
      at += size;
      for (let one = reader.next(); one !== undefined; one = reader.next()) messages.push(one);
    }
    return { messages, refused: undefined };
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    return { messages, refused: thrown.code };
  }
}

/** However the bytes are cut, the same messages come, or the same reason; and each message can be written again. */
function target(bytes: Uint8Array): boolean {
  const dice = seededRandom(bytes.length);
  const whole = read(bytes, () => bytes.length);
  for (const next of [() => 1, () => 1 + dice.below(50)]) {
    const pieces = read(bytes, next);
    if (!Bun.deepEquals(pieces, whole)) {
      throw new Error(`in pieces it is ${Bun.inspect(pieces)}, whole ${Bun.inspect(whole)}`);
    }
  }
  for (const message of whole.messages) checkMessage(message);
  if (whole.refused === undefined) return whole.messages.length > 0;
  if (!REASONS.includes(whole.refused)) throw new Error(`refused for ${whole.refused}`);
  return false;
}

function checkMessage({ head, body }: HttpMessage): void {
  if (body.length > BODY_LIMIT) throw new Error(`a body of ${body.length} bytes`);
  const { first, second, third, fields } = head;
  const others = [...fields].filter(([name]) => name !== "content-length");
  const text = [first, second, third, ...others.flat()].join("");
  // oxlint-disable-next-line no-control-regex
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(text)) throw new Error("a control character got through");
  const bytes = encodeHttp(`${first} ${second} ${third}`, Object.fromEntries(others), body);
  const [again] = read(bytes, () => bytes.length).messages;
  const same =
    again?.head.second === second && Bun.deepEquals(again.body, body) && again.head.first === first;
  if (!same) throw new Error(`read again as ${Bun.inspect(again)}`);
}

const heads = requests.map(({ http }) => Buffer.from(`${http!.join("\r\n")}\r\n\r\n`, "latin1"));
const SEEDS = [
  signatureRequest("192.0.2.1"),
  ...heads.slice(0, 1),
  ...heads.map((head) =>
    Buffer.from(head.toString("latin1").replace(/Length: \d+/, "Length: 3") + "abc", "latin1"),
  ),
  Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 403 No\r\n\r\n"),
  Buffer.from("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
].map((bytes) => new Uint8Array(bytes));

/** The driver ends by itself after FUZZ_SECONDS; the runner must not be quicker. */
const TIMEOUT_MS = (Number(process.env["FUZZ_SECONDS"] ?? 0) + 60) * 1000;

describe("fuzz", () => {
  test(
    "transport/http-head",
    () => {
      const { accepted, rounds } = fuzz({ name: "transport-http-head", seeds: SEEDS, target });
      expect(accepted).toBeGreaterThan(rounds / 50);
    },
    TIMEOUT_MS,
  );
});
