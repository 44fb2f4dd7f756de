import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

// Run while the program is bundled or, from source, loaded (`with { type: "macro" }`): node_modules is not there later.

const ROOT = join(import.meta.dir, "../..");
/** What is compiled into the modules of src/wasm besides our own code. */
const COMPILED_IN = ["assemblyscript"];
const LICENCE_FILE = /^(?:licen[cs]e|copying|notice|copyrightnotice)/i;

interface Package {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly dependencies: readonly string[];
}

/**
 * The licence texts of all packages that the program depends on, and of those that they depend on, as a chapter of the
 * documentation. Throws for a package without a text.
 */
export function collectLicences(): string {
  const own = readPackage(ROOT);
  const found = new Map<string, Package>();
  for (const name of own.dependencies) addPackage(found, findPackage(name, ROOT), true);
  for (const name of COMPILED_IN) addPackage(found, findPackage(name, ROOT), false);
  const byText = new Map<string, Set<string>>();
  for (const each of [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const text of textsOf(each, own)) {
      const names = byText.get(text) ?? new Set();
      byText.set(text, names.add(`${each.name} ${each.version} (${each.licence})`));
    }
  }
  return [...byText].map(([text, names]) => `## ${[...names].join(", ")}\n\n${text}\n`).join("\n");
}

function addPackage(found: Map<string, Package>, each: Package, withDependencies: boolean): void {
  if (found.has(each.folder)) return;
  found.set(each.folder, each);
  if (!withDependencies) return;
  for (const name of each.dependencies) addPackage(found, findPackage(name, each.folder), true);
}

/** As the runtime resolves it: in the folder of whoever wants it, else in those above. */
function findPackage(name: string, from: string): Package {
  for (let at = from; at.startsWith(ROOT); at = dirname(at)) {
    const folder = join(at, "node_modules", name);
    if (existsSync(join(folder, "package.json"))) return readPackage(folder);
  }
  throw new Error(`Cannot find the package ${name}: run "npm run setup"`);
}

function readPackage(folder: string): Package {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    readonly name: string;
    readonly version: string;
    readonly license: string;
    readonly dependencies?: Readonly<Record<string, string>>;
  };
  const { name, version, license: licence, dependencies = {} } = manifest;
  return { folder, name, version, licence, dependencies: Object.keys(dependencies) };
}

/** A package that only names our own licence has the text that we have. */
function textsOf(each: Package, own: Package): string[] {
  const folders = each.licence === own.licence ? [each.folder, own.folder] : [each.folder];
  for (const folder of folders) {
    const files = readdirSync(folder).filter((file) => LICENCE_FILE.test(file));
    if (files.length > 0) return files.toSorted().map((file) => readText(join(folder, file)));
  }
  throw new Error(`Cannot tell the licence of ${each.name}: it carries no text`);
}

function readText(path: string): string {
  return readFileSync(path, "utf8").replaceAll("\r\n", "\n").trim();
}
