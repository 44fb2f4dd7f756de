import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");
const SRC = join(ROOT, "src");

/** Upper layers first: an import may go down this list or stay in its folder. */
const LAYERS = [
  "main",
  "command",
  "console",
  "cli",
  "admin",
  "server",
  "client",
  "secure-nat",
  "l3-switch",
  "cascade",
  "bridge",
  "ip-host",
  "interop",
  "session",
  "auth",
  "hub",
  "transport",
  "config",
  "observe",
  "crypto",
  "platform",
  "wasm",
  "asset",
  "doc",
  "wire",
  "base",
] as const;

/** What may lie beside the layers. */
const BESIDE_LAYERS = ["main.ts", "tsconfig.json"];

const TOP_LEVEL = [
  ".ci",
  ".git",
  ".gitignore",
  "LICENSE",
  "README.md",
  "build.ts",
  "bun.lock",
  "bunfig.toml",
  "config.toml",
  "dist",
  "node_modules",
  "package.json",
  "src",
  "test",
];

const MAX_LINES = 400;
/** Rows of data, which are not easier to read in two files. */
const TABLES: readonly string[] = [];

/** Where time is read from the system. Everything else gets a Clock handed in. */
const CLOCK_SOURCE = "base/clock.ts";
const CLOCK_READS =
  /\b(?:Date\.now|performance\.now|setTimeout|setInterval|Bun\.sleep|Bun\.nanoseconds|process\.hrtime)\b|\bnew Date\(\)/;

interface SourceFile {
  /** Relative to src/, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

function sources(): SourceFile[] {
  return (readdirSync(SRC, { recursive: true }) as string[])
    .filter((path) => /\.tsx?$/.test(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(SRC, path), "utf8") }));
}

function layerOf(path: string): string {
  return path === "main.ts" ? "main" : path.split("/", 1)[0]!;
}

/** Specifiers of static and dynamic imports and of re-exports. */
function importsOf(file: SourceFile): string[] {
  const loader = file.path.endsWith("x") ? "tsx" : "ts";
  const runtime = new Bun.Transpiler({ loader }).scanImports(file.text).map((found) => found.path);
  // The transpiler leaves out imports of types alone; the direction counts there, too.
  const written = [...file.text.matchAll(/^(?:import|export)\b[^;"]*? from "([^"]+)"/gm)];
  return [...new Set([...runtime, ...written.map((match) => match[1]!)])];
}

/** The imports of `file` that go up, as text for people. */
function upwardImports(file: SourceFile): string[] {
  const from = LAYERS.indexOf(layerOf(file.path) as (typeof LAYERS)[number]);
  return importsOf(file)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => relative(SRC, resolve(SRC, dirname(file.path), specifier)))
    .filter((target) => {
      if (target.startsWith("..")) return target !== "../package.json";
      const to = LAYERS.indexOf(layerOf(target) as (typeof LAYERS)[number]);
      return to === -1 || to < from;
    })
    .map((target) => `${file.path} imports ${target}`);
}

/** Source text without comments and strings, so that prose does not count as a call. */
function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/(^|[^:"'`])\/\/.*$/gm, "$1")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

describe("architecture", () => {
  const files = sources();

  test("there is source to look at", () => {
    expect(files.length).toBeGreaterThan(5);
  });

  test("upwardImports() sees an import that goes up, of a value or of a type alone", () => {
    const path = "base/ring.ts";
    const text =
      'import { a } from "../hub/port.ts";\nexport type { B } from "../wire/pack.ts";\na();\n';
    expect(upwardImports({ path, text })).toEqual([
      "base/ring.ts imports hub/port.ts",
      "base/ring.ts imports wire/pack.ts",
    ]);
    expect(upwardImports({ path: "hub/hub.ts", text })).toEqual([]);
  });

  test("imports go down the layers or sideways inside a folder", () => {
    expect(files.flatMap(upwardImports)).toEqual([]);
  });

  test("every folder of src/ is a layer", () => {
    const known = new Set<string>([...LAYERS, ...BESIDE_LAYERS]);
    expect(readdirSync(SRC).filter((name) => !known.has(name))).toEqual([]);
  });

  test(`no source file is longer than ${MAX_LINES} lines, tables aside`, () => {
    const long = files
      .filter((file) => !TABLES.includes(file.path))
      .filter((file) => file.text.split("\n").length - 1 > MAX_LINES)
      .map((file) => file.path);
    expect(long).toEqual([]);
  });

  test("CLOCK_READS matches calls and not prose", () => {
    expect(CLOCK_READS.test(codeOf("const t = Date.now();"))).toBe(true);
    expect(CLOCK_READS.test(codeOf("setTimeout(run, 5);"))).toBe(true);
    expect(CLOCK_READS.test(codeOf("// Date.now() is not read here\n"))).toBe(false);
    expect(CLOCK_READS.test(codeOf('log("setTimeout");'))).toBe(false);
  });

  test(`only ${CLOCK_SOURCE} reads the clock or sets timers`, () => {
    const found = files
      .filter((file) => file.path !== CLOCK_SOURCE && !file.path.endsWith(".as.ts"))
      .filter((file) => CLOCK_READS.test(codeOf(file.text)))
      .map((file) => file.path);
    expect(found).toEqual([]);
  });

  test("the top level of the repository holds what it should and nothing else", () => {
    const tracked = Bun.spawnSync(["git", "-C", ROOT, "ls-files"], { stderr: "ignore" });
    // Outside git (an unpacked archive) what lies there is what was delivered.
    const paths = tracked.success
      ? tracked.stdout.toString().split("\n").filter(Boolean)
      : readdirSync(ROOT);
    const top = [...new Set(paths.map((path) => path.split("/", 1)[0]!))];
    expect(top.filter((name) => !TOP_LEVEL.includes(name))).toEqual([]);
  });

  test("the lock file names no registry", () => {
    expect(readFileSync(join(ROOT, "bun.lock"), "utf8")).not.toMatch(/https?:/);
  });
});
