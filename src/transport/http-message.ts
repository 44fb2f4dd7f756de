import { ProtocolError } from "../base/errors.ts";
import {
  MAX_ANSWER_TO_CLIENT,
  MAX_HTTP_HEAD_BYTES,
  MAX_HTTP_LINE_BYTES,
  MAX_HTTP_LINES,
} from "../base/limits.ts";

// The HTTP of the control connection is a costume (protocol.md 3): messages strictly alternate, bodies have a
// length, and after the login the connection turns into a binary stream whose first bytes may share a chunk
// with the last message. So it is read by hand, strictly: what is doubtful ends the connection.

/** Head of a request or reply: its first line in three parts, and its fields by lower-case name. */
export interface HttpHead {
  /** Method, or the version in a reply. */
  readonly first: string;
  /** Target, or the status in a reply. */
  readonly second: string;
  /** Version, or the reason phrase in a reply. */
  readonly third: string;
  readonly fields: ReadonlyMap<string, string>;
}

export interface HttpMessage {
  readonly head: HttpHead;
  readonly body: Uint8Array;
}

const CR = 13;
const LF = 10;
const EMPTY = new Uint8Array(0);

/** The largest answer, and behind it what one socket read can bring of the stream. */
const MAX_WAITING_BYTES = MAX_ANSWER_TO_CLIENT + (1 << 20);

/** As a body limit: there is no body, whatever the fields of the head say (RFC 9110 9.3.6). */
export const NO_BODY = -1;

/** Cuts messages out of a byte stream. Nothing is set aside for announced lengths, only for bytes that came. */
export class HttpReader {
  #bytes: Uint8Array = EMPTY;
  #used = 0;
  /** How far the head was looked at, so that a head in single bytes is not read anew for each. */
  #scan = { at: 0, lineStart: 0, lines: 0 };
  #head: { head: HttpHead; end: number; length: number } | undefined;
  readonly #bodyLimit: (head: HttpHead) => number;

  /** @param bodyLimit most bytes that a body may have under this head, or NO_BODY; more is `http_length`. */
  constructor(bodyLimit: (head: HttpHead) => number) {
    this.#bodyLimit = bodyLimit;
  }

  /**
   * Keeps a copy of the chunk.
   * @throws ProtocolError `http_length` when more waits than a message and one chunk behind it can be.
   */
  push(chunk: Uint8Array): void {
    if (this.#used + chunk.length > MAX_WAITING_BYTES) {
      throw new ProtocolError("http_length", "too much sent ahead");
    }
    if (this.#used + chunk.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(1024, (this.#used + chunk.length) * 2));
      grown.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = grown;
    }
    this.#bytes.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  /**
   * The next whole message, or undefined until more bytes come.
   * @throws ProtocolError `http_line`, `http_head`, `http_length`, `http_smuggle`, `http_syntax`.
   */
  next(): HttpMessage | undefined {
    this.#head ??= this.#readHead();
    if (this.#head === undefined) return undefined;
    const { head, end, length } = this.#head;
    if (this.#used < end + length) return undefined;
    const body = this.#bytes.slice(end, end + length);
    this.#bytes.copyWithin(0, end + length, this.#used);
    this.#used -= end + length;
    this.#scan = { at: 0, lineStart: 0, lines: 0 };
    this.#head = undefined;
    return { head, body };
  }

  /** The head of the message whose body is still awaited, for whoever can refuse it without. */
  get head(): HttpHead | undefined {
    return this.#head?.head;
  }

  /** Bytes that belong to no message yet. */
  get waitingBytes(): number {
    return this.#used;
  }

  /** Takes what lies behind the last message: the first bytes of the stream that follows. */
  takeRest(): Uint8Array {
    const rest = this.#bytes.slice(0, this.#used);
    this.#bytes = EMPTY;
    this.#used = 0;
    return rest;
  }

  #readHead(): { head: HttpHead; end: number; length: number } | undefined {
    const end = this.#findHeadEnd();
    if (end === undefined) return undefined;
    const lines = latin1(this.#bytes.subarray(0, end - 4)).split("\r\n");
    if (lines.length > MAX_HTTP_LINES + 1) throw new ProtocolError("http_head", "too many lines");
    const parts = /^(\S+) (\S+) ?([^\r\n]*)$/.exec(lines[0]!);
    if (parts === null) throw new ProtocolError("http_syntax", "the first line is none");
    const fields = parseFields(lines);
    const head = { first: parts[1]!, second: parts[2]!, third: parts[3]!, fields };
    return { head, end, length: bodyLength(head, this.#bodyLimit) };
  }

  /** Where the body begins; checks lines on the way so that an endless one is found while it grows. */
  #findHeadEnd(): number | undefined {
    const bytes = this.#bytes;
    const scan = this.#scan;
    for (; scan.at < this.#used; scan.at++) {
      const i = scan.at;
      const byte = bytes[i]!;
      if (byte === LF) {
        if (i === 0 || bytes[i - 1] !== CR) throw new ProtocolError("http_syntax", "a bare LF");
        if (i - 1 === scan.lineStart) return i + 1;
        scan.lineStart = i + 1;
        if (++scan.lines > MAX_HTTP_LINES + 1) {
          throw new ProtocolError("http_head", "too many lines");
        }
      } else if (i > scan.lineStart && bytes[i - 1] === CR) {
        throw new ProtocolError("http_syntax", "a bare CR");
      } else if (byte !== CR && (byte < 32 || byte === 127) && byte !== 9) {
        throw new ProtocolError("http_syntax", "a control character");
      }
      if (byte !== CR && i - scan.lineStart >= MAX_HTTP_LINE_BYTES) {
        throw new ProtocolError(scan.lines === 0 ? "http_line" : "http_head", "a line is too long");
      }
      if (i >= MAX_HTTP_HEAD_BYTES) throw new ProtocolError("http_head", "the head is too long");
    }
    return undefined;
  }
}

function parseFields(lines: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let i = 1; i < lines.length; i++) {
    const field = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/.exec(lines[i]!);
    if (field === null) throw new ProtocolError("http_syntax", "a header line is none");
    const name = field[1]!.toLowerCase();
    if (fields.has(name) && name === "content-length") {
      throw new ProtocolError("http_smuggle", "two Content-Length");
    }
    fields.set(name, field[2]!);
  }
  return fields;
}

function bodyLength(head: HttpHead, limit: (head: HttpHead) => number): number {
  const most = limit(head);
  if (most === NO_BODY) return 0;
  const text = head.fields.get("content-length");
  if (head.fields.has("transfer-encoding")) {
    throw text === undefined
      ? new ProtocolError("http_length", "a chunked body")
      : new ProtocolError("http_smuggle", "two ways to tell the body's length");
  }
  if (text === undefined) return 0;
  if (!/^[0-9]{1,9}$/.test(text)) throw new ProtocolError("http_length", "a length that is none");
  const length = Number(text);
  if (length > most) throw new ProtocolError("http_length", "the body is too long");
  return length;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** A message with `Content-Length`; `firstLine` without its line end. */
export function encodeHttp(
  firstLine: string,
  fields: Readonly<Record<string, string>>,
  body: Uint8Array,
): Uint8Array {
  let head = `${firstLine}\r\n`;
  for (const [name, value] of Object.entries(fields)) head += `${name}: ${value}\r\n`;
  head += `Content-Length: ${body.length}\r\n\r\n`;
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(Buffer.from(head, "latin1"));
  bytes.set(body, head.length);
  return bytes;
}
