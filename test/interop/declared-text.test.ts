import { describe, expect, test } from "bun:test";
import { MAX_DECLARED_BYTES, MAX_DECLARED_DEPTH } from "../../src/base/limits.ts";
import {
  type DeclaredFolder,
  type DeclaredItem,
  encodeDeclared,
  parseDeclared,
} from "../../src/interop/declared-text.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const root = (lines: string) => parseDeclared(bytes(`declare root\n{\n${lines}\n}\n`));
const item = (line: string) => [...root(line).items][0];

function folder(
  items: Record<string, DeclaredItem>,
  folders: Record<string, DeclaredFolder> = {},
): DeclaredFolder {
  return { items: new Map(Object.entries(items)), folders: new Map(Object.entries(folders)) };
}

describe("parseDeclared()", () => {
  test.each([
    ["bool A true", { type: "bool", value: true }],
    ["bool A false", { type: "bool", value: false }],
    ["bool A 1", { type: "bool", value: true }],
    ["uint A 4294967295", { type: "uint", value: 4294967295 }],
    ["uint64 A 18446744073709551615", { type: "uint64", value: 18446744073709551615n }],
    ["string A $", { type: "string", value: "" }],
    ["string A a$20b$24", { type: "string", value: "a b$" }],
    ["string A é$C3$A9", { type: "string", value: "éé" }],
    ["string A a trailing comment", { type: "string", value: "a" }],
    ["byte A $", { type: "byte", value: new Uint8Array(0) }],
    ["byte A AQI=", { type: "byte", value: Uint8Array.of(1, 2) }],
    ["  STRING\t A \t x\r", { type: "string", value: "x" }],
  ])("reads %j", (line, value) => {
    expect(item(line)).toEqual(["A", value as DeclaredItem]);
  });

  test.each(["", "# uint A 1", "float A 1", "uint A", "}{", "declare"])(
    "passes over %j",
    (line) => {
      expect(root(line).items.size).toBe(0);
    },
  );

  test("finds folders in folders", () => {
    const found = root("declare B\n{\nuint C 1\ndeclare D\n{\n}\n}\nuint E 2");
    expect(found.folders.get("B")?.items.get("C")).toEqual({ type: "uint", value: 1 });
    expect(found.folders.get("B")?.folders.has("D")).toBe(true);
    expect(found.items.get("E")).toEqual({ type: "uint", value: 2 });
  });

  test("takes a file that was cut off as if its folders had ended", () => {
    expect(parseDeclared(bytes("declare root\n{\nuint A 1")).items.size).toBe(1);
  });

  test.each([
    ["uint A 4294967296", "line 3: a number from 0 to 4294967295 is expected"],
    ["uint A -1", "line 3: a number from 0"],
    ["uint64 A x", "line 3: a whole number is expected"],
    ["string A a$2", "line 3: a $ stands without two hex digits"],
    ["string A $$", "line 3: a $ stands without two hex digits"],
    ["byte A a-b", "line 3: base64 is expected"],
    ["declare x\n{\n".repeat(MAX_DECLARED_DEPTH + 1), "the folders are too deep"],
  ])("refuses %j", (line, fault) => {
    expect(() => root(line)).toThrow(fault);
  });

  test("refuses what is no such file", () => {
    expect(() => parseDeclared(bytes("hello"))).toThrow('there is no "declare root"');
    expect(() => parseDeclared(Uint8Array.of(0xff, 0xfe, 0))).toThrow("not UTF-8");
    expect(() => parseDeclared(new Uint8Array(MAX_DECLARED_BYTES + 1))).toThrow("too large");
  });
});

describe("encodeDeclared()", () => {
  test("writes items and folders in order, with what must be escaped", () => {
    const inner = folder({ Z: { type: "string", value: "" } });
    const text = encodeDeclared(
      folder(
        {
          B: { type: "string", value: "a b$\t é" },
          A: { type: "byte", value: Uint8Array.of(1, 2) },
        },
        { "in ner": inner },
      ),
    );
    expect(text.split("\r\n")).toEqual([
      "declare root",
      "{",
      "\tbyte A AQI=",
      "\tstring B a$20b$24$09$20é",
      "",
      "\tdeclare in$20ner",
      "\t{",
      "\t\tstring Z $",
      "\t}",
      "}",
      "",
    ]);
    expect(parseDeclared(bytes(text)).folders.get("in ner")).toEqual(inner);
  });
});
