import { createHash } from "node:crypto";
import type { SourcePosition } from "../base/errors.ts";
import type { ConfigProblem } from "./problem.ts";
import { joinKeys } from "./shape.ts";
import { objectPath, type ObjectKind, type StoredKeys, type StoredValue } from "./state-objects.ts";
import type { StateStore } from "./state-store.ts";
import { emptyTable, type TomlEntry, type TomlNode, type TomlTable } from "./toml-tree.ts";

// Files and state.db put together (config-proposal.md 1): an object is declared by a file, perhaps with changes
// that state.db holds, or it stands in state.db alone. The outcome is a tree as if it had all stood in one file, so
// that one schema checks both.

/** Whose an object is. `removed`: declared, and taken away by a command. */
export type Origin = "declared" | "changed" | "removed" | "dynamic";

export interface OwnedObject {
  /** As it is written where it stands. */
  readonly name: string;
  readonly kind: ObjectKind;
  readonly origin: Origin;
  /** Of the declared text, for what will be stored about it; "" for a dynamic one. */
  readonly baseHash: string;
}

export interface Merged {
  readonly root: TomlTable;
  readonly objects: readonly OwnedObject[];
}

/** Files alone, without a database. */
export function declaredOnly(root: TomlTable, kinds: readonly ObjectKind[]): Merged {
  return {
    root,
    objects: kinds.flatMap((kind) =>
      [...tableOf(root, kind).entries].map(([name, { value }]) => ({
        name,
        kind,
        origin: "declared" as const,
        baseHash: hashOf(value),
      })),
    ),
  };
}

/**
 * What files and database make together. Changes to a declared object whose text has become another are forgotten:
 * the file wins. `path` is that of the database, for faults of what it holds; what the database holds of the objects
 * `without`, named as `account.hq`, is passed over.
 */
export function mergeState(
  root: TomlTable,
  store: StateStore,
  kinds: readonly ObjectKind[],
  deps: {
    readonly path: string;
    readonly warn: (problem: ConfigProblem) => void;
    readonly without: ReadonlySet<string>;
  },
): Merged {
  const at: SourcePosition = { file: deps.path, line: 1, column: 1 };
  const merged: TomlTable = { ...root, entries: new Map(root.entries) };
  const objects: OwnedObject[] = [];
  for (const kind of kinds) {
    const declared = tableOf(root, kind);
    const table: TomlTable = { ...declared, entries: new Map() };
    const warn = (name: string, text: string) =>
      deps.warn({ position: at, key: joinKeys(kind, name), text });
    const changes = new Map(
      store.objects.overrides(kind).map((change) => [change.name.toLowerCase(), change]),
    );
    for (const [name, entry] of declared.entries) {
      const baseHash = hashOf(entry.value);
      const change = changes.get(name.toLowerCase());
      const isStale = change !== undefined && change.baseHash !== baseHash;
      if (isStale) {
        forgetChange(store, kind, name);
        warn(name, "the file has changed: what commands had changed of it is dropped");
      }
      const isSkipped = deps.without.has(joinKeys(kind, name));
      const keys = isStale || isSkipped ? undefined : change?.keys;
      const isRemoved = change !== undefined && !isStale && change.keys === undefined;
      const isChanged = change !== undefined && !isStale;
      const origin = isRemoved ? "removed" : isChanged ? "changed" : "declared";
      objects.push({ name, kind, origin, baseHash });
      if (isRemoved) continue;
      const value =
        keys === undefined ? entry.value : overlay(entry.value, keys, at, secretsOf(name));
      table.entries.set(name, { ...entry, value });
    }
    const names = new Set([...declared.entries.keys()].map((name) => name.toLowerCase()));
    for (const { name, keys } of store.objects.dynamic(kind)) {
      if (names.has(name.toLowerCase())) {
        warn(name, "a file declares one of this name: the one made by a command is passed over");
        continue;
      }
      objects.push({ name, kind, origin: "dynamic", baseHash: "" });
      if (deps.without.has(joinKeys(kind, name))) continue;
      const value = overlay(emptyTable(at), keys, at, secretsOf(name));
      table.entries.set(name, { keyAt: at, value });
    }
    if (table.entries.size > 0 || root.entries.has(kind)) {
      merged.entries.set(kind, { keyAt: table.at, value: table });
    }

    function secretsOf(name: string): (key: string) => Uint8Array | undefined {
      return (key) => {
        const found = store.secret(objectPath(kind, name, key));
        if (found === undefined) warn(name, `the stored secret of "${key}" is lost`);
        return found;
      };
    }
  }
  return { root: merged, objects };
}

/** Forgets what commands changed of a declared object, secrets too. */
export function forgetChange(store: StateStore, kind: ObjectKind, name: string): void {
  const change = store.objects
    .overrides(kind)
    .find((entry) => entry.name.toLowerCase() === name.toLowerCase());
  store.transaction(() => {
    removeSecrets(store, kind, name, change?.keys);
    store.objects.forgetOverride(kind, name);
  });
}

export function removeSecrets(
  store: StateStore,
  kind: ObjectKind,
  name: string,
  keys: StoredKeys | undefined,
): void {
  for (const [key, value] of Object.entries(keys ?? {})) {
    if (isSecret(value)) store.removeSecret(objectPath(kind, name, key));
  }
}

export function isSecret(
  value: StoredValue | undefined,
): value is Extract<StoredValue, { stored: string }> {
  return typeof value === "object" && value !== null && "stored" in value;
}

/** The table that such keys stand for, so that a schema can check it. */
export function tableOfKeys(
  keys: StoredKeys,
  secrets: Readonly<Record<string, Uint8Array>>,
  at: SourcePosition,
): TomlNode {
  return overlay(emptyTable(at), keys, at, (key) => secrets[key]);
}

function tableOf(root: TomlTable, kind: ObjectKind): TomlTable {
  const found = root.entries.get(kind)?.value;
  // A value of another kind is a fault of the file, which the schema tells.
  return found?.kind === "table" ? found : emptyTable(root.at);
}

function overlay(
  base: TomlNode,
  keys: StoredKeys,
  at: SourcePosition,
  secretOf: (key: string) => Uint8Array | undefined,
): TomlNode {
  if (base.kind !== "table") return base;
  const entries = new Map<string, TomlEntry>(base.entries);
  for (const [key, value] of Object.entries(keys)) {
    const node = nodeOf(value, at, () => secretOf(key));
    if (node === undefined) entries.delete(key);
    else entries.set(key, { keyAt: at, value: node });
  }
  return { ...base, entries };
}

function nodeOf(
  value: StoredValue,
  at: SourcePosition,
  secretOf: () => Uint8Array | undefined,
): TomlNode | undefined {
  if (value === null) return undefined;
  if (typeof value === "string") return { kind: "string", at, value };
  if (typeof value === "boolean") return { kind: "boolean", at, value };
  if (typeof value === "number") return { kind: "integer", at, value: BigInt(value) };
  if (isSecret(value)) {
    const bytes = secretOf();
    return bytes === undefined ? undefined : { kind: "stored", at, form: value.stored, bytes };
  }
  const items = (value as readonly StoredValue[]).map((item) => nodeOf(item, at, secretOf));
  return { kind: "array", at, items: items.filter((item) => item !== undefined) };
}

/** The same for the same values, wherever they stand and in whatever order. */
function hashOf(node: TomlNode): string {
  return createHash("sha256").update(canonical(node)).digest("hex");
}

function canonical(node: TomlNode): string {
  switch (node.kind) {
    case "table": {
      const keys = [...node.entries.keys()].sort();
      return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(node.entries.get(key)!.value)}`).join()}}`;
    }
    case "array":
      return `[${node.items.map(canonical).join()}]`;
    case "date":
      return `date ${node.text}`;
    case "stored":
      return `stored ${node.form}`;
    case "integer":
      return String(node.value);
    default:
      return JSON.stringify(node.value);
  }
}
