import { expect, test } from "bun:test";
import dnsPacket from "dns-packet";
import { tryParseDns } from "../../src/wire/dns.ts";
import { fuzz } from "./fuzz.ts";

const OPT: dnsPacket.OptAnswer = {
  type: "OPT",
  name: ".",
  udpPayloadSize: 1232,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

const SEEDS = [
  dnsPacket.encode({
    type: "query",
    id: 1,
    questions: [{ type: "A", name: "www.example.com" }],
    additionals: [OPT],
  }),
  dnsPacket.encode({
    type: "response",
    id: 1,
    questions: [{ type: "TXT", name: "example.com" }],
    answers: [
      { type: "CNAME", name: "example.com", data: "other.example.com" },
      { type: "TXT", name: "other.example.com", data: ["text", "more"] },
    ],
    authorities: [{ type: "NS", name: "example.com", data: "ns.example.com" }],
    additionals: [{ type: "AAAA", name: "ns.example.com", data: "2001:db8::1" }, OPT],
  }),
].map((bytes) => Uint8Array.from(bytes));

/** What the twin makes of the question; undefined where it refuses the message, of which it reads more than we do. */
function twin(bytes: Uint8Array): { id: number; type: string; name: string } | undefined {
  try {
    const read = dnsPacket.decode(Buffer.from(bytes));
    const [question] = read.questions ?? [];
    return question === undefined
      ? undefined
      : { id: read.id!, type: read.type!, name: question.name };
  } catch {
    return undefined;
  }
}

function textOf(name: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 0; name[at] !== 0; at += 1 + name[at]!)
    labels.push(Buffer.from(name.subarray(at + 1, at + 1 + name[at]!)).toString());
  return labels.length === 0 ? "." : labels.join(".");
}

test("fuzz: what tryParseDns() takes is within its bounds, and another codec reads the same question", () => {
  let agreed = 0;
  const { accepted } = fuzz({
    name: "dns",
    seeds: SEEDS,
    target: (bytes) => {
      const read = tryParseDns(bytes);
      if (read === undefined) return false;
      const { name } = read.question;
      if (name.length > 255 || name.at(-1) !== 0) throw new Error("a name over its limit");
      if (read.questionEnd > bytes.length) throw new Error("a question past the end");
      const other = twin(bytes);
      if (other === undefined) return true;
      expect(other).toEqual({
        id: read.id,
        type: read.isResponse ? "response" : "query",
        name: textOf(name),
      });
      agreed += 1;
      return true;
    },
  });
  expect(accepted).toBeGreaterThan(1000);
  expect(agreed).toBeGreaterThan(500);
});
