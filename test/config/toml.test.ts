import { describe, expect, test } from "bun:test";
import { parse as parseReference } from "smol-toml";
import { ConfigProblemsError } from "../../src/config/problem.ts";
import { parseToml } from "../../src/config/toml.ts";
import { positionOf, type TomlNode } from "../../src/config/toml-tree.ts";
import { cpuMsOf } from "./fixture.ts";

const FILE = "config.toml";
const encode = (text: string) => new TextEncoder().encode(text);
const parse = (text: string | Uint8Array) =>
  parseToml(FILE, typeof text === "string" ? encode(text) : text);

function faultOf(text: string | Uint8Array): string {
  try {
    parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigProblemsError);
    if (error instanceof Error) return error.message;
  }
  throw new Error("the text was accepted");
}

/** Dates as text, integers as numbers: the form that both parsers can be compared in. */
function plain(node: TomlNode): unknown {
  switch (node.kind) {
    case "table":
      return Object.fromEntries([...node.entries].map(([key, entry]) => [key, plain(entry.value)]));
    case "array":
      return node.items.map(plain);
    case "integer":
      return Number(node.value);
    case "date":
      return node.text;
    case "stored":
      throw new Error("a file holds no stored secret");
    default:
      return node.value;
  }
}

describe("parseToml()", () => {
  test("knows the place of each key and value", () => {
    const root = parse('[server]\nlisten = [443]\n\n[hub.office]\nuser.alice = { note = "x" }\n');
    expect(positionOf(root, ["server", "listen"])).toEqual({ file: FILE, line: 2, column: 10 });
    expect(positionOf(root, ["hub", "office", "user", "alice", "note"])).toEqual({
      file: FILE,
      line: 5,
      column: 23,
    });
    expect(root.entries.get("hub")?.keyAt).toEqual({ file: FILE, line: 4, column: 2 });
    expect(positionOf(root, ["hub", "guest"])).toBeUndefined();
  });

  test("gives the values that another parser gives", () => {
    const text = [
      "top = 1_000",
      "hex = 0xff",
      'escaped = "a\\u00e9\\n"',
      "literal = 'C:\\x'",
      'multi = """\na\\\n   b"""',
      "float = -1.5e3",
      "list = [1, [2, 3], { a.b = true }, # comment ]",
      "]",
      "[a.b.c]",
      "x.y = 1",
      "[a]",
      'quoted."k.e.y" = 1',
      "[[rows]]",
      "n = 1",
      "[rows.inner]",
      "z = 2",
      "[[rows]]",
      "n = 2",
    ].join("\n");
    expect(plain(parse(text))).toEqual(parseReference(text));
  });

  test("leaves dates as text and whole numbers exact", () => {
    const root = parse("d = 2027-06-30T18:00:00Z\nn = 9007199254740993\n");
    expect(root.entries.get("d")?.value).toMatchObject({
      kind: "date",
      text: "2027-06-30T18:00:00Z",
    });
    expect(root.entries.get("n")?.value).toMatchObject({ kind: "integer", value: 2n ** 53n + 1n });
  });

  test("tells tables that are defined from those that are only parents", () => {
    const root = parse("[hub.office]\nuser.alice = {}\n");
    const hub = root.entries.get("hub")?.value;
    const office = hub?.kind === "table" ? hub.entries.get("office")?.value : undefined;
    expect(hub).toMatchObject({ defined: false });
    expect(office).toMatchObject({ defined: true });
  });
});

describe("CF-03 encodings", () => {
  test("a byte order mark and CRLF are accepted, and lines counted as before", () => {
    const root = parse("\ufeffa = 1\r\n\r\n[b]\r\nc = 'x'\r\n");
    expect(plain(root)).toEqual({ a: 1, b: { c: "x" } });
    expect(positionOf(root, ["b", "c"])).toEqual({ file: FILE, line: 4, column: 5 });
  });

  test.each([
    [
      "Latin-1",
      [...encode("a = 1\nb = 'caf"), 0xe9, ...encode("'\n")],
      "config.toml:2:9: the bytes here are not UTF-8",
    ],
    ["UTF-16", [0xff, 0xfe, 0x61, 0x00], "config.toml:1:1: the bytes here are not UTF-8"],
    [
      "a sequence cut at the end",
      [...encode("a = 1\n"), 0xe2, 0x82],
      "config.toml:2:1: the bytes here are not UTF-8",
    ],
    [
      "an overlong form",
      [...encode("a=1\n\n"), 0xc0, 0xaf],
      "config.toml:3:1: the bytes here are not UTF-8",
    ],
    ["NUL", [...encode("a = 1\nb"), 0, ...encode("= 2")], "config.toml:2:2: a NUL byte"],
  ])("%s is refused with its line", (_, bytes, fault) => {
    expect(faultOf(Uint8Array.from(bytes))).toBe(fault);
  });
});

describe("CF-04 faults of the grammar", () => {
  test("name file, line and column, and show the line", () => {
    const text = `${"# line\n".repeat(6)}listen   = , 443\n`;
    expect(faultOf(text)).toBe(
      "config.toml:7:12: Unexpected token\n    listen   = , 443\n               ^",
    );
  });

  test.each([
    ["a missing value", "a =\n", "config.toml:1:4: a value is missing\n    a =\n       ^"],
    ["a missing =", "alone\n", /^config\.toml:1:\d+: a key must be followed by =/],
    ["an open string", 'a = "x\n', /^config\.toml:1:\d+: a string is not closed/],
    [
      "two values",
      "a = 1 2\n",
      "config.toml:1:7: a new line must begin here\n    a = 1 2\n          ^",
    ],
    ["an open header", "[server\n", /^config\.toml:1:\d+: a table header is not closed by \]/],
  ])("%s", (_, text, fault) => {
    expect(faultOf(text)).toMatch(fault);
  });

  test.each([
    'u = { password = "hunter2',
    "u = { a = 1, pasword = hunter2 }",
    'password "hunter2"',
  ])("the shown line stops before the secret of %s", (line) => {
    expect(faultOf(`${line}\n`)).not.toContain("hunter2");
  });
});

describe("CF-07 duplicates", () => {
  test.each([
    ["keys", "a = 1\nb = 2\na = 3\n", "config.toml:3:1: defined a second time, first in line 1"],
    [
      "tables",
      "[x]\na = 1\n[y]\n[x]\n",
      /^config\.toml:4:\d: defined a second time, first in line 1$/,
    ],
    [
      "keys of a table",
      "[x.y]\na.b = 1\n\na.b = 2\n",
      /^config\.toml:4:\d: defined a second time, first in line 2$/,
    ],
    [
      "a value and a table",
      "a = 1\n[a.b]\n",
      /^config\.toml:2:\d: defined a second time, first in line 1$/,
    ],
    ["keys on one line", "a = { b = 1, b = 2 }\n", /^config\.toml:1:14: defined a second time$/],
  ])("%s name both lines", (_, text, fault) => {
    expect(faultOf(text)).toMatch(fault);
  });
});

describe("CF-09 hostile size and nesting", () => {
  const MIB = 1 << 20;
  const cases: [string, string, string][] = [
    ["100,000 nested brackets", `a = ${"[".repeat(100_000)}`, "nested deeper than 32 levels"],
    ["100,000 nested tables", `a = ${"{a=".repeat(100_000)}`, "nested deeper than 32 levels"],
    ["a key of 100,000 parts", `${"a.".repeat(100_000)}a = 1`, "nested deeper than 32 levels"],
    [
      "a header and a key that are deep together",
      `[${"a.".repeat(20)}a]\n${"b.".repeat(20)}b = 1`,
      "nested deeper than 32 levels",
    ],
    [
      "1,000,000 keys",
      Array.from({ length: 1_000_000 }, (_, i) => `${i.toString(36)}=1`).join("\n"),
      "more than 262144 entries",
    ],
    ["a string of 4 MiB", `a = "${"x".repeat(4 * MIB)}"`, "longer than 64 KiB"],
    ["a string that is never closed", `a = '''${"x\n".repeat(2 * MIB)}`, "longer than 64 KiB"],
    ["a comment of 4 MiB", `# ${"x".repeat(4 * MIB)}`, "longer than 64 KiB"],
    ["a bare key of 4 MiB", "x".repeat(4 * MIB), "longer than 64 KiB"],
    ["a list of 65,537 items", `a = [${"1,".repeat(65_537)}]`, "a list of more than 65536 items"],
  ];
  test.each(cases)("%s is refused within 2 s", (_, text, fault) => {
    const bytes = encode(text);
    expect(cpuMsOf(() => expect(faultOf(bytes)).toContain(fault))).toBeLessThan(2000);
  });

  test("the largest list, the longest string and the deepest nesting pass", () => {
    const text = `a = [${"1,".repeat(65_536)}]\nb = "${"x".repeat(65_000)}"\n[c${".c".repeat(30)}]\nd = 1`;
    expect(parse(text).entries.size).toBe(3);
  });
});

describe("CF-10 names of the runtime", () => {
  test("__proto__ and constructor are keys like any other", () => {
    const root = parse("__proto__ = { x = 1 }\nconstructor = 2\n");
    expect([...root.entries.keys()]).toEqual(["__proto__", "constructor"]);
    expect(Object.hasOwn(Object.prototype, "x")).toBe(false);
  });
});
