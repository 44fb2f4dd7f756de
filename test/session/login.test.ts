import { verify, X509Certificate } from "node:crypto";
import { describe, expect, test } from "bun:test";
import { MAX_SIGNATURE_BYTES, WATERMARK_BYTES } from "../../src/base/limits.ts";
import { DEFAULT_POLICY, POLICY_ITEMS } from "../../src/config/policy.ts";
import { hashUserPassword, securePassword } from "../../src/crypto/password.ts";
import {
  checkSignature,
  encodeHello,
  isNoop,
  isPackReply,
  isPackRequest,
  packReply,
  packRequest,
  parseHello,
  signatureRequest,
} from "../../src/session/handshake.ts";
import { encodeLogin, parseLogin, type OutgoingLogin } from "../../src/session/login.ts";
import { encodeWelcome, parseWelcome, type Welcome } from "../../src/session/welcome.ts";
import { HttpReader } from "../../src/transport/http-message.ts";
import { grantStream, type StreamOptions } from "../../src/session/stream-options.ts";
import { Pack } from "../../src/wire/pack.ts";
import control from "../vectors/control_replies.json" with { type: "json" };
import full from "../vectors/login_password_welcome.json" with { type: "json" };
import requests from "../vectors/real_client_requests.json" with { type: "json" };
import ipv6 from "../vectors/welcome_ipv6_udp.json" with { type: "json" };
import { fromHex, toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { streamOf } from "../support/stream-options.ts";

const packOf = (hex: string) => Pack.parse(fromHex(hex));
const read = (bytes: Uint8Array) => {
  const reader = new HttpReader(() => 1 << 20);
  reader.push(bytes);
  return reader.next()!;
};
const text = (value: string) => new TextEncoder().encode(value);

const recorded = requests.flatMap((request) =>
  request.body_hex === undefined
    ? []
    : [{ ...request, pack: packOf(request.body_hex), http: request.http! }],
);
const logins = recorded.filter(({ pack }) => pack.str("method") === "login");
const loginOf = (name: string) => parseLogin(logins.find((one) => one.case === name)!.pack)!;

describe("checkSignature()", () => {
  test("takes the short form and nothing like it", () => {
    expect(checkSignature(text("VPNCONNECT"))).toBe("good");
    expect(checkSignature(text("VPNCONNECt"))).toBe("wrong_content");
    for (const size of [0, 9, 11, WATERMARK_BYTES - 1, MAX_SIGNATURE_BYTES + 1]) {
      expect(checkSignature(new Uint8Array(size))).toBe("wrong_length");
    }
    for (const size of [WATERMARK_BYTES, MAX_SIGNATURE_BYTES]) {
      expect(checkSignature(new Uint8Array(size))).toBe("wrong_content");
    }
  });

  test("signatureRequest() is what a server takes", () => {
    const { head, body } = read(signatureRequest("[2001:db8::1]"));
    expect([head.first, head.second, head.third]).toEqual([
      "POST",
      "/vpnsvc/connect.cgi",
      "HTTP/1.1",
    ]);
    expect(head.fields.get("content-type")).toBe("image/jpeg");
    expect(head.fields.get("host")).toBe("[2001:db8::1]");
    expect(checkSignature(body)).toBe("good");
  });
});

describe("hello", () => {
  test("parseHello() reads that of a real server", () => {
    const hello = parseHello(packOf(full.hello.body_hex));
    expect(hello).toMatchObject({ version: 501, build: 9674 });
    expect(hello.product).toStartWith("SoftEther VPN Server");
    expect(toHex(hello.random)).toBe("a80b015dc312060e691b83879134f02b09f02c1d");
  });

  test("encodeHello() and parseHello() agree", () => {
    const hello = { product: "P", version: 502, build: 9700, random: seededRandom(1).bytes(20) };
    expect(parseHello(Pack.parse(encodeHello(hello).encode()))).toEqual(hello);
  });

  test("parseHello() takes no answer without a name, or with a challenge of another size", () => {
    const good = () =>
      encodeHello({ product: "P", version: 1, build: 1, random: new Uint8Array(20) });
    for (const bad of [
      good().setStr("hello"),
      good().setInt("hello", 1),
      good().setData("random"),
      good().setData("random", new Uint8Array(19)),
      good().setData("random", new Uint8Array(21)),
    ]) {
      expect(() => parseHello(bad)).toThrow("did not greet");
    }
  });
});

describe("PACKs over HTTP", () => {
  const deps = { random: seededRandom(2), wall: Date.UTC(2026, 10, 22, 11, 29, 7) };

  test("isPackRequest() takes the requests of real clients, and ours", () => {
    for (const { http } of recorded) {
      const head = Buffer.from(`${http.join("\r\n").replace(/Length: \d+/, "Length: 0")}\r\n\r\n`);
      expect(isPackRequest(read(head).head)).toBe(true);
    }
    const { head, body } = read(packRequest("a", new Pack().setInt("error", 1), deps));
    expect(isPackRequest(head)).toBe(true);
    expect(head.fields.get("date")).toBe("Sun, 22 Nov 2026 11:29:07 GMT");
    expect(Pack.parse(body).int("error")).toBe(1);
    expect(Pack.parse(body).has("pencore")).toBe(true);
  });

  const REQUESTS = [
    "GET /vpnsvc/vpn.cgi HTTP/1.1\r\nContent-Type: application/octet-stream\r\n\r\n",
    "POST /vpnsvc/vpn.cg HTTP/1.1\r\nContent-Type: application/octet-stream\r\n\r\n",
    "POST /vpnsvc/vpn.cgi HTTP/1.0\r\nContent-Type: application/octet-stream\r\n\r\n",
    "POST /vpnsvc/vpn.cgi HTTP/1.1\r\nContent-Type: image/jpeg\r\n\r\n",
    "POST /vpnsvc/vpn.cgi HTTP/1.1\r\n\r\n",
  ];
  test.each(REQUESTS)("isPackRequest() does not take %j", (request) => {
    expect(isPackRequest(read(Buffer.from(request)).head)).toBe(false);
  });

  test("isPackReply() takes the replies of a real server, and ours, and no page", () => {
    for (const { http } of [full.hello, full.reply]) {
      const head = Buffer.from(`${http.join("\r\n").replace(/Length: \d+/, "Length: 0")}\r\n\r\n`);
      expect(isPackReply(read(head).head)).toBe(true);
    }
    expect(isPackReply(read(packReply(new Pack(), deps)).head)).toBe(true);
    for (const head of [
      "HTTP/1.1 403 Forbidden\r\nContent-Type: application/octet-stream\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
      "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n",
    ]) {
      expect(isPackReply(read(Buffer.from(head)).head)).toBe(false);
    }
  });

  test("isNoop() is true of 1 and 2 alone, as recorded", () => {
    const noop = control.find(({ name }) => name === "noop")!;
    expect(isNoop(packOf(noop.request.body_hex!))).toBe(true);
    expect(isNoop(packOf(noop.reply.body_hex!))).toBe(true);
    expect(isNoop(new Pack().setInt("noop", 0))).toBe(false);
    expect(isNoop(new Pack().setInt("noop", 3))).toBe(false);
    expect(isNoop(new Pack().setStr("noop", "1"))).toBe(false);
    expect(isNoop(new Pack())).toBe(false);
  });
});

describe("parseLogin()", () => {
  test("reads every login that real clients sent", () => {
    expect(logins.length).toBeGreaterThan(6);
    for (const { pack } of logins) {
      const login = parseLogin(pack)!;
      expect(login.hub).toBe("VPN");
      expect(login.clientProduct).toStartWith("SoftEther VPN");
      expect([login.clientVersion, login.clientBuild]).toEqual([501, 9674]);
      expect(login.installation.length).toBe(16);
      expect(login.hostName).not.toBe("");
    }
  });

  test("reads the proof of a password, which is the one that our hash gives", () => {
    const { proof, user, stream } = loginOf("a");
    if (proof.kind !== "hashed-password") throw new Error(proof.kind);
    const expected = securePassword(hashUserPassword("alice", text("wonderland")), CHALLENGE);
    expect(toHex(proof.secure)).toBe(toHex(expected));
    expect([user, stream.connections]).toEqual(["alice", 2]);
  });

  test("reads the other ways to log in", () => {
    const plain = loginOf("radius").proof;
    expect(plain.kind).toBe("plain-password");
    expect(loginOf("anon").proof).toEqual({ kind: "anonymous" });
    const cert = loginOf("cert").proof;
    if (cert.kind !== "certificate") throw new Error(cert.kind);
    const key = new X509Certificate(cert.der).publicKey;
    expect(verify("sha1", CHALLENGE, key, cert.signature)).toBe(true);
    const ticket = logins.filter((one) => one.case === "redir").map(({ pack }) => pack);
    expect(ticket.map((pack) => parseLogin(pack)!.proof)).toContainEqual({
      kind: "unsupported",
      authType: 99,
    });
  });

  test("takes a client for a network's if it says so, or by its name alone", () => {
    expect(loginOf("a").wantsBridge).toBe(false);
    expect(loginOf("casc").wantsBridge).toBe(true);
    const named = (name: string) =>
      parseLogin(
        new Pack().setStr("hubname", "H").setStr("username", "u").setStr("client_str", name),
      )!.wantsBridge;
    expect(named("My VPN BRIDGE")).toBe(true);
    expect(named("some server")).toBe(true);
    expect(named("Client")).toBe(false);
  });

  test("needs a hub and a user and nothing else", () => {
    expect(parseLogin(new Pack().setStr("hubname", "H"))).toBeUndefined();
    expect(parseLogin(new Pack().setStr("username", "u"))).toBeUndefined();
    const least = parseLogin(new Pack().setStr("hubname", "H").setStr("username", "u"));
    expect(least).toEqual({
      hub: "H",
      user: "u",
      proof: { kind: "anonymous" },
      clientProduct: "",
      clientVersion: 0,
      clientBuild: 0,
      clientId: 0,
      stream: streamOf({ connections: 1, isEncrypted: false }),
      wantsBridge: false,
      wantsMonitor: false,
      installation: new Uint8Array(16),
      hostName: "",
      osName: "",
    });
  });

  test("PK-10 elements of the wrong type are as good as absent", () => {
    const pack = new Pack()
      .setStr("hubname", "H")
      .setStr("username", "u")
      .setInt("authtype", 1)
      .setInt("secure_password", 5)
      .setStr("max_connection", "8")
      .setStr("UniqueId", "id");
    expect(parseLogin(pack)).toMatchObject({
      proof: { kind: "hashed-password", secure: new Uint8Array(0) },
      stream: streamOf({ connections: 1, isEncrypted: false }),
      installation: new Uint8Array(16),
    });
  });
});

/** Of the server that the recorded clients met. */
const CHALLENGE = fromHex("000102030405060708090a0b0c0d0e0f10111213");

const outgoing: OutgoingLogin = {
  hub: "VPN",
  user: "alice",
  proof: { kind: "hashed-password", secure: seededRandom(4).bytes(20) },
  clientProduct: "Patchbay VPN Client",
  stream: streamOf({ connections: 3 }),
  mode: "client",
  hostKey: seededRandom(5).bytes(20),
  node: {
    product: "Patchbay VPN Client",
    osName: "Linux",
    osVersion: "x64",
    hostName: "host.example",
    clientAddress: "192.0.2.7",
    clientPort: 50_000,
    serverProduct: "S",
    serverVersion: 502,
    serverBuild: 5187,
    serverHost: "vpn.example",
    serverAddress: "198.51.100.1",
    serverPort: 443,
    proxy: undefined,
    installation: seededRandom(6).bytes(16),
  },
};

describe("encodeLogin()", () => {
  test("parseLogin() reads what it wrote, for each way to log in", () => {
    const ways: OutgoingLogin["proof"][] = [
      outgoing.proof,
      { kind: "anonymous" },
      { kind: "plain-password", password: text("päss wörd") },
    ];
    for (const proof of ways) {
      const login = parseLogin(Pack.parse(encodeLogin({ ...outgoing, proof }).encode()))!;
      expect(login).toMatchObject({ hub: "VPN", user: "alice", stream: outgoing.stream, proof });
      expect(login).toMatchObject({
        wantsBridge: false,
        wantsMonitor: false,
        hostName: "host.example",
      });
      expect(toHex(login.installation)).toBe(toHex(outgoing.node.installation));
    }
    const bridge = Pack.parse(encodeLogin({ ...outgoing, mode: "bridge" }).encode());
    expect(parseLogin(bridge)!.wantsBridge).toBe(true);
  });

  test("names only elements that a real client sends, in their types, and every one that a server may look at", () => {
    const pack = encodeLogin(outgoing);
    const real = logins.find((one) => one.case === "a")!.pack;
    const names = (of: Pack) => of.names.map((name) => name.toLowerCase());
    expect(names(pack).filter((name) => !names(real).includes(name))).toEqual([]);
    for (const name of pack.names) {
      const kinds = (of: Pack) =>
        [of.int(name), of.data(name), of.str(name)].map((v) => v === undefined);
      expect([name, kinds(pack)]).toEqual([name, kinds(real)]);
    }
  });

  test("ports and versions of the node information travel byte-swapped", () => {
    const pack = encodeLogin(outgoing);
    expect(pack.int("ServerPort2")).toBe(0xbb010000);
    expect(pack.int("ClientPort")).toBe(0x50c30000);
    expect(pack.int("ServerProductVer")).toBe(0xf6010000);
    expect(pack.address("ClientIpAddress")).toBe("192.0.2.7");
    expect(pack.int("ClientIpAddress")).toBe(0x070200c0);
  });

  test("a proxy is told of where there is one", () => {
    const proxy = { host: "proxy.example", address: "203.0.113.9", port: 3128 };
    const pack = encodeLogin({ ...outgoing, node: { ...outgoing.node, proxy } });
    expect([pack.str("ProxyHostname"), pack.address("ProxyIpAddress")]).toEqual([
      "proxy.example",
      "203.0.113.9",
    ]);
    expect(pack.int("ProxyPort")).toBe(0x380c0000);
    expect(encodeLogin(outgoing).address("ProxyIpAddress")).toBe("0.0.0.0");
  });

  test("an IPv6 address is sent beside an unset IPv4 one", () => {
    const node = { ...outgoing.node, clientAddress: "2001:db8::7", serverAddress: "fe80::1" };
    const pack = encodeLogin({ ...outgoing, node });
    expect(pack.int("ClientIpAddress")).toBe(0);
    expect(toHex(pack.data("ClientIpAddress6")!)).toBe("20010db8000000000000000000000007");
  });
});

describe("welcome", () => {
  const welcome: Welcome = {
    sessionName: "SID-ALICE-7",
    connectionName: "CID-9",
    sessionKey: seededRandom(7).bytes(20),
    stream: streamOf({ connections: 8 }),
    timeoutMs: 20_000,
    policy: {
      ...DEFAULT_POLICY,
      no_bridge: true,
      max_mac: 12,
      vlan_id: 99,
      max_upload: 4_294_967_295,
    },
    message: "Grüß Gott 漢",
  };

  test("parseWelcome() reads that of a real server", () => {
    const parsed = parseWelcome(packOf(full.reply.body_hex), streamOf({ connections: 8 }));
    expect(parsed).toMatchObject({
      connectionName: "CID-99",
      stream: streamOf({ connections: 1 }),
      timeoutMs: 20_000,
    });
    expect(parsed.sessionName).toStartWith("SID-ALICE-");
    expect(parsed.sessionKey.length).toBe(20);
    expect(parsed.policy).toMatchObject({ access: true, no_bridge: true, max_connection: 32 });
  });

  test("parseWelcome() reads one that grants more than we know of", () => {
    expect(
      parseWelcome(packOf(ipv6.welcome.body_hex), streamOf({ connections: 8 })).timeoutMs,
    ).toBe(20_000);
  });

  test("encodeWelcome() and parseWelcome() agree", () => {
    expect(
      parseWelcome(Pack.parse(encodeWelcome(welcome).encode()), streamOf({ connections: 32 })),
    ).toEqual(welcome);
  });

  test("encodeWelcome() names all that a real server names", () => {
    const real = packOf(full.reply.body_hex);
    const ours = encodeWelcome(welcome).addFiller(seededRandom(1));
    const missing = real.names.filter((name) => !ours.has(name));
    expect(missing).toEqual([]);
    for (const item of POLICY_ITEMS) expect(ours.int(`policy:${item.wire}`)).toBeDefined();
    expect(ours.int("policy:Ver3")).toBe(1);
  });

  test("encodeWelcome() takes a key that is a part of other bytes", () => {
    const around = seededRandom(8).bytes(32);
    const key = around.subarray(4, 24);
    const pack = encodeWelcome({ ...welcome, sessionKey: key });
    expect(pack.int("session_key_32")).toBe(new DataView(around.buffer).getUint32(4));
  });

  test("parseWelcome() needs both names and a key of 20 bytes", () => {
    for (const spoil of [
      (pack: Pack) => pack.setStr("session_name"),
      (pack: Pack) => pack.setStr("connection_name"),
      (pack: Pack) => pack.setData("session_key"),
      (pack: Pack) => pack.setData("session_key", new Uint8Array(19)),
    ]) {
      expect(() =>
        parseWelcome(spoil(encodeWelcome(welcome)), streamOf({ connections: 8 })),
      ).toThrow("names no session");
    }
  });

  test("parseWelcome() takes no stream in clear and no compression that nobody asked for", () => {
    const wish = streamOf({ connections: 8 });
    const inClear = encodeWelcome(welcome).setInt("use_encrypt", 0);
    expect(() => parseWelcome(inClear, wish)).toThrow("in clear");
    expect(parseWelcome(inClear, { ...wish, isEncrypted: false }).stream.isEncrypted).toBe(false);
    const ours = { ...welcome, stream: streamOf({ connections: 8, compression: "lz4" }) };
    expect(() => parseWelcome(encodeWelcome(ours), wish)).toThrow("as nobody asked it to");
    const silent = encodeWelcome(welcome).setInt("use_encrypt").setInt("half_connection");
    expect(parseWelcome(silent, wish).stream).toEqual(wish);
  });

  test.each([
    [{}, { connections: 8 }],
    [{ isEncrypted: false }, { connections: 8, isEncrypted: false }],
    [{ compression: "deflate" }, { connections: 8, compression: "deflate" }],
    [{ compression: "lz4" }, { connections: 8, compression: "lz4" }],
    [
      { isHalfDuplex: true, hasQos: true },
      { connections: 8, isHalfDuplex: true, hasQos: true },
    ],
  ] satisfies [Partial<StreamOptions>, Partial<StreamOptions>][])(
    "a stream with %j is wished, granted and read alike",
    (change, granted) => {
      const wish = streamOf({ connections: 8, ...change });
      const login = parseLogin(encodeLogin({ ...outgoing, stream: wish }))!;
      expect(login.stream).toEqual(wish);
      const grant = grantStream(login.stream, {
        connections: 32,
        allowsPlaintext: true,
        allowsQos: true,
      });
      const read = parseWelcome(encodeWelcome({ ...welcome, stream: grant }), wish);
      expect(read.stream).toEqual(streamOf(granted));
    },
  );

  test("grantStream() raises too few connections to what the lanes and directions need, and no further", () => {
    const grant = (wish: Partial<StreamOptions>, connections = 32, allowsQos = true) =>
      grantStream(streamOf(wish), { connections, allowsPlaintext: false, allowsQos });
    expect(grant({ isHalfDuplex: true }).connections).toBe(2);
    expect(grant({ hasQos: true }, 1).connections).toBe(2);
    expect(grant({ hasQos: true, isHalfDuplex: true }).connections).toBe(4);
    expect(grant({ hasQos: true }, 32, false)).toMatchObject({ connections: 1, hasQos: false });
    expect(grant({ connections: 9 }, 3).connections).toBe(3);
    expect(grant({ isEncrypted: false }).isEncrypted).toBe(true);
  });

  test("parseWelcome() brings values into their range", () => {
    const of = (change: (pack: Pack) => void, wish = 8) => {
      const pack = encodeWelcome(welcome);
      change(pack);
      return parseWelcome(pack, streamOf({ connections: wish }));
    };
    expect(of((p) => p.setInt("max_connection", 33), 40).stream.connections).toBe(32);
    expect(of((p) => p.setInt("max_connection", 8), 2).stream.connections).toBe(2);
    expect(of((p) => p.setInt("max_connection", 0)).stream.connections).toBe(1);
    expect(of((p) => p.setInt("max_connection")).stream.connections).toBe(1);
    expect(of((p) => p.setInt("timeout", 1)).timeoutMs).toBe(5_000);
    expect(of((p) => p.setInt("timeout", 4_294_967_295)).timeoutMs).toBe(60_000);
    expect(of((p) => p.setInt("timeout")).timeoutMs).toBe(20_000);
    expect(of((p) => p.setData("Msg", Uint8Array.of(0xff, 0x41))).message).toBe("\ufffdA");
    expect(of((p) => p.setInt("policy:Access")).policy.access).toBe(false);
  });
});
