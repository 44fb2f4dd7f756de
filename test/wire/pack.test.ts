import { describe, expect, test } from "bun:test";
import { ProtocolError } from "../../src/base/errors.ts";
import { Pack } from "../../src/wire/pack.ts";
import { ByteWriter } from "../../src/wire/writer.ts";
import vectors from "../vectors/pack.json" with { type: "json" };
import { fromHex, toHex } from "../support/hex.ts";
import { seededRandom } from "../support/seeded-random.ts";

const U32_MAX = 0xffff_ffff;

/** The code that parsing ends with; undefined if it does not. */
function parseError(bytes: Uint8Array, limits?: { maxElements: number }): string | undefined {
  try {
    Pack.parse(bytes, limits);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return thrown.code;
    throw thrown;
  }
}

/** A PACK of one element whose fields are written as given. */
function oneElement(fields: {
  nameLength?: number;
  name?: string | Uint8Array;
  type?: number;
  count?: number;
  body?: Uint8Array;
}): Uint8Array {
  const given = fields.name ?? "a";
  const name = typeof given === "string" ? new TextEncoder().encode(given) : given;
  return new ByteWriter()
    .writeU32(1)
    .writeU32(fields.nameLength ?? name.length + 1)
    .writeBytes(name)
    .writeU32(fields.type ?? 0)
    .writeU32(fields.count ?? 1)
    .writeBytes(fields.body ?? new Uint8Array(4))
    .finish();
}

function bytesValue(announced: number, bytes: Uint8Array): Uint8Array {
  return new ByteWriter().writeU32(announced).writeBytes(bytes).finish();
}

describe("Pack.parse()", () => {
  test("PK-01 refuses 0, 1 and 3 bytes", () => {
    for (const length of [0, 1, 3]) {
      expect(parseError(new Uint8Array(length))).toBe("pack_short");
    }
  });

  test("PK-02 refuses an element count past the limit, before it reads on", () => {
    expect(parseError(fromHex("ffffffff 00000000"))).toBe("pack_count");
    const two = new Pack().setInt("a", 1).setInt("b", 2).encode();
    expect(parseError(two, { maxElements: 1 })).toBe("pack_count");
    expect(parseError(two, { maxElements: 2 })).toBeUndefined();
  });

  test("PK-03 refuses five elements announced with four present", () => {
    const four = new Pack().setInt("a", 1).setInt("b", 2).setInt("c", 3).setInt("d", 4).encode();
    four[3] = 5;
    expect(parseError(four)).toBe("pack_short");
  });

  test("PK-04 refuses name_len 0, 65 and 4,294,967,295 and takes 64", () => {
    expect(parseError(oneElement({ nameLength: 0, name: "" }))).toBe("pack_name");
    expect(parseError(oneElement({ name: "n".repeat(64) }))).toBe("pack_name");
    expect(parseError(oneElement({ nameLength: U32_MAX }))).toBe("pack_name");
    expect(Pack.parse(oneElement({ name: "n".repeat(63) })).int("n".repeat(63))).toBe(0);
  });

  test("PK-05 refuses a NUL and bytes over 0x7f in a name", () => {
    expect(parseError(oneElement({ name: "a\0b" }))).toBe("pack_name");
    expect(parseError(oneElement({ name: Uint8Array.of(0x61, 0x80) }))).toBe("pack_name");
    expect(parseError(oneElement({ name: Uint8Array.of(0x61, 0x7f) }))).toBeUndefined();
  });

  test("PK-05 refuses a second element whose name differs in case only", () => {
    const bytes = new Pack().setInt("hubname", 1).setInt("hubnamf", 2).encode();
    bytes.set(new TextEncoder().encode("HubName"), bytes.length - 12 - 7);
    expect(parseError(bytes)).toBe("pack_name");
  });

  test("PK-06 refuses types 5 and 4,294,967,295", () => {
    expect(parseError(oneElement({ type: 5 }))).toBe("pack_type");
    expect(parseError(oneElement({ type: U32_MAX }))).toBe("pack_type");
  });

  test("PK-07 refuses value counts 0, 65,537 and 4,294,967,295", () => {
    for (const count of [0, 65_537, U32_MAX]) {
      expect(parseError(oneElement({ count, body: new Uint8Array(65_537 * 4) }))).toBe(
        "pack_count",
      );
    }
    const most = Pack.parse(oneElement({ count: 65_536, body: new Uint8Array(65_536 * 4) }));
    expect(most.valueCount("a")).toBe(65_536);
  });

  test("PK-08 refuses data that runs past the end by 1, by 2^31 and by 2^32 - 1", () => {
    for (const type of [1, 2, 3]) {
      for (const announced of [4, 2 ** 31, U32_MAX]) {
        const body = bytesValue(announced, new Uint8Array(3));
        expect(parseError(oneElement({ type, body }))).toBe("pack_short");
      }
      expect(parseError(oneElement({ type, body: bytesValue(3, new Uint8Array(3)) }))).toBe(
        undefined,
      );
    }
  });

  test("PK-09 reads a unistr of length 0, and strings up to the first zero byte", () => {
    const empty = Pack.parse(oneElement({ type: 3, body: bytesValue(0, new Uint8Array()) }));
    expect(empty.unistr("a")).toBe("");
    const inside = fromHex("61 62 00 63 64");
    expect(Pack.parse(oneElement({ type: 2, body: bytesValue(5, inside) })).str("a")).toBe("ab");
    expect(Pack.parse(oneElement({ type: 3, body: bytesValue(5, inside) })).unistr("a")).toBe("ab");
  });

  test("PK-09 shows bytes that are not UTF-8 escaped and keeps them when encoding", () => {
    const host = fromHex("50 43 2d 4d fc 6c 6c 65 72");
    const bytes = oneElement({ type: 2, body: bytesValue(host.length, host) });
    const pack = Pack.parse(bytes);
    expect(pack.str("a")).toBe("PC-M\\xfcller");
    expect(pack.encode()).toEqual(bytes);
  });

  test("PK-10 gives undefined for an element of another type", () => {
    const pack = new Pack().setInt("i", 1).setData("d", fromHex("00")).setStr("s", "x");
    expect([pack.data("i"), pack.str("i"), pack.unistr("i"), pack.int64("i")]).toEqual(
      Array(4).fill(undefined),
    );
    expect([pack.int("d"), pack.str("d"), pack.unistr("d"), pack.int("s"), pack.data("s")]).toEqual(
      Array(5).fill(undefined),
    );
    expect(pack.unistr("s")).toBeUndefined();
    expect(pack.bool("d")).toBe(false);
    expect(pack.int("absent")).toBeUndefined();
  });

  test("PK-11 gives undefined for an index past the values", () => {
    const pack = new Pack().setInt("i", 1, 2, 3).setStr("s", "x", "y", "z");
    expect(pack.int("i", 2)).toBe(3);
    expect([pack.int("i", 65_535), pack.int("i", 3), pack.int("i", -1)]).toEqual(
      Array(3).fill(undefined),
    );
    expect(pack.str("s", 65_535)).toBeUndefined();
  });

  test("PK-12 takes 64 KiB of elements of one value, and refuses them before login", () => {
    const pack = new Pack();
    for (let i = 0; i < 3400; i++) pack.setInt(`n${i}`, i);
    const bytes = pack.encode();
    expect(bytes.length).toBeGreaterThan(65_536 - 64);
    expect(Pack.parse(bytes).int("N3399")).toBe(3399);
    expect(parseError(bytes, { maxElements: 1024 })).toBe("pack_count");
  });

  test("PK-13 ignores and counts bytes after the last element", () => {
    const bytes = new Pack().setInt("error", 9).encode();
    const longer = new Uint8Array(bytes.length + 7).fill(0xee);
    longer.set(bytes);
    const pack = Pack.parse(longer);
    expect(pack.trailingBytes).toBe(7);
    expect(pack.encode()).toEqual(bytes);
    expect(Pack.parse(bytes).trailingBytes).toBe(0);
  });

  test("PK-14 takes __proto__, constructor and toString for plain names", () => {
    const names = ["__proto__", "constructor", "toString"];
    const pack = new Pack();
    expect(names.map((name) => pack.has(name))).toEqual([false, false, false]);
    for (const name of names) pack.setStr(name, "polluted");
    const parsed = Pack.parse(pack.encode());
    expect(parsed.names).toEqual(names);
    expect(names.map((name) => parsed.str(name))).toEqual(Array(3).fill("polluted"));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(typeof {}.toString).toBe("function");
  });

  test("PK-15 a PACK that parses encodes to the same bytes, in 10,000 cases", () => {
    const random = seededRandom(15);
    for (let round = 0; round < 10_000; round++) {
      const bytes = randomPack(random);
      expect(Buffer.compare(Pack.parse(bytes).encode(), bytes)).toBe(0);
    }
  });

  test("PK-16 keeps 64-bit values over 2^53", () => {
    for (const value of [2n ** 53n + 1n, 2n ** 63n + 1n, 2n ** 64n - 1n]) {
      expect(Pack.parse(new Pack().setInt64("v", value).encode()).int64("v")).toBe(value);
    }
  });

  test("leaves the buffer it read from to its owner", () => {
    const bytes = new Pack().setData("d", fromHex("0102")).setStr("s", "kept").encode();
    const pack = Pack.parse(Buffer.from(bytes.buffer));
    bytes.fill(0xff);
    expect(pack.data("d")).toEqual(fromHex("0102"));
    expect(pack.str("s")).toBe("kept");
  });
});

/** Bytes of a PACK written field by field, with odd strings and names, so not by way of `Pack`. */
function randomPack(random: ReturnType<typeof seededRandom>): Uint8Array {
  const count = random.below(6);
  const writer = new ByteWriter().writeU32(count);
  for (let i = 0; i < count; i++) {
    const name = random.bytes(1 + random.below(62)).map((byte) => (byte % 127) + 1);
    // The index in the last place keeps names apart.
    name[name.length - 1] = 0x30 + i;
    writer.writeU32(name.length + 1).writeBytes(name);
    const type = random.below(5);
    const values = 1 + random.below(4);
    writer.writeU32(type).writeU32(values);
    for (let v = 0; v < values; v++) {
      if (type === 0) writer.writeBytes(random.bytes(4));
      else if (type === 4) writer.writeBytes(random.bytes(8));
      else {
        const length = random.below(40);
        writer.writeU32(length).writeBytes(random.bytes(length));
      }
    }
  }
  return writer.finish();
}

describe("Pack", () => {
  for (const vector of vectors) {
    test(`encode() gives the recorded bytes of ${vector.name}`, () => {
      const pack = new Pack();
      for (const { name, type, values } of vector.elements) {
        switch (type) {
          case "int":
            pack.setInt(name, ...(values as number[]));
            break;
          case "int64":
            // JSON numbers lose what lies past 2^53; that vector is named by its digits.
            pack.setInt64(
              name,
              ...(values as number[]).map((value) =>
                name === "Int64Value" ? 0x0123456789abcdefn : BigInt(value),
              ),
            );
            break;
          case "str":
            pack.setStr(name, ...(values as string[]));
            break;
          case "unistr":
            pack.setUnistr(name, ...(values as string[]));
            break;
          default:
            pack.setData(name, ...(values as string[]).map(fromHex));
        }
      }
      expect(toHex(pack.encode())).toBe(vector.hex);
    });
  }

  test("str() and unistr() lose blanks at both ends and keep those inside", () => {
    const pack = new Pack().setStr("s", " \t x  y \t").setUnistr("u", "  漢 ").setStr("b", "  ");
    expect(pack.str("s")).toBe("x  y");
    expect(pack.unistr("u")).toBe("漢");
    expect(pack.str("b")).toBe("");
  });

  test("names compare without regard to case and keep their spelling", () => {
    const pack = new Pack().setInt("HubType", 3);
    expect(pack.int("hubtype")).toBe(3);
    expect(pack.has("HUBTYPE")).toBe(true);
    expect(pack.names).toEqual(["HubType"]);
  });

  test("setInt() replaces in its place, and without values removes", () => {
    const pack = new Pack().setInt("a", 1).setInt("b", 2).setStr("A", "x");
    expect(pack.names).toEqual(["A", "b"]);
    expect(pack.setInt("a").names).toEqual(["b"]);
    expect(pack.valueCount("a")).toBe(0);
  });

  test("setters refuse what the wire cannot carry", () => {
    expect(() => new Pack().setInt("a", -1)).toThrow(RangeError);
    expect(() => new Pack().setInt("a", 2 ** 32)).toThrow(RangeError);
    expect(() => new Pack().setInt("a", 1.5)).toThrow(RangeError);
    expect(() => new Pack().setInt64("a", -1n)).toThrow(RangeError);
    expect(() => new Pack().setInt64("a", 2n ** 64n)).toThrow(RangeError);
    expect(() => new Pack().setStr("é", "x")).toThrow(RangeError);
    expect(() => new Pack().setStr("n".repeat(64), "x")).toThrow(RangeError);
    expect(() => new Pack().setAddress("a", "10.0.0")).toThrow(RangeError);
  });

  test("bool() is true for any number but 0 and false when absent", () => {
    const pack = new Pack().setInt("two", 2).setBool("flags", false, true);
    expect([pack.bool("two"), pack.bool("flags"), pack.bool("flags", 1), pack.bool("no")]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test("address() reads both recorded IPv4 forms and IPv6", () => {
    const text = (name: string) =>
      Pack.parse(fromHex(vectors.find((vector) => vector.name === name)!.hex)).address("Ip");
    expect(text("ip4-as-5.01")).toBe("192.168.30.1");
    expect(text("ip4-as-newer")).toBe("192.168.30.1");
    expect(text("ip6")).toBe("2001:db8::1");
  });

  test("address() takes IPv4 from the int alone and refuses IPv6 without its 16 bytes", () => {
    expect(new Pack().setInt("Ip", 0x011ea8c0).address("Ip")).toBe("192.168.30.1");
    expect(new Pack().setInt("Ip", 0xfe000001).address("Ip")).toBe("1.0.0.254");
    const broken = new Pack().setBool("Ip@ipv6_bool", true).setInt("Ip", 1);
    expect(broken.address("Ip")).toBeUndefined();
    expect(broken.setData("Ip@ipv6_array", new Uint8Array(4)).address("Ip")).toBeUndefined();
    expect(new Pack().address("Ip")).toBeUndefined();
  });

  test("setAddress() writes four elements that carry as many values as addresses", () => {
    const given = ["10.1.2.3", "2001:db8::5", "255.255.255.255"];
    const pack = Pack.parse(new Pack().setAddress("Ip", ...given).encode());
    expect(pack.names).toEqual(["Ip@ipv6_bool", "Ip@ipv6_array", "Ip@ipv6_scope_id", "Ip"]);
    expect(pack.names.map((name) => pack.valueCount(name))).toEqual([3, 3, 3, 3]);
    expect(given.map((_, at) => pack.address("ip", at))).toEqual(given);
    expect(toHex(pack.data("Ip@ipv6_array")!)).toBe("00000000000000000000ffff0a010203");
    expect(pack.int("Ip")).toBe(0x0302010a);
  });

  test("addFiller() appends 0 to 999 bytes, last", () => {
    const filled = (fraction: number) =>
      new Pack()
        .setInt("error", 0)
        .addFiller({ bytes: (count) => new Uint8Array(count), fraction: () => fraction });
    expect(filled(0).data("pencore")).toHaveLength(0);
    expect(filled(1 - 2 ** -32).data("pencore")).toHaveLength(999);
    expect(filled(0.5).names).toEqual(["error", "pencore"]);
  });
});
