import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { hashAdminPassword, hashUserPassword, securePassword } from "../../src/crypto/password.ts";
import { Pack } from "../../src/wire/pack.ts";
import { fromHex, toHex } from "../support/hex.ts";

const FOLDER = `${import.meta.dir}/../vectors`;
/** Keys under which recorded PACKs stand; the first step of the client service is no PACK. */
const PACK_KEYS = ["body_hex", "pack_hex", "request_hex", "response_hex"];
const NOT_PACKS = new Set(["client_service_session.steps.0"]);

interface Recorded {
  readonly path: string;
  readonly hex: string;
  readonly elements: readonly RecordedElement[] | undefined;
}
interface RecordedElement {
  readonly name: string;
  readonly type: string;
  readonly values: readonly (string | number)[];
}

/** Every PACK in a vector file, with the place where it stands. */
function* recordedPacks(value: unknown, path: readonly string[] = []): Generator<Recorded> {
  if (typeof value !== "object" || value === null || NOT_PACKS.has(path.join("."))) return;
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, key];
    if (PACK_KEYS.includes(key) && typeof inner === "string") {
      const beside = key === "body_hex" ? "elements" : key.slice(0, -"_hex".length);
      const elements = (value as Record<string, unknown>)[beside] as Recorded["elements"];
      yield { path: at.join("."), hex: inner, elements };
    } else yield* recordedPacks(inner, at);
  }
}

async function readVectors(file: string): Promise<unknown> {
  return Bun.file(`${FOLDER}/${file}`).json();
}

describe("recorded PACKs", async () => {
  let seen = 0;
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".json"))) {
    const packs = [...recordedPacks(await readVectors(file))];
    seen += packs.length;
    if (packs.length === 0) continue;

    test(`${file}: encode() gives the ${packs.length} recorded messages back`, () => {
      for (const { path, hex } of packs) {
        const pack = Pack.parse(fromHex(hex));
        expect({ path, hex: toHex(pack.encode()) }).toEqual({ path, hex });
        expect(pack.trailingBytes).toBe(0);
      }
    });

    test(`${file}: accessors read the values that were decoded beside the bytes`, () => {
      for (const { hex, elements } of packs) {
        const pack = Pack.parse(fromHex(hex));
        for (const element of elements ?? []) expectElement(pack, element);
      }
    });
  }

  test("every recording was found", () => expect(seen).toBe(99));
});

function expectElement(pack: Pack, { name, type, values }: RecordedElement): void {
  // What is random or secret stands as a remark in angle brackets.
  if (values.some((value) => typeof value === "string" && value.startsWith("<"))) return;
  const read = values.map((_, index) => {
    switch (type) {
      case "int":
        return pack.int(name, index);
      case "int64":
        return String(pack.int64(name, index));
      case "str":
        return pack.str(name, index);
      case "unistr":
        return pack.unistr(name, index);
      default:
        return toHex(pack.data(name, index)!);
    }
  });
  const expected = values.map((value) =>
    type === "int64"
      ? String(value)
      : type === "int" || type === "data"
        ? value
        : String(value).trim(),
  );
  expect({ name, read }).toEqual({ name, read: expected });
  expect(pack.valueCount(name)).toBe(values.length);
}

describe("recorded login proofs", () => {
  const text = (value: string) => new TextEncoder().encode(value);
  const alice = hashUserPassword("alice", text("wonderland"));

  interface Request {
    readonly case?: string;
    readonly server_random?: string;
    readonly body_hex?: string;
  }
  test("securePassword() gives what the real client sent", async () => {
    const requests = (await readVectors("real_client_requests.json")) as Request[];
    let checked = 0;
    for (const { server_random, body_hex } of requests) {
      if (server_random === undefined || body_hex === undefined) continue;
      const pack = Pack.parse(fromHex(body_hex));
      const proof = pack.data("secure_password");
      if (pack.int("authtype") !== 1 || pack.str("username") !== "alice") continue;
      expect(toHex(proof!)).toBe(toHex(securePassword(alice, fromHex(server_random))));
      checked++;
    }
    expect(checked).toBe(4);
  });

  test("securePassword() gives the recorded login over the random of its hello", async () => {
    const { hello, login } = (await readVectors("login_password_welcome.json")) as Record<
      "hello" | "login",
      { body_hex: string }
    >;
    const random = Pack.parse(fromHex(hello.body_hex)).data("random")!;
    const proof = Pack.parse(fromHex(login.body_hex)).data("secure_password")!;
    expect(toHex(proof)).toBe(toHex(securePassword(alice, random)));
  });

  test("securePassword() gives the proof of the server administrator that was accepted", async () => {
    const replies = (await readVectors("control_replies.json")) as {
      name: string;
      server_random: string;
      request: { body_hex: string };
    }[];
    const proofOf = (name: string) => {
      const entry = replies.find((reply) => reply.name === name)!;
      const expected = securePassword(
        hashAdminPassword(text("adminpw")),
        fromHex(entry.server_random),
      );
      const sent = Pack.parse(fromHex(entry.request.body_hex)).data("secure_password")!;
      return toHex(sent) === toHex(expected);
    };
    expect(proofOf("admin (server), good password")).toBe(true);
    expect(proofOf("admin (server), wrong password -> error 12")).toBe(false);
  });

  test("securePassword() gives the proof of the recorded administration session", async () => {
    const recorded = (await readVectors("admin-rpc.json")) as {
      derivation: { server_password: string };
      server_admin_session: { step: string; pack_hex: string }[];
    };
    const packOf = (step: string) =>
      Pack.parse(
        fromHex(recorded.server_admin_session.find((entry) => entry.step === step)!.pack_hex),
      );
    const hash = hashAdminPassword(text(recorded.derivation.server_password));
    const random = packOf("hello").data("random")!;
    expect(toHex(packOf("login").data("secure_password")!)).toBe(
      toHex(securePassword(hash, random)),
    );
  });
});
