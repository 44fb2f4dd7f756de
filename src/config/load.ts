import { join } from "node:path";
import { EXIT, ExitError } from "../base/errors.ts";
import { bridgeSchema } from "./bridge-edition.ts";
import type { ClientConfig } from "./client-config.ts";
import { clientSchema } from "./client-schema.ts";
import type { Loaded, LoadOptions } from "./load-options.ts";
import { declaredOnly, mergeState, type OwnedObject } from "./ownership.ts";
import { type ConfigProblem, ConfigProblemsError, formatProblem } from "./problem.ts";
import { path as pathShape } from "./scalar-shapes.ts";
import type { ServerConfig } from "./server-config.ts";
import { SCHEMA_VERSION, serverSchema } from "./server-schema.ts";
import { joinKeys, mismatch, Place, type ReadContext, type Shape } from "./shape.ts";
import { isShared, systemFiles } from "./source-files.ts";
import type { StateStore } from "./state-store.ts";
import { noSources, readSources, type Sources } from "./sources.ts";
import { fault } from "./toml-scan.ts";
import type { TomlTable } from "./toml-tree.ts";

/** More would not be read by anybody, and a hostile file could make a hundred thousand. */
const MAX_PROBLEMS = 100;

/**
 * Reads, checks and freezes the configuration of a server, at the start and for each reload.
 * @throws ConfigProblemsError with all faults (exit code 78); ExitError 66 if the named file is not there, 77 if a
 * private key is open to everybody
 */
export function loadServerConfig(
  options: LoadOptions,
  edition: ServerConfig["edition"] = "server",
): Loaded<ServerConfig> {
  if (edition === "bridge") return loadBridgeConfig(options);
  const path = options.path ?? "/etc/vpn/config.toml";
  const { root, ...loaded } = load(path, serverSchema(options.hostName), options);
  const warn = (text: string, ...keys: string[]) =>
    options.warn(new Place("", SILENT).problem(root, text, ...keys));
  for (const hub of loaded.config.hubs) {
    // One that joins networks needs nobody who logs in.
    if (hub.users.length + hub.cascades.length + hub.bridges.length > 0) continue;
    const keys = root.entries.has("hub") ? ["hub", hub.name] : [];
    warn(`nobody can log in to the hub ${hub.name}: it has no users`, ...keys);
  }
  if (!loaded.config.server.listen.some(({ enable }) => enable)) {
    warn("no listener is enabled, so nobody can connect", "server", "listen");
  }
  return loaded;
}

function loadBridgeConfig(options: LoadOptions): Loaded<ServerConfig> {
  const path = options.path ?? "/etc/vpn/bridge.toml";
  const { root, ...loaded } = load(path, bridgeSchema(options.hostName), options);
  const [hub] = loaded.config.hubs;
  const warn = (text: string) =>
    options.warn(
      new Place("", SILENT).problem(root, text, ...(root.entries.has("bridge") ? ["bridge"] : [])),
    );
  const reachesSite = hub?.bridges.length !== 0 || hub.secureNat?.enable === true;
  if (!reachesSite) warn('the bridge has no interface: "device" or "tap" names one');
  if (hub?.cascades.length === 0) warn('the bridge leads nowhere: "cascade.NAME" names a server');
  return loaded;
}

export interface LoadedClient extends Loaded<ClientConfig> {
  /** Accounts and NICs, and whose they are. */
  readonly objects: readonly OwnedObject[];
}

/** The kinds of objects that commands of the client make and change. */
const CLIENT_KINDS = ["account", "nic"] as const;

/**
 * Likewise for a client. `openState` is told the state directory that the file names, if it names one, and gives
 * the database that has the rest of the accounts; it stays its owner's.
 */
export function loadClientConfig(
  options: LoadOptions,
  openState: (stateDir: string | undefined) => OpenedState | undefined = () => undefined,
): LoadedClient {
  let state: { readonly opened: OpenedState | undefined } | undefined;
  let objects: readonly OwnedObject[] = [];
  // Told once, though the files may be read twice.
  const doubts = new Map<string, ConfigProblem>();
  const warn = (problem: ConfigProblem) => doubts.set(formatProblem(problem), problem);
  const path = options.path ?? defaultClientPath(options);
  const read = (without: ReadonlySet<string>): Loaded<ClientConfig> => {
    const merge = (root: TomlTable, context: ReadContext): TomlTable => {
      state ??= { opened: openState(stateDirOf(root, context)) };
      const { opened } = state;
      const merged =
        opened === undefined
          ? declaredOnly(root, CLIENT_KINDS)
          : mergeState(root, opened.store, CLIENT_KINDS, { path: opened.path, warn, without });
      objects = merged.objects;
      return opened === undefined ? merged.root : withoutLostNics(merged.root, opened.path, warn);
    };
    const { root: _, ...loaded } = load(path, clientSchema, { ...options, warn }, merge);
    return loaded;
  };
  let loaded: Loaded<ClientConfig>;
  try {
    loaded = read(new Set());
  } catch (error) {
    const faulty = faultsOfState(error, state?.opened?.path, objects);
    if (faulty === undefined) throw error;
    for (const { problem } of faulty) warn({ ...problem, text: `passed over: ${problem.text}` });
    loaded = read(new Set(faulty.map(({ owner }) => owner)));
  }
  for (const problem of doubts.values()) options.warn(problem);
  return { ...loaded, objects };
}

/** Accounts of state.db lose a NIC that the file has no more; one that the file gives an account is the file's fault. */
function withoutLostNics(
  root: TomlTable,
  path: string,
  warn: (problem: ConfigProblem) => void,
): TomlTable {
  const [nics, accounts] = [root.entries.get("nic")?.value, root.entries.get("account")];
  if (accounts?.value.kind !== "table") return root;
  const known = new Set(nics?.kind === "table" ? [...nics.entries.keys()].map(lower) : []);
  const kept = new Map(accounts.value.entries);
  for (const [name, entry] of kept) {
    const table = entry.value;
    const nic = table.kind === "table" ? table.entries.get("nic")?.value : undefined;
    if (table.kind !== "table" || nic?.kind !== "string" || nic.at.file !== path) continue;
    if (known.has(lower(nic.value))) continue;
    const text = `there is no NIC ${JSON.stringify(nic.value)} any more`;
    warn({ position: nic.at, key: joinKeys("account", name, "nic"), text });
    const entries = new Map(table.entries);
    entries.delete("nic");
    kept.set(name, { ...entry, value: { ...table, entries } });
  }
  const value = { ...accounts.value, entries: kept };
  return { ...root, entries: new Map(root.entries).set("account", { ...accounts, value }) };
}

function lower(name: string): string {
  return name.toLowerCase();
}

/**
 * The objects of state.db that have faults, if nothing else has: a certificate that was deleted since must not keep
 * people from the command that mends it. Undefined for all other errors.
 */
function faultsOfState(
  error: unknown,
  path: string | undefined,
  objects: readonly OwnedObject[],
): { readonly problem: ConfigProblem; readonly owner: string }[] | undefined {
  if (!(error instanceof ConfigProblemsError) || path === undefined) return undefined;
  const owners = objects.map(({ kind, name }) => joinKeys(kind, name));
  const found = error.problems.flatMap((problem) => {
    const { key } = problem;
    const owner = owners.find((prefix) => key === prefix || key.startsWith(`${prefix}.`));
    return owner === undefined || problem.position.file !== path ? [] : [{ problem, owner }];
  });
  return found.length === error.problems.length ? found : undefined;
}

export interface OpenedState {
  readonly store: StateStore;
  /** Of the database, for people. */
  readonly path: string;
}

/** What the key says before all others are looked at; its faults are told by the schema. */
function stateDirOf(root: TomlTable, context: ReadContext): string | undefined {
  const client = root.entries.get("client")?.value;
  const written = client?.kind === "table" ? client.entries.get("state_dir")?.value : undefined;
  if (written === undefined) return undefined;
  return pathShape.read(written, new Place("", { ...SILENT, env: context.env }));
}

function defaultClientPath({ env, isRoot }: LoadOptions): string | undefined {
  if (isRoot) return "/etc/vpn/client.toml";
  const home = env["HOME"];
  const base = env["XDG_CONFIG_HOME"] || (home ? join(home, ".config") : undefined);
  return base === undefined ? undefined : join(base, "vpn/client.toml");
}

function load<T>(
  path: string | undefined,
  schema: Shape<T>,
  options: LoadOptions,
  amend: (root: TomlTable, context: ReadContext) => TomlTable = (root) => root,
): Loaded<T> & { root: TomlTable } {
  const problems = new ProblemList();
  const denied: ConfigProblem[] = [];
  const withSecrets = new Set<string>();
  const context: ReadContext = {
    env: options.env,
    files: options.files ?? systemFiles,
    fail: (problem) => problems.add(problem),
    deny: (problem) => denied.push(problem),
    warn: options.warn,
    holdsSecret: (position) => withSecrets.add(position.file),
  };
  const found = path === undefined ? undefined : readSources(path, context.files, context.fail);
  if (found === undefined && options.path !== undefined) {
    throw new ExitError(
      EXIT.noInput,
      `Cannot read the configuration ${options.path}: there is no such file`,
    );
  }
  const { root, files } = found ?? noSources();
  refuseNewerSchema(root);
  const config = schema.read(amend(root, context), new Place("", context));
  if (problems.first !== undefined) throw problems.error();
  if (denied.length > 0) {
    throw new ExitError(EXIT.noPermission, denied.map(formatProblem).join("\n"));
  }
  if (config === undefined) throw new TypeError("a value was refused without a reason");
  warnOfOpenFiles(files, withSecrets, options);
  return {
    root,
    config: deepFreeze(config),
    files: files.map((file) => file.path),
    usedDefaults: found === undefined,
  };
}

/** CF-20: what newer keys mean is not guessed, so this is the only fault told. */
function refuseNewerSchema(root: TomlTable): void {
  const schema = root.entries.get("schema")?.value;
  if (schema?.kind !== "integer" || schema.value <= SCHEMA_VERSION) return;
  const text = `schema: this file is written for a newer program: ${mismatch(`at most ${SCHEMA_VERSION}`, schema)}`;
  throw fault(schema.at, text);
}

/** CF-11: a file that names its secrets by reference may be read by everybody. */
function warnOfOpenFiles(
  files: Sources["files"],
  withSecrets: ReadonlySet<string>,
  options: LoadOptions,
): void {
  for (const { path, mode } of files) {
    if (!withSecrets.has(path) || !isShared(mode)) continue;
    const shown = mode.toString(8).padStart(4, "0");
    options.warn({
      position: { file: path, line: 1, column: 1 },
      key: "",
      text: `this file holds a secret and others can read it (mode ${shown}): chmod 600`,
    });
  }
}

/** Faults in the order of their places, at most so many. */
class ProblemList {
  readonly #all: ConfigProblem[] = [];

  get first(): ConfigProblem | undefined {
    return this.#all[0];
  }

  add(problem: ConfigProblem): void {
    this.#all.push(problem);
    if (this.#all.length < MAX_PROBLEMS) return;
    this.#all.push({ ...problem, key: "", text: `stopped after ${MAX_PROBLEMS} faults` });
    throw this.error();
  }

  error(): ConfigProblemsError {
    const order = (a: ConfigProblem, b: ConfigProblem) =>
      a.position.file === b.position.file
        ? a.position.line - b.position.line || a.position.column - b.position.column
        : 0;
    const [first, ...rest] = this.#all.toSorted(order);
    if (first === undefined) throw new TypeError("no fault to tell");
    return new ConfigProblemsError([first, ...rest]);
  }
}

/** For places that are only looked up. */
const SILENT: ReadContext = {
  env: {},
  files: systemFiles,
  fail: () => undefined,
  deny: () => undefined,
  warn: () => undefined,
  holdsSecret: () => undefined,
};

/** Bytes stay as they are: typed arrays cannot be frozen. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
