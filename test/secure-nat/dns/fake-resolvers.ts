import { tryParseAddress } from "../../../src/base/ip.ts";
import type { SocketAddress } from "../../../src/platform/socket-address.ts";
import type { DnsSocketEvents, DnsTransport } from "../../../src/secure-nat/dns/dns-channels.ts";
import { tryEncodeDnsName } from "../../../src/wire/dns.ts";
import { fromHex } from "../../support/hex.ts";
import { concatBytes } from "../../support/layers.ts";

export function resolver(text: string): SocketAddress {
  return { ...tryParseAddress(text)!, port: 53 };
}

/** A question for A of a name, as guests send it. */
export function questionFor(
  name: string,
  options: { id?: number; type?: number; class?: number; opcode?: number; edns?: number } = {},
): Uint8Array {
  const { id = 0x4711, type = 1, class: of = 1, opcode = 0, edns } = options;
  const head = new DataView(new ArrayBuffer(12));
  head.setUint16(0, id);
  head.setUint16(2, 0x0100 | (opcode << 11));
  head.setUint16(4, 1);
  head.setUint16(10, edns === undefined ? 0 : 1);
  const tail = Uint8Array.of(type >> 8, type & 255, of >> 8, of & 255);
  const opt =
    edns === undefined
      ? new Uint8Array()
      : concatBytes(
          fromHex("000029"),
          Uint8Array.of(edns >> 8, edns & 255),
          fromHex("000000000000"),
        );
  return concatBytes(new Uint8Array(head.buffer), tryEncodeDnsName(name)!, tail, opt);
}

/** Answers a question with so many bytes of records. */
export function answerTo(
  question: Uint8Array,
  options: { rcode?: number; bytes?: number } = {},
): Uint8Array {
  const { rcode = 0, bytes = 4 } = options;
  const record = new Uint8Array(12 + bytes);
  record.set(fromHex("c00c0001000100000005"));
  new DataView(record.buffer).setUint16(10, bytes);
  const hasRecord = rcode === 0;
  const end = question.indexOf(0, 12) + 5;
  const answer = concatBytes(question.subarray(0, end), hasRecord ? record : new Uint8Array());
  const view = new DataView(answer.buffer);
  view.setUint16(2, 0x8180 | rcode);
  view.setUint16(6, hasRecord ? 1 : 0);
  view.setUint16(10, 0);
  return answer;
}

/** A socket that the code under test has opened. */
export interface FakeSocket {
  readonly server: SocketAddress;
  readonly events: DnsSocketEvents;
  readonly sent: Uint8Array[];
  isOpen: boolean;
}

/** Sockets to nowhere, which a test answers by hand. */
export class FakeResolvers implements DnsTransport {
  readonly sockets: FakeSocket[] = [];
  /** Who was sent a question, in the order of time. */
  readonly asked: SocketAddress[] = [];
  /** Called with each question that is sent. */
  onQuestion: (socket: FakeSocket, question: Uint8Array) => void = () => undefined;
  /** Resolvers without a route, and those whose datagrams the system refuses. */
  readonly unreachable = new Set<SocketAddress>();
  readonly unsendable = new Set<SocketAddress>();

  get open(): FakeSocket[] {
    return this.sockets.filter(({ isOpen }) => isOpen);
  }

  tryOpen(server: SocketAddress, events: DnsSocketEvents) {
    if (this.unreachable.has(server)) return undefined;
    const socket: FakeSocket = { server, events, sent: [], isOpen: true };
    this.sockets.push(socket);
    return {
      send: (message: Uint8Array) => {
        if (this.unsendable.has(server)) return false;
        socket.sent.push(message);
        this.asked.push(server);
        this.onQuestion(socket, message);
        return true;
      },
      close: () => void (socket.isOpen = false),
    };
  }
}
