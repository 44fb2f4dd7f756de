import { describe, expect, test } from "bun:test";
import dnsPacket from "dns-packet";
import {
  DNS_RCODE,
  DNS_TYPE,
  encodeDnsRefusal,
  encodeDnsTruncated,
  isSameName,
  tryEncodeDnsName,
  tryParseDns,
} from "../../src/wire/dns.ts";
import { fromHex } from "../support/hex.ts";
import { concatBytes } from "../support/layers.ts";

const EXAMPLE = tryEncodeDnsName("www.example.com")!;

function header(counts: readonly [number, number, number, number], flags = 0x0100): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  view.setUint16(0, 0x1234);
  view.setUint16(2, flags);
  for (const [index, count] of counts.entries()) view.setUint16(4 + 2 * index, count);
  return new Uint8Array(view.buffer);
}

/** A question for an A record with this name, as it lies in the message. */
function question(name: Uint8Array, ...behind: readonly Uint8Array[]): Uint8Array {
  return concatBytes(header([1, 0, 0, 0]), name, fromHex("00010001"), ...behind);
}

function answer(records: number, name: Uint8Array): Uint8Array {
  const record = concatBytes(name, fromHex("00010001000000050004c0000201"));
  const head = header([1, records, 0, 0], 0x8180);
  const all = Array.from({ length: records }, () => record);
  return concatBytes(head, EXAMPLE, fromHex("00010001"), ...all);
}

describe("tryParseDns()", () => {
  test("reads what another codec wrote", () => {
    const bytes = Uint8Array.from(
      dnsPacket.encode({
        type: "query",
        id: 7,
        flags: dnsPacket.RECURSION_DESIRED,
        questions: [{ type: "TXT", name: "Www.Example.com" }],
        additionals: [
          {
            type: "OPT",
            name: ".",
            udpPayloadSize: 1232,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ],
      }),
    );
    const read = tryParseDns(bytes)!;
    expect(read).toMatchObject({
      id: 7,
      isResponse: false,
      opcode: 0,
      records: 1,
      answers: 0,
      udpBytes: 1232,
      question: { type: DNS_TYPE.TXT, class: 1 },
    });
    expect(isSameName(read.question.name, EXAMPLE)).toBe(true);
    expect(bytes.subarray(read.questionEnd)[0]).toBe(0);
  });

  test("reads compressed names of records, and takes a size below the plain one for that", () => {
    const bytes = answer(3, fromHex("c00c"));
    expect(tryParseDns(bytes)).toMatchObject({ isResponse: true, answers: 3, udpBytes: undefined });
    const opt = fromHex("00 0029 0064 00000000 0000".replaceAll(" ", ""));
    const withOpt = concatBytes(header([1, 0, 0, 1]), EXAMPLE, fromHex("00010001"), opt);
    expect(tryParseDns(withOpt)?.udpBytes).toBe(512);
  });

  test("DN-01 refuses a message that is cut anywhere", () => {
    const whole = answer(2, fromHex("c00c"));
    expect(tryParseDns(whole)).toBeDefined();
    for (let length = 0; length < whole.length; length += 1) {
      expect([length, tryParseDns(whole.subarray(0, length))]).toEqual([length, undefined]);
    }
  });

  test("DN-02 refuses pointers to themselves, each other, forward, past the end and into the header", () => {
    const cases: Record<string, Uint8Array> = {
      itself: question(fromHex("c00c")),
      "each other": question(fromHex("c00ec00c")),
      forward: question(fromHex("c020"), new Uint8Array(32)),
      "past the end": question(fromHex("ffff")),
      header: question(fromHex("c000")),
      "its own label": question(fromHex("0161c00c")),
      "half a pointer": concatBytes(header([1, 0, 0, 0]), fromHex("c0")),
      "reserved kinds of label": question(fromHex("4100")),
    };
    for (const [what, bytes] of Object.entries(cases)) {
      expect([what, tryParseDns(bytes)]).toEqual([what, undefined]);
    }
    // Each record's name is a pointer to the one before: as far as the limit of jumps.
    const chain = (links: number) => {
      const parts = [header([1, links, 0, 0], 0x8180), EXAMPLE, fromHex("00010001")];
      let target = 12;
      let at = 12 + EXAMPLE.length + 4;
      for (let link = 0; link < links; link += 1) {
        parts.push(
          Uint8Array.of(0xc0 | (target >> 8), target & 255),
          fromHex("00010001000000000000"),
        );
        target = at;
        at += 12;
      }
      return concatBytes(...parts);
    };
    expect(tryParseDns(chain(16))).toBeDefined();
    expect(tryParseDns(chain(17))).toBeUndefined();
  });

  test("DN-03 refuses labels and names over their limits, and takes any octet in a label", () => {
    const label = (bytes: number) =>
      concatBytes(Uint8Array.of(bytes), new Uint8Array(bytes).fill(0x61));
    const end = Uint8Array.of(0);
    expect(tryParseDns(question(concatBytes(label(63), end)))).toBeDefined();
    expect(tryParseDns(question(concatBytes(label(64), end)))).toBeUndefined();
    // 255 octets with their lengths and the end, and one more.
    const long = concatBytes(label(63), label(63), label(63), label(61), end);
    expect(tryParseDns(question(long))?.question.name).toEqual(long);
    const longer = concatBytes(label(63), label(63), label(63), label(62), end);
    expect(tryParseDns(question(longer))).toBeUndefined();
    const many = (labels: number) =>
      concatBytes(...Array.from({ length: labels }, () => label(1)), end);
    expect(tryParseDns(question(many(127)))?.question.name).toEqual(many(127));
    expect(tryParseDns(question(many(128)))).toBeUndefined();
    const odd = fromHex("03002e0a00");
    expect(tryParseDns(question(odd))?.question.name).toEqual(odd);
  });

  test("DN-04 refuses counts without records, and other than one question", () => {
    const counts = [0xffff, 0xffff, 0xffff] as const;
    const body = concatBytes(EXAMPLE, fromHex("00010001"));
    expect(tryParseDns(concatBytes(header([1, ...counts]), body))).toBeUndefined();
    expect(tryParseDns(concatBytes(header([0xffff, ...counts]), body))).toBeUndefined();
    expect(tryParseDns(concatBytes(header([0, 0, 0, 0]), body))).toBeUndefined();
    expect(tryParseDns(concatBytes(header([2, 0, 0, 0]), body, body))).toBeUndefined();
    // A long answer is read as far as the limit goes, and is still an answer.
    expect(tryParseDns(answer(200, fromHex("c00c")))).toMatchObject({ records: 200 });
  });

  test("never reads past 64 records of the worst names within the time a frame has (DN-02)", () => {
    const bytes = answer(64, fromHex("c00c"));
    const rounds = 2_000;
    for (let round = 0; round < rounds; round += 1) tryParseDns(bytes);
    const from = performance.now();
    for (let round = 0; round < rounds; round += 1) tryParseDns(bytes);
    // Some microseconds each; the bound is what a busy machine never exceeds.
    expect((performance.now() - from) / rounds).toBeLessThan(1);
  });
});

describe("encodeDnsRefusal()", () => {
  test("answers with id, question and EDNS of who asked, as another codec reads it", () => {
    const asked = Uint8Array.from(
      dnsPacket.encode({
        type: "query",
        id: 9,
        flags: dnsPacket.RECURSION_DESIRED | dnsPacket.CHECKING_DISABLED,
        questions: [{ type: "AAAA", name: "example.com" }],
        additionals: [
          {
            type: "OPT",
            name: ".",
            udpPayloadSize: 4096,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ],
      }),
    );
    const bytes = encodeDnsRefusal(asked, tryParseDns(asked)!, DNS_RCODE.SERVFAIL);
    const read = dnsPacket.decode(Buffer.from(bytes));
    expect(read).toMatchObject({
      id: 9,
      type: "response",
      rcode: "SERVFAIL",
      flag_rd: true,
      flag_ra: true,
      flag_cd: true,
      flag_aa: false,
      questions: [{ name: "example.com", type: "AAAA", class: "IN" }],
      answers: [],
      additionals: [{ type: "OPT", udpPayloadSize: 4096 }],
    });
    const plain = question(EXAMPLE);
    expect(encodeDnsRefusal(plain, tryParseDns(plain)!, DNS_RCODE.REFUSED).length).toBe(
      plain.length,
    );
  });
});

describe("encodeDnsTruncated()", () => {
  test("leaves the question and says that there is more", () => {
    const long = answer(100, fromHex("c00c"));
    const read = dnsPacket.decode(Buffer.from(encodeDnsTruncated(long, tryParseDns(long)!)));
    expect(read).toMatchObject({ id: 0x1234, flag_tc: true, rcode: "NOERROR", answers: [] });
    expect(read.questions).toMatchObject([{ name: "www.example.com" }]);
  });
});

describe("tryEncodeDnsName()", () => {
  test("encodes text and refuses what is no name", () => {
    expect(tryEncodeDnsName("a.bc.")).toEqual(fromHex("0161026263 00".replace(" ", "")));
    for (const text of ["", ".", "a..b", "a".repeat(64), Array(130).fill("a").join(".")]) {
      expect([text, tryEncodeDnsName(text)]).toEqual([text, undefined]);
    }
  });
});
