// bun build.ts [--target linux-x64|linux-arm64|linux-x64-musl|linux-arm64-musl|all]
// Without a target: dist/vpn for this machine. With one: dist/vpn-TARGET.
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import manifest from "./package.json" with { type: "json" };
import { compileWasm } from "./src/wasm/compile.ts";

const ROOT = realpathSync(import.meta.dir);
const TARGETS = ["linux-x64", "linux-arm64", "linux-x64-musl", "linux-arm64-musl"] as const;
type Target = (typeof TARGETS)[number];
const NATIVE = `linux-${process.arch}`;

function git(...args: string[]): string | undefined {
  const run = Bun.spawnSync(["git", "-C", ROOT, ...args], { stderr: "ignore" });
  return run.success ? run.stdout.toString().trim() : undefined;
}

function commit(): string {
  // A source archive unpacked inside somebody else's repository must not carry that one's commit.
  if (git("rev-parse", "--show-toplevel") !== ROOT) return "unknown";
  return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*") ?? "unknown";
}

function buildDate(): string {
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  if (epoch !== undefined && !/^\d{1,11}$/.test(epoch)) {
    throw new Error(`Cannot use SOURCE_DATE_EPOCH: "${epoch}" is not a number of seconds`);
  }
  const date = epoch === undefined ? new Date() : new Date(Number(epoch) * 1000);
  return date.toISOString().replace(/\.\d+Z$/, "Z");
}

async function compile(target: Target | undefined): Promise<void> {
  const outfile = join(ROOT, "dist", target === undefined ? "vpn" : `vpn-${target}`);
  const result = await Bun.build({
    entrypoints: [join(ROOT, "src/main.ts")],
    compile: {
      outfile,
      ...(target === undefined ? {} : { target: `bun-${target}` as const }),
      // The program's behaviour must not depend on files that lie in the folder it is started from.
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
    // Each command is loaded when it is called for, with its modules in the order of their imports.
    splitting: true,
    format: "esm",
    // Halves the time to the first answer. It is made by this machine's engine, so foreign processors do without.
    bytecode: target === undefined || target === NATIVE,
    // Names and lines stay: stack traces in bug reports are worth more than the size of the text.
    minify: { syntax: true, whitespace: false, identifiers: false },
    define: {
      BUILD_VERSION: JSON.stringify(manifest.version),
      BUILD_COMMIT: JSON.stringify(commit()),
      BUILD_TIME: JSON.stringify(buildDate()),
    },
  });
  for (const log of result.logs) console.error(log.message);
  console.log(outfile.slice(ROOT.length + 1));
}

function parseTargets(args: readonly string[]): (Target | undefined)[] {
  if (args.length === 0) return [undefined];
  const name = args[0] === "--target" && args.length === 2 ? args[1] : undefined;
  if (name === "all") return [...TARGETS];
  const target = TARGETS.find((known) => known === name);
  if (target === undefined) {
    console.error(`usage: bun build.ts [--target ${TARGETS.join("|")}|all]`);
    process.exit(64);
  }
  return [target];
}

const targets = parseTargets(process.argv.slice(2));
mkdirSync(join(ROOT, "dist"), { recursive: true });
await compileWasm();
for (const target of targets) await compile(target);
