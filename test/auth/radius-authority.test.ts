import { describe, expect, test } from "bun:test";
import type { OutsideRequest, OutsideVerdict } from "../../src/auth/authority.ts";
import { RadiusAuthority } from "../../src/auth/radius-authority.ts";
import type { RadiusAddress } from "../../src/auth/radius-network.ts";
import type { RadiusSettings } from "../../src/config/server-config.ts";
import {
  answerTo,
  avpOf,
  avpsOf,
  RadiusWorld,
  settingsOf,
  settle,
  textOf,
  type Avp,
} from "./radius-world.ts";

const ACCEPT = 2;
const REJECT = 3;
const CHALLENGE = 11;
const PASSWORD = new TextEncoder().encode("wonder land");
const FIRST = "10.0.0.1";
const SECOND = "10.0.0.2";
const TWO: Partial<RadiusSettings> = {
  servers: [
    { host: FIRST, port: 1812 },
    { host: SECOND, port: 1645 },
  ],
};

class AuthorityWorld extends RadiusWorld implements AsyncDisposable {
  readonly authority: RadiusAuthority;
  verdict: OutsideVerdict | undefined;

  constructor(settings: Partial<RadiusSettings> = {}) {
    super();
    this.authority = new RadiusAuthority(settingsOf(settings), this);
  }

  /** Begins a login; its verdict appears in `verdict`. */
  async login(request: Partial<OutsideRequest> = {}, signal?: AbortSignal): Promise<void> {
    this.verdict = undefined;
    void this.ask(request, signal).then((verdict) => (this.verdict = verdict));
    await settle();
  }

  ask(request: Partial<OutsideRequest> = {}, signal = new AbortController().signal) {
    return this.authority.ask(
      {
        hub: "office",
        user: "alice",
        typedUser: "alice",
        password: PASSWORD,
        address: "192.0.2.7",
        sessionInfo: "CID-1",
        ...request,
      },
      signal,
    );
  }

  get last() {
    return this.network.sent.at(-1)!;
  }

  /** Answers the last request from where it was sent to. */
  async answer(code: number, avps: readonly Avp[] = [], options = {}): Promise<void> {
    const { bytes, to, port } = this.last;
    this.network.receive(answerTo(bytes, code, avps, options), to, port);
    await settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.authority.close();
    await settle();
    expect(this.clock.pending).toBe(0);
    expect(this.network.closed).toBe(this.network.sinks.length);
  }
}

describe("RadiusAuthority.ask() sends", () => {
  test("the attributes that stock servers send, sealed, and the hub, the name and the address", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    const { bytes, to, port } = world.last;
    expect([to, port]).toEqual([FIRST, 1812]);
    const types = avpsOf(bytes).map(([type]) => type);
    expect(types).toEqual([80, 1, 2, 32, 6, 61, 64, 65, 30, 31, 66, 33]);
    const texts = [1, 32, 30, 31, 66, 33].map((type) => textOf(avpOf(bytes, type)));
    expect(texts).toEqual(["alice", "Patchbay", "office", "192.0.2.7", "192.0.2.7", "CID-1"]);
    expect([6, 61, 64, 65].map((type) => avpOf(bytes, type)![3])).toEqual([2, 5, 1, 1]);
    expect(Buffer.from(bytes).includes(PASSWORD)).toBe(false);
  });

  test.each([
    ["alice", "alice", "alice@corp.example"],
    ["Alice@CORP.example", "Alice@CORP.example", "Alice@CORP.example"],
    ["al", "alice", "al"],
  ])("%s, typed as %s, as %s where there is a realm", async (user, typedUser, name) => {
    await using world = new AuthorityWorld({ realm: "corp.example" });
    await world.login({ user, typedUser });
    expect(textOf(avpOf(world.last.bytes, 1))).toBe(name);
  });

  test("nothing for a name that does not end as the filter wants", async () => {
    await using world = new AuthorityWorld({ suffixFilter: "@corp" });
    await world.login();
    expect(world.verdict).toEqual({ kind: "rejected" });
    expect(world.network.sent).toHaveLength(0);
    await world.login({ user: "bob@CORP" });
    expect(textOf(avpOf(world.last.bytes, 1))).toBe("bob@CORP");
  });

  test.each([
    ["a password of 129 bytes", { password: new Uint8Array(129).fill(97) }],
    ["a password with a NUL", { password: Uint8Array.of(97, 0) }],
    ["a name of 254 bytes", { user: "é".repeat(127) }],
    ["an empty name", { user: "" }],
  ])("nothing for %s, and says why", async (_what, request) => {
    await using world = new AuthorityWorld();
    await world.login(request);
    expect(world.verdict).toEqual({ kind: "rejected" });
    expect(world.network.sent).toHaveLength(0);
    expect(world.logged.map(({ event }) => event)).toEqual(["radius_rejected"]);
  });
});

describe("RadiusAuthority.ask() reads", () => {
  test("what an Access-Accept grants", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    await world.answer(ACCEPT, [
      [11, "staff"],
      [11, "others"],
      [8, 0x0a010203],
      [27, 3600],
      [28, 600],
      [81, "\u000142"],
      [85, 120],
      [25, "one"],
      [25, Uint8Array.of(0, 1)],
    ]);
    expect(world.verdict).toEqual({
      kind: "accepted",
      group: "staff",
      framedAddress: "10.1.2.3",
      sessionTimeoutS: 3600,
      idleTimeoutS: 600,
      vlanId: 42,
      interimIntervalS: 120,
      class: [new TextEncoder().encode("one"), Uint8Array.of(0, 1)],
    });
  });

  test.each<[string, Avp]>([
    ["an address that the user chooses", [8, 0xffff_ffff]],
    ["an address that the server chooses", [8, 0xffff_fffe]],
    ["an address of three octets", [8, Uint8Array.of(10, 1, 2)]],
    ["a VLAN that is none", [81, "4096"]],
    ["a VLAN in words", [81, "blue"]],
    ["a session of 0 s", [27, 0]],
    ["an empty group", [11, ""]],
  ])("nothing from %s", async (_what, avp) => {
    await using world = new AuthorityWorld();
    await world.login();
    await world.answer(ACCEPT, [avp]);
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test.each([
    ["staff", "staff"],
    ["OU=staff;", "staff"],
    ["ou=staff", "staff"],
  ])("the group from Class %s", async (text, group) => {
    await using world = new AuthorityWorld({ groupFrom: "Class" });
    await world.login();
    await world.answer(ACCEPT, [[25, text]]);
    expect(world.verdict).toMatchObject({ kind: "accepted", group });
  });

  test("as much of Class as every accounting record has room for", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    const long: Avp = [25, new Uint8Array(250)];
    await world.answer(ACCEPT, [...Array<Avp>(12).fill(long), [25, "short"]]);
    const keptOf = () => (world.verdict as { class: readonly Uint8Array[] }).class;
    expect(keptOf().map(({ length }) => length)).toEqual(Array(8).fill(250));
    await world.login();
    await world.answer(ACCEPT, Array<Avp>(1300).fill([25, "x"]));
    expect(keptOf()).toHaveLength(682);
  });

  test("no group where that is off", async () => {
    await using world = new AuthorityWorld({ groupFrom: "off" });
    await world.login();
    await world.answer(ACCEPT, [[11, "staff"]]);
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test("a refusal, with the server's words in the log", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    await world.answer(REJECT, [[18, "account is locked"]]);
    expect(world.verdict).toEqual({ kind: "rejected" });
    expect(world.logged[0]).toMatchObject({ level: "info", event: "radius_rejected" });
    expect(world.logged[0]!.fields).toMatchObject({ user: "alice", reply: "account is locked" });
  });

  test("a challenge as a refusal that says what to do", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    await world.answer(CHALLENGE, [[24, "state"]]);
    expect(world.verdict).toEqual({ kind: "rejected" });
    expect(world.logged[0]!.text).toContain("code behind the password");
  });
});

describe("RadiusAuthority.ask() believes", () => {
  const forge: [string, string, (request: Uint8Array) => [Uint8Array, string, number]][] = [
    ["malformed", "a cut answer", (r) => [answerTo(r, ACCEPT).subarray(0, 30), FIRST, 1812]],
    [
      "malformed",
      "an attribute of length 0",
      (r) => {
        const answer = answerTo(r, ACCEPT, [[11, "staff"]]);
        answer[21] = 0;
        return [answer, FIRST, 1812];
      },
    ],
    [
      "unknown_identifier",
      "another identifier",
      (r) => [answerTo(r, ACCEPT, [], { identifier: r[1]! ^ 1 }), FIRST, 1812],
    ],
    ["other_address", "another address", (r) => [answerTo(r, ACCEPT), "10.0.0.9", 1812]],
    ["other_address", "another port", (r) => [answerTo(r, ACCEPT), FIRST, 1813]],
    ["unexpected_code", "another code", (r) => [answerTo(r, 5), FIRST, 1812]],
    [
      "wrong_authenticator",
      "another secret",
      (r) => [answerTo(r, ACCEPT, [], { secret: Uint8Array.of(1) }), FIRST, 1812],
    ],
    [
      "no_message_authenticator",
      "no Message-Authenticator",
      (r) => [answerTo(r, ACCEPT, [], { isSealed: false }), FIRST, 1812],
    ],
  ];

  test.each(forge)("AU-01 nothing with %s: %s", async (reason, _what, make) => {
    await using world = new AuthorityWorld();
    await world.login();
    world.network.receive(...make(world.last.bytes));
    await settle();
    expect(world.verdict).toBeUndefined();
    expect(world.authority.stats).toMatchObject({ [reason]: 1, answered: 0 });
    // The time-out goes on as it would have.
    await world.pass(14_999);
    expect(world.verdict).toBeUndefined();
    await world.pass(1);
    expect(world.verdict).toMatchObject({ kind: "unavailable" });
  });

  test("AU-01 the good answer that follows forged ones", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    const { bytes } = world.last;
    for (const [, , make] of forge) world.network.receive(...make(bytes));
    await world.answer(ACCEPT);
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test("an unsealed answer where that is allowed", async () => {
    await using world = new AuthorityWorld({ requireMessageAuthenticator: false });
    await world.login();
    await world.answer(ACCEPT, [], { isSealed: false });
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test("and complains about a server without a seal once a minute", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    for (let n = 0; n < 5; n++) await world.answer(ACCEPT, [], { isSealed: false });
    expect(world.logged.map(({ event }) => event)).toEqual(["radius_answer_refused"]);
    expect(world.logged[0]!.text).toContain("require_message_authenticator");
  });
});

describe("RadiusAuthority.ask() waits", () => {
  test("with the same bytes for one server, and gives up after the time-out", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    await world.pass(14_999);
    const sent = world.network.sent.map(({ bytes }) => Buffer.from(bytes).toString("hex"));
    expect(sent).toHaveLength(3);
    expect(new Set(sent).size).toBe(1);
    await world.pass(1);
    expect(world.verdict).toEqual({
      kind: "unavailable",
      reason: "no RADIUS server answered in time",
    });
  });

  test("AU-02 and ignores an answer after the time-out", async () => {
    await using world = new AuthorityWorld();
    await world.login();
    await world.pass(15_000);
    expect(world.verdict).toMatchObject({ kind: "unavailable" });
    await world.answer(ACCEPT);
    expect(world.verdict).toMatchObject({ kind: "unavailable" });
    expect(world.authority.stats).toMatchObject({ unknown_identifier: 1, answered: 0 });
  });

  test("and asks the next server, yet takes a late answer of the first", async () => {
    await using world = new AuthorityWorld(TWO);
    await world.login();
    const first = world.last;
    await world.pass(5000);
    expect([world.last.to, world.last.port]).toEqual([SECOND, 1645]);
    // One request must not be told from two by somebody who sees both.
    expect(world.last.bytes.subarray(4, 20)).not.toEqual(first.bytes.subarray(4, 20));
    world.network.receive(answerTo(first.bytes, ACCEPT), first.to, first.port);
    await settle();
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test("and asks a silent server last for a minute", async () => {
    await using world = new AuthorityWorld(TWO);
    const firstAsked = async () => {
      const before = world.network.sent.length;
      await world.login();
      return world.network.sent[before]!.to;
    };
    expect(await firstAsked()).toBe(FIRST);
    await world.pass(5000);
    await world.answer(ACCEPT);
    expect(await firstAsked()).toBe(SECOND);
    await world.answer(REJECT);
    expect(world.verdict).toEqual({ kind: "rejected" });
    await world.pass(60_000);
    expect(await firstAsked()).toBe(FIRST);
    await world.answer(ACCEPT);
  });

  test("for nothing where the network says that a server is not there and another one is left", async () => {
    await using world = new AuthorityWorld(TWO);
    await world.login();
    world.network.sinks[0]!.undelivered();
    await settle();
    expect(world.last.to).toBe(SECOND);
    // The second round keeps to its time.
    world.network.sinks[1]!.undelivered();
    await settle();
    expect(world.network.sent).toHaveLength(2);
    await world.pass(5000);
    expect(world.network.sent).toHaveLength(3);
    await world.answer(ACCEPT);
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test("for nothing where a name is not known and another server is left", async () => {
    await using world = new AuthorityWorld({
      servers: [
        { host: "gone.example", port: 1812 },
        { host: SECOND, port: 1812 },
      ],
    });
    await world.login();
    expect(world.last.to).toBe(SECOND);
    await world.answer(ACCEPT);
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test("for the next address of a name, and looks it up again after the last", async () => {
    await using world = new AuthorityWorld({ servers: [{ host: "radius.example", port: 1812 }] });
    world.network.names.set("radius.example", ["2001:db8::1", FIRST]);
    await world.login();
    await world.pass(5000);
    world.network.names.set("radius.example", [SECOND]);
    await world.pass(5000);
    expect(world.network.sent.map(({ to }) => to)).toEqual(["2001:db8::1", FIRST, SECOND]);
    expect(world.network.lookups).toHaveLength(2);
    await world.answer(ACCEPT);
    expect(world.verdict).toEqual({ kind: "accepted" });
  });

  test("no longer when the login is given up or the authority closes", async () => {
    await using world = new AuthorityWorld();
    const leaving = new AbortController();
    await world.login({}, leaving.signal);
    leaving.abort();
    await settle();
    expect(world.verdict).toMatchObject({ kind: "unavailable" });
    await world.login();
    world.authority.close();
    await settle();
    expect(world.verdict).toMatchObject({ kind: "unavailable" });
  });

  test("no longer when the authority closes while a name is looked up, and opens no socket then", async () => {
    await using world = new AuthorityWorld({ servers: [{ host: "radius.example", port: 1812 }] });
    const found = Promise.withResolvers<readonly RadiusAddress[]>();
    world.network.resolve = () => found.promise;
    await world.login();
    world.authority.close();
    found.resolve([{ family: 4, text: FIRST }]);
    await settle();
    expect(world.verdict).toMatchObject({ kind: "unavailable" });
    expect(world.network.sinks).toHaveLength(0);
  });

  test("AU-03 for all servers down: 64 of 100 logins fail by their time-out, the rest at once", async () => {
    await using world = new AuthorityWorld(TWO);
    const verdicts: OutsideVerdict[] = [];
    for (let n = 0; n < 100; n++) {
      void world.ask({ user: `user${n}` }).then((verdict) => verdicts.push(verdict));
    }
    await world.pass(14_999);
    expect(verdicts).toHaveLength(36);
    expect(world.authority.stats.shed).toBe(36);
    await world.pass(1);
    expect(verdicts).toHaveLength(100);
    expect(verdicts.every(({ kind }) => kind === "unavailable")).toBe(true);
    // All 64 identifiers that were open towards one server differed.
    const first = world.network.sent.filter(({ to }) => to === FIRST).slice(0, 64);
    expect(new Set(first.map(({ bytes }) => bytes[1])).size).toBe(64);
  });
});
