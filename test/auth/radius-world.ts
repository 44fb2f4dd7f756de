import { createHash, createHmac } from "node:crypto";
import type { LogFields } from "../../src/observe/log.ts";
import type { DatagramSink, RadiusAddress, RadiusNetwork } from "../../src/auth/radius-network.ts";
import type { RadiusSettings } from "../../src/config/server-config.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";

// RADIUS servers that are played by the test: what was sent to them lies in `sent`, what they answer is given back
// byte by byte, sealed by a second implementation.

export const SECRET = new TextEncoder().encode("xyzzy5461");

export interface SentDatagram {
  readonly bytes: Uint8Array;
  readonly to: string;
  readonly port: number;
}

export class FakeNetwork implements RadiusNetwork {
  readonly sent: SentDatagram[] = [];
  readonly sinks: DatagramSink[] = [];
  readonly lookups: string[] = [];
  /** Addresses by name; a name that is not here cannot be resolved. */
  readonly names = new Map<string, readonly string[]>();
  closed = 0;

  async resolve(host: string): Promise<readonly RadiusAddress[]> {
    this.lookups.push(host);
    const found = this.names.get(host) ?? (/[:.]\d|::/.test(host) ? [host] : undefined);
    if (found === undefined) throw new Error(`${host} is not known`);
    return found.map((text) => ({ family: text.includes(":") ? 6 : 4, text }));
  }

  async open(_family: 4 | 6, sink: DatagramSink) {
    this.sinks.push(sink);
    return {
      send: (bytes: Uint8Array, to: RadiusAddress, port: number) =>
        void this.sent.push({ bytes, to: to.text, port }),
      close: () => void this.closed++,
    };
  }

  /** Hands a datagram to every socket; those that did not ask throw it away as they must. */
  receive(bytes: Uint8Array, from: string, port = 1812): void {
    for (const sink of this.sinks) sink.datagram(bytes, from, port);
  }
}

export class RadiusWorld {
  readonly clock = new ManualClock();
  readonly random = seededRandom(7);
  readonly network = new FakeNetwork();
  readonly logged: { level: string; event: string; text: string; fields: LogFields }[] = [];
  readonly log = {
    debug: this.#logAt("debug"),
    info: this.#logAt("info"),
    warn: this.#logAt("warn"),
    error: this.#logAt("error"),
  };

  #logAt(level: string) {
    return (event: string, text: string, fields: LogFields = {}) =>
      void this.logged.push({ level, event, text, fields });
  }

  /** Advances in steps, so that what a timer began comes as far as it can before the next one. */
  async pass(ms: number): Promise<void> {
    await settle();
    for (let left = ms; left > 0;) {
      const step = Math.min(left, this.clock.untilNext ?? left);
      this.clock.advance(step);
      left -= step;
      await settle();
    }
  }
}

/** Lets promises come to rest. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

export function settingsOf(more: Partial<RadiusSettings> = {}): RadiusSettings {
  return {
    servers: [{ host: "10.0.0.1", port: 1812 }],
    secret: SECRET,
    retryMs: 5000,
    timeoutMs: 15_000,
    nasId: "Patchbay",
    realm: "",
    suffixFilter: "",
    groupFrom: "Filter-Id",
    accounting: [],
    accountingIntervalMs: 300_000,
    requireMessageAuthenticator: true,
    ...more,
  };
}

/** Attributes as `[type, value]`; text becomes UTF-8, numbers four octets. */
export type Avp = readonly [type: number, value: Uint8Array | string | number];

function bytesOf(value: Avp[1]): Uint8Array {
  if (typeof value === "string") return new TextEncoder().encode(value);
  if (typeof value !== "number") return value;
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function packetOf(
  code: number,
  identifier: number,
  authenticator: Uint8Array,
  avps: readonly Avp[],
) {
  const body = Buffer.concat(
    avps.map(([type, value]) => {
      const bytes = bytesOf(value);
      return Buffer.from([type, bytes.length + 2, ...bytes]);
    }),
  );
  const length = 20 + body.length;
  const head = Buffer.from([code, identifier, length >> 8, length & 255]);
  return Buffer.concat([head, authenticator, body]);
}

/** An answer to a request: sealed by `secret`, with a Message-Authenticator unless told otherwise. */
export function answerTo(
  request: Uint8Array,
  code: number,
  avps: readonly Avp[] = [],
  options: { secret?: Uint8Array; isSealed?: boolean; identifier?: number } = {},
): Uint8Array {
  const secret = options.secret ?? SECRET;
  const identifier = options.identifier ?? request[1]!;
  const asked = request.subarray(4, 20);
  let all = avps;
  if (options.isSealed !== false) {
    const blank = packetOf(code, identifier, asked, [...avps, [80, new Uint8Array(16)]]);
    all = [...avps, [80, createHmac("md5", secret).update(blank).digest()]];
  }
  const unsigned = packetOf(code, identifier, asked, all);
  const authenticator = createHash("md5").update(unsigned).update(secret).digest();
  return Uint8Array.from(packetOf(code, identifier, authenticator, all));
}

/** Attributes of a packet in their order. */
export function avpsOf(bytes: Uint8Array): [type: number, value: Uint8Array][] {
  const found: [number, Uint8Array][] = [];
  for (let at = 20; at < bytes.length; at += bytes[at + 1]!) {
    found.push([bytes[at]!, bytes.slice(at + 2, at + bytes[at + 1]!)]);
  }
  return found;
}

/** The value of the first attribute of this type. */
export function avpOf(bytes: Uint8Array, type: number): Uint8Array | undefined {
  return avpsOf(bytes).find(([found]) => found === type)?.[1];
}

export function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}
