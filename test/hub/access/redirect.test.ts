import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { redirectUrl } from "../../../src/hub/access/redirect.ts";
import { finishChecksum, internetChecksum, sumWords } from "../../../src/wire/checksum.ts";
import { AccessWorld, pass, type Who } from "./access-world.ts";
import { ACK, bytesOf, FRAME, FRAME6, type Made, SYN } from "./reference.ts";

const ALICE = { user: "alice", session: "SID-ALICE-7", address: "192.0.2.1" };
const AT = Date.UTC(2026, 10, 22, 20, 5, 9);
const INFO = "alice|SID-ALICE-7|192.0.2.1|20261122200509";
const sha1 = (text: string) => createHash("sha1").update(text).digest("hex").toUpperCase();

describe("redirectUrl()", () => {
  test("leaves a URL without <INFO> as it is", () => {
    expect(redirectUrl("http://a/?b|c", ALICE, AT)).toBe("http://a/?b|c");
  });

  test("fills in user, session, address and time", () => {
    expect(redirectUrl("http://a/?<INFO>&<info>", ALICE, AT)).toBe(`http://a/?${INFO}&${INFO}`);
  });

  test("signs them with the secret, which it takes out", () => {
    const signed = `${INFO}|${sha1(`${INFO}|hush`)}`;
    expect(redirectUrl("http://a/?<INFO>&x|hush", ALICE, AT)).toBe(`http://a/?${signed}&x`);
    // What an empty secret would prove nobody could check.
    expect(redirectUrl("http://a/?<INFO>|", ALICE, AT)).toBe(`http://a/?${INFO}`);
  });

  test("encodes what it fills in, and signs it as it is", () => {
    const odd = { ...ALICE, user: "$&|ä \r\nX: y", address: "2001:db8::1" };
    const plain = `${odd.user}|SID-ALICE-7|2001:db8::1|20261122200509`;
    const url = redirectUrl("http://a/?<INFO>|hush", odd, AT);
    expect(url).toMatch(/^[!-~]+$/);
    expect(url).toBe(
      "http://a/?%24%26%7C%C3%A4%20%0D%0AX%3A%20y|SID-ALICE-7|2001%3Adb8%3A%3A1|20261122200509|" +
        sha1(`${plain}|hush`),
    );
  });
});

const RULE = pass({ family: 4, proto: 6, redirect: "http://portal.example/?a=1&b=<INFO>|hush" });
const RULES = [RULE, { ...RULE, family: 6 as const }];
const DATA = new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n");

function open(who: Who = {}) {
  const world = new AccessWorld(RULES);
  const client = world.attach("alice", who);
  const server = world.attach("server");
  server.send(bytesOf({ ...FRAME, fromMac: FRAME.toMac, toMac: FRAME.fromMac, proto: 17 }));
  client.take();
  return { world, client, server };
}

function answerTo(made: Made) {
  const { world, client, server } = open({ address: "192.0.2.1" });
  client.send(bytesOf(made, DATA));
  expect(server.take()).toEqual([]);
  const [answer, ...more] = client.take();
  expect(more).toEqual([]);
  expect(client.at.counters.record().drops).toEqual({});
  world.close();
  return answer!;
}

describe.each([
  ["IPv4", FRAME, 20],
  ["IPv6", FRAME6, 40],
  ["IPv4 with a tag", { ...FRAME, tag: 5 }, 20],
] as const)("a request over %s is answered in the name of its server", (_name, made, ipBytes) => {
  const answer = answerTo(made);
  const view = new DataView(answer.buffer);
  const ip = made.tag === 0 ? 14 : 18;
  const tcp = ip + ipBytes;
  const request = bytesOf(made, DATA);

  test("by a frame that goes back", () => {
    expect(answer.subarray(0, 6)).toEqual(request.subarray(6, 12));
    expect(answer.subarray(6, 12)).toEqual(request.subarray(0, 6));
    expect(answer.subarray(12, ip)).toEqual(request.subarray(12, ip));
  });

  test("from its address to that of the client, whole, with right checksums", () => {
    const [at, size] = ipBytes === 20 ? [ip + 12, 4] : [ip + 8, 16];
    expect(answer.subarray(at, at + size)).toEqual(request.subarray(at + size, at + 2 * size));
    expect(answer.subarray(at + size, at + 2 * size)).toEqual(request.subarray(at, at + size));
    if (ipBytes === 20) {
      expect(view.getUint16(ip + 2)).toBe(answer.length - ip);
      expect(view.getUint8(ip + 8)).toBe(128);
      expect(internetChecksum(answer, ip, tcp)).toBe(0);
    } else {
      expect(view.getUint16(ip + 4)).toBe(answer.length - tcp);
      expect(view.getUint8(ip + 7)).toBe(64);
    }
    const pseudo = sumWords(answer, at, at + 2 * size) + 6 + (answer.length - tcp);
    expect(finishChecksum(sumWords(answer, tcp, answer.length, pseudo))).toBe(0);
  });

  test("with the numbers of the segment that follows, and its end", () => {
    expect([view.getUint16(tcp), view.getUint16(tcp + 2)]).toEqual([made.toPort, made.fromPort]);
    expect(view.getUint32(tcp + 4)).toBe(4_000_000_002);
    expect(view.getUint32(tcp + 8)).toBe(3_000_000_001 + DATA.length);
    expect(view.getUint8(tcp + 12)).toBe(0x50);
    expect(view.getUint8(tcp + 13)).toBe(0x19);
    expect(view.getUint16(tcp + 14)).toBe(0xffff);
  });

  test("and with where to go, in a page as long as it says", () => {
    const [head, body] = new TextDecoder().decode(answer.subarray(tcp + 20)).split("\r\n\r\n");
    const lines = head!.split("\r\n");
    const location = lines.find((line) => line.startsWith("Location: "))!.slice(10);
    const [, who] = /^http:\/\/portal\.example\/\?a=1&b=(.*)$/.exec(location)!;
    const parts = who!.split("|");
    const signed = parts.slice(0, 4).join("|");
    expect(signed).toBe("alice|alice|192.0.2.1|20261122000000");
    expect(parts[4]).toBe(sha1(`${signed}|hush`));
    expect(lines[0]).toBe("HTTP/1.1 302 Found");
    expect(lines).toContain(`Content-Length: ${body!.length}`);
    expect(lines).toContain("Cache-Control: no-store");
    expect(body).toContain('href="http://portal.example/?a=1&#38;b=alice|');
    expect(head + body!).not.toContain("hush");
  });
});

test.each([
  ["no data", { ...FRAME }, new Uint8Array(0)],
  ["SYN", { ...FRAME, flags: SYN | ACK }, DATA],
  ["RST", { ...FRAME, flags: ACK | 0x04 }, DATA],
  ["URG", { ...FRAME, flags: ACK | 0x20 }, DATA],
  ["no ACK", { ...FRAME, flags: 0 }, DATA],
])("a segment with %s passes as the rule says", (_name, made, data) => {
  const { world, client, server } = open();
  client.send(bytesOf(made, data));
  expect(client.take()).toEqual([]);
  expect(server.take()).toHaveLength(1);
  world.close();
});

test("a session of the server itself is not answered, its request is dropped", () => {
  const { world, client, server } = open({ kind: "cascade" });
  client.send(bytesOf(FRAME, DATA));
  expect(client.take()).toEqual([]);
  expect(server.take()).toEqual([]);
  expect(client.at.counters.record().drops).toEqual({ access_list: 1 });
  world.close();
});

test("FIN with the request counts as one byte more", () => {
  const answer = answerTo({ ...FRAME, flags: ACK | 0x01 });
  expect(new DataView(answer.buffer).getUint32(34 + 8)).toBe(3_000_000_001 + DATA.length + 1);
});

test("names that leave no room for a link still get an answer of one segment, longer ones none", () => {
  for (const [chars, kind] of [
    [60, "link"],
    [150, "text"],
    [255, "none"],
  ] as const) {
    const { world, client } = open({ user: "ä".repeat(chars) });
    client.send(bytesOf(FRAME, DATA));
    const text = new TextDecoder().decode(client.take()[0] ?? new Uint8Array(54));
    expect([
      chars,
      text.includes("<a href") ? "link" : text.includes("302") ? "text" : "none",
    ]).toEqual([chars, kind]);
    world.close();
  }
});
